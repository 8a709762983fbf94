"""Works off events, dates and waits for rules and automations, and sends what owners are to be told, until nothing is
due: what the job does, and the virtual clock on its way.

At one instant come events, then whom a date has called, then dates, then waits that are over, of each person one at a
time; what one of them causes comes before the next.
"""

import time
from collections.abc import Callable
from datetime import datetime

from dripstone.automations import dates, doers, errands, read, tick
from dripstone.automations.book import Book
from dripstone.triggers import dates as dated
from dripstone.triggers import owner_mail
from dripstone.triggers.turn import NOTHING, Passed, turn

Now = Callable[[], datetime]

STAYS_SECONDS = 5.0  # while a rule or an automation listens: until the next periodic job
READS_EVERY = 0.25  # seconds: what happens in between is worked off together

_book = Book()


def until_idle(now: Now) -> int:
    """Everything that is due at this instant; what an act or a date causes is worked off before the next date. Returns
    how many firings and steps there were, those that came to nothing among them."""
    n_done = 0
    each = errands.some, read.events, _called, _by_date, _ticked
    while True:
        passed = next((found for one in each if (found := one(now())).is_more), NOTHING)
        n_done += passed.n_done
        if not passed.is_more:
            owner_mail.send_due(now(), doers.names)
            return n_done


def next_instant(after: datetime) -> datetime | None:
    """When a date comes next, a wait ends, or mail to an owner may go; for the virtual clock."""
    found = (one.next_instant(after) for one in (dated, dates, tick, owner_mail))
    return min((instant for instant in found if instant is not None), default=None)


def keep_going(now: Now, is_told_to_stop: Callable[[], bool]) -> int:
    """The same for a worker, again and again: as long as there is something to do, and for five seconds while a rule or
    an automation listens, so that they act within a second. Returns how many firings and steps there were.

    One process at a time reads events and dates; all of them tick.
    """
    n_done, ends_at = 0, time.monotonic() + STAYS_SECONDS
    while not is_told_to_stop():
        passed = _round(now)
        n_done += passed.n_done
        if passed.is_more:
            continue
        if time.monotonic() > ends_at or not read.is_heard():
            break
        time.sleep(READS_EVERY)
    return n_done


def _round(now: Now) -> Passed:
    """Some events, some dates, some waits, mail: nothing waits behind an endless row of something else."""
    with turn() as is_ours:
        done = [read.events(now()), _by_date(now())] if is_ours else []
        if is_ours:
            owner_mail.send_due(now(), doers.names)
    done += [errands.some(now()), _ticked(now())]
    return Passed(sum(one.n_done for one in done), any(one.is_more for one in done))


def _by_date(now: datetime) -> Passed:
    has_more = dated.catch_up(now)
    passed = read.next_dates(now)
    has_more = dates.call(now, _book) or dates.catch_up(now, _book) or has_more
    return Passed(passed.n_done, has_more or passed.is_more)


def _called(now: datetime) -> Passed:
    """In a round (_round) they come with the others who are due."""
    return tick.some(now, _book, with_waits=False)


def _ticked(now: datetime) -> Passed:
    return tick.some(now, _book)
