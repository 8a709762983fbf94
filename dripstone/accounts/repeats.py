"""Calls that are carried out once, however often they are sent: what stands behind the header `Idempotency-Key`.

The answer is kept in the transaction of the work itself, last, so there is nothing but this:

    row    lock    what it means                                     the same call again
    none   free    it never came, was refused, failed, or died       is carried out
    none   held    it is being carried out                           Conflict: in a moment
    there  free    it is done                                        gets the answer that is kept

The one arrow that matters is the commit of the work, with which the row appears and the lock goes. The lock is
PostgreSQL's (an advisory one), so it goes with its transaction or connection, however that ends.

A crash here means, before the commit: neither work nor row. After it, though nobody was answered: the next one is.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction

from dripstone import signing
from dripstone.accounts.models import KeptAnswer
from dripstone.errors import Busy, Conflict, Invalid

KEPT_DAYS = 1
MOST_BYTES = 256_000  # of an answer; one for each of a hundred entries is a tenth of that
_SEAL = "kept answer"

UNDER_WAY = "A request with this Idempotency-Key is being carried out right now: repeat it in a moment"
OF_ANOTHER = "This Idempotency-Key belongs to another request: each has one of its own"
NOT_KEPT = "This request was carried out, and its answer could not be kept"


class Call(NamedTuple):
    """A call that may be sent again.

    caller       whose credential: a key means nothing to another one, of the same account neither
    fingerprint  of method, path and body: whoever repeats a call changes none of them
    """

    account_id: int
    caller: str
    key: str
    fingerprint: bytes


class Answer(NamedTuple):
    status: int
    content_type: str
    content: bytes


@contextmanager
def turn(call: Call, *, in_parts: bool = False) -> Iterator[None]:
    """A transaction that holds the call: inside, nobody else finds, carries out or keeps it. Raises Busy.

    in_parts   the work commits in between, so no transaction is begun. A crash then may leave a part of the work and no
               row; the same call again is carried out.
    """
    if not in_parts:
        with transaction.atomic():
            _lock("pg_try_advisory_xact_lock", call)
            yield
        return
    _lock("pg_try_advisory_lock", call)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_number(call)])


def find(call: Call, now: datetime) -> Answer | None:
    """What the call was answered; None when it is to be carried out.

    Raises Invalid for the key of another call, and Conflict when it is done and the answer cannot be told.
    """
    row = KeptAnswer.objects.filter(caller=call.caller, key=call.key).first()
    if row is not None and row.answered_at <= now - timedelta(days=KEPT_DAYS):
        row.delete()
        return None
    return None if row is None else _told(row, call)


def keep(call: Call, answer: Answer, now: datetime) -> None:
    """Last in the turn."""
    is_short = len(answer.content) <= MOST_BYTES
    KeptAnswer.objects.create(
        account_id=call.account_id,
        caller=call.caller,
        key=call.key,
        fingerprint=call.fingerprint,
        status=answer.status,
        content_type=answer.content_type,
        content=signing.seal(_SEAL, answer.content) if is_short else None,
        answered_at=now,
    )


def forget_contents(account_id: int) -> None:
    """Somebody is deleted, and what was answered may be about them: it goes, and that it was carried out stays."""
    KeptAnswer.objects.filter(account_id=account_id, content__isnull=False).update(content=None)


def _lock(function: str, call: Call) -> None:
    """A statement of its own: what comes after it sees all that was committed before we got the lock."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [_number(call)])
        (is_ours,) = cursor.fetchone()
    if not is_ours:
        raise Busy(UNDER_WAY)


def _number(call: Call) -> int:
    name = f"{call.caller}\0{call.key}".encode()
    digest = hashlib.blake2b(name, digest_size=8, person=b"dripstone-repeat").digest()
    return int.from_bytes(digest, "big", signed=True)


def _told(row: KeptAnswer, call: Call) -> Answer:
    content = None if row.content is None else signing.unseal(_SEAL, bytes(row.content))
    has_other_secret = row.content is not None and content is None  # then the fingerprint differs, too
    if bytes(row.fingerprint) != call.fingerprint and not has_other_secret:
        raise Invalid(OF_ANOTHER)
    if content is None:
        raise Conflict(NOT_KEPT)
    return Answer(row.status, row.content_type, content)
