"""An import leaves what the same rows leave that are given to the verbs one after the other: people, tags, events."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from dripstone.accounts.models import Account
from dripstone.events.models import Event
from dripstone.imports.models import Import
from dripstone.imports.running import cause_of
from dripstone.subscribers import fields, remembered, subscribe, tags
from dripstone.subscribers.models import CustomField, Remembered
from dripstone.tallies import verbs as tallies
from tests.factories import MONDAY_9, make_account, make_subscriber, make_tag
from tests.imports.files import imported

LABELS = ("Town", "Plan")
NEW, ON_FILE = ("new1@example.org", "new2@example.org", "gone@example.org"), ("active@x.org", "cancelled@x.org")

_CELLS = st.sampled_from(["", "Bath", "York"])
_ROWS = st.lists(st.tuples(_CELLS, _CELLS, _CELLS, st.sampled_from(["", "a", "B", "b"])), min_size=5, max_size=5)


def an_account() -> Account:
    account = make_account()
    for label in LABELS:
        fields.create(account.pk, {"label": label}, MONDAY_9, cause=("owner",))
    town = CustomField.objects.get(account=account, label="Town")
    for address in ON_FILE:
        make_subscriber(
            account, email_address=address, state=address.partition("@")[0], canceled_at=MONDAY_9,
            fields={str(town.pk): "Bath"},
        )  # fmt: skip
    remembered.remember(account.pk, "gone@example.org", "bounced", MONDAY_9)
    make_tag(account, account.subscribers.get(state="active"), name="a")
    return account


def by_verbs(account: Account, rows: dict[str, tuple[str, ...]], import_: Import) -> None:
    keys = [key_of(account, label) for label in LABELS]
    cause = cause_of(import_)
    for address, (name, *values, tag) in rows.items():
        given: dict[str, Any] = {"email_address": address, "first_name": name or None}
        given["fields"] = {key: value for key, value in zip(keys, values, strict=True) if value}
        person = subscribe.upsert(account.pk, given, MONDAY_9, cause=cause).subscriber
        if tag:
            tags.add(tags.create(account.pk, {"name": tag}, MONDAY_9, cause=cause)[0], person, MONDAY_9, cause=cause)


def key_of(account: Account, label: str) -> str:
    return CustomField.objects.get(account=account, label=label).key


def left(account: Account) -> list[Any]:
    """What there is, without ids."""
    labels = {str(one.pk): one.label for one in CustomField.objects.filter(account=account)}
    people = {one.pk: one for one in account.subscribers.all()}
    subjects = labels | {f"tag {pk}": name.lower() for pk, name in account.tags.values_list("pk", "name")}
    events = Event.objects.filter(account_id=account.pk, subscriber_id__in=people).order_by("pk")
    told: dict[str, list[Any]] = {}
    for one in events:
        subject = subjects.get(f"tag {one.subject_id}" if "tag" in one.type else str(one.subject_id))
        mine = told.setdefault(people[one.subscriber_id or 0].email_address, [])
        mine.append((one.type, subject, one.data, len(one.cause), one.occurred_at))
    return [
        sorted(
            (
                one.email_address, one.first_name or "", one.state, one.created_at, one.updated_at, one.canceled_at,
                sorted((labels[key], value) for key, value in one.fields.items()),
                sorted(name.lower() for name in one.taggings.values_list("tag__name", flat=True)),
            )
            for one in people.values()
        ),
        sorted(told.items()),
        Remembered.objects.filter(account=account).count(),
    ]  # fmt: skip


class LikeTheVerbs(TestCase):
    @given(_ROWS)
    def test_an_import_leaves_what_the_verbs_leave(self, cells: list[tuple[str, ...]]) -> None:
        rows = dict(zip((*NEW, *ON_FILE), cells, strict=True))
        one, other = an_account(), an_account()
        file = "email,first name,town,plan,tags\n" + "".join(f"{key},{','.join(row)}\n" for key, row in rows.items())
        import_ = imported(one, file)
        by_verbs(other, rows, import_)
        assert left(one) == left(other)
        assert tallies.differences() == []


pytestmark = pytest.mark.django_db
