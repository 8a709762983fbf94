"""Limits where sizes multiply; what an earlier version saved beyond them stays, and can only get less."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from dripstone.subscribers import forms
from dripstone.subscribers.models import Segment, Subscriber
from dripstone.subscribers.subscribe import MAX_VALUES
from tests import factories
from tests.api.caller import Caller

TOO_MUCH = (422, {"errors": ["fields can't hold more than 64 KB for a person"]})


def segment(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"name": "S", "filter": {"conditions": list(conditions)}}


def tagged(*ids: int) -> dict[str, Any]:
    return {"type": "tag", "operator": "in", "ids": list(ids)}


def test_a_segment_has_a_hundred_conditions(
    alice: Caller, django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    tag = factories.make_tag(alice.account)
    assert alice.post("/ext/v1/segments", segment(*[tagged(tag.pk)] * 100))[0] == 201
    with django_assert_max_num_queries(10):
        refused = alice.post("/ext/v1/segments", segment(*[tagged(tag.pk)] * 101))
    assert refused == (422, {"errors": ["filter.conditions can't have more than 100 entries"]})
    assert Segment.objects.count() == 1


def test_a_list_has_a_thousand_ids(alice: Caller) -> None:
    tag = factories.make_tag(alice.account)
    assert alice.post("/ext/v1/segments", segment(tagged(*[tag.pk] * 1_000)))[0] == 201
    refused = (422, {"errors": ["filter.conditions[0].ids can't have more than 1000 entries"]})
    assert alice.post("/ext/v1/segments", segment(tagged(*[tag.pk] * 1_001))) == refused
    status, answer = alice.post("/ext/v1/segments", segment(tagged(*range(10**6, 10**6 + 1_000))))
    assert (status, len(answer["errors"]), answer["errors"][-1]) == (422, 11, "and 990 more")


def test_a_conditions_value_has_a_length(alice: Caller) -> None:
    assert alice.post("/v4/custom_fields", {"label": "Bio"})[0] == 201
    condition = {"type": "field", "operator": "equals", "key": "bio", "value": "x" * 65_537}
    assert alice.post("/ext/v1/segments", segment(condition))[0] == 422
    assert alice.post("/ext/v1/segments", segment(condition | {"value": "x" * 65_536}))[0] == 201


def test_a_list_of_days_is_not_read_without_end(alice: Caller) -> None:
    refused = (422, {"errors": ["send_days can't have more than 7 days"]})
    assert alice.post("/v4/sequences", {"name": "x", "send_days": ["friday"] * 51}) == refused


class TestFieldValues:
    @pytest.fixture(autouse=True)
    def two_fields(self, alice: Caller) -> None:
        for label in ("One", "Two"):
            assert alice.post("/v4/custom_fields", {"label": label})[0] == 201

    def put(self, alice: Caller, **values: str | None) -> tuple[int, Any]:
        return alice.post("/v4/subscribers", {"email_address": "bea@example.org", "fields": values})

    def test_a_person_has_64_kb_of_them(self, alice: Caller) -> None:
        assert self.put(alice, one="x" * MAX_VALUES)[0] == 201
        assert self.put(alice, two="x") == TOO_MUCH
        assert self.put(alice, one="x", two="y" * (MAX_VALUES - 1))[0] == 200
        assert Subscriber.objects.get().fields.popitem()[1].startswith("y")

    def test_bytes_count_and_not_letters(self, alice: Caller) -> None:
        assert self.put(alice, one="ü" * (MAX_VALUES // 2 + 1)) == TOO_MUCH
        assert not Subscriber.objects.exists()

    def test_who_has_more_keeps_it_and_can_only_get_less(self, alice: Caller) -> None:
        assert self.put(alice, one="x", two="y")[0] == 201
        person = Subscriber.objects.get()
        person.fields = dict.fromkeys(person.fields, "x" * 100_000)
        person.save()
        path = f"/v4/subscribers/{person.pk}"
        assert self.put(alice)[0] == 200
        assert alice.put(path, {"first_name": "Bea"})[0] == 200
        assert alice.put(path, {"fields": {"one": "x" * 99_999}})[0] == 200
        assert alice.put(path, {"fields": {"one": "x" * 100_000}}) == TOO_MUCH
        assert alice.put(path, {"fields": {"one": None}})[0] == 200
        assert alice.put(path, {"fields": {"two": "short"}})[0] == 200


def test_a_referrer_has_a_length(alice: Caller) -> None:
    form = forms.create(alice.account.pk, {"name": "F"}, factories.MONDAY_9)
    person = factories.make_subscriber(alice.account)
    path = f"/v4/forms/{form.pk}/subscribers/{person.pk}"
    assert alice.post(path, {"referrer": "https://x.test/" + "x" * 8_192})[0] == 422
    assert alice.post(path, {"referrer": "https://x.test/" + "x" * 8_000})[0] == 201
