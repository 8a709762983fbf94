"""Calls that are due, made by the code that workers run, to real receivers."""

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.calls import queue, reasons, schedule, secrets, send
from dripstone.calls.models import Attempt, Call, Receiver
from dripstone.errors import Invalid
from tests import receivers
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_account
from tests.receivers import Got, receiver

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def allowed(settings: Any) -> None:
    settings.DRIPSTONE_CALL_HOSTS = frozenset({("127.0.0.1", None)})


def make_receiver(account: Account, url: str, **values: Any) -> Receiver:
    defaults = {"kind": Receiver.Kind.ENDPOINT, "secret": secrets.sealed("whsec_one"), "created_at": MONDAY_9}
    return Receiver.objects.create(account=account, url=url, **(defaults | values))


def make_calls(to: Receiver, n: int, **values: Any) -> list[Call]:
    defaults = {"about": "subscriber.created", "planned_at": MONDAY_9, "next_attempt_at": MONDAY_9}
    rows = [
        Call(pk=pk, receiver=to, account_id=to.account_id, body=str(pk).encode(), **(defaults | values))
        for pk in queue.ids(n)
    ]
    queue.plan(rows)
    return rows


def make_due(now: datetime) -> int:
    return send.everything_due(lambda: now)


def statuses() -> list[str]:
    return list(Call.objects.order_by("pk").values_list("status", flat=True))


def test_a_callback_arrives_signed_with_the_secret_of_its_account(alice: Account, now: datetime) -> None:
    with receiver() as one:
        queue.callback(alice.pk, one.url, b'{"subscribers": []}', now, about="bulk 9")
        assert make_due(now) == 1
    (got,) = one.got
    secret = secrets.of(queue.receiver_of_callbacks(alice.pk, now))
    assert secret is not None and secret.startswith("whsec_")
    t, _, v1 = got.headers["x-kit-signature"].partition(",v1=")
    assert v1 == hmac.digest(secret.encode(), f"{t[2:]}.".encode() + got.body, hashlib.sha256).hex()
    assert abs(int(t[2:]) - time.time()) < 60
    call = Call.objects.get()
    assert (call.status, call.about, call.reason, call.ended_at) == ("done", "bulk 9", "", now)
    attempt = Attempt.objects.get()
    assert (attempt.number, attempt.answer_status, attempt.answer) == (1, 200, "ok")


def test_a_callback_is_refused_where_it_must_not_go(alice: Account, now: datetime) -> None:
    with pytest.raises(Invalid, match="callback_url must be public"):
        queue.callback(alice.pk, "http://10.0.0.1/", b"{}", now, about="bulk 9")
    assert not Call.objects.exists()


def test_an_account_has_one_secret_for_all_its_callbacks(alice: Account, now: datetime) -> None:
    first, second = queue.receiver_of_callbacks(alice.pk, now), queue.receiver_of_callbacks(alice.pk, now)
    assert first == second
    assert queue.receiver_of_callbacks(make_account("Mallory").pk, now) != first


def test_calls_of_a_receiver_arrive_in_order(alice: Account, now: datetime) -> None:
    with receiver() as one:
        rows = make_calls(make_receiver(alice, one.url), 3 * send.CALLS_OF_LANE + 1)
        assert make_due(now) == len(rows)
    assert one.bodies == [bytes(row.body) for row in rows]
    assert set(statuses()) == {"done"}
    assert Receiver.objects.get().lane_until is None


def test_one_that_fails_is_retried_beside_the_rest_by_kits_schedule(alice: Account, now: datetime) -> None:
    is_down = threading.Event()
    is_down.set()

    def second_fails(got: Got, sock: socket.socket) -> bytes:
        return receivers.answer(500, b"no") if got.body == bad and is_down.is_set() else receivers.OK

    with receiver(second_fails) as one:
        rows = make_calls(make_receiver(alice, one.url), 3)
        bad = bytes(rows[1].body)
        assert make_due(now) == 3
        row = Call.objects.get(pk=rows[1].pk)
        assert (row.status, row.attempt, row.reason) == ("planned", 1, reasons.REFUSED)
        assert row.next_attempt_at == now + timedelta(seconds=30)
        assert statuses() == ["done", "planned", "done"]
        assert make_due(now + timedelta(seconds=29)) == 0
        assert make_due(now + timedelta(seconds=30)) == 1
        is_down.clear()
        assert make_due(now + timedelta(seconds=150)) == 1
    assert one.bodies == [*(bytes(row.body) for row in rows), bad, bad]
    assert list(Attempt.objects.filter(call=rows[1]).values_list("number", "answer_status")) == [
        (1, 500),
        (2, 500),
        (3, 200),
    ]
    assert {got.headers["x-kit-delivery"] for got in one.got if got.body == bad} == {str(rows[1].pk)}


def test_after_eight_attempts_it_is_given_up(alice: Account, now: datetime) -> None:
    at = now
    with receiver(receivers.answer(500)) as one:
        make_calls(make_receiver(alice, one.url), 1)
        for delay in (timedelta(0), *schedule.DELAYS):
            at += delay
            assert make_due(at) == 1
        assert make_due(at + timedelta(days=30)) == 0
    call = Call.objects.get()
    assert (call.status, call.reason, call.attempt, call.ended_at) == ("failed", reasons.GIVEN_UP, 8, at)
    assert Receiver.objects.get().failing_since == now


def test_410_ends_it_at_once(alice: Account, now: datetime) -> None:
    with receiver(receivers.answer(410)) as one:
        make_calls(make_receiver(alice, one.url), 1)
        make_due(now)
    call = Call.objects.get()
    assert (call.status, call.reason, call.attempt) == ("failed", reasons.GONE, 1)


def test_a_success_ends_a_time_of_failures(alice: Account, now: datetime) -> None:
    to = make_receiver(alice, "", failing_since=now - timedelta(days=1))
    with receiver() as one:
        Receiver.objects.filter(pk=to.pk).update(url=one.url)
        make_calls(to, 1)
        make_due(now)
    assert Receiver.objects.get().failing_since is None


@pytest.mark.parametrize("why", ["private", "dead"])
def test_a_call_without_an_answer_says_why(alice: Account, now: datetime, why: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/" if why == "dead" else "http://rebound.example/"
    make_calls(make_receiver(alice, url), 1)
    assert send.everything_due(lambda: now, lambda host, port: ["127.0.0.1"]) == 1
    attempt = Attempt.objects.get()
    assert attempt.answer_status is None
    assert attempt.reason == (reasons.NOT_REACHED if why == "dead" else reasons.PRIVATE)
    assert attempt.sentence
    assert Call.objects.get().status == "planned"


def test_two_secrets_sign_while_a_rotation_lasts(alice: Account, now: datetime) -> None:
    rotated = {"previous_secret": secrets.sealed("whsec_zero"), "previous_secret_expires_at": now + timedelta(hours=1)}
    with receiver() as one:
        to = make_receiver(alice, one.url, **rotated)
        make_calls(to, 1)
        make_due(now)
        make_calls(to, 1)
        make_due(now + timedelta(hours=1))
    first, second = (got.headers["x-kit-signature"].split(",") for got in one.got)
    assert [part.partition("=")[0] for part in first] == ["t", "v1", "v1"]
    assert [part.partition("=")[0] for part in second] == ["t", "v1"]
    for part, secret in zip(first[1:], (b"whsec_one", b"whsec_zero"), strict=True):
        signed = first[0][2:].encode() + b"." + one.got[0].body
        assert part[3:] == hmac.digest(secret, signed, "sha256").hex()


def test_a_legacy_webhook_is_not_signed(alice: Account, now: datetime) -> None:
    with receiver() as one:
        make_calls(make_receiver(alice, one.url, kind=Receiver.Kind.WEBHOOK, secret=b""), 1)
        make_due(now)
    assert not {"x-kit-signature", "x-kit-delivery"} & set(one.got[0].headers)


def test_a_secret_that_cannot_be_read_is_a_failure_that_says_so(alice: Account, now: datetime) -> None:
    with receiver() as one:
        make_calls(make_receiver(alice, one.url, secret=b"sealed with another key, long ago"), 1)
        make_due(now)
    assert one.got == []
    assert Call.objects.get().reason == reasons.NO_SECRET


def test_nothing_goes_to_a_receiver_that_is_off_or_deleted(alice: Account, now: datetime) -> None:
    with receiver() as one:
        for values in ({"off": "owner", "off_at": now}, {"deleted_at": now}):
            make_calls(make_receiver(alice, one.url, **values), 1)
        assert make_due(now) == 0
    assert one.got == []


# --- Fairness -----------------------------------------------------------------------------------------------------


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Receivers that wait for it answer when it is set."""
    made = threading.Event()
    yield made
    made.set()


def test_a_slow_receiver_holds_up_neither_others_nor_other_accounts(alice: Account, now: datetime, gate: Any) -> None:
    def slow(got: Got, sock: socket.socket) -> bytes:
        gate.wait(20)
        return receivers.OK

    bob = make_account("Bob")
    with receiver(slow) as stuck, receiver() as quick:
        for _ in range(3 * send.LANES_OF_ACCOUNT):
            make_calls(make_receiver(alice, stuck.url), 2)
        make_calls(make_receiver(bob, quick.url), 5)
        dispatch = send.Dispatch()
        dispatch.fill(now)
        assert sum(lane.account_id == alice.pk for lane in dispatch.lanes) == send.LANES_OF_ACCOUNT
        quick.wait_for(5)
        while any(lane.account_id == bob.pk for lane in dispatch.lanes):
            dispatch.collect(lambda: now, 5.0)
        make_calls(Receiver.objects.get(account=bob), 1)
        assert dispatch.fill(now) == 1
        quick.wait_for(6)
        gate.set()
        dispatch.let_go(lambda: now, 10.0)
        assert dispatch.lanes == []
        assert Call.objects.filter(account_id=bob.pk).exclude(status="done").count() == 0
        make_due(now)
    assert set(statuses()) == {"done"}


def test_what_a_lane_had_not_begun_when_it_is_told_to_stop_goes_back(alice: Account, now: datetime, gate: Any) -> None:
    begun = threading.Event()

    def slow(got: Got, sock: socket.socket) -> bytes:
        begun.set()
        gate.wait(20)
        return receivers.OK

    with receiver(slow) as one:
        make_calls(make_receiver(alice, one.url), 3)
        dispatch = send.Dispatch()
        dispatch.fill(now)
        assert begun.wait(10)
        dispatch.is_stopping.set()
        gate.set()
        dispatch.let_go(lambda: now, 10.0)
    assert statuses() == ["done", "planned", "planned"]
    assert list(Call.objects.order_by("pk").values_list("attempt", flat=True)) == [1, 0, 0]


# --- The fence ----------------------------------------------------------------------------------------------------


def test_a_process_that_lost_its_claim_records_nothing(alice: Account, now: datetime) -> None:
    with receiver() as one:
        make_calls(make_receiver(alice, one.url), 1)
        dispatch = send.Dispatch()
        dispatch.fill(now)
        one.wait_for(1)
        Call.objects.update(lease_until=now - timedelta(days=1))
        Receiver.objects.update(lane_until=now - timedelta(days=1))
        assert send.rescue(now) == 1
        other = send.Dispatch()
        other.fill(now)
        one.wait_for(2)
        dispatch.let_go(lambda: now, 10.0)
        assert statuses() == ["sending"]  # the other one's
        other.let_go(lambda: now, 10.0)
    assert statuses() == ["done"]
    assert Attempt.objects.count() == 1


def test_a_lane_that_was_taken_over_is_not_closed_by_whoever_had_it(alice: Account, now: datetime) -> None:
    with receiver() as one:
        make_calls(make_receiver(alice, one.url), 1)
        dispatch = send.Dispatch()
        dispatch.fill(now)
        Receiver.objects.update(lane=99)
        dispatch.let_go(lambda: now, 10.0)
    assert Receiver.objects.get().lane_until is not None


# --- Again --------------------------------------------------------------------------------------------------------


def test_what_failed_is_sent_again_with_the_same_id_and_all_eight_attempts(alice: Account, now: datetime) -> None:
    with receiver(receivers.answer(410)) as one:
        to = make_receiver(alice, one.url)
        make_calls(to, 2)
        make_due(now)
        one.says = lambda got, sock: receivers.answer(500)
        assert queue.send_again(to.pk, now) == 2
        at = now
        for delay in (timedelta(0), *schedule.DELAYS):
            at += delay
            assert make_due(at) == 2
    assert set(Call.objects.values_list("status", "reason", "attempt")) == {("failed", reasons.GIVEN_UP, 9)}


def test_a_chosen_one_is_sent_again_also_when_it_arrived(alice: Account, now: datetime) -> None:
    with receiver() as one:
        to = make_receiver(alice, one.url)
        first, second = make_calls(to, 2)
        make_due(now)
        assert queue.send_again(to.pk, now) == 0
        assert queue.send_again(to.pk, now, [second.pk, first.pk + 10**9]) == 1
        assert queue.send_again(to.pk + 1, now, [first.pk]) == 0
        make_due(now)
    assert one.bodies == [bytes(row.body) for row in (first, second, second)]


def test_the_next_instant_is_that_of_the_next_retry(clock: VirtualClock, alice: Account) -> None:
    to = make_receiver(alice, "https://example.com/")
    make_calls(to, 1, next_attempt_at=clock.now() + timedelta(hours=1))
    make_calls(to, 1, next_attempt_at=clock.now())
    assert send.next_instant(clock.now()) == clock.now() + timedelta(hours=1)
    Receiver.objects.update(deleted_at=clock.now())
    assert send.next_instant(clock.now()) is None


def test_answers_are_kept_as_text_that_can_be_kept(alice: Account, now: datetime) -> None:
    with receiver(receivers.answer(500, b"\x00\xff<b>" + b"x" * 10_000)) as one:
        make_calls(make_receiver(alice, one.url), 1)
        make_due(now)
    answer = Attempt.objects.get().answer
    assert answer.startswith("��<b>x") and len(answer) == send.ANSWER_KEPT
    assert json.dumps(answer)
