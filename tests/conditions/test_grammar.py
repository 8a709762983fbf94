"""What a condition may say: each refusal names its member, and is one sentence."""

from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone import grammar
from dripstone.given import Checked, FromText
from dripstone.grammar import matches


def known(kind: str, ids: Collection[int]) -> Collection[int]:
    """Of each kind of thing there are those below 10, and the product 77; automations and broadcasts there are none."""
    if kind == "product":
        return [pk for pk in ids if pk == 77]
    return () if kind in ("automation", "broadcast") else [pk for pk in ids if pk < 10]


def problems_of(filter: Any) -> list[str]:
    given = Checked({"filter": filter})
    found = grammar.read(given, "filter", known)
    assert (found is None) == bool(given.problems or filter is None)
    return [sentence for _, sentence in given.problems]


TAG = {"type": "tags", "ids": [3]}
FIELD = {"type": "custom_field", "subscriber_custom_field_id": 3}


@pytest.mark.parametrize(
    ("filter", "problems"),
    [
        ([], ["filter must be an object"]),
        ({}, ["filter must have one of: all, any, not, type"]),
        ({"all": [], "any": []}, ["filter must have one of: all, any, not, type"]),
        ({"any": []}, ["filter.any can't be empty"]),
        ({"all": [{"all": []}]}, ["filter.all[0].all can't be empty"]),
        ({"all": 3}, ["filter.all must be an array"]),
        ({"all": [TAG, None]}, ["filter.all[1] can't be blank"]),
        ({"not": TAG | {"ids": [99]}}, ["filter.not.ids contains the unknown tag 99"]),
        ({"type": "tags"}, ["filter.ids can't be blank"]),
        ({"type": "tags", "ids": ["3"]}, ["filter.ids[0] must be an id"]),
        ({"type": "tags", "ids": [3], "has": "none"}, ["filter.has must be one of: any, all"]),
        ({"type": "sequences", "ids": [3]}, ["filter.place can't be blank"]),
        (
            {"type": "sequences", "ids": [3], "place": "left", "waiting_for": [1]},
            ["filter.waiting_for needs the place inside: nobody else waits for an email"],
        ),
        (
            {"type": "sequences", "ids": [3], "place": "inside", "waiting_for": [12]},
            ["filter.waiting_for contains the unknown email 12"],
        ),
        (
            {"type": "automations", "ids": [1], "place": "inside"},
            ["filter.ids contains the unknown automation 1"],
        ),
        ({"type": "subscriber_state", "states": []}, ["filter.states can't be blank"]),
        (
            {"type": "subscriber_state", "states": ["happy"]},
            ["filter.states must be one or more of: active, inactive, cancelled, bounced, complained"],
        ),
        ({"type": "email_address", "comparison": "is", "value": " "}, ["filter.value can't be blank"]),
        (FIELD | {"comparison": "greater_than", "value": "x"}, ["filter.value must be a number, such as 3 or -1.5"]),
        (FIELD | {"comparison": "before", "value": "1 May"}, ["filter.value must be a date (yyyy-mm-dd)"]),
        (FIELD | {"comparison": "after", "value": "2026-02-30"}, ["filter.value must be a date (yyyy-mm-dd)"]),
        (
            FIELD | {"comparison": "after", "value": "9999-01-01"},
            ["filter.value must be a date between 1900-01-01 and 2999-12-31"],
        ),
        (
            FIELD | {"comparison": "days_from_now", "value": "soon"},
            ["filter.value must be a number of days, at most 36500"],
        ),
        (
            FIELD | {"subscriber_custom_field_id": 12, "comparison": "has_value"},
            ["filter.subscriber_custom_field_id contains the unknown custom field 12"],
        ),
        ({"type": "subscribed"}, ["filter.after or before or within_days must be given"]),
        (
            {"type": "subscribed", "within_days": 0},
            ["filter.within_days must be an integer between 1 and 36500"],
        ),
        ({"type": "attribution"}, ["filter.any can't be blank"]),
        (
            {"type": "sent", "any": [{"type": "broadcasts", "ids": [1]}]},
            ["filter.any[0].ids contains the unknown broadcast 1"],
        ),
        ({"type": []}, [f"filter.type must be one of: {', '.join(grammar.kinds.READERS)}"]),
        (
            {"type": "sent", "any": [{"type": []}]},
            ["filter.any[0].type must be one of: broadcasts, emails, sequences"],
        ),
        (
            {"type": "opens", "count_less_than": -1},
            ["filter.count_less_than must be an integer between 0 and 1000000000"],
        ),
        (
            {"type": "location", "latitude": 91, "longitude": 0, "radius": 1},
            ["filter.latitude must be a number between -90 and 90"],
        ),
        (
            {"type": "location", "countries": ["Germany"]},
            ["filter.countries must be codes of two capital letters, such as DE"],
        ),
        (
            {"type": "purchases", "currency": "usd"},
            ["filter.currency must be a code of three capital letters, such as USD"],
        ),
        ({"type": "purchases", "products": [78]}, ["filter.products contains the unknown product 78"]),
    ],
)
def test_a_refusal_names_the_member(filter: Any, problems: list[str]) -> None:
    assert problems_of(filter) == problems


@pytest.mark.parametrize(
    "filter",
    [
        {"all": []},
        TAG | {"has": "all"},
        FIELD | {"comparison": "is", "value": "Acme"},
        FIELD | {"comparison": "days_from_now", "value": "-3"},
        {"type": "sent", "count_greater_than": 2, "within_days": 30, "any": [{"type": "emails", "ids": [1]}]},
        {"type": "clicks", "any": [{"type": "urls", "urls": ["kit.com"], "matching": "contains"}]},
        {"type": "purchases", "products": [77], "total_greater_than": 100, "currency": "USD", "after": "2026-01-01"},
        {"type": "location", "latitude": 51.5, "longitude": -0.1, "radius": 10.0},
        {"type": "attribution", "any": [{"type": "utm_source", "comparison": "is", "value": "newsletter"}]},
        {"type": "attribution", "any": [{"type": "kit_source", "source_type": "manual", "source_ids": [1]}]},
    ],
)
def test_what_is_sound_is_kept_as_it_was_given(filter: grammar.Condition) -> None:
    given = Checked({"filter": filter})
    assert grammar.read(given, "filter", known) == filter
    assert grammar.read(Checked({"filter": filter | {"color": "red"}}), "filter", known) == filter


def test_ids_are_kept_once_and_numbers_are_taken_for_text() -> None:
    filter = {"all": [{"type": "tags", "ids": [3, 1, 3]}, FIELD | {"comparison": "less_than", "value": 2.5}]}
    found = grammar.read(Checked({"filter": filter}), "filter", known)
    assert found == {"all": [{"type": "tags", "ids": [3, 1]}, FIELD | {"comparison": "less_than", "value": "2.5"}]}


def test_a_form_may_hold_it_as_json() -> None:
    given = FromText(filter='{"any": [{"type": "tags", "ids": [3]}]}')
    assert grammar.read(Checked(given), "filter", known) == {"any": [TAG]}
    for text in ("{", "[" * 100_000, "nonsense"):
        refused = Checked(FromText(filter=text))
        assert grammar.read(refused, "filter", known) is None
        assert refused.problems == [("filter", "filter must be an object")]
    assert grammar.read(Checked(FromText(filter="")), "filter", known) is None


def test_there_are_a_hundred_leaves_at_most() -> None:
    assert problems_of({"all": [{"any": [TAG] * 50}, {"any": [TAG] * 50}]}) == []
    assert problems_of({"all": [{"any": [TAG] * 50}, {"any": [TAG] * 51}]}) == [
        "filter can't have more than 100 conditions"
    ]


def test_groups_are_four_deep_at_most() -> None:
    four = {"all": [{"any": [{"not": {"all": [TAG]}}]}]}
    assert problems_of(four) == []
    assert problems_of({"all": [four]}) == [
        "filter.all[0].all[0].any[0].not is nested too deeply (maximum is 4 levels)"
    ]


def test_what_it_names_is_looked_up_once_for_each_kind() -> None:
    asked = []

    def counting(kind: str, ids: Collection[int]) -> Collection[int]:
        asked.append(kind)
        return ids

    filter = {"all": [TAG, TAG | {"ids": [4]}, {"not": {"type": "forms", "ids": [1]}}]}
    grammar.read(Checked({"filter": filter}), "filter", counting)
    assert sorted(asked) == ["form", "tag"]
    assert grammar.things(filter) == {("tag", 3), ("tag", 4), ("form", 1)}


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["tags", "sent"]),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(["all", "any", "not", "type", "ids", "value", "states", "comparison", "after", "products"]),
            inside,
            max_size=4,
        )
    ),
)


@given(json)
def test_anything_is_read_or_refused_with_sentences(filter: Any) -> None:
    given = Checked({"filter": filter})
    found = grammar.read(given, "filter", known)
    assert (found is None) == (bool(given.problems) or filter is None)
    assert all(sentence.startswith("filter") for _, sentence in given.problems)
    if found is not None:
        again = Checked({"filter": found})
        assert grammar.read(again, "filter", known) == found


def test_the_old_form_is_told_from_the_grammar() -> None:
    assert matches.is_one({"match": "all", "conditions": []})
    assert not matches.is_one({"type": "tags", "ids": [1]})
    assert grammar.plain({"match": "any", "conditions": []}) == {"all": []}
