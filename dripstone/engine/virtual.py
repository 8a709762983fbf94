"""Moves the virtual clock, and does everything due on the way, each thing at its own instant, in order.

While the clock is being moved no other process may work: workers share a turn, and the one that moves the clock holds
it alone. With the real clock a turn costs nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Series
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from django.db import connection

from dripstone import clock
from dripstone.engine import claim, life, queries
from dripstone.engine.models import Delivery
from dripstone.engine.record import Tally
from dripstone.errors import Invalid

END_OF_TIME = datetime(9000, 1, 1, tzinfo=UTC)  # room for delays before the calendar ends in 9999
TURN = 0x6472_6970  # the advisory lock's number: "drip"


@contextmanager
def turn(*, alone: bool = False) -> Iterator[None]:
    """Time stands still inside. `alone`: no other process is at work either."""
    if not clock.is_virtual():
        yield
        return
    suffix = "" if alone else "_shared"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_lock{suffix}(%s)", [TURN])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_unlock{suffix}(%s)", [TURN])


class Beside(Protocol):
    """What else is due at instants of its own, such as rules and calls of webhooks; a module may be one."""

    def until_idle(self, now: Callable[[], datetime]) -> object:
        """Do everything that is due at this instant."""

    def next_instant(self, after: datetime) -> datetime | None:
        """When something is due next, later than that."""


def advance_to(target: datetime, account_id: int, *beside: Beside, first: Series[Beside] = ()) -> Counter[str]:
    """Move the virtual clock to `target` (aware) and return when idle: the account's deliveries by status. leap.py
    moves all that there is.

    beside  done on the way too, after the mail of each instant
    first   before it, and again after what was sent, in this order
    Raises Invalid with a real clock, when `target` lies behind, and at the end of time.
    """
    if not clock.is_virtual():
        raise Invalid("The clock is not virtual: start with DRIPSTONE_VIRTUAL_CLOCK=1")
    if target > END_OF_TIME:
        raise Invalid("The clock ends in the year 9000")
    with turn(alone=True):
        if target < clock.now():
            raise Invalid(f"The clock cannot be moved backwards: it is {clock.now():%Y-%m-%dT%H:%M:%SZ}")
        tally = _until_idle(first, beside)
        while (instant := _next_instant([*first, *beside])) is not None and instant <= target:
            clock.set_virtual(max(instant, clock.now()))
            tally += _until_idle(first, beside)
        clock.set_virtual(target)
    return Counter({status: n for (owner, status), n in tally.items() if owner == account_id})


def _until_idle(first: Series[Beside], beside: Series[Beside]) -> Tally:
    tally = life.until_idle(first=lambda: _each(first))
    _each(beside)
    return tally


def _each(several: Series[Beside]) -> None:
    for one in several:
        one.until_idle(clock.now)


def _next_instant(beside: Series[Beside]) -> datetime | None:
    """When something is due next: somebody's email, a retry, the end of a lease, or something beside."""
    instants = [_next_of_the_engine(), *(one.next_instant(clock.now()) for one in beside)]
    return min((instant for instant in instants if instant is not None), default=None)


def _next_of_the_engine() -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(
            queries.NEXT_INSTANT,
            {"after": queries.BEFORE_ALL, "opens_at": claim.opens_at(clock.now()), "parked": Delivery.PARKED},
        )
        instant: datetime | None = cursor.fetchone()[0]
    return instant
