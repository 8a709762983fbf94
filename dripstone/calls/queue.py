"""Queue calls. All of it in the caller's transaction: what is rolled back was never to be called.

Takes       a URL, or a receiver, and a finished body
Leaves      calls, planned for now, and a job that wakes whoever makes them
A crash here means that nothing was queued.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from dripstone import outbound
from dripstone.calls import queries, reasons, secrets
from dripstone.calls.models import Call, Receiver

LONGEST_BODY = 8_000_000  # bytes; of events far less
JOB = "dripstone.webhooks.tasks.call"
QUEUE = "calls"


@transaction.atomic
def callback(account_id: int, url: str, body: bytes, now: datetime, *, about: str) -> None:
    """Tell the account's own software that something has ended: a POST of this JSON, signed with the account's callback
    secret, and repeated until it is answered with success (schedule.py).

    about  for people: "bulk 9"
    Raises Invalid for a URL that outbound.check refuses: check it when it is given, too.
    """
    outbound.check(url, "callback_url")
    plan([_callback(receiver_of_callbacks(account_id, now), url, body, now, about)])
    wake()


@transaction.atomic
def callbacks(account_id: int, url: str, bodies: Mapping[int, bytes], now: datetime, *, about: str) -> None:
    """The same for many people, each told of in a call of their own.

    bodies   by person
    about    "rule 7"
    """
    outbound.check(url)
    if bodies:
        receiver = receiver_of_callbacks(account_id, now)
        plan(_callback(receiver, url, body, now, about, [pk]) for pk, body in bodies.items())
        wake()


def _callback(
    receiver: Receiver, url: str, body: bytes, now: datetime, about: str, subscriber_ids: Iterable[int] = ()
) -> Call:
    return Call(
        receiver=receiver,
        account_id=receiver.account_id,
        url=url,
        about=about,
        n_events=0,
        body=body,
        subscriber_ids=list(subscriber_ids),
        planned_at=now,
        next_attempt_at=now,
    )


def receiver_of_callbacks(account_id: int, now: datetime) -> Receiver:
    """With its secret; made when it is first asked for."""
    rows = Receiver.objects.filter(account_id=account_id, kind=Receiver.Kind.CALLBACK, deleted_at=None)
    return rows.first() or _make_receiver_of_callbacks(account_id, now)


def _make_receiver_of_callbacks(account_id: int, now: datetime) -> Receiver:
    """Two may try at once: the constraint lets one win, and both find its row."""
    fresh = Receiver(
        account_id=account_id, kind=Receiver.Kind.CALLBACK, secret=secrets.sealed(secrets.make()), created_at=now
    )
    Receiver.objects.bulk_create([fresh], ignore_conflicts=True)
    return Receiver.objects.get(account_id=account_id, kind=Receiver.Kind.CALLBACK, deleted_at=None)


def ids(n: int) -> list[int]:
    """Of calls that will be planned: a body holds its call's id. In ascending order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('calls_call_id_seq') FROM generate_series(1, %s)", [n])
        return sorted(row[0] for row in cursor.fetchall())


def plan(calls: Iterable[Call]) -> None:
    Call.objects.bulk_create(calls, batch_size=500)


def send_again(receiver_id: int, now: datetime, call_ids: Iterable[int] | None = None) -> int:
    """Start over with these of a receiver's calls, if they have ended, or (None) with all that failed."""
    values: dict[str, Any] = {
        "receiver": receiver_id,
        "now": now,
        "calls": list(call_ids) if call_ids is not None else None,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(queries.SEND_AGAIN, values)
        n_planned: int = cursor.rowcount
        if n_planned:
            wake()
        return n_planned


def end_waiting_of_switched_off(receiver_id: int, now: datetime) -> None:
    _end_waiting(receiver_id, reasons.SWITCHED_OFF, now)


def delete(receiver: Receiver, now: datetime) -> None:
    """Nothing goes to it any more, and no page or call shows it. Its rows are deleted at night (ops/prune.py)."""
    Receiver.objects.filter(pk=receiver.pk).update(deleted_at=now)
    _end_waiting(receiver.pk, reasons.DELETED, now)


def _end_waiting(receiver_id: int, reason: str, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(queries.END_WAITING, {"receiver": receiver_id, "reason": reason, "now": now})


def wake() -> None:
    """Once the caller's transaction is committed, unless a job waits already: it begins later, and sees what was
    committed. A job that is lost costs seconds, since one is queued every five."""
    transaction.on_commit(_wake)


def _wake() -> None:
    try:
        with transaction.atomic():
            app.configure_task(JOB, queueing_lock=QUEUE).defer()
    except AlreadyEnqueued:
        pass
