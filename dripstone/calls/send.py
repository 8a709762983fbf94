"""Makes the calls that are due, many receivers side by side.

Takes       calls that are planned and due, of receivers that are switched on
Leaves      each done, planned again for later, or failed; an attempt with what came back; who fails and since when
A crash here means calls in `sending`, whose lease ends after a minute: then they are made again (queries.RESCUE).

A *lane* is one thread that sends calls of one receiver one after the other. New calls of a receiver have one lane at a
time, over all processes, so they arrive in order; what failed before has another. A slow receiver holds up its lanes
and nobody else's, and no account has more than a few of a process's lanes.

Threads only talk to receivers. The thread that owns a Dispatch claims for them and records what they bring.
"""

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from django.db import connection, transaction

from dripstone import clock, outbound
from dripstone.calls import queries, reasons, schedule, secrets
from dripstone.calls.models import Call, Receiver
from dripstone.errors import Invalid

LANES = 64  # of a process, at once
LANES_OF_ACCOUNT = 8
CALLS_OF_LANE = 200
BYTES_OF_LANE = 2_000_000
LANE_SECONDS = 5.0  # after which a lane begins no further call
LEASE = timedelta(seconds=60)  # far longer than a lane can last: LANE_SECONDS and the last call's ten
ANSWER_KEPT = 2_000  # characters

Now = Callable[[], datetime]


class Claimed(NamedTuple):
    """A row of queries.CLAIM_*."""

    id: int
    claims: int
    attempt: int
    restarted_at_attempt: int
    receiver_id: int
    account_id: int
    kind: str
    url: str
    body: bytes
    secret: bytes
    previous_secret: bytes
    previous_secret_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Back:
    """What became of a call: an answer, a failure, or (neither) it was not begun."""

    call: Claimed
    answer: outbound.Answer | None = None
    failure: outbound.Failed | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Lane:
    """`number` None: beside the order, for what failed before."""

    receiver_id: int
    account_id: int
    number: int | None
    calls: list[Claimed]
    secrets: list[str]


@dataclass(slots=True)
class Dispatch:
    """The lanes of this process that are open, and what came back from them and is not recorded yet."""

    resolve: outbound.Resolve | None = None
    lanes: list[Lane] = field(default_factory=list)
    came_back: "queue.SimpleQueue[Back | Lane]" = field(default_factory=queue.SimpleQueue)
    is_stopping: threading.Event = field(default_factory=threading.Event)

    def fill(self, now: datetime) -> int:
        """Claim what is due and send it on its way, as far as there is room. Returns how many calls."""
        n_claimed = 0
        for claim in (_claim_again, _claim_fresh):
            room = LANES - len(self.lanes)
            for lane in claim(now, room, self.lanes) if room else []:
                self.lanes.append(lane)
                n_claimed += len(lane.calls)
                _threads().submit(_send_along, lane, self.came_back, self.is_stopping, self.resolve)
        return n_claimed

    def collect(self, now: Now, seconds: float) -> int:
        """Wait up to so long for something to come back, and record all that has. Returns how many calls."""
        found: list[Back | Lane] = []
        try:
            found.append(self.came_back.get(timeout=seconds))
            while len(found) < 1_000:
                found.append(self.came_back.get_nowait())
        except queue.Empty:
            pass
        if not found:
            return 0
        ended = [one for one in found if isinstance(one, Lane)]
        backs = [one for one in found if isinstance(one, Back)]
        self.lanes = [lane for lane in self.lanes if not any(lane is one for one in ended)]
        record(backs, now())
        _close([lane for lane in ended if lane.number is not None])
        return len(backs)

    def let_go(self, now: Now, seconds: float) -> None:
        """Begin no further call; record what still comes back in so much time."""
        self.is_stopping.set()
        ends_at = time.monotonic() + seconds
        while self.lanes and (left := ends_at - time.monotonic()) > 0:
            self.collect(now, left)


def everything_due(now: Now, resolve: outbound.Resolve | None = None) -> int:
    """Make all calls that are due at this instant, and wait for their answers. Returns how many were made."""
    dispatch, n_made = Dispatch(resolve), 0
    while True:
        rescue(now())
        dispatch.fill(now())
        if not dispatch.lanes:
            return n_made
        n_made += dispatch.collect(now, 1.0)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(LANES, "call")


# --- Claiming -----------------------------------------------------------------------------------------------------


@transaction.atomic
def _claim_fresh(now: datetime, room: int, lanes: list[Lane]) -> list[Lane]:
    machine_now = clock.system_now()
    values: dict[str, Any] = {"machine_now": machine_now, "lease_until": machine_now + LEASE}
    if not (found := _receivers(queries.RECEIVERS_FRESH, now, room, lanes, is_again=False, **values)):
        return []
    with connection.cursor() as cursor:
        cursor.execute(queries.OPEN_LANES, {"receivers": found, **values})
        numbers = dict(cursor.fetchall())
    opened = _claim(queries.CLAIM_FRESH, list(numbers), now, values["lease_until"], numbers)
    empty = numbers.keys() - {lane.receiver_id for lane in opened}  # somebody else was there meanwhile
    _close_lanes({one: numbers[one] for one in empty})
    return opened


@transaction.atomic
def _claim_again(now: datetime, room: int, lanes: list[Lane]) -> list[Lane]:
    found = _receivers(queries.RECEIVERS_AGAIN, now, room, lanes, is_again=True)
    return _claim(queries.CLAIM_AGAIN, found, now, clock.system_now() + LEASE, {}) if found else []


def _receivers(query: str, now: datetime, room: int, lanes: list[Lane], *, is_again: bool, **values: Any) -> list[int]:
    in_flight = Counter(str(lane.account_id) for lane in lanes)
    busy = [lane.receiver_id for lane in lanes if (lane.number is None) == is_again]
    values |= {"now": now, "after": 0, "limit": room, "busy": busy}
    values |= {"in_flight": json.dumps(in_flight), "most_of_account": LANES_OF_ACCOUNT}
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [row[0] for row in cursor.fetchall()]


def _claim(
    query: str, receivers: list[int], now: datetime, lease_until: datetime, numbers: dict[int, int]
) -> list[Lane]:
    values: dict[str, Any] = {"receivers": receivers, "now": now, "lease_until": lease_until, "most": CALLS_OF_LANE}
    values["most_bytes"] = BYTES_OF_LANE
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        rows = sorted((Claimed(*row) for row in cursor.fetchall()), key=lambda call: call.id)
    by_receiver: dict[int, list[Claimed]] = {}
    for call in rows:
        by_receiver.setdefault(call.receiver_id, []).append(call)
    return [
        Lane(receiver_id, calls[0].account_id, numbers.get(receiver_id), calls, _secrets_of(calls[0], now))
        for receiver_id, calls in by_receiver.items()
    ]


def _secrets_of(call: Claimed, now: datetime) -> list[str]:
    return secrets.opened(call.secret, call.previous_secret, call.previous_secret_expires_at, now)


# --- In a thread --------------------------------------------------------------------------------------------------


def _send_along(
    lane: Lane,
    came_back: "queue.SimpleQueue[Back | Lane]",
    is_stopping: threading.Event,
    resolve: outbound.Resolve | None,
) -> None:
    """Never raises: a lane that did not end would be waited for."""
    ends_at = time.monotonic() + LANE_SECONDS
    lines: dict[str, outbound.Line] = {}
    try:
        for call in lane.calls:
            is_over = is_stopping.is_set() or time.monotonic() > ends_at
            came_back.put(Back(call) if is_over else _made(call, lane, lines, resolve))
    finally:
        for line in lines.values():
            line.close()
        came_back.put(lane)


def _made(call: Claimed, lane: Lane, lines: dict[str, outbound.Line], resolve: outbound.Resolve | None) -> Back:
    begun = time.monotonic()
    try:
        if call.secret and not lane.secrets:
            raise outbound.Failed(reasons.NO_SECRET, reasons.WORDS[reasons.NO_SECRET])
        if call.url not in lines:
            lines[call.url] = outbound.Line(call.url, resolve)
        body = bytes(call.body)
        answer = lines[call.url].post(body, headers_of(call.id, call.kind, body, lane.secrets))
        return Back(call, answer=answer, seconds=answer.seconds)
    except outbound.Failed as failure:
        return Back(call, failure=failure, seconds=time.monotonic() - begun)
    except Invalid as unsound:  # allowed when it was given, and not by today's settings
        return Back(call, failure=outbound.Failed(reasons.UNSOUND, str(unsound)))
    except Exception as error:  # a lane goes on, whatever one call meets
        return Back(call, failure=outbound.Failed(reasons.BROKEN_OFF, type(error).__name__))


def headers_of(call_id: int, kind: str, body: bytes, signing: list[str]) -> dict[str, str]:
    """Signed at the machine's time, which is what the receiver compares it with."""
    headers = {"Content-Type": "application/json", "Accept": "*/*"}
    if kind != Receiver.Kind.WEBHOOK:
        headers["X-Kit-Delivery"] = str(call_id)
    if signing:
        headers["X-Kit-Signature"] = secrets.signature(signing, int(clock.system_now().timestamp()), body)
    return headers


# --- Recording ----------------------------------------------------------------------------------------------------


@transaction.atomic
def record(backs: Iterable[Back], now: datetime) -> None:
    """Outcomes of calls whose claim still holds; those that were not begun go back."""
    outcomes: list[dict[str, Any]] = []
    unbegun: list[Claimed] = []
    for back in backs:
        if back.answer is None and back.failure is None:
            unbegun.append(back.call)
        else:
            outcomes.append(_outcome(back, now))
    if unbegun:
        kept: dict[str, Any] = {
            "calls": [call.id for call in unbegun],
            "claims": [call.claims for call in unbegun],
            "now": now,
        }
        with connection.cursor() as cursor:
            cursor.execute(queries.GIVE_BACK, kept)
    if outcomes:
        with connection.cursor() as cursor:
            cursor.execute(queries.RECORD, {"outcomes": json.dumps(outcomes, default=datetime.isoformat)})
            seen = sorted(cursor.fetchall())
            receivers, is_well, at = zip(*seen, strict=True) if seen else ((), (), ())
            values: dict[str, Any] = {"receivers": list(receivers), "is_well": list(is_well), "at": list(at)}
            cursor.execute(queries.NOTE_HEALTH, values)


def _outcome(back: Back, now: datetime) -> dict[str, Any]:
    n_attempts = back.call.attempt - back.call.restarted_at_attempt + 1
    answer, failure = back.answer, back.failure
    why = failure.reason if failure else ""
    status = answer.status if answer else None
    following = schedule.after(n_attempts, status, answer.retry_after if answer else "", now, why)
    is_success = answer is not None and answer.is_success
    ended = Call.Status.DONE if is_success else Call.Status.FAILED
    return {
        "id": back.call.id,
        "claims": back.call.claims,
        "status": ended if following.at is None else Call.Status.PLANNED,
        "reason": following.reason,
        "next_attempt_at": following.at,
        "at": now,
        "seconds": round(back.seconds, 3),
        "answer_status": status,
        "answer": as_text(answer.body) if answer else "",
        "why": why or ("" if is_success else reasons.REFUSED),
        "sentence": failure.sentence if failure else "",
    }


def as_text(body: bytes) -> str:
    """The beginning of an answer, as PostgreSQL and people can take it."""
    return body[: 4 * ANSWER_KEPT].decode("utf-8", "replace").replace("\0", "\ufffd")[:ANSWER_KEPT]


def _close(lanes: Iterable[Lane]) -> None:
    _close_lanes({lane.receiver_id: lane.number for lane in lanes if lane.number is not None})


def _close_lanes(numbers: dict[int, int]) -> None:
    if numbers:
        with connection.cursor() as cursor:
            cursor.execute(queries.CLOSE_LANES, {"receivers": list(numbers.keys()), "lanes": list(numbers.values())})


def rescue(now: datetime) -> int:
    """Plan again what a process that died held. By the machine's clock, whatever `now` is."""
    with connection.cursor() as cursor:
        cursor.execute(queries.RESCUE, {"now": now, "machine_now": clock.system_now()})
        n_rescued: int = cursor.rowcount
        return n_rescued


def next_instant(after: datetime) -> datetime | None:
    """When a call is due next; for the virtual clock."""
    with connection.cursor() as cursor:
        cursor.execute(queries.NEXT_INSTANT, {"after": after})
        instant: datetime | None = cursor.fetchone()[0]
    return instant
