"""The editor of a condition: a sentence with blanks, each a form sent by GET. What somebody says is in the address, and
what a form does not show stays in it."""

import json
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.web import condition_tree as tree
from tests.automations.drawing import automation, wait
from tests.factories import make_sequence, make_subscriber, make_tag
from tests.web.reading import text_of

A, B, C = ({"type": "subscriber_state", "states": [state]} for state in ("active", "inactive", "cancelled"))

leaves = st.sampled_from([A, B, C])
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=8,
)


def paths_of(condition: Any, so_far: tree.Path = ()) -> list[tree.Path]:
    """Of everything in it that is a condition."""
    found = [so_far]
    for key, value in condition.items():
        if key == "not":
            found += paths_of(value, (*so_far, "not"))
        elif key in tree.GROUPS:
            for place, part in enumerate(value):
                found += paths_of(part, (*so_far, key, place))
    return found


def met(condition: Any, state: str) -> bool:
    """What it means."""
    if "not" in condition:
        return not met(condition["not"], state)
    if "all" in condition:
        return all(met(part, state) for part in condition["all"])
    if "any" in condition:
        return any(met(part, state) for part in condition["any"])
    return state in condition["states"]


# --- Places in a condition ----------------------------------------------------------------------------------------


@given(conditions, st.data())
def test_a_place_is_written_and_found_again(condition: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths_of(condition)))
    assert tree.path_of(tree.text_of(path)) == path
    assert tree.at(condition, path) is not None


@pytest.mark.parametrize(
    "text", ["", "all", "all.", "all.x", "all.0.", "0", "not.0", "all.-1", "all.0000", "ALL.0", "none.0"]
)
def test_nonsense_is_no_place(text: str) -> None:
    assert tree.path_of(text) is None


@given(conditions, leaves, st.data())
def test_what_is_put_stands_there_and_all_else_stays(condition: Any, new: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths_of(condition)))
    before = tree.at(condition, path)
    after = tree.put(condition, path, new)
    assert tree.at(after, path) == new
    assert tree.put(after, path, before) == condition  # type: ignore[arg-type]


@given(conditions, leaves, st.sampled_from(["active", "inactive", "cancelled"]))
def test_something_more_at_the_top_means_both_or_either(condition: Any, new: Any, state: str) -> None:
    both, either = (tree.beside(condition, (), joiner, new) for joiner in ("and", "or"))
    assert met(both, state) == (met(condition, state) and met(new, state))
    assert met(either, state) == (met(condition, state) or met(new, state))


@given(conditions, leaves, st.data())
def test_what_stood_there_is_still_there_beside_something_new(condition: Any, new: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths_of(condition)))
    joiner = data.draw(st.sampled_from(["and", "or"]))
    after = tree.beside(condition, path, joiner, new)
    assert sorted(map(str, leaves_of(after))) == sorted(map(str, [*leaves_of(condition), new]))


@given(conditions, st.data())
def test_removing_takes_away_that_and_no_other(condition: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths_of(condition)))
    gone = leaves_of(tree.at(condition, path))
    left = list(leaves_of(condition))
    for one in gone:
        left.remove(one)
    after = tree.removed(condition, path)
    assert sorted(map(str, leaves_of(after) if after else [])) == sorted(map(str, left))


def leaves_of(condition: Any) -> list[Any]:
    if "type" in condition:
        return [condition]
    if "not" in condition:
        return leaves_of(condition["not"])
    return [leaf for part in condition.get("all", condition.get("any")) for leaf in leaves_of(part)]


# --- The sentence -------------------------------------------------------------------------------------------------


def page(client: Client, condition: Any = None, **press: Any) -> Any:
    """The list of people with that filter, and something pressed."""
    members = ({} if condition is None else {"filter": json.dumps(condition)}) | press
    return client.get("/people", members)


def sentence(answer: Any) -> str:
    """As somebody reads it."""
    return " ".join(piece.text for piece in answer.context["editor"].pieces if not piece.is_plus)


def led_to(answer: Any) -> Any:
    """The condition in the address that a form led to; None for everybody."""
    assert answer.status_code == 302, text_of(answer)[:500]
    query = parse_qs(urlsplit(answer["Location"]).query)
    return json.loads(query["filter"][0]) if "filter" in query else None


def test_without_a_filter_everybody_is_meant(alice: Client) -> None:
    assert sentence(page(alice)) == "Everybody"


def test_a_filter_reads_as_a_sentence(alice: Client, account: Account) -> None:
    tag = make_tag(account, name="Course")
    course = make_sequence(account, {}, name="Write better emails")
    condition = {"all": [
        {"type": "tags", "ids": [tag.pk]},
        {"any": [{"type": "sequences", "ids": [course.pk], "place": "inside"}, {"not": A}]},
    ]}  # fmt: skip
    assert sentence(page(alice, condition)) == (
        "People who have the tag “Course” and ( either are inside “Write better emails” or are not active )"
    )


def test_every_blank_opens_its_form(alice: Client, account: Account) -> None:
    tag = make_tag(account, name="Course")
    answer = page(alice, {"all": [A, {"not": {"type": "tags", "ids": [tag.pk]}}]}, at="all.1")
    panel = answer.context["editor"].panel
    assert (panel.kind.key, panel.form.values["leaf-sign"]) == ("tags", "no")
    assert [one.chosen for one in panel.questions if one.thing] == [((tag.pk, "Course"),)]
    assert 'aria-expanded="true"' in answer.content.decode()


def test_something_new_is_chosen_by_its_kind(alice: Client) -> None:
    answer = page(alice, at="top:and")
    assert "have a tag" in text_of(answer)
    assert "wait for an email" in text_of(answer)


def test_being_in_an_automation_is_asked_for(alice: Client, account: Account) -> None:
    one = automation(account, wait("w"))
    press = {"at": "top:and", "kind": "automation", "do": "put", "leaf-place": "completed", "leaf-ids": [one.pk]}
    leaf = {"type": "automations", "place": "completed", "ids": [one.pk]}
    assert led_to(page(alice, **press)) == leaf
    assert sentence(page(alice, leaf)) == "People who completed the automation “After the course”"
    assert page(alice, leaf, at="top").context["editor"].panel.kind.key == "automation"


def test_what_is_filled_in_comes_to_stand_in_the_address(alice: Client, account: Account) -> None:
    tag = make_tag(account, name="Course")
    press = {"at": "top:and", "kind": "tags", "do": "put", "leaf-sign": "no", "leaf-ids": [tag.pk], "leaf-has": "any"}
    assert led_to(page(alice, **press)) == {"not": {"type": "tags", "ids": [tag.pk], "has": "any"}}
    assert led_to(page(alice, A, **press)) == {"all": [A, {"not": {"type": "tags", "ids": [tag.pk], "has": "any"}}]}


def test_waiting_for_an_email_names_its_sequence(alice: Client, account: Account) -> None:
    course = make_sequence(account, {}, {})
    email = course.emails.get(position=1)
    press = {"at": "top:and", "kind": "waiting", "do": "put", "leaf-waiting_for": [email.pk]}
    assert led_to(page(alice, **press)) == {
        "type": "sequences", "place": "inside", "ids": [course.pk], "waiting_for": [email.pk]
    }  # fmt: skip


MADE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "state": ({"leaf-states": ["active", "bounced"]}, {"type": "subscriber_state", "states": ["active", "bounced"]}),
    "address": (
        {"leaf-comparison": "ends_with", "leaf-value": " @example.org "},
        {"type": "email_address", "comparison": "ends_with", "value": "@example.org"},
    ),
    "since": ({"leaf-within_days": "7"}, {"type": "subscribed", "within_days": 7}),
    "origin": (
        {"leaf-origin": "utm_source", "leaf-comparison": "is", "leaf-value": "podcast"},
        {"type": "attribution", "any": [{"type": "utm_source", "comparison": "is", "value": "podcast"}]},
    ),
    "sent": (
        {"leaf-count_greater_than_or_equal": "3", "leaf-within_days": "30"},
        {"type": "sent", "count_greater_than_or_equal": 3, "within_days": 30},
    ),
    "opens": ({"leaf-within_days": "30"}, {"type": "opens", "within_days": 30}),
    "purchases": (
        {"leaf-within_days": "30", "leaf-total_greater_than_or_equal": "100", "leaf-currency": "usd"},
        {"type": "purchases", "within_days": 30, "total_greater_than_or_equal": 100, "currency": "USD"},
    ),
    "location": ({"leaf-countries": "DE, AT"}, {"type": "location", "countries": ["DE", "AT"]}),
}


@pytest.mark.parametrize("kind", MADE)
def test_each_kind_makes_its_leaf_and_shows_it_again(alice: Client, kind: str) -> None:
    typed, leaf = MADE[kind]
    assert led_to(page(alice, at="top:and", kind=kind, do="put", **typed)) == leaf
    shown = page(alice, leaf, at="top").context["editor"].panel
    assert shown.kind.key == kind
    again = {name: value for name, value in shown.form.values.items() if name != "leaf-sign"}
    assert led_to(page(alice, leaf, at="top", kind=kind, do="put", **again)) == leaf


def test_a_field_is_compared_or_has_something_in_it(alice: Client, account: Account) -> None:
    city = account.custom_fields.create(label="City", key="city", name="ck", created_at=account.created_at)
    press = {"at": "top:and", "kind": "field", "do": "put", "leaf-subscriber_custom_field_id": city.pk}
    named = {"type": "custom_field", "subscriber_custom_field_id": city.pk}
    assert led_to(page(alice, **press, **{"leaf-comparison": "is", "leaf-value": "Łódź"})) == {
        **named, "comparison": "is", "value": "Łódź"
    }  # fmt: skip
    assert led_to(page(alice, **press, **{"leaf-comparison": "has_value", "leaf-value": "left over"})) == {
        **named, "comparison": "has_value"
    }  # fmt: skip


def test_what_is_missing_is_said_beside_its_control_with_what_was_typed(alice: Client) -> None:
    answer = page(alice, at="top:and", kind="tags", do="put")
    assert "Choose at least one" in text_of(answer)
    answer = page(alice, at="top:and", kind="since", do="put", **{"leaf-within_days": "soon"})
    assert "In the last … days: must be an integer between 1 and 36500" in text_of(answer)
    assert 'value="soon"' in answer.content.decode()
    answer = page(alice, at="top:and", kind="since", do="put")
    assert "Say a number of days, or a date" in text_of(answer)


def test_members_that_no_form_shows_stay(alice: Client) -> None:
    leaf = {"type": "sent", "count_less_than": 9, "any": [{"type": "sequences", "ids": [3]}]}
    changed = led_to(page(alice, leaf, at="top", kind="sent", do="put", **{"leaf-within_days": "5"}))
    assert changed == leaf | {"within_days": 5}


def test_an_alternative_is_added_to_what_one_changes(alice: Client) -> None:
    condition = {"all": [A, B]}
    answer = page(alice, condition, at="all.1", kind="state", do="or", **{"leaf-states": ["cancelled"]})
    assert led_to(answer) == {"all": [A, C]}
    assert "at=all.1%3Aor" in answer["Location"]
    press = {"at": "all.1:or", "kind": "state", "do": "put", "leaf-states": ["inactive"]}
    assert led_to(page(alice, {"all": [A, C]}, **press)) == {"all": [A, {"any": [C, B]}]}


def test_how_a_group_is_joined_can_be_changed(alice: Client) -> None:
    condition = {"all": [A, {"any": [B, C]}]}
    assert led_to(page(alice, condition, at="all.1", do="put", mode="none")) == {"all": [A, {"not": {"any": [B, C]}}]}
    assert page(alice, condition, at="all.1").context["editor"].panel.form.values == {"mode": "any"}


def test_a_blank_is_removed(alice: Client) -> None:
    assert led_to(page(alice, {"all": [A, {"any": [B, C]}]}, at="all.1.any.0", do="remove")) == {"all": [A, C]}
    assert led_to(page(alice, A, at="top", do="remove")) is None


def test_a_leaf_that_no_form_has_can_be_removed(alice: Client) -> None:
    odd = {"type": "location", "latitude": 1.0, "longitude": 2.0, "radius": 3.0}
    answer = page(alice, {"all": [A, odd]}, at="all.1")
    assert "Remove" in text_of(answer)
    assert led_to(page(alice, {"all": [A, odd]}, at="all.1", do="remove")) == A


def test_too_many_levels_are_refused_in_the_form(alice: Client) -> None:
    deep: Any = {"any": [{"all": [{"any": [{"all": [A, B]}, C]}, B]}, C]}
    path = "any.0.all.0.any.0.all.0:or"
    answer = page(alice, deep, at=path, kind="state", do="put", **{"leaf-states": ["active"]})
    assert "nested too deeply" in text_of(answer)


def test_what_does_not_fit_into_an_address_is_refused(alice: Client) -> None:
    press = {"at": "top:and", "kind": "address", "do": "put", "leaf-comparison": "is", "leaf-value": "x" * 17_000}
    assert "too long for the address of a page" in text_of(page(alice, **press))


def test_a_filter_that_cannot_be_read_finds_nobody_and_says_why(alice: Client, account: Account) -> None:
    make_subscriber(account, first_name="Ann")
    for text in ("{", "[]", '{"type": "nonsense"}', '{"all": [{}]}', '{"any": []}'):
        answer = alice.get("/people", {"filter": text})
        assert "This filter can’t be read" in text_of(answer)
        assert "Ann" not in text_of(answer)


def test_what_is_gone_is_marked_and_finds_nobody(alice: Client, account: Account) -> None:
    make_subscriber(account, first_name="Ann")
    tag = make_tag(account)
    answer = page(alice, {"not": {"type": "tags", "ids": [tag.pk]}})
    assert "Ann" in text_of(answer)
    tag_id = tag.pk
    tag.delete()
    answer = page(alice, {"not": {"type": "tags", "ids": [tag_id]}})
    assert "gone, so nobody is found" in text_of(answer)
    assert "is-gone" in answer.content.decode()
    assert "Ann" not in text_of(answer)


def test_tags_of_another_account_are_gone_here(alice: Client, account: Account, mallory: Client) -> None:
    tag = make_tag(account, name="Secret")
    answer = page(mallory, {"type": "tags", "ids": [tag.pk]}, at="top")
    assert "Secret" not in text_of(answer)


def test_of_thousands_of_tags_a_form_shows_some_and_finds_the_rest(alice: Client, account: Account) -> None:
    from dripstone.subscribers.models import Tag

    Tag.objects.bulk_create(
        Tag(account=account, name=f"tag {number:04}", created_at=account.created_at) for number in range(2_000)
    )
    ticked = Tag.objects.get(name="tag 1999")
    answer = page(alice, at="top:and", kind="tags")
    assert answer.content.decode().count('name="leaf-ids"') == 12
    answer = page(alice, at="top:and", kind="tags", do="find", find="0777", **{"leaf-ids": [ticked.pk]})
    assert re.findall(r"tag \d{4}", text_of(answer)) == ["tag 1999", "tag 0777"]
    assert "checked" in answer.content.decode()


def test_htmx_gets_the_editor_alone(alice: Client) -> None:
    answer = alice.get("/people", {"at": "top:and"}, headers={"HX-Target": "conditions"})
    assert answer.content.decode().lstrip().startswith("<section")
    press = {"at": "top:and", "kind": "state", "do": "put", "leaf-states": ["active"]}
    answer = alice.get("/people", press, headers={"HX-Request": "true", "HX-Target": "conditions"})
    assert quote(json.dumps(A, separators=(",", ":")), safe="") in unescape(answer["HX-Redirect"])


def test_a_form_keeps_what_else_the_page_asks_for(alice: Client) -> None:
    press = {"at": "top:and", "kind": "state", "do": "put", "leaf-states": ["active"], "q": "ann", "state": "active"}
    assert "q=ann&state=active&filter=" in page(alice, **press)["Location"]


@pytest.mark.parametrize("press", [{"at": "all.7"}, {"at": "x"}, {"at": "top:xor"}, {"at": "top:and", "kind": "odd"}])
def test_nonsense_opens_nothing_that_is_not_there(alice: Client, press: dict[str, str]) -> None:
    assert page(alice, A, **press).status_code == 200
