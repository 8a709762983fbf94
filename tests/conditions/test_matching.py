"""Who meets a condition: each kind of leaf by an example. test_reference.py tries them in all combinations."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.conditions import matching, missing, unrecorded
from dripstone.engine.models import Enrollment
from dripstone.grammar import Condition
from dripstone.subscribers import forms
from dripstone.subscribers.models import CustomField, FormSubscription, Segment, Subscriber
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

Names = Callable[[Condition | None], list[str]]


@pytest.fixture
def account() -> Account:
    return make_account(time_zone="Europe/Berlin")


@pytest.fixture
def people(account: Account) -> dict[str, Subscriber]:
    names = ("ann", "bob", "eve")
    return {name: make_subscriber(account, email_address=f"{name}@example.org", first_name=name) for name in names}


@pytest.fixture
def names(account: Account, people: dict[str, Subscriber], now: datetime) -> Names:
    """First names of those who meet a condition."""

    def found(condition: Condition | None) -> list[str]:
        rows = matching(condition, account, now).order_by("first_name")
        return [name or "" for name in rows.values_list("first_name", flat=True)]

    return found


def tags(*ids: int, **more: Any) -> Condition:
    return {"type": "tags", "ids": list(ids), **more}


def test_tags(account: Account, people: dict[str, Subscriber], names: Names) -> None:
    one = make_tag(account, people["ann"], people["bob"]).pk
    two = make_tag(account, people["bob"]).pk
    none = make_tag(account).pk
    assert names(tags(one)) == ["ann", "bob"]
    assert names({"not": tags(one)}) == ["eve"]
    assert names(tags(two, none)) == ["bob"]
    assert names(tags(one, two, has="all")) == ["bob"]
    assert names({"not": tags(one, two, has="all")}) == ["ann", "eve"]
    assert names({"all": [tags(one), {"not": tags(two)}]}) == ["ann"]
    assert names({"any": [tags(two), {"not": tags(one)}]}) == ["bob", "eve"]


def test_no_condition_is_everybody(names: Names) -> None:
    assert names(None) == names({"all": []}) == ["ann", "bob", "eve"]
    assert names({"not": {"all": []}}) == []


def test_people_of_other_accounts_never_match(account: Account, names: Names, now: datetime) -> None:
    other = make_account("Mallory")
    tag = make_tag(other, make_subscriber(other))
    assert names(tags(tag.pk)) == []
    assert missing(tags(tag.pk), account.pk) == [("tag", tag.pk)]


def test_places_in_sequences(account: Account, people: dict[str, Subscriber], names: Names) -> None:
    sequence = make_sequence(account, {"delay_value": 0}, {"delay_value": 1})
    first, second = sequence.emails.order_by("position")
    for person in people.values():
        make_enrollment(sequence, person)
    Enrollment.objects.filter(subscriber=people["bob"]).update(next_email=second)
    done = {"next_email": None, "due_at": None}
    left = {"status": "removed", "removed_at": people["eve"].created_at, **done}
    Enrollment.objects.filter(subscriber=people["eve"]).update(**left)

    def place(name: str, **more: Any) -> Condition:
        return {"type": "sequences", "ids": [sequence.pk], "place": name, **more}

    assert names(place("inside")) == ["ann", "bob"]
    assert names(place("left")) == ["eve"]
    assert names(place("completed")) == []
    assert names(place("ever")) == ["ann", "bob", "eve"]
    assert names(place("inside", waiting_for=[first.pk])) == ["ann"]
    assert names({"not": place("inside", waiting_for=[first.pk, second.pk])}) == ["eve"]


def test_a_segment_inside_a_segment(
    account: Account, people: dict[str, Subscriber], names: Names, now: datetime
) -> None:
    tag = make_tag(account, people["ann"])
    inner = account.segments.create(name="Inner", filter=tags(tag.pk), created_at=now)
    outer = {"not": {"type": "segments", "ids": [inner.pk]}}
    segment = account.segments.create(name="Outer", filter=outer, created_at=now)
    condition = {"type": "segments", "ids": [segment.pk, inner.pk], "has": "all"}
    assert names({"type": "segments", "ids": [segment.pk]}) == ["bob", "eve"]
    assert names(condition) == []
    assert names({"type": "segments", "ids": [segment.pk, inner.pk]}) == ["ann", "bob", "eve"]


def test_what_is_gone_is_never_met(
    account: Account, people: dict[str, Subscriber], names: Names, now: datetime
) -> None:
    tag, other = make_tag(account, people["ann"]), make_tag(account, *people.values())
    segment = account.segments.create(name="Inner", filter={"not": tags(tag.pk)}, created_at=now)
    conditions: list[Condition] = [
        {"any": [tags(other.pk), tags(tag.pk)]},
        {"not": tags(tag.pk)},
        {"any": [tags(other.pk), {"not": {"type": "segments", "ids": [segment.pk]}}]},
    ]
    assert all(map(names, conditions))
    gone = ("tag", tag.pk)
    tag.delete()
    assert list(map(names, conditions)) == [[], [], []]
    assert [missing(condition, account.pk) for condition in conditions] == [[gone]] * 3
    Segment.objects.all().delete()
    assert missing(conditions[2], account.pk) == [("segment", segment.pk)]


def test_a_form_in_the_bin_is_there_and_a_deleted_sequence_is_not(
    account: Account, people: dict[str, Subscriber], names: Names, now: datetime
) -> None:
    form = forms.create(account.pk, {"name": "Footer"}, now)
    FormSubscription.objects.create(form=form, subscriber=people["ann"], added_at=now)
    form.status = "trashed"
    form.save()
    assert names({"type": "forms", "ids": [form.pk]}) == ["ann"]
    sequence = make_sequence(account)
    make_enrollment(sequence, people["ann"])
    condition = {"not": {"type": "sequences", "ids": [sequence.pk], "place": "inside"}}
    assert names(condition) == ["bob", "eve"]
    sequence.deleted_at = now
    sequence.save()
    assert names(condition) == []


def test_what_is_not_recorded_is_never_met(account: Account, names: Names) -> None:
    assert names({"type": "opens"}) == names({"not": {"type": "opens"}}) == []
    assert unrecorded({"any": [{"type": "clicks"}, {"not": {"type": "opens"}}]}, account.pk) == ["clicks", "opens"]


def test_states_and_addresses(account: Account, people: dict[str, Subscriber], names: Names, now: datetime) -> None:
    Subscriber.objects.filter(pk=people["eve"].pk).update(state="cancelled", canceled_at=now)
    assert names({"type": "subscriber_state", "states": ["active", "bounced"]}) == ["ann", "bob"]
    address = {"type": "email_address", "comparison": "is", "value": " ANN@Example.org "}
    assert names(address) == ["ann"]
    assert names({**address, "comparison": "contains", "value": "B@"}) == ["bob"]
    assert names({**address, "comparison": "ends_with", "value": "@EXAMPLE.org"}) == ["ann", "bob", "eve"]
    assert names({**address, "comparison": "contains", "value": "%"}) == []


def field_condition(field: CustomField, comparison: str, value: str | None = None) -> Condition:
    leaf = {"type": "custom_field", "subscriber_custom_field_id": field.pk, "comparison": comparison}
    return leaf if value is None else {**leaf, "value": value}


@pytest.mark.parametrize(
    ("values", "comparison", "value", "expected"),
    [
        (("Acme", "acme", None), "is", "Acme", ["ann"]),
        (("Acme", "ACME Ltd", ""), "contains", "cme", ["ann", "bob"]),
        (("x", "", None), "has_value", None, ["ann"]),
        (("10", "9", "nine"), "greater_than", "9", ["ann"]),
        ((" -1.5 ", "9", "1e9"), "less_than_or_equal", "9", ["ann", "bob"]),
        (("2026-11-22", "2026-11-23", "2026-02-30"), "before", "2026-11-23", ["ann"]),
        (("2026-11-23T23:30:00Z", "2026-11-23T23:30:00", "soon"), "after", "2026-11-23", ["ann"]),
        (("2026-11-24", "2026-11-24T00:30:00+01:00", "2026-11-23"), "days_from_now", "1", ["ann", "bob"]),
    ],
)
def test_custom_fields(
    account: Account,
    people: dict[str, Subscriber],
    names: Names,
    now: datetime,
    values: tuple[str | None, ...],
    comparison: str,
    value: str | None,
    expected: list[str],
) -> None:
    field = CustomField.objects.create(account=account, label="Field", key="field", name="ck", created_at=now)
    for person, text in zip(people.values(), values, strict=True):
        Subscriber.objects.filter(pk=person.pk).update(fields={str(field.pk): text})
    condition = field_condition(field, comparison, value)
    assert names(condition) == expected
    assert names({"not": condition}) == sorted(set(people) - set(expected))


def test_days_of_subscribing_are_those_of_the_account(
    account: Account, people: dict[str, Subscriber], names: Names, now: datetime
) -> None:
    midnight = datetime.fromisoformat("2026-11-20T00:00:00+01:00")
    for name, at in zip(people, (midnight - timedelta(seconds=1), midnight, midnight + timedelta(days=1)), strict=True):
        Subscriber.objects.filter(pk=people[name].pk).update(created_at=at)
    assert names({"type": "subscribed", "before": "2026-11-20"}) == ["ann"]
    assert names({"type": "subscribed", "after": "2026-11-20"}) == ["eve"]
    assert names({"type": "subscribed", "within_days": 2}) == []
    assert names({"type": "subscribed", "within_days": 3, "before": "2026-11-22"}) == ["eve"]
    assert names({"type": "subscribed", "within_days": 4, "before": "2026-11-21"}) == ["ann", "bob"]


def test_people_are_found_by_where_they_first_came_from(
    account: Account, people: dict[str, Subscriber], names: Names, now: datetime
) -> None:
    first, second = (forms.create(account.pk, {"name": name}, now) for name in ("One", "Two"))
    came = {"ann": "Newsletter", "bob": "newsletter-2", "eve": None}
    for name, source in came.items():
        FormSubscription.objects.create(form=first, subscriber=people[name], utm_source=source, added_at=now)
    FormSubscription.objects.create(form=second, subscriber=people["eve"], utm_source="newsletter", added_at=now)

    def by(comparison: str, **more: str) -> Condition:
        return {"type": "attribution", "any": [{"type": "utm_source", "comparison": comparison, **more}]}

    assert names(by("is", value="NEWSLETTER")) == ["ann"]
    assert names(by("starts_with", value="news")) == names(by("has_value")) == ["ann", "bob"]
    assert names({"not": by("has_value")}) == ["eve"]
    assert names({"type": "attribution", "any": [{"type": "forms", "ids": [second.pk]}]}) == []
