"""When a call is made again. Pure.

Kit's schedule: after the first attempt 30 s, 2 m, 15 m, 1 h, 4 h, 12 h, 24 h later, eight attempts in 41 hours. A
receiver that answers 410 is not called about it again; with 429 and 503 it may say itself when (`Retry-After`), from a
second to a day.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from dripstone.calls import reasons

DELAYS = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=12),
    timedelta(hours=24),
)
MOST_ATTEMPTS = len(DELAYS) + 1
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(hours=24)
GONE = 410
ASKED_TO_WAIT = (429, 503)


@dataclass(frozen=True, slots=True)
class Next:
    """`at` None: it is over, with this reason ("" for a success)."""

    at: datetime | None
    reason: str


def after(n_attempts: int, status: int | None, retry_after: str, now: datetime, reason: str = "") -> Next:
    """What follows an attempt.

    n_attempts  made by now, since it was planned or the owner sent it again; at least 1
    status      of the answer; None: there was none, for this `reason`
    """
    if status is not None and 200 <= status < 300:
        return Next(None, "")
    if status == GONE:
        return Next(None, reasons.GONE)
    if n_attempts >= MOST_ATTEMPTS:
        return Next(None, reasons.GIVEN_UP)
    wait = DELAYS[n_attempts - 1]
    if status in ASKED_TO_WAIT and (asked := wait_asked_for(retry_after, now)) is not None:
        wait = min(max(asked, SHORTEST), LONGEST)
    return Next(now + wait, reason or reasons.REFUSED)


def wait_asked_for(retry_after: str, now: datetime) -> timedelta | None:
    """`Retry-After`: seconds or a date. None: it is neither."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), 10**8))
    try:
        instant = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - now
