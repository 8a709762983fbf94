"""What becomes of one attempt, how long a refused one waits, and when the engine gives up. Pure.

A refusal "for now" is tried again after 1, 2, 4 … minutes, at most every 4 hours, for three days.
"""

from datetime import datetime, timedelta
from hashlib import blake2s
from typing import NamedTuple

GIVE_UP_AFTER = timedelta(days=3)  # of temporary refusals, counted from planning or from the end of a pause
FIRST_RETRY = timedelta(minutes=1)
LONGEST_RETRY = timedelta(hours=4)
LEAST_TRIES = 10  # before giving up; they take half a day: a delivery may wait three days for its turn (pace, breaker)
UNREACHED_RETRY = timedelta(seconds=30)  # no server was asked: the breaker decides when to try, not a backoff
AT_ONCE = timedelta(0)  # for messages that never left because their worker was stopping


class Outcome(NamedTuple):
    """What becomes of one attempt. Back to planned: after `retry_in`; None: after a backoff that grows with its tries.
    `reason`: a code; `reply`: what the server said.
    `untried`: no server was asked, so it counts neither towards the backoff nor towards giving up.
    `edition_id`: what its message was made of, if there was one."""

    delivery_id: int
    attempt: int
    status: str
    reason: str = ""
    provider_id: str = ""
    retry_in: timedelta | None = None
    hard_bounce: bool = False
    untried: bool = False
    reply: str = ""
    edition_id: int | None = None


def backoff(delivery_id: int, tries: int) -> timedelta:
    """1, 2, 4 … minutes up to 4 hours, each stretched by up to a quarter. The spread is a hash of the row, so that
    every caller (forecast, virtual clock) gets the same answer."""
    exact = min(FIRST_RETRY * (1 << min(tries - 1, 16)), LONGEST_RETRY)
    digest = blake2s(f"{delivery_id}:{tries}".encode(), digest_size=2).digest()
    return exact * (1 + int.from_bytes(digest) / 65536 / 4)


def is_given_up(begun_at: datetime, tries: int, now: datetime) -> bool:
    return now - begun_at >= GIVE_UP_AFTER and tries >= LEAST_TRIES
