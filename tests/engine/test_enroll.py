"""Entering, and entering again (R12, R13, R15, R17)."""

from datetime import timedelta

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import enroll, transitions
from dripstone.engine.enroll import Source
from dripstone.engine.models import Delivery, Enrollment
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import State
from tests.driving import Engine
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db

WELCOME = {"subject": "welcome", "delay_value": 0}
SECOND = {"subject": "second"}


def test_it_adds_a_person_once(alice: Account, engine: Engine) -> None:
    sequence, person = make_sequence(alice, WELCOME), make_subscriber(alice)
    first = enroll.add(sequence, [person.pk], "api", engine.clock.now())[person.pk]
    again = enroll.add(sequence, [person.pk], "api", engine.clock.now())[person.pk]
    assert (first.added, again.added) == (True, False)
    assert Enrollment.objects.count() == 1
    assert Event.objects.filter(type="subscriber.added_to_sequence", subscriber_id=person.pk).count() == 1


def test_it_passes_over_people_of_another_account(alice: Account, engine: Engine) -> None:
    stranger = make_subscriber(make_account("Mallory"))
    assert enroll.add(make_sequence(alice, WELCOME), [stranger.pk, 10**9], "api", engine.clock.now()) == {}


def test_many_enter_at_once(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    people = [make_subscriber(alice) for _ in range(30)]
    entries = enroll.add(sequence, [person.pk for person in people], "bulk", engine.clock.now())
    assert all(entry.added for entry in entries.values())
    assert engine.run() == {}  # another account's figures are not ours to see
    assert Delivery.objects.filter(status="sent").count() == 30


def enter_and_stand(engine: Engine, sequence: Sequence, standing: str) -> Enrollment:
    """Somebody who got the first of two emails and then stands as asked."""
    person = make_subscriber(Account.objects.get(pk=sequence.account_id))
    place = make_enrollment(sequence, person, engine.clock.now())
    engine.run()
    if standing == "completed":
        engine.run_until(engine.clock.now() + timedelta(days=3))
    if standing == "removed":
        transitions.remove([place.pk], "removed_by_owner", engine.clock.now())
    place.refresh_from_db()
    assert place.status == standing
    return place


@pytest.mark.parametrize(
    ("standing", "repeat", "source", "run", "added", "sent"),
    [
        ("active", False, "api", 1, False, ["welcome", "second"]),
        ("active", False, "rule", 1, False, ["welcome", "second"]),
        ("active", True, "api", 1, False, ["welcome", "second"]),
        ("active", True, "form", 1, False, ["welcome", "second"]),
        ("active", True, "automation", 2, False, ["welcome", "welcome", "second"]),
        ("active", True, "rule", 2, False, ["welcome", "welcome", "second"]),
        ("active", True, "bulk", 2, False, ["welcome", "welcome", "second"]),
        ("active", True, "import", 2, False, ["welcome", "welcome", "second"]),
        ("completed", False, "api", 1, False, ["welcome", "second"]),
        ("completed", False, "import", 1, False, ["welcome", "second"]),
        ("completed", True, "api", 2, False, ["welcome", "second", "welcome", "second"]),
        ("completed", True, "rule", 2, False, ["welcome", "second", "welcome", "second"]),
        ("removed", False, "api", 1, True, ["welcome", "second"]),
        ("removed", True, "api", 2, False, ["welcome", "welcome", "second"]),
    ],
)
def test_adding_again_follows_the_table(
    alice: Account,
    engine: Engine,
    standing: str,
    repeat: bool,
    source: Source,
    run: int,
    added: bool,
    sent: list[str],
) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, repeat=repeat)
    place = enter_and_stand(engine, sequence, standing)
    entry = enroll.add(sequence, [place.subscriber_id], source, engine.clock.now())[place.subscriber_id]
    engine.run_until(engine.clock.now() + timedelta(days=5))
    place.refresh_from_db()
    assert (place.run, entry.added) == (run, added)
    assert [subject for subject, _ in engine.sent(place.subscriber)] == sent
    assert place.status == "completed"


def test_a_removed_person_continues_with_the_re_adding_as_anchor(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "4 hours", "delay_value": 4, "delay_unit": "hours"})
    place = enter_and_stand(engine, sequence, "removed")
    engine.run_until(engine.clock.now() + timedelta(days=2))
    back_at = engine.clock.now()
    enroll.add(sequence, [place.subscriber_id], "api", back_at)
    engine.run_until(back_at + timedelta(days=1))
    assert engine.sent(place.subscriber)[-1] == ("4 hours", back_at + timedelta(hours=4))


def test_a_restart_keeps_the_old_deliveries(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND, repeat=True)
    place = enter_and_stand(engine, sequence, "completed")
    enroll.add(sequence, [place.subscriber_id], "api", engine.clock.now())
    assert Delivery.objects.filter(enrollment=place, run=1, status="sent").count() == 2


def test_a_paused_sequence_takes_people_in_and_sends_nothing(alice: Account, engine: Engine) -> None:
    sequence, person = make_sequence(alice, WELCOME, active=False), make_subscriber(alice)
    assert enroll.add(sequence, [person.pk], "rule", engine.clock.now())[person.pk].added
    engine.run_until(engine.clock.now() + timedelta(days=2))
    assert engine.sent(person) == []


def test_one_person_may_be_in_many_sequences(alice: Account, engine: Engine) -> None:
    person = make_subscriber(alice)
    for _ in range(3):
        make_enrollment(make_sequence(alice, WELCOME), person, engine.clock.now())
    engine.run()
    assert len(engine.sent(person)) == 3


def test_an_unconfirmed_person_waits_and_starts_at_confirmation(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, SECOND)
    person = make_subscriber(alice, state=State.INACTIVE)
    assert make_enrollment(sequence, person, engine.clock.now()).status == "unconfirmed"
    engine.run_until(engine.clock.now() + timedelta(days=2))
    assert engine.sent(person) == []
    confirmed_at = engine.clock.now()
    assert transitions.confirm(person.pk, confirmed_at)
    engine.run_until(confirmed_at + timedelta(days=2))
    assert [at for _, at in engine.sent(person)] == [confirmed_at, confirmed_at + timedelta(days=1)]


@pytest.mark.parametrize("state", [State.CANCELLED, State.BOUNCED, State.COMPLAINED])
def test_whoever_may_not_be_mailed_is_on_record_as_removed(alice: Account, engine: Engine, state: State) -> None:
    person = make_subscriber(alice, state=state, canceled_at=engine.clock.now())
    entry = enroll.add(make_sequence(alice, WELCOME), [person.pk], "api", engine.clock.now())[person.pk]
    assert (entry.enrollment.status, entry.enrollment.removed_reason) == ("removed", f"subscriber_{state.value}")
    engine.run_until(engine.clock.now() + timedelta(days=2))
    assert engine.sent(person) == []


@pytest.mark.parametrize("leave", [transitions.cancel, transitions.bounce, transitions.complain])
def test_leaving_ends_every_enrollment_and_what_is_planned(alice: Account, engine: Engine, leave: object) -> None:
    from dripstone.engine import plan

    person = make_subscriber(alice)
    going = make_enrollment(make_sequence(alice, WELCOME, SECOND), person, engine.clock.now())
    waiting = make_enrollment(make_sequence(alice, SECOND), person, engine.clock.now())
    plan.everything_due(engine.clock.now())
    assert callable(leave)
    assert leave(person.pk, engine.clock.now())
    engine.run_until(engine.clock.now() + timedelta(days=9))
    assert [status for _, status, _ in engine.history(person)] == ["skipped"]
    for place in (going, waiting):
        place.refresh_from_db()
        assert (place.status, place.due_at, place.in_flight) == ("removed", None, False)


def test_coming_back_resumes_nothing(alice: Account, engine: Engine) -> None:
    person = make_subscriber(alice)
    make_enrollment(make_sequence(alice, WELCOME, SECOND), person, engine.clock.now())
    engine.run()
    transitions.cancel(person.pk, engine.clock.now())
    assert transitions.come_back(person.pk, engine.clock.now(), cause=causes.SUBSCRIBER)
    engine.run_until(engine.clock.now() + timedelta(days=9))
    assert [subject for subject, _ in engine.sent(person)] == ["welcome"]


def test_a_bounce_does_not_hide_an_unsubscribe(alice: Account, engine: Engine) -> None:
    person = make_subscriber(alice)
    assert transitions.cancel(person.pk, engine.clock.now())
    assert not transitions.bounce(person.pk, engine.clock.now())
    person.refresh_from_db()
    assert person.state == "cancelled"


def test_an_unsubscribe_does_not_hide_a_complaint(alice: Account, engine: Engine) -> None:
    person = make_subscriber(alice)
    assert transitions.complain(person.pk, engine.clock.now())
    assert not transitions.cancel(person.pk, engine.clock.now())
    assert not transitions.come_back(person.pk, engine.clock.now(), cause=causes.SUBSCRIBER)
    person.refresh_from_db()
    assert person.state == "complained"
