"""Of somebody who is deleted numbers stay in what bulk calls could not do, and in what their callbacks say."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.bulk import jobs, operations, runner
from dripstone.bulk.models import Batch, Failure
from dripstone.bulk.outcomes import Operation
from dripstone.calls.models import Call
from dripstone.engine.acts import forget
from dripstone.events import causes
from dripstone.given import MAX_NAME
from dripstone.subscribers import fields, forms
from dripstone.subscribers.models import CustomField, Form, Subscriber
from tests.factories import MONDAY_9, make_account, make_subscriber, make_tag
from tests.racing import together

pytestmark = pytest.mark.django_db

URL = "https://example.com/done"
GONE, STAYS = "gone@example.org", "stays@example.org"
TOO_LONG = "Gone" * MAX_NAME


def now() -> datetime:
    return MONDAY_9


def make_field(account: Account) -> CustomField:
    return fields.create(account.pk, {"label": "Company"}, MONDAY_9, cause=causes.OWNER)[0]


def make_form(account: Account) -> Form:
    return forms.create(account.pk, {"name": "Newsletter"}, MONDAY_9)


def keep(account: Account, operation: Operation, entries: Sequence[Any], url: str = "") -> None:
    """One entry in a batch."""
    operation = replace(operation, at_a_time=1)
    jobs.keep(operation, account.pk, entries, url, MONDAY_9, n_bytes=100, asked_by="API key test")


def finish(account: Account) -> None:
    runner.finish(operations.ALL, account.pk, now)


def failures() -> list[Any]:
    return [json.loads(answer) for answer in Failure.objects.order_by("pk").values_list("answer", flat=True)]


def deleted(person: Subscriber) -> None:
    forget.forget(person.account, person.pk, "owner", MONDAY_9)


@pytest.mark.parametrize("spelling", [GONE, " Gone@Example.ORG ", "GONE@example.org."])
def test_a_failure_names_nobody_who_is_gone_however_it_spelled_them(alice: Account, spelling: str) -> None:
    person = make_subscriber(alice, email_address=GONE)
    make_subscriber(alice, email_address=STAYS)
    entries = [{"email_address": address, "first_name": TOO_LONG} for address in (spelling, STAYS, "nobody")]
    keep(alice, operations.SUBSCRIBERS, entries)
    finish(alice)
    before = failures()
    assert [one["subscriber"]["email_address"] for one in before] == [spelling, STAYS, "nobody"]
    deleted(person)
    first, *others = failures()
    assert first == {"errors": before[0]["errors"], "subscriber": dict.fromkeys(before[0]["subscriber"])}
    assert others == before[1:]


def test_an_address_with_letters_of_its_own_is_found_by_any_of_its_names(alice: Account) -> None:
    person = make_subscriber(alice, email_address="gone@bücher.example")
    spellings = ("Gone@BÜCHER.example", "gone@XN--bcher-kva.example")
    keep(alice, operations.SUBSCRIBERS, [{"email_address": one, "first_name": TOO_LONG} for one in spellings])
    finish(alice)
    deleted(person)
    assert [one["subscriber"]["email_address"] for one in failures()] == [None, None]


def test_numbers_stay_where_values_and_origins_were(alice: Account) -> None:
    gone, stays = make_subscriber(alice, email_address=GONE), make_subscriber(alice, email_address=STAYS)
    field, form = make_field(alice), make_form(alice)
    ids = {"subscriber_custom_field_id": field.pk}
    keep(alice, operations.VALUES, [{**ids, "subscriber_id": one.pk, "value": TOO_LONG * 900} for one in (gone, stays)])
    origin = {"form_id": form.pk + 1, "referrer": "https://gone.example/page"}
    keep(alice, operations.ADDITIONS, [{**origin, "subscriber_id": one.pk} for one in (gone, stays)])
    finish(alice)
    before = failures()
    assert len(before) == 4
    deleted(gone)
    after = failures()
    assert after[1::2] == before[1::2]
    assert after[0]["custom_field_value"] == {**ids, "subscriber_id": gone.pk, "value": None}
    assert after[2]["subscription"] == {"form_id": form.pk + 1, "subscriber_id": gone.pk, "referrer": None}


def test_numbers_of_other_things_are_nobodys(alice: Account) -> None:
    """A tag or a field that could not be made, or a number nobody can have."""
    person = make_subscriber(alice, email_address=GONE)
    keep(alice, operations.DELETED_TAGS, [{"id": person.pk}])
    keep(alice, operations.TAGGINGS, [{"tag_id": 0, "subscriber_id": person.pk}])
    keep(alice, operations.VALUES, [{"subscriber_id": 10**400, "subscriber_custom_field_id": 1, "value": "x"}])
    finish(alice)
    before = failures()
    deleted(person)
    assert failures() == before


def test_what_another_account_was_told_stays(alice: Account) -> None:
    bob = make_account("Bob")
    keep(bob, operations.SUBSCRIBERS, [{"email_address": GONE, "first_name": TOO_LONG}])
    finish(bob)
    before = failures()
    deleted(make_subscriber(alice, email_address=GONE))
    assert failures() == before


def adding(alice: Account) -> tuple[Operation, list[Any]]:
    return operations.SUBSCRIBERS, [{"email_address": one, "first_name": "Given"} for one in (GONE, STAYS)]


def tagging(alice: Account) -> tuple[Operation, list[Any]]:
    tag = make_tag(alice)
    return operations.TAGGINGS, [{"tag_id": tag.pk, "subscriber_id": one.pk} for one in _both(alice)]


def writing(alice: Account) -> tuple[Operation, list[Any]]:
    ids = {"subscriber_custom_field_id": make_field(alice).pk}
    return operations.VALUES, [{**ids, "subscriber_id": one.pk, "value": one.email_address} for one in _both(alice)]


def putting_on_forms(alice: Account) -> tuple[Operation, list[Any]]:
    form = make_form(alice)
    return operations.ADDITIONS, [{"form_id": form.pk, "subscriber_id": one.pk} for one in _both(alice)]


def _both(account: Account) -> list[Subscriber]:
    return [make_subscriber(account, email_address=address) for address in (GONE, STAYS)]


@pytest.mark.parametrize("asked", [adding, tagging, writing, putting_on_forms])
def test_a_callback_that_is_still_to_come_goes_without_them(
    alice: Account, asked: Callable[[Account], tuple[Operation, list[Any]]]
) -> None:
    operation, entries = asked(alice)
    keep(alice, operation, entries, URL)
    for _ in entries:
        runner.step(operations.ALL, alice.pk, now)
    person = Subscriber.objects.get(account=alice, email_address=GONE)
    assert GONE in "".join(Batch.objects.values_list("answers", flat=True))
    deleted(person)
    finish(alice)
    told = bytes(Call.objects.get().body).decode()
    assert GONE not in told and STAYS in told
    first, second = json.loads(told)[operation.answers]
    assert first.get("subscriber_id", first.get("id")) == person.pk
    assert first.keys() == second.keys()


@pytest.mark.django_db(transaction=True)
def test_whether_the_job_ends_before_or_after_nothing_of_them_is_told() -> None:
    for _ in range(8):
        alice = make_account()
        keep(alice, operations.SUBSCRIBERS, [{"email_address": GONE}, {"email_address": STAYS, "state": "odd"}], URL)
        for _ in range(2):
            runner.step(operations.ALL, alice.pk, now)
        person = Subscriber.objects.select_related("account").get(account=alice, email_address=GONE)
        acts: list[Callable[[], None]] = [partial(deleted, person), partial(finish, alice)]
        left = iter(acts)
        assert together(lambda: next(left)(), times=2) == [None, None]  # noqa: B023
        told = bytes(Call.objects.get(account_id=alice.pk).body).decode()
        assert GONE not in told and STAYS in told
