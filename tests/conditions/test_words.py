"""Conditions in words: each leaf, denied or not, groups inside one another, and things that are gone."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from dripstone.conditions import words
from dripstone.grammar import Condition, kinds
from tests.factories import make_account, make_sequence, make_tag

NAMES: words.Names = {
    ("tag", 1): "Course",
    ("tag", 2): "Reader",
    ("form", 1): "Footer",
    ("segment", 1): "Regulars",
    ("sequence", 1): "Write better emails",
    ("email", 1): "Ask for one thing",
    ("custom_field", 1): "City",
    ("product", 1): "Caves",
    ("automation", 1): "After the course",
}
TAG = {"type": "tags", "ids": [1]}
FIELD = {"type": "custom_field", "subscriber_custom_field_id": 1}


def said(condition: Condition) -> str:
    return words.sentence(condition, 0, NAMES)


@pytest.mark.parametrize(
    ("leaf", "sentence", "denied"),
    [
        (TAG, "have the tag “Course”", "do not have the tag “Course”"),
        (
            {"type": "tags", "ids": [1, 2]},
            "have the tag “Course” or “Reader”",
            "do not have the tag “Course” or “Reader”",
        ),
        (
            {"type": "tags", "ids": [1, 2], "has": "all"},
            "have all of the tags “Course” and “Reader”",
            "do not have all of the tags “Course” and “Reader”",
        ),
        (
            {"type": "forms", "ids": [1]},
            "signed up by the form “Footer”",
            "did not sign up by the form “Footer”",
        ),
        ({"type": "segments", "ids": [1]}, "are in the segment “Regulars”", "are not in the segment “Regulars”"),
        (
            {"type": "sequences", "ids": [1], "place": "completed"},
            "completed “Write better emails”",
            "did not complete “Write better emails”",
        ),
        (
            {"type": "sequences", "ids": [1], "place": "inside", "waiting_for": [1]},
            "wait for “Ask for one thing” in “Write better emails”",
            "do not wait for “Ask for one thing” in “Write better emails”",
        ),
        (
            {"type": "automations", "ids": [1], "place": "inside"},
            "are inside the automation “After the course”",
            "are not inside the automation “After the course”",
        ),
        (
            {"type": "automations", "ids": [1], "place": "ever"},
            "have ever been in the automation “After the course”",
            "have never been in the automation “After the course”",
        ),
        (
            {"type": "subscriber_state", "states": ["active", "cancelled"]},
            "are active or unsubscribed",
            "are not active and did not unsubscribe",
        ),
        (
            {"type": "email_address", "comparison": "ends_with", "value": "@example.org"},
            "have an address that ends with “@example.org”",
            "do not have an address that ends with “@example.org”",
        ),
        (
            FIELD | {"comparison": "is", "value": "Leeds"},
            "have “Leeds” in the field “City”",
            "do not have “Leeds” in the field “City”",
        ),
        (
            FIELD | {"comparison": "has_value"},
            "have a value in the field “City”",
            "do not have a value in the field “City”",
        ),
        (
            FIELD | {"comparison": "before", "value": "2026-05-01"},
            "have a date before 1 May 2026 in the field “City”",
            "do not have a date before 1 May 2026 in the field “City”",
        ),
        (
            FIELD | {"comparison": "days_from_now", "value": "-1"},
            "have the date of yesterday in the field “City”",
            "do not have the date of yesterday in the field “City”",
        ),
        (
            {"type": "subscribed", "after": "2026-05-01", "within_days": 7},
            "subscribed after 1 May 2026 and within the last 7 days",
            "did not subscribe after 1 May 2026 and within the last 7 days",
        ),
        (
            {"type": "sent", "count_greater_than_or_equal": 3, "any": [{"type": "emails", "ids": [1]}]},
            "were sent at least 3 emails (“Ask for one thing”)",
            "were not sent at least 3 emails (“Ask for one thing”)",
        ),
        (
            {"type": "attribution", "any": [{"type": "referrer", "comparison": "contains", "value": "blog"}]},
            "first came with a referrer that contains “blog”",
            "did not come with a referrer that contains “blog”",
        ),
        ({"type": "purchases"}, "bought something", "did not buy something"),
        (
            {"type": "purchases", "products": [1], "count_greater_than_or_equal": 2, "total_greater_than": 1000,
             "currency": "USD", "within_days": 30},
            "bought “Caves” at least 2 times for more than 1,000 USD in all within the last 30 days",
            "did not buy “Caves” at least 2 times for more than 1,000 USD in all within the last 30 days",
        ),
        ({"type": "purchases", "currency": "EUR", "count_less_than": 1}, "bought something fewer than 1 time in EUR",
         "did not buy something fewer than 1 time in EUR"),
        ({"type": "opens", "within_days": 30}, "opened an email within the last 30 days", "did not open an email "
         "within the last 30 days"),
    ],
)  # fmt: skip
def test_a_leaf_says_what_it_asks(leaf: Condition, sentence: str, denied: str) -> None:
    assert said(leaf) == sentence
    assert said({"not": leaf}) == denied
    assert said({"not": {"not": leaf}}) == sentence


def test_every_leaf_has_words() -> None:
    assert set(words._LEAVES) == set(kinds.READERS)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        (None, "are on the list"),
        ({"all": []}, "are on the list"),
        ({"not": {"all": []}}, "are not on the list"),
        ({"all": [TAG]}, "have the tag “Course”"),
        ({"all": [TAG, TAG, TAG]}, "have the tag “Course”, have the tag “Course” and have the tag “Course”"),
        (
            {"all": [TAG, {"any": [TAG, {"not": TAG}]}]},
            "have the tag “Course” and either have the tag “Course” or do not have the tag “Course”",
        ),
        (
            {"any": [TAG, {"all": [TAG, TAG]}]},
            "have the tag “Course” or both have the tag “Course” and have the tag “Course”",
        ),
        (
            {"not": {"any": [TAG, {"not": TAG}]}},
            "do not have the tag “Course” and have the tag “Course”",
        ),
        ({"type": "tags", "ids": [1, 9]}, "have the tag “Course” or number 9, which is gone"),
        (
            {"match": "any", "conditions": [{"type": "tag", "operator": "not_in", "ids": [1]}]},
            "do not have the tag “Course”",
        ),
    ],
)
def test_a_whole_condition_is_one_sentence(condition: Condition | None, sentence: str) -> None:
    assert words.sentence(condition, 0, NAMES) == sentence


def test_what_is_gone_or_not_recorded_is_said() -> None:
    assert words.gone([]) == words.nothing_yet([]) == ""
    assert words.gone([("custom_field", 3), ("tag", 5)]) == (
        "The custom field number 3 and the tag number 5 are gone, so nobody is found by it."
    )
    assert words.nothing_yet(["opens", "clicks"]) == (
        "Nothing is recorded yet about who opened an email and who clicked a link, so nobody is found by it."
    )


@pytest.mark.django_db
def test_names_take_a_query_for_each_kind(
    django_assert_num_queries: Callable[[int], AbstractContextManager[Any]],
) -> None:
    account, other = make_account(), make_account("Mallory")
    ids = [make_tag(account, name=f"T{number}").pk for number in range(5)]
    foreign = make_tag(other).pk
    sequence = make_sequence(account, {"subject": "Hello"}, name="Course")
    email = sequence.emails.get()
    conditions: list[Condition] = [
        {"type": "tags", "ids": [*ids, foreign]},
        {"type": "sequences", "ids": [sequence.pk], "place": "inside", "waiting_for": [email.pk]},
    ]
    with django_assert_num_queries(3):
        names = words.names(conditions, account.pk)
    assert names == {
        **{("tag", pk): f"T{number}" for number, pk in enumerate(ids)},
        ("sequence", sequence.pk): "Course",
        ("email", email.pk): "Hello",
    }
