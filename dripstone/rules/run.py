"""Works off events and dates for rules, and sends what owners are to be told, until nothing is due: what the job does,
and the virtual clock on its way."""

import time
from collections.abc import Callable
from datetime import datetime

from dripstone.rules import dates, read
from dripstone.rules.read import Passed
from dripstone.triggers import dates as dated
from dripstone.triggers import owner_mail

Now = Callable[[], datetime]

STAYS_SECONDS = 5.0  # while a rule is on: until the next periodic job
READS_EVERY = 0.25  # seconds: what happens in between is worked off together


def until_idle(now: Now) -> int:
    """Everything that is due at this instant; what an act or a date causes is worked off before the next date. Returns
    how many firings there were, those that came to nothing among them."""
    n_firings = 0
    while True:
        passed = read.events(now())
        if not passed.is_more:
            passed = _by_time(now)
        n_firings += passed.n_firings
        if not passed.is_more:
            owner_mail.send_due(now())
            return n_firings


def next_instant(after: datetime) -> datetime | None:
    """When a date comes next, or mail to an owner may go; for the virtual clock."""
    instants = (dated.next_instant(after), owner_mail.next_instant(after))
    return min((instant for instant in instants if instant is not None), default=None)


def keep_going(now: Now, is_told_to_stop: Callable[[], bool]) -> int:
    """The same for a worker, again and again: as long as there is something to do, and for five seconds while a rule is
    on, so that rules fire within a second. Returns how many firings there were.

    Another process may be at it; then this one looks whether it still is.
    """
    n_firings, ends_at = 0, time.monotonic() + STAYS_SECONDS
    while not is_told_to_stop():
        passed = _round(now)
        n_firings += passed.n_firings
        if passed.is_more:
            continue
        if time.monotonic() > ends_at or not read.is_heard():
            break
        time.sleep(READS_EVERY)
    return n_firings


def _round(now: Now) -> Passed:
    """Some events, some dates, mail: nothing waits behind an endless row of something else."""
    with read.turn() as is_ours:
        if not is_ours:
            return read.NOTHING
        events, dates = read.events(now()), _by_time(now)
        owner_mail.send_due(now())
    return Passed(events.n_firings + dates.n_firings, events.is_more or dates.is_more)


def _by_time(now: Now) -> Passed:
    has_more = dated.catch_up(now())
    passed = dates.next_dates(now())
    return Passed(passed.n_firings, has_more or passed.is_more)
