"""Mail to one address with no list behind it: planned, sent, recorded as every delivery, and before all the others."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from django.db import connection, transaction

from dripstone.accounts.models import Account
from dripstone.accounts.verbs import update_account
from dripstone.engine import (
    claim,
    counters,
    identity,
    life,
    notices,
    plan,
    process,
    pulse,
    queries,
    record,
    rescue,
    transitions,
)
from dripstone.engine.acts import overdue, undecided
from dripstone.engine.attempts import Outcome
from dripstone.engine.models import Delivery, Notice
from dripstone.errors import Invalid
from dripstone.senders.base import Answer, Kind, Outgoing
from dripstone.senders.models import Breaker
from dripstone.subscribers.models import SignUp, Subscriber
from tests.driving import Engine
from tests.engine.many import course
from tests.factories import MONDAY_9, make_account, make_broadcast, make_subscriber

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def bob(alice: Account) -> Subscriber:
    return make_subscriber(alice, email_address="bob@example.org", state="inactive")


@pytest.fixture
def asked(bob: Subscriber, engine: Engine) -> Delivery:
    """Bob is asked to confirm."""
    return notices.confirmation(bob.pk, engine.clock.now())


def say(engine: Engine, kind: Kind, **values: Any) -> None:
    engine.mail.answer = lambda message: Answer(message.delivery_id, kind, **values)


def kept() -> bytes:
    return bytes(Notice.objects.get().message)


def read(message: Outgoing) -> EmailMessage:
    parsed = message_from_bytes(message.data, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


# --- What is sent -----------------------------------------------------------------------------------------------


def test_somebody_unconfirmed_gets_a_link_that_confirms_them(
    alice: Account, bob: Subscriber, asked: Delivery, engine: Engine
) -> None:
    engine.run()
    [message] = engine.mail.messages
    assert (message.rcpt_to, message.mail_from) == ("bob@example.org", alice.sending_addresses.get().email_address)
    mail = read(message)
    assert mail["Subject"] == "Please confirm your subscription to Alice"
    assert mail["Message-ID"] == f"<{identity.message_id(asked.pk)}>"
    for subtype in ("plain", "html"):
        body = mail.get_body((subtype,))
        assert body is not None
        assert identity.confirm_url(bob.sign_ups.get().pk) in body.get_content()
    asked.refresh_from_db()
    assert (asked.status, asked.sent_at) == ("sent", engine.clock.now())


def test_there_is_no_list_to_leave(asked: Delivery, engine: Engine) -> None:
    engine.run()
    names = {name.lower() for name in read(engine.mail.messages[0])}
    assert not {name for name in names if name.startswith("list-")}


def test_what_owners_and_readers_are_called_is_no_markup(alice: Account, engine: Engine) -> None:
    alice.sending_addresses.update(from_name="Ann & <b>Co</b>\r\nBcc: all@example.org")
    notices.confirmation(make_subscriber(alice, state="inactive").pk, engine.clock.now())
    engine.run()
    mail = read(engine.mail.messages[0])
    assert mail["Bcc"] is None
    html, plain = mail.get_body(("html",)), mail.get_body(("plain",))
    assert html is not None and "Ann &amp; &lt;b&gt;Co&lt;/b&gt;" in html.get_content()
    assert plain is not None and "Ann & <b>Co</b>" in plain.get_content()


def test_it_says_what_it_said_when_it_was_asked_for(alice: Account, asked: Delivery, engine: Engine) -> None:
    before = kept()
    alice.sending_addresses.update(from_name="Other", email_address="other@example.com")
    say(engine, "temporary", reason="later")
    engine.run()
    say(engine, "sent")
    engine.run_until(engine.clock.now() + 5 * MINUTE)
    assert [message.data for message in engine.mail.messages] == [before]


@pytest.mark.parametrize("become", [transitions.cancel, transitions.bounce, transitions.complain, transitions.confirm])
def test_it_goes_whatever_becomes_of_the_person(become: Any, bob: Subscriber, asked: Delivery, engine: Engine) -> None:
    assert become(bob.pk, engine.clock.now())
    engine.run()
    assert [message.rcpt_to for message in engine.mail.messages] == ["bob@example.org"]


def test_the_message_is_forgotten_once_it_is_sent(asked: Delivery, engine: Engine) -> None:
    assert identity.confirm_url(SignUp.objects.get().pk).encode()[:30] in kept()
    engine.run()
    assert kept() == b""
    assert Notice.objects.get().subject == "Please confirm your subscription to Alice"


@pytest.mark.parametrize("kind", ["permanent", "unknown", "temporary"])
def test_the_message_is_kept_while_it_may_have_to_go_again(kind: Kind, asked: Delivery, engine: Engine) -> None:
    before = kept()
    say(engine, kind, reason="x")
    engine.run()
    assert kept() == before


# --- Asking -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["active", "bounced", "complained"])
def test_somebody_with_nothing_to_confirm_is_not_asked(alice: Account, state: str) -> None:
    person = make_subscriber(alice, state=state)
    with pytest.raises(Invalid, match=f"There is nothing to confirm: the subscriber is {state}"):
        notices.confirmation(person.pk, MONDAY_9)
    assert not Notice.objects.exists()


def test_nobody_is_asked_twice_within_five_minutes(bob: Subscriber, asked: Delivery, engine: Engine) -> None:
    now = engine.clock.now()
    with pytest.raises(Invalid, match="less than 5 minutes ago"):
        notices.confirmation(bob.pk, now + 5 * MINUTE - timedelta(seconds=1))
    notices.confirmation(bob.pk, now + 5 * MINUTE)
    assert Delivery.objects.count() == 2


@pytest.mark.parametrize(
    ("address", "sender", "sentence"),
    [
        ("b ob@example.org", "alice@example.com", "The address has no form that mail servers take"),
        ("bob@example.org", "a lice@example.com", "The sending address cannot be written in a mail header"),
        ("bob@example.org", None, "The account has no default sending address"),
    ],
)
def test_what_cannot_be_written_as_mail_is_refused(
    alice: Account, address: str, sender: str | None, sentence: str
) -> None:
    person = make_subscriber(alice, email_address=address, state="inactive")
    alice.sending_addresses.update(email_address=sender or "x", is_default=sender is not None)
    with pytest.raises(Invalid, match=sentence):
        notices.confirmation(person.pk, MONDAY_9)
    assert not Notice.objects.exists()
    assert not Delivery.objects.exists()


def test_it_is_planned_in_the_callers_transaction(bob: Subscriber) -> None:
    with transaction.atomic():
        notices.confirmation(bob.pk, MONDAY_9)
        transaction.set_rollback(True)
    assert not Notice.objects.exists()
    assert not Delivery.objects.exists()


# --- In the line ------------------------------------------------------------------------------------------------


def test_it_goes_before_everything_else(alice: Account, bob: Subscriber, engine: Engine) -> None:
    now = engine.clock.now()
    course(alice, 3, now=now)
    plan.everything_due(now)
    asked = notices.confirmation(bob.pk, now + MINUTE)
    first = claim.take("worker/1", now + MINUTE, 2)
    assert {row.delivery_id for row in first} > {asked.pk}, "and the room that is left is for the others"
    assert len(first) == 2
    assert len(claim.take("worker/2", now + MINUTE)) == 2


def test_it_passes_the_queue_at_a_limit(alice: Account, bob: Subscriber, engine: Engine) -> None:
    update_account(alice, {"per_second": 1, "per_day": 0})
    course(alice, 20, now=engine.clock.now())
    engine.run()
    notices.confirmation(bob.pk, engine.clock.now())
    engine.run_until(engine.clock.now() + timedelta(seconds=3))
    assert "bob@example.org" in [message.rcpt_to for message in engine.mail.messages[:3]]


def test_nothing_is_claimed_while_the_server_is_left_alone(asked: Delivery, engine: Engine) -> None:
    Breaker.objects.create(server="h:25", retry_at=engine.clock.now() + DAY)
    assert claim.take("worker/1", engine.clock.now(), server="h:25") == []
    assert len(claim.take("worker/1", engine.clock.now(), server="")) == 1


def test_refused_for_now_it_is_tried_again(asked: Delivery, engine: Engine) -> None:
    answers: Iterator[Kind] = iter(("temporary", "temporary", "sent"))
    engine.mail.answer = lambda message: Answer(message.delivery_id, next(answers), reason="later")
    engine.run()
    asked.refresh_from_db()
    assert (asked.status, asked.ready_at) == ("planned", None)
    assert asked.notice_ready_at is not None
    assert claim.next_ready(engine.clock.now()) == asked.notice_ready_at
    engine.run_until(engine.clock.now() + 10 * MINUTE)
    asked.refresh_from_db()
    assert (asked.status, asked.attempt) == ("sent", 3)


def test_it_is_given_up_after_three_days(asked: Delivery, engine: Engine) -> None:
    say(engine, "temporary", reason="later")
    engine.run_until(engine.clock.now() + 4 * DAY)
    asked.refresh_from_db()
    assert asked.status == "failed"


def test_with_the_server_it_is_given_up_after_three_days(asked: Delivery, engine: Engine) -> None:
    now = engine.clock.now() + 4 * DAY
    Breaker.objects.create(server=claim.server().server, retry_at=now, opened_at=now - 4 * DAY, reason="down")
    rescue.give_up("worker/1", now)
    asked.refresh_from_db()
    assert asked.status == "failed"


def test_an_address_that_bounces_is_marked_if_it_is_still_theirs(
    bob: Subscriber, asked: Delivery, engine: Engine
) -> None:
    say(engine, "permanent", reason="smtp 550", hard_bounce=True)
    engine.run()
    asked.refresh_from_db()
    bob.refresh_from_db()
    assert (asked.status, bob.state) == ("failed", "bounced")


def test_an_address_they_have_no_more_says_nothing_of_them(bob: Subscriber, asked: Delivery, engine: Engine) -> None:
    Subscriber.objects.filter(pk=bob.pk).update(email_address="new@example.org")
    say(engine, "permanent", reason="smtp 550", hard_bounce=True)
    engine.run()
    bob.refresh_from_db()
    assert bob.state == "inactive"


def test_a_notice_to_somebody_who_is_not_on_file_bounces_alone(asked: Delivery, engine: Engine) -> None:
    Notice.objects.update(subscriber=None)
    Delivery.objects.update(subscriber=None)
    say(engine, "permanent", reason="smtp 550", hard_bounce=True)
    assert engine.run() == {}
    asked.refresh_from_db()
    assert asked.status == "failed"


def test_a_message_that_is_gone_ends_as_failed(asked: Delivery, engine: Engine) -> None:
    notices.forget([asked.notice_id or 0])
    engine.run()
    asked.refresh_from_db()
    assert asked.status == "failed"
    assert engine.mail.messages == []


def test_what_is_planned_ends_so_that_the_sums_agree(
    bob: Subscriber, engine: Engine, django_capture_on_commit_callbacks: Any
) -> None:
    counters.flush()
    before = counters.read()
    with django_capture_on_commit_callbacks(execute=True):
        notices.confirmation(bob.pk, engine.clock.now())
    engine.run()
    counters.flush()
    after = counters.read()
    for figure in ((counters.PLANNED, ""), (counters.OUTCOME, "sent")):
        assert after[figure] - before.get(figure, 0) == 1


def test_a_clock_that_was_set_back_does_not_keep_it_waiting(asked: Delivery, engine: Engine) -> None:
    now = engine.clock.now()
    Delivery.objects.update(notice_ready_at=now + 2 * DAY)
    with connection.cursor() as cursor:
        cursor.execute(queries.SHORTEN_WAITS_OF_NOTICES, {"now": now, "seconds": 86400 * 3})
    asked.refresh_from_db()
    assert asked.notice_ready_at == now


# --- After a crash ----------------------------------------------------------------------------------------------


def test_a_claim_whose_worker_died_is_given_back_and_goes_once(asked: Delivery, engine: Engine) -> None:
    claim.take("gone/1", engine.clock.now())
    rescue.abandoned(process.flights(), engine.clock.now() + claim.LEASE)
    asked.refresh_from_db()
    assert asked.status == "unknown", "another machine's worker: for all we know it left"
    assert kept() != b""


def test_a_writer_that_lost_its_lease_changes_nothing(asked: Delivery, engine: Engine) -> None:
    claim.take("slow/1", engine.clock.now())
    Delivery.objects.update(attempt=2)
    assert not record.outcomes([Outcome(asked.pk, 1, "sent")], engine.clock.now())
    assert kept() != b""


# --- What the owner decides -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unknown", "permanent"])
def test_it_can_be_sent_again(kind: Kind, asked: Delivery, engine: Engine) -> None:
    say(engine, kind, reason="x")
    engine.run()
    undecided.send_again(asked.pk, "Alice", "", engine.clock.now())
    say(engine, "sent")
    engine.run()
    asked.refresh_from_db()
    assert (asked.status, asked.attempt) == ("sent", 2)


def test_somebody_who_has_confirmed_is_not_asked_again(bob: Subscriber, asked: Delivery, engine: Engine) -> None:
    say(engine, "unknown", reason="x")
    engine.run()
    transitions.confirm(bob.pk, engine.clock.now())
    with pytest.raises(Invalid, match="There is nothing to confirm: the subscriber is active"):
        undecided.send_again(asked.pk, "Alice", "", engine.clock.now())


def test_treated_as_sent_its_message_goes(asked: Delivery, engine: Engine) -> None:
    say(engine, "unknown", reason="x")
    engine.run()
    assert list(undecided.undecided(asked.account_id)) == [asked]
    undecided.treat_as_sent(asked.pk, "Alice", "", engine.clock.now())
    asked.refresh_from_db()
    assert (asked.status, kept()) == ("sent", b"")
    with pytest.raises(Invalid, match="this one is sent"):
        undecided.send_again(asked.pk, "Alice", "", engine.clock.now())


@pytest.mark.parametrize(
    ("choice", "decided", "ends"), [("send", 0, "sent"), ("next-slot", 1, "sent"), ("skip", 1, "skipped")]
)
def test_after_a_long_silence_it_is_overdue_and_decided_about(
    choice: overdue.Choice, decided: int, ends: str, asked: Delivery, engine: Engine
) -> None:
    now = engine.clock.now() + 3 * DAY
    engine.clock.set(now)
    found = pulse.overdue(now)
    assert (found.n, found.oldest) == (1, asked.planned_at)
    assert overdue.resume(choice, now) == decided
    engine.run_until(now + MINUTE)
    asked.refresh_from_db()
    assert asked.status == ends


# --- The version before -----------------------------------------------------------------------------------------

# As they were before there were notices, shortened by what does not matter here.
OLD_CLAIM = """
UPDATE engine_delivery d SET status = 'sending', attempt = d.attempt + 1, ready_at = NULL, lease_until = %(now)s
FROM (SELECT id FROM engine_delivery WHERE status = 'planned' AND ready_at <= %(now)s
      ORDER BY ready_at, id LIMIT 500 FOR NO KEY UPDATE SKIP LOCKED) ready
WHERE d.id = ready.id
"""
OLD_END = """
UPDATE engine_delivery d SET status = 'sent', lease_until = NULL, worker = '', sent_at = %(now)s, ended_at = %(now)s
FROM engine_enrollment e WHERE d.status = 'sending' AND e.id = d.enrollment_id
"""


def moved(statement: str, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"now": now})
        n_rows: int = cursor.rowcount
    return n_rows


def test_a_worker_of_the_version_before_never_takes_one(asked: Delivery, engine: Engine) -> None:
    now = engine.clock.now()
    assert moved(OLD_CLAIM, now) == 0
    say(engine, "temporary", reason="later")
    engine.run()
    assert moved(OLD_CLAIM, now + DAY) == 0, "nor when it is to be tried again"


def test_a_rescue_of_the_version_before_leaves_it_to_the_next(asked: Delivery, engine: Engine) -> None:
    now = engine.clock.now()
    claim.take("gone/1", now)
    assert moved(OLD_END, now) == 0
    rescue.abandoned(process.flights(), now + claim.LEASE)
    asked.refresh_from_db()
    assert asked.status == "unknown"


# --- Broadcasts -------------------------------------------------------------------------------------------------


def test_a_broadcast_is_not_claimed_and_keeps_nobody_waiting(alice: Account, engine: Engine) -> None:
    waiting = make_broadcast(make_subscriber(alice))
    course(alice, 2, now=engine.clock.now())
    engine.run()
    waiting.refresh_from_db()
    assert (waiting.status, waiting.attempt) == ("planned", 0)
    assert Delivery.objects.filter(status="sent").count() == 2


def test_a_broadcast_that_was_claimed_is_settled_by_the_rescue(alice: Account, engine: Engine) -> None:
    row = make_broadcast(make_subscriber(alice), status="sending", lease_until=MONDAY_9, worker="gone/1", attempt=1)
    rescue.abandoned(process.flights(), engine.clock.now() + claim.LEASE)
    row.refresh_from_db()
    assert row.status == "unknown"
    with pytest.raises(Invalid, match="A broadcast can't be sent again"):
        undecided.send_again(row.pk, "Alice", "", engine.clock.now())
    undecided.treat_as_sent(row.pk, "Alice", "", engine.clock.now())
    row.refresh_from_db()
    assert row.status == "sent"


@pytest.mark.parametrize("choice", ["next-slot", "skip"])
def test_an_overdue_broadcast_halts_sending_until_it_is_decided_about(choice: overdue.Choice) -> None:
    row = make_broadcast(make_subscriber(make_account()), ready_at=MONDAY_9)
    now = MONDAY_9 + 3 * DAY
    assert pulse.overdue(now).n == 1
    assert overdue.resume(choice, now) == 1
    row.refresh_from_db()
    assert row.status == ("planned" if choice == "next-slot" else "skipped")
    assert pulse.overdue(now).n == 0


def test_life_goes_on_for_an_empty_batch(engine: Engine) -> None:
    assert not life.send_batch("worker", engine.mail)
