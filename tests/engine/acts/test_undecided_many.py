"""Many emails that nobody answered for are decided about at once, as each of them would be alone."""

from datetime import timedelta

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import notes
from dripstone.engine.acts import edits, places, undecided
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.senders.base import Answer
from dripstone.sequences.models import Sequence
from dripstone.tallies import verbs as tallies
from tests.driving import Engine
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

EMAILS = ({"subject": "Welcome", "delay_value": 0}, {"subject": "Second", "delay_value": 5, "delay_unit": "hours"})
SOON = "Another email is on its way to this person: try again when it has been sent"


@pytest.fixture
def sequence(alice: Account) -> Sequence:
    return make_sequence(alice, *EMAILS)


@pytest.fixture
def lost(alice: Account, sequence: Sequence, engine: Engine) -> list[Delivery]:
    return lose(sequence, engine, 5)


def lose(sequence: Sequence, engine: Engine, n_people: int) -> list[Delivery]:
    people = [make_subscriber(sequence.account) for _ in range(n_people)]
    made = [make_enrollment(sequence, person, engine.clock.now()) for person in people]
    accept = engine.mail.answer
    engine.mail.answer = lambda message: Answer(message.delivery_id, "unknown", reason="cut after the body")
    engine.run()
    engine.mail.answer = accept
    return list(Delivery.objects.filter(enrollment__in=made).order_by("pk"))


def ids(rows: list[Delivery]) -> list[int]:
    return [row.pk for row in rows]


def send_again(account: Account, rows: list[Delivery], engine: Engine) -> undecided.Decided:
    return undecided.decide(account.pk, ids(rows), undecided.send_these_again, "Alice", engine.clock.now())


def statuses() -> set[str]:
    return set(Delivery.objects.values_list("status", flat=True))


def test_all_are_sent_again_and_the_next_counts_from_then(alice: Account, lost: list[Delivery], engine: Engine) -> None:
    engine.clock.advance(hours=1)
    again_at = engine.clock.now()
    assert send_again(alice, lost, engine) == (5, {})
    assert Enrollment.objects.filter(in_flight=True).count() == 5
    assert list(Note.objects.values_list("kind", "actor").distinct()) == [(notes.SENT_AGAIN, "Alice")]
    engine.run()
    assert statuses() == {"sent"}
    assert set(Enrollment.objects.values_list("due_at", flat=True)) == {again_at + timedelta(hours=5)}
    assert tallies.differences() == []


def test_all_are_treated_as_sent_when_they_left(alice: Account, lost: list[Delivery], engine: Engine) -> None:
    left_at = lost[0].ended_at
    engine.clock.advance(hours=1)
    done = undecided.decide(alice.pk, ids(lost), undecided.treat_these_as_sent, "Alice", engine.clock.now())
    assert done == (5, {})
    assert set(Delivery.objects.values_list("status", "sent_at")) == {("sent", left_at)}
    assert Note.objects.filter(kind=notes.TREATED_AS_SENT).count() == 5
    assert tallies.differences() == []


def test_who_cannot_get_it_is_told_apart_and_hinders_no_other(
    alice: Account, sequence: Sequence, lost: list[Delivery], engine: Engine
) -> None:
    now = engine.clock.now()
    places.pause(lost[0].enrollment_id or 0, "Alice", "", now)
    places.remove(lost[1].enrollment_id or 0, "Alice", "", now)
    undecided.treat_as_sent(lost[2].pk, "Alice", "", now)
    done = send_again(alice, lost, engine)
    assert done.n_done == 2
    assert done.refused == {
        "This person is paused: resume them first": 1,
        "This person has been removed from the sequence: nothing of it is sent to them": 1,
        "Only an email that failed or is unknown can be sent again; this one is sent": 1,
    }


@pytest.mark.parametrize("verb", [undecided.send_these_again, undecided.treat_these_as_sent])
def test_a_rehearsal_says_the_same_and_changes_nothing(
    alice: Account, lost: list[Delivery], engine: Engine, verb: undecided.Many
) -> None:
    before = list(Delivery.objects.order_by("pk").values()), list(Enrollment.objects.order_by("pk").values())
    rehearsed = undecided.rehearse(alice.pk, ids(lost), verb, "Alice", engine.clock.now())
    assert before == (list(Delivery.objects.order_by("pk").values()), list(Enrollment.objects.order_by("pk").values()))
    assert not Note.objects.exists()
    assert undecided.decide(alice.pk, ids(lost), verb, "Alice", engine.clock.now()) == rehearsed


def test_decided_twice_the_second_time_finds_nothing_to_do(
    alice: Account, lost: list[Delivery], engine: Engine
) -> None:
    send_again(alice, lost, engine)
    again = send_again(alice, lost, engine)
    assert again == (0, {"Only an email that failed or is unknown can be sent again; this one is planned": 5})


def test_of_two_emails_to_one_person_one_goes(alice: Account, sequence: Sequence, engine: Engine) -> None:
    lose(sequence, engine, 1)
    accept = engine.mail.answer
    engine.mail.answer = lambda message: Answer(message.delivery_id, "unknown", reason="cut again")
    engine.run_until(engine.clock.now() + timedelta(hours=6))
    engine.mail.answer = accept
    rows = list(Delivery.objects.order_by("pk"))
    assert len(rows) == 2
    assert send_again(alice, rows, engine) == (1, {SOON: 1})


def test_edits_are_followed_and_exclusions_heeded(
    alice: Account, sequence: Sequence, lost: list[Delivery], engine: Engine
) -> None:
    vip = make_tag(alice, lost[0].subscriber, name="VIP")  # type: ignore[arg-type]
    excluding = {"exclude_subscriber_sources": [{"type": "tag", "ids": [vip.pk]}]}
    edits.update_sequence(alice, sequence.pk, excluding, engine.clock.now())
    done = send_again(alice, lost, engine)
    assert done == (4, {"Nothing would be sent, because they have the tag “VIP”, which this sequence excludes": 1})


def test_what_belongs_to_another_account_is_left_alone(lost: list[Delivery], engine: Engine) -> None:
    assert send_again(make_account("Mallory"), lost, engine) == (0, {})
    assert statuses() == {"unknown"}


def test_a_deleted_sequence_sends_nothing_again(
    alice: Account, sequence: Sequence, lost: list[Delivery], engine: Engine
) -> None:
    Sequence.objects.update(deleted_at=engine.clock.now())
    assert send_again(alice, lost, engine) == (0, {places.SEQUENCE_DELETED: 5})


def test_more_than_one_chunk_is_decided(
    alice: Account, lost: list[Delivery], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undecided, "CHUNK", 2)
    assert send_again(alice, lost, engine).n_done == 5
