"""Forgetting a person: whatever is kept of them goes. Counts stay, and of an address that must not be mailed again a
keyed hash (subscribers/remembered.py).

It is one transaction. It takes the person, their places and their deliveries, in the lock order, so nothing of theirs
is entered, planned, claimed or recorded that it does not see; what waits for it finds them gone.

  planned      is skipped and goes with the rest: it never leaves
  sending      a worker has it, perhaps on the wire. That can't be taken back and must not be lost track of: this row
               stays, alone, until the worker or the rescue records how it ended. Then it is counted like any other and
               goes in the same transaction (record.py). What has not left yet, or is refused for now, is skipped
  the others   go at once; the ledger keeps them in the counts (docs/decisions/kept-counts.md)
A crash here means nothing was changed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Q

from dripstone.accounts import repeats
from dripstone.accounts.models import Account
from dripstone.calls import forget as calls
from dripstone.content.mime import mail_address
from dripstone.engine import reasons, transitions
from dripstone.engine.acts import bulk_answers
from dripstone.engine.models import Delivery, Enrollment, Notice, places_of
from dripstone.errors import NotFound
from dripstone.events import causes, types
from dripstone.events.record import event, record
from dripstone.given import plain_address
from dripstone.senders import inbox
from dripstone.subscribers import remembered
from dripstone.subscribers.models import State, Subscriber

# Purpose: everything that names the person, what points at other rows first. By primary key or an index on the person,
# but for the last: PostgreSQL asks whether a place is left, for which there is no index (docs/decisions/hot-tables.md),
# and reads engine_enrollment once. Whoever adds a table about people adds its line; a test says so.
_DELETE: Mapping[str, str] = {
    "responses": "DELETE FROM tracking_response WHERE delivery_id = ANY(%(deliveries)s)",
    "deliveries": "DELETE FROM engine_delivery WHERE id = ANY(%(deliveries)s)",
    "notices": "DELETE FROM engine_notice WHERE id = ANY(%(notices)s)",
    "notes": "DELETE FROM engine_note WHERE enrollment_id = ANY(%(places)s)",
    "places": "DELETE FROM engine_enrollment WHERE id = ANY(%(places)s)",
    "tags": "DELETE FROM subscribers_tagging WHERE subscriber_id = %(person)s",
    "forms": "DELETE FROM subscribers_formsubscription WHERE subscriber_id = %(person)s",
    "sign_ups": "DELETE FROM subscribers_signup WHERE subscriber_id = %(person)s",
    "location": "DELETE FROM subscribers_location WHERE subscriber_id = %(person)s",
    "lines": "DELETE FROM purchases_lineitem l USING purchases_purchase p"
    " WHERE p.id = l.purchase_id AND p.subscriber_id = %(person)s",
    "purchases": "DELETE FROM purchases_purchase WHERE subscriber_id = %(person)s",
    "events": "DELETE FROM events_event WHERE subscriber_id = %(person)s",
    "person": "DELETE FROM subscribers_subscriber WHERE id = %(person)s",
}


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
    return _forget(account, subscriber_id, actor, now)


@transaction.atomic
def foreseen(account: Account, subscriber_id: int, now: datetime) -> Forgotten:
    """What `forget` would do: done, and undone at once. Raises NotFound."""
    told = _forget(account, subscriber_id, "", now)
    transaction.set_rollback(True)
    return told


def _forget(account: Account, subscriber_id: int, actor: str, now: datetime) -> Forgotten:
    person = _lock(account, subscriber_id)
    places = list(places_of(account.pk, person.pk).select_for_update().order_by("pk"))
    notices = list(Notice.objects.filter(subscriber=person).order_by("pk").values_list("pk", flat=True))
    n_planned = transitions.skip_planned([place.pk for place in places], reasons.SUBSCRIBER_DELETED, now)
    n_planned += transitions.skip_planned_notices(notices, reasons.SUBSCRIBER_DELETED, now)
    deliveries = _lock_deliveries(person, places, notices)
    ended = {pk: status for pk, status in deliveries.items() if status != Delivery.Status.SENDING}
    remembered_as = _remember(person, now)
    rows = {"messages": inbox.forget(account.pk, _spellings(person))}
    rows |= _delete(person, deliveries=list(ended), notices=notices, places=[place.pk for place in places])
    repeats.forget_contents(account.pk)
    bulk_answers.people(account.pk, {person.pk: person.email_address})  # before the calls that are made of them
    calls.person(account.pk, person.pk, person.email_address)
    cause = causes.of_actor(actor)
    record([event(types.SUBSCRIBER_DELETED, account.pk, now, cause=cause, subscriber_id=person.pk)])
    return Forgotten(
        [place for place in places if place.status == Enrollment.Status.ACTIVE and place.next_email_id],
        Counter(ended.values()) - Counter({Delivery.Status.SKIPPED.value: n_planned}),
        n_planned,
        len(deliveries) - len(ended),
        rows,
        remembered_as,
    )


def _lock(account: Account, subscriber_id: int) -> Subscriber:
    """Against everybody, also those who only add a row that points here."""
    found = Subscriber.objects.select_for_update().filter(account=account, pk=subscriber_id).first()
    if found is None:
        raise NotFound
    return found


def _lock_deliveries(person: Subscriber, places: list[Enrollment], notices: list[int]) -> dict[int, str]:
    """All of theirs, by id, with what each is once nobody else holds it. No index finds them by person alone."""
    of_person = Q(enrollment__in=places) | Q(notice__in=notices) | Q(broadcast_id__isnull=False, subscriber=person)
    rows = Delivery.objects.select_for_update().filter(of_person).order_by("pk")
    return dict(rows.values_list("pk", "status"))


def _remember(person: Subscriber, now: datetime) -> State | None:
    state = State(person.state)
    if state not in remembered.STATES:
        return None
    remembered.remember(person.account_id, plain_address(person.email_address), state, person.canceled_at or now)
    return state


def _spellings(person: Subscriber) -> set[str]:
    """Of their address, as captured mail may have it."""
    return {person.email_address, mail_address(person.email_address) or person.email_address}


def _delete(person: Subscriber, **ids: list[int]) -> dict[str, int]:
    gone = {}
    with connection.cursor() as cursor:
        for name, statement in _DELETE.items():
            cursor.execute(statement, {"person": person.pk, **ids})
            gone[name] = cursor.rowcount
    return gone
