"""Hands events to the rules that hear them.

Takes       events in the order of their numbers, of accounts that have a rule that is on
Leaves      what fire.py makes of them, and dates that follow changed values, in the same transaction as the reader's
            place among the events
A crash here means that they are read again, and that the first try has left nothing.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import structlog
from django.db import OperationalError, connection

from dripstone.events import causes, reading
from dripstone.events.models import Event, Number
from dripstone.postgresql.deadlocks import is_deadlock
from dripstone.rules import fire
from dripstone.rules.book import Book
from dripstone.rules.fire import Occasion
from dripstone.rules.models import Rule
from dripstone.triggers import dates

log = structlog.get_logger(__name__)

READER = "triggers"
TURN = 0x7275_6C65  # the advisory lock's number: "rule"


class Passed(NamedTuple):
    """n_firings  how often rules were asked, with or without effect
    is_more    there may be more to do at once"""

    n_firings: int
    is_more: bool


NOTHING = Passed(0, False)


def next_events(now: datetime) -> bool:
    """Work off the next events. False: there are no more, or another process is at them just now."""
    return events(now).is_more


def events(now: datetime) -> Passed:
    """The same. What rules do are events too: after a firing there is more."""
    with turn() as is_ours:
        return _read(now) if is_ours else NOTHING


@contextmanager
def turn() -> Iterator[bool]:
    """One process works off events and dates at a time, so that each person's come in their order. Of the connection:
    between its transactions nobody else has it either."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [TURN])
        (is_ours,) = cursor.fetchone()
    try:
        yield is_ours
    finally:
        if is_ours:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [TURN])


def is_heard() -> bool:
    """Whether any rule is on at all."""
    return Rule.objects.filter(is_on=True).exists()


# --- A window of events -------------------------------------------------------------------------------------------


class _Pace:
    """How many events go into a window: so many that its transaction, which holds people, lasts half a second."""

    LEAST, MOST = 20, 2_000
    SECONDS = 0.5

    def __init__(self) -> None:
        self.limit = 200

    @contextmanager
    def kept(self) -> Iterator[int]:
        began = time.monotonic()
        is_done = False
        try:
            yield self.limit
            is_done = True
        finally:
            took = time.monotonic() - began
            if took > self.SECONDS or not is_done:
                self.limit = max(self.LEAST, self.limit // 2)
            elif took < self.SECONDS / 3:
                self.limit = min(self.MOST, self.limit * 2)


_book, _pace = Book(), _Pace()


def _read(now: datetime) -> Passed:
    try:
        with _pace.kept() as limit, reading.following_of(READER, _accounts, limit) as window:
            n_firings = _window(window.numbers, now) if window.numbers else 0
    except OperationalError as error:
        if not is_deadlock(error):
            raise
        log.info("rules_wait")  # for somebody who holds what we need: the window begins again
        return Passed(0, True)
    return Passed(n_firings, n_firings > 0 or not window.is_last)


def _accounts() -> Collection[int]:
    return list(Rule.objects.filter(is_on=True).values_list("account_id", flat=True).distinct())


def _window(numbers: list[Number], now: datetime) -> int:
    n_firings = fire.everything(_occasions(numbers), now)
    fire.apart(
        lambda some: dates.follow(some, now),
        [number.event for number in numbers],
        lambda event: log.error("date_not_followed", event_id=event.pk),
    )
    return n_firings


def _occasions(numbers: list[Number]) -> list[Occasion]:
    pages = _book.pages({number.event.account_id for number in numbers})
    found = []
    for number in numbers:
        event: Event = number.event
        if event.subscriber_id is None or causes.is_quiet(event.cause):
            continue
        if heard := pages[event.account_id].heard(event, number.pk):
            found.append(Occasion(event.account_id, event.subscriber_id, event.pk, tuple(event.cause), heard))
    return found
