"""How much may go: limits as operators write them, and how they are counted. Pure; no database, no clock.

A limit has up to two numbers. Per second: a bucket that fills at that rate and holds 0.3 seconds' worth (at least one
message), so no second gets more than 1.3 times the number, and over a longer time exactly the number goes. What
the mail server sees in a second may be a little more, since messages take time from here to there.
Per day: no more than that many in any 24 hours, counted by the hour (docs/decisions/pacing.md).

Messages that find no room are queued behind the limit, one place every 1/rate seconds. A message is not looked at again
before its place comes, however many wait.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

MAX_PER_SECOND, MAX_PER_DAY = 100_000, 1_000_000_000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
# How much of the rate per second may be saved up. It must be more than a batch takes (claim.WORTHWHILE), or tokens that
# come in while a worker is busy are lost; and little, because all of it may reach the server together with what comes
# after it.
BUCKET = timedelta(milliseconds=300)
IDLE = timedelta(seconds=30)  # a queue that takes no token for this long is gone: its sequence was paused


class Limit(NamedTuple):
    """Messages per second and per day; None: no such limit."""

    per_second: int | None = None
    per_day: int | None = None

    @property
    def is_none(self) -> bool:
        return self.per_second is None and self.per_day is None


NO_LIMIT = Limit()


@dataclass(slots=True)
class Gauge:
    """One limited thing: its limit and what is used of it. The fields are those of models.Meter."""

    limit: Limit
    full_at: datetime | None = None
    hours: dict[str, int] = field(default_factory=dict)
    used_at: datetime | None = None
    queue_until: datetime | None = None

    def room(self, now: datetime) -> int:
        """How many may go at this instant."""
        rooms = []
        if self.limit.per_second:
            interval = SECOND / self.limit.per_second
            empty_for = now + max(BUCKET, interval) - max(self.full_at or now, now)
            rooms.append(max(0, empty_for // interval))
        if self.limit.per_day:
            rooms.append(max(0, self.limit.per_day - sum(self._last_day(now).values())))
        return min(rooms, default=1_000_000)

    def take(self, now: datetime, n: int = 1) -> None:
        if not n:
            return
        if self.limit.per_second:
            self.full_at = max(self.full_at or now, now) + n * (SECOND / self.limit.per_second)
        if self.limit.per_day:
            self.hours = self._last_day(now)
            self.hours[_hour_of(now)] = self.hours.get(_hour_of(now), 0) + n
        self.used_at = now

    def give_back(self, n: int, taken_at: datetime, now: datetime) -> None:
        """Return tokens whose messages did not go after all. Per second, less what has come in since they were taken:
        without them the bucket would have been full, and that much would have been lost."""
        if self.limit.per_second and self.full_at is not None:
            worth = n * (SECOND / self.limit.per_second)
            self.full_at -= max(timedelta(0), worth - max(timedelta(0), now - taken_at))
        if self.limit.per_day and (kept := self.hours.pop(_hour_of(taken_at), 0) - n) > 0:
            self.hours[_hour_of(taken_at)] = kept

    def renew(self, n: int, taken_at: datetime, now: datetime) -> int:
        """Give back tokens taken a while ago for messages that leave only now, and ask again: those messages would
        reach the server together with later ones. Returns how many tokens there are now."""
        self.give_back(n, taken_at, now)
        n_now = min(n, self.room(now))
        self.take(now, n_now)
        return n_now

    def next_room(self, now: datetime, n: int = 1) -> datetime:
        """When `n` may go (at most what the bucket holds) if no token is taken meanwhile; `now` if they may go now."""
        moments = [now]
        if self.limit.per_second:
            interval = SECOND / self.limit.per_second
            moments.append((self.full_at or now) + n * interval - max(BUCKET, interval))
        if self.limit.per_day:
            hours = self._last_day(now)
            if sum(hours.values()) >= self.limit.per_day:
                moments.append(_hour(min(hours, key=int)) + HOUR + DAY)
        return max(moments)

    def has_queue(self, now: datetime) -> bool:
        """Are earlier messages waiting here? They go first."""
        return self.queue_until is not None and self.queue_until > now

    def forget_idle_queue(self, now: datetime) -> None:
        """Drop the queue when there is room and none was taken for a while: its messages were stopped, or are gone."""
        if self.used_at is not None and now - self.used_at > IDLE and self.room(now):
            self.queue_until = None

    def place(self, now: datetime) -> datetime:
        """The end of the queue: when a message that joins it now may go."""
        begin = self.next_room(now)
        return max(begin, self.queue_until or begin)

    def queue(self, now: datetime) -> datetime:
        """Take that place."""
        place = self.place(now)
        self.queue_until = place + self._spacing(now)
        return place

    def _spacing(self, now: datetime) -> timedelta:
        """The time between two places: the tightest limit's interval in the long run."""
        per_second = SECOND / self.limit.per_second if self.limit.per_second else timedelta(0)
        if self.limit.per_day and sum(self._last_day(now).values()) >= self.limit.per_day:
            return max(per_second, DAY / self.limit.per_day)
        return per_second

    def _last_day(self, now: datetime) -> dict[str, int]:
        """Messages by hour, of the last 24 hours. An hour counts until all of it is older than that."""
        return {hour: n for hour, n in self.hours.items() if _hour(hour) + HOUR + DAY > now}


def _hour(number: str) -> datetime:
    return EPOCH + int(number) * HOUR


def _hour_of(instant: datetime) -> str:
    return str((instant - EPOCH) // HOUR)


class Wish(NamedTuple):
    """A message that wants to go: the keys of the things that limit it, and whether it has waited for them before."""

    delivery_id: int
    keys: tuple[str, ...]
    has_waited: bool
    is_first: bool = False  # it passes the queue; the message whose room it takes goes to the end


def share_out(wishes: Iterable[Wish], gauges: Mapping[str, Gauge], now: datetime) -> dict[int, datetime]:
    """Take tokens for as many as there is room for, in their order. Returns the others, each with the instant at which
    to ask again."""
    for gauge in gauges.values():
        gauge.forget_idle_queue(now)
    rooms = {key: gauge.room(now) for key, gauge in gauges.items()}
    put_off: dict[int, datetime] = {}
    for wish in wishes:
        in_turn = wish.has_waited or wish.is_first
        narrow = [key for key in wish.keys if rooms[key] < 1 or (not in_turn and gauges[key].has_queue(now))]
        if narrow and wish.is_first:
            put_off[wish.delivery_id] = max(gauges[key].next_room(now) for key in narrow)
            continue
        if narrow:
            narrowest = max(narrow, key=lambda key: gauges[key].place(now))
            put_off[wish.delivery_id] = gauges[narrowest].queue(now)
            continue
        for key in wish.keys:
            rooms[key] -= 1
            gauges[key].take(now)
    return put_off
