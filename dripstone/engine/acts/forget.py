"""Forgetting a person: whatever is kept of them goes. Counts stay, and of an address that must not be mailed again a
keyed hash (subscribers/remembered.py).

It is one transaction. It takes the person, their places and their deliveries, in the lock order, so nothing of theirs
is entered, planned, claimed or recorded that it does not see; what waits for it finds them gone.

  planned      is skipped and goes with the rest: it never leaves
  sending      a worker has it, perhaps on the wire. That can't be taken back and must not be lost track of: this row
               stays, alone, until the worker or the rescue records how it ended. Then it is counted like any other and
               goes in the same transaction (record.py). What has not left yet, or is refused for now, is skipped
  the others   go at once; the ledger keeps them in the counts (docs/decisions/kept-counts.md)

Of many people at once it is the same, in a number of statements that does not grow with theirs.
A crash here means nothing was changed.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from dripstone.accounts import repeats
from dripstone.accounts.models import Account
from dripstone.calls import forget as calls
from dripstone.content.mime import mail_address
from dripstone.engine import reasons, transitions
from dripstone.engine.acts import bulk_answers
from dripstone.engine.models import Delivery, Enrollment, places_of
from dripstone.errors import NotFound
from dripstone.events import causes, types
from dripstone.events.causes import Cause
from dripstone.events.record import event, record
from dripstone.given import plain_address
from dripstone.senders import inbox
from dripstone.subscribers import remembered
from dripstone.subscribers.models import State

# Purpose: everything that names these people, what points at other rows first. By primary key or an index on the
# person. The last asks whether a place is left, in a probe for each person and sequence of theirs (migration 0038).
# Whoever adds a table about people adds its line; a test says so.
_DELETE: Mapping[str, str] = {
    "responses": "DELETE FROM tracking_response WHERE delivery_id = ANY(%(deliveries)s)",
    "deliveries": "DELETE FROM engine_delivery WHERE id = ANY(%(deliveries)s)",
    "notices": "DELETE FROM engine_notice WHERE id = ANY(%(notices)s)",
    "notes": "DELETE FROM engine_note WHERE enrollment_id = ANY(%(places)s)",
    "places": "DELETE FROM engine_enrollment WHERE id = ANY(%(places)s)",
    "tags": "DELETE FROM subscribers_tagging WHERE subscriber_id = ANY(%(people)s)",
    "forms": "DELETE FROM subscribers_formsubscription WHERE subscriber_id = ANY(%(people)s)",
    "dates": "DELETE FROM triggers_dateddue WHERE subscriber_id = ANY(%(people)s)",
    "told": "UPDATE triggers_ownermail SET text = '', subscriber_id = NULL WHERE subscriber_id = ANY(%(people)s)",
    "sign_ups": "DELETE FROM subscribers_signup WHERE subscriber_id = ANY(%(people)s)",
    "location": "DELETE FROM subscribers_location WHERE subscriber_id = ANY(%(people)s)",
    "lines": "DELETE FROM purchases_lineitem l USING purchases_purchase p"
    " WHERE p.id = l.purchase_id AND p.subscriber_id = ANY(%(people)s)",
    "purchases": "DELETE FROM purchases_purchase WHERE subscriber_id = ANY(%(people)s)",
    "changes": "DELETE FROM bulk_change WHERE subscriber_id = ANY(%(people)s)",
    "imported": "DELETE FROM imports_touched WHERE (of_import_id, subscriber_id) IN ("
    "SELECT i.id, s.id FROM subscribers_subscriber s JOIN imports_import i ON i.account_id = s.account_id"
    " WHERE s.id = ANY(%(people)s))",
    **{
        f"imports_{table}": f"DELETE FROM imports_{table} WHERE (of_import_id, email_address) IN ("  # noqa: S608
        "SELECT i.id, s.email_address FROM subscribers_subscriber s"
        " JOIN imports_import i ON i.account_id = s.account_id WHERE s.id = ANY(%(people)s))"
        for table in ("row", "rejected")
    },
    "events": "DELETE FROM events_event WHERE subscriber_id = ANY(%(people)s)",
    "firings": "DELETE FROM rules_firing WHERE subscriber_id = ANY(%(people)s)",
    "steps": "DELETE FROM automations_step WHERE subscriber_id = ANY(%(people)s)",
    "walks": "DELETE FROM automations_walk WHERE subscriber_id = ANY(%(people)s)",
    "person": "DELETE FROM subscribers_subscriber WHERE id = ANY(%(people)s)",
}


# Purpose: automations that they are inside of, against edits and deletion, which come before people in the lock order.
# By walk_inside_once.
_HOLD_AUTOMATIONS = """
SELECT id FROM automations_automation
WHERE account_id = %(account)s
  AND id IN (SELECT automation_id FROM automations_walk WHERE subscriber_id = ANY(%(people)s) AND left_at IS NULL)
ORDER BY id FOR KEY SHARE
"""
# Purpose: whoever goes has left: who entered an automation is who left it and who is inside. By id, as walking does it.
_LEAVE_AUTOMATIONS = """
UPDATE automations_automation a SET n_left = a.n_left + gone.n
FROM (SELECT automation_id, count(*) AS n FROM automations_walk
      WHERE subscriber_id = ANY(%(people)s) AND left_at IS NULL GROUP BY automation_id ORDER BY automation_id) gone
WHERE a.id = gone.automation_id
"""
# Purpose: these people, against everybody, also those who only add a row that points at them. Primary key.
_LOCK_PEOPLE = """
SELECT id, email_address, state, canceled_at FROM subscribers_subscriber
WHERE account_id = %(account)s AND id = ANY(%(people)s) ORDER BY id FOR UPDATE
"""
# Purpose: all places they have or had: a probe of enrollment_once for each person and sequence of their account.
_LOCK_PLACES = """
SELECT e.id FROM sequences_sequence s JOIN engine_enrollment e ON e.sequence_id = s.id
WHERE s.account_id = %(account)s AND e.subscriber_id = ANY(%(people)s) ORDER BY e.id FOR UPDATE OF e
"""
_NOTICES = "SELECT id FROM engine_notice WHERE subscriber_id = ANY(%(people)s) ORDER BY id"

# Purpose: all their deliveries, by id, each as it is once nobody else holds it. Through places (the unique key begins
# with the place) and notices; of broadcasts by the partial index of these. No index finds the others by person.
_LOCK_DELIVERIES = """
SELECT id, status FROM engine_delivery
WHERE id IN (SELECT id FROM engine_delivery WHERE enrollment_id = ANY(%(places)s)
             UNION ALL SELECT id FROM engine_delivery WHERE notice_id = ANY(%(notices)s)
             UNION ALL SELECT id FROM engine_delivery
                       WHERE broadcast_id IS NOT NULL AND subscriber_id = ANY(%(people)s))
ORDER BY id FOR UPDATE
"""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went.

    places         that were active and had an email next: where they stood
    ended          their deliveries that had ended before, by status: these stay in the counts
    n_planned      emails and notices that were planned, and will not go
    n_on_the_wire  emails and notices that may be leaving at this moment
    rows           how many of each: the names of _DELETE, and `messages`, which the inbox had captured
    remembered_as  why the hash of their address stays; None: it does not
    """

    places: list[Enrollment]
    ended: Counter[str]
    n_planned: int
    n_on_the_wire: int
    rows: Mapping[str, int]
    remembered_as: State | None


@transaction.atomic
def forget(account: Account, subscriber_id: int, actor: str, now: datetime) -> Forgotten:
    """Raises NotFound, also when somebody else was faster."""
    return _forget_one(account, subscriber_id, causes.of_actor(actor), now)


@transaction.atomic
def foreseen(account: Account, subscriber_id: int, now: datetime) -> Forgotten:
    """What `forget` would do: done, and undone at once. Raises NotFound."""
    told = _forget_one(account, subscriber_id, causes.of_actor(""), now)
    transaction.set_rollback(True)
    return told


@transaction.atomic
def forget_all(account: Account, subscriber_ids: Collection[int], now: datetime, *, cause: Cause) -> set[int]:
    """Those who were there, and are gone."""
    people = _lock(account, subscriber_ids)
    if people:
        _forget(account, people, cause, now)
    return set(people)


def _forget_one(account: Account, subscriber_id: int, cause: Cause, now: datetime) -> Forgotten:
    people = _lock(account, [subscriber_id])
    if not people:
        raise NotFound
    waiting = places_of(account.pk, subscriber_id).filter(status=Enrollment.Status.ACTIVE, next_email__isnull=False)
    places = list(waiting.select_for_update().order_by("pk"))
    return replace(_forget(account, people, cause, now), places=places)


class _Person(NamedTuple):
    pk: int
    email_address: str
    state: str
    canceled_at: datetime | None


def _forget(account: Account, people: Mapping[int, _Person], cause: Cause, now: datetime) -> Forgotten:
    """Without the places themselves, of which there may be many."""
    ids = {"people": list(people)}
    place_ids = _ids(_LOCK_PLACES, account, ids)
    notices = _ids(_NOTICES, account, ids)
    n_planned = transitions.skip_planned(place_ids, reasons.SUBSCRIBER_DELETED, now)
    n_planned += transitions.skip_planned_notices(notices, reasons.SUBSCRIBER_DELETED, now)
    ids |= {"places": place_ids, "notices": notices}
    deliveries = _lock_deliveries(ids)
    ended = {pk: status for pk, status in deliveries.items() if status != Delivery.Status.SENDING}
    remembered_as = _remember(account, people.values(), now)
    rows = {"messages": inbox.forget(account.pk, _spellings(people.values()))}
    _execute(_LEAVE_AUTOMATIONS, ids)
    rows |= _delete(ids | {"deliveries": list(ended)})
    repeats.forget_contents(account.pk)
    addresses = {pk: person.email_address for pk, person in people.items()}
    bulk_answers.people(account.pk, addresses)  # before the calls that are made of them
    calls.people(account.pk, addresses)
    record(event(types.SUBSCRIBER_DELETED, account.pk, now, cause=cause, subscriber_id=pk) for pk in people)
    return Forgotten(
        [],
        Counter(ended.values()) - Counter({Delivery.Status.SKIPPED.value: n_planned}),
        n_planned,
        len(deliveries) - len(ended),
        rows,
        next(iter(remembered_as), None),
    )


def _lock(account: Account, subscriber_ids: Collection[int]) -> dict[int, _Person]:
    """Those who are the account's, by id."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLD_AUTOMATIONS, {"account": account.pk, "people": list(subscriber_ids)})
        cursor.execute(_LOCK_PEOPLE, {"account": account.pk, "people": list(subscriber_ids)})
        return {row[0]: _Person(*row) for row in cursor.fetchall()}


def _ids(statement: str, account: Account, ids: Mapping[str, list[int]]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"account": account.pk, **ids})
        return [pk for (pk,) in cursor.fetchall()]


def _execute(statement: str, ids: Mapping[str, list[int]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, ids)


def _lock_deliveries(ids: Mapping[str, list[int]]) -> dict[int, str]:
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_DELIVERIES, ids)
        return dict(cursor.fetchall())


def _remember(account: Account, people: Collection[_Person], now: datetime) -> set[State]:
    """As what: the states of those who must not be mailed."""
    found = [person for person in people if person.state in remembered.STATES]
    remembered.remember_all(
        account.pk,
        [(plain_address(person.email_address), State(person.state), person.canceled_at or now) for person in found],
    )
    return {State(person.state) for person in found}


def _spellings(people: Collection[_Person]) -> set[str]:
    """Of their addresses, as captured mail may have them."""
    addresses = {person.email_address for person in people}
    return addresses | {mail_address(address) or address for address in addresses}


def _delete(ids: Mapping[str, list[int]]) -> dict[str, int]:
    gone = {}
    with connection.cursor() as cursor:
        for name, statement in _DELETE.items():
            cursor.execute(statement, ids)
            gone[name] = cursor.rowcount
    return gone
