"""How limits count. No database: the queue, the bucket and the day are plain arithmetic."""

import heapq
import itertools
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from dripstone.senders.limits import BUCKET, DAY, HOUR, SECOND, Gauge, Limit, Wish, share_out

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)

limits = st.builds(Limit, st.integers(1, 500), st.one_of(st.none(), st.integers(1, 5000))) | st.builds(
    Limit, st.none(), st.integers(1, 5000)
)
# (seconds until somebody comes again, how many they would like to send)
visits = st.lists(st.tuples(st.floats(0, 20_000), st.integers(1, 800)), min_size=1, max_size=60)


def play(limit: Limit, visits: list[tuple[float, int]]) -> Counter[datetime]:
    """Everybody takes as much of what they would like as there is room for."""
    gauge, now, taken = Gauge(limit), NOW, Counter[datetime]()
    for seconds, wanted in visits:
        now += timedelta(seconds=seconds)
        n = min(wanted, gauge.room(now))
        gauge.take(now, n)
        taken[now] += n
    return taken


@given(limits, visits)
def test_no_window_sees_more_than_the_limit_allows(limit: Limit, visits: list[tuple[float, int]]) -> None:
    check_windows(limit, play(limit, visits))


def check_windows(limit: Limit, sent: Mapping[datetime, int]) -> None:
    for begin in sent:
        in_a_day = sum(n for at, n in sent.items() if begin <= at < begin + DAY)
        assert limit.per_day is None or in_a_day <= limit.per_day
        for seconds in (1, 10, 3600):
            in_window = sum(n for at, n in sent.items() if begin <= at < begin + seconds * SECOND)
            assert limit.per_second is None or in_window <= limit.per_second * seconds + max(1, burst(limit))


def burst(limit: Limit) -> float:
    return (limit.per_second or 0) * (BUCKET / SECOND)


# Workers in a hurry: (tenths of a second until one comes, how many it would like to send, tenths of a second it is held
# up before it can, how many of them it cannot send after all)
held_up = st.lists(
    st.tuples(
        st.integers(1, 5), st.sampled_from([800, 10]), st.sampled_from([0, 0, 4, 6]), st.sampled_from([0, 0, 5, 800])
    ),
    min_size=10,
    max_size=40,
)


@example(Limit(100), [(1, 800, 4, 0), (3, 800, 0, 0), *[(1, 800, 0, 0)] * 10])
@given(limits, held_up)
def test_no_window_sees_more_when_workers_are_held_up_and_give_back_late(
    limit: Limit, visits: list[tuple[int, int, int, int]]
) -> None:
    gauge, begin, sent = Gauge(limit), NOW, Counter[datetime]()
    waiting: list[tuple[datetime, datetime, int, int]] = []  # (goes at, tokens taken at, of those, given back)

    def go(until: datetime) -> None:
        while waiting and waiting[0][0] <= until:
            now, taken_at, n, n_back = heapq.heappop(waiting)
            gauge.give_back(min(n, n_back), taken_at, now)
            n_going = gauge.renew(n - min(n, n_back), taken_at, now)
            sent[now] += n_going

    for gap, wanted, late, n_back in visits:
        begin += gap * SECOND / 10
        go(begin)
        n = min(wanted, gauge.room(begin))
        gauge.take(begin, n)
        heapq.heappush(waiting, (begin + late * SECOND / 10, begin, n, n_back))
    go(begin + DAY)
    check_windows(limit, sent)


@given(limits, visits)
def test_room_is_there_when_it_was_promised_and_not_before(limit: Limit, visits: list[tuple[float, int]]) -> None:
    gauge, now = Gauge(limit), NOW
    for seconds, wanted in visits:
        now += timedelta(seconds=seconds)
        gauge.take(now, min(wanted, gauge.room(now)))
        promised = gauge.next_room(now)
        assert gauge.room(promised) >= 1
        assert promised == now or gauge.room(promised - timedelta(microseconds=1)) == 0


@given(limits, visits)
def test_what_is_given_back_is_there_again(limit: Limit, visits: list[tuple[float, int]]) -> None:
    gauge, now = Gauge(limit), NOW
    for seconds, wanted in visits:
        now += timedelta(seconds=seconds)
        room = gauge.room(now)
        gauge.take(now, min(wanted, room))
        gauge.give_back(min(wanted, room), now, now)
        assert gauge.room(now) == room


def test_what_comes_back_late_is_not_there_twice() -> None:
    gauge, later = Gauge(Limit(100)), NOW + BUCKET
    gauge.take(NOW, 30)
    gauge.take(later, gauge.room(later))
    gauge.give_back(30, NOW, later)
    assert gauge.room(later) == 0


def test_a_burst_is_small_and_then_the_rate_is_exact() -> None:
    gauge = Gauge(Limit(100))
    assert gauge.room(NOW) == 30
    n, now = 0, NOW
    while now < NOW + 100 * SECOND:
        n += (room := gauge.room(now))
        gauge.take(now, room)
        now += timedelta(milliseconds=170)
    assert abs(n - 100 * 100) <= 30


def test_a_day_may_go_at_once_and_comes_back_24_hours_later() -> None:
    gauge = Gauge(Limit(None, 1000))
    gauge.take(NOW + HOUR / 2, 1000)
    assert gauge.room(NOW + HOUR) == 0
    assert gauge.next_room(NOW + HOUR) == NOW + HOUR + DAY
    assert gauge.room(NOW + HOUR + DAY) == 1000


def wishes(ids: range, *keys: str, has_waited: bool = False) -> list[Wish]:
    return [Wish(id_, keys, has_waited) for id_ in ids]


def test_what_finds_no_room_gets_a_place_each_in_its_order() -> None:
    gauges = {"gmail": Gauge(Limit(10))}
    put_off = share_out(wishes(range(100), "gmail"), gauges, NOW)
    assert sorted(put_off) == list(range(3, 100))
    places = [put_off[id_] for id_ in sorted(put_off)]
    assert [late - early for early, late in itertools.pairwise(places)] == [SECOND / 10] * 96
    more = share_out(wishes(range(100, 200), "gmail"), gauges, NOW)
    assert min(more.values()) == places[-1] + SECOND / 10


@given(st.integers(1, 50), st.integers(1, 400))
def test_whoever_waited_goes_at_their_place_and_is_never_put_off_again(rate: int, n: int) -> None:
    """The whole backlog is written once, however long it is."""
    gauges = {"gmail": Gauge(Limit(rate))}
    put_off = share_out(wishes(range(n), "gmail"), gauges, NOW)
    for id_, at in sorted(put_off.items(), key=lambda pair: pair[1]):
        assert share_out([Wish(id_, ("gmail",), True)], gauges, at) == {}


def test_newcomers_join_the_end_of_the_queue() -> None:
    gauges = {"gmail": Gauge(Limit(10))}
    put_off = share_out(wishes(range(1000), "gmail"), gauges, NOW)
    soon = NOW + SECOND
    for id_ in [id_ for id_, at in put_off.items() if at <= soon][:-3]:
        share_out([Wish(id_, ("gmail",), True)], gauges, put_off[id_])
    (place,) = share_out(wishes(range(5000, 5001), "gmail"), gauges, soon).values()
    assert place >= max(put_off.values())


def test_a_queue_that_does_not_come_hinders_nobody_for_long() -> None:
    """Its sequence was paused: a hundred thousand places nobody takes."""
    gauges = {"gmail": Gauge(Limit(10))}
    share_out(wishes(range(100_000), "gmail"), gauges, NOW)
    later = NOW + timedelta(minutes=1)
    assert share_out(wishes(range(200_000, 200_003), "gmail"), gauges, later) == {}


def test_a_message_takes_all_its_tokens_or_none() -> None:
    gauges = {"account": Gauge(Limit(None, 3)), "gmail": Gauge(Limit(100))}
    put_off = share_out(wishes(range(10), "account", "gmail"), gauges, NOW)
    assert len(put_off) == 7
    assert gauges["gmail"].room(NOW) == 27
    assert gauges["gmail"].queue_until is None  # they wait for the account alone
