"""A person is deleted, and a process is killed meanwhile: the one that deletes, or the worker that mails them."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.engine import life
from dripstone.engine.acts import forget
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind
from tests.crash import doomed
from tests.crash.doomed import Place, planned, until
from tests.factories import make_tag
from tests.senders.scripted import Script, ScriptedServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def disconnect() -> Iterator[None]:
    yield
    connection.close()


def first_person() -> Subscriber:
    return Subscriber.objects.select_related("account").order_by("pk")[0]


def forget_first() -> forget.Forgotten:
    person = first_person()
    return forget.forget(person.account, person.pk, "owner", clock.now())


def test_killed_before_any_statement_nothing_has_changed(place: Place) -> None:
    """Or they are gone. Whoever deletes them once more is done."""
    for n_statements in range(1, 100):
        sequence = planned(1)
        person = first_person()
        make_tag(person.account, person)
        before = what_there_is(sequence)
        connection.close()
        with doomed.worker(doomed.forget_and_die_at, place, person.pk, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        if Subscriber.objects.filter(pk=person.pk).exists():
            assert was_killed
            assert what_there_is(sequence) == before
            forget.forget(person.account, person.pk, "owner", clock.now())
        assert what_there_is(sequence) == (0, 0, 0, {})
        assert tallies.differences() == []
        if not was_killed:
            return
    pytest.fail("it does not end")


def what_there_is(sequence: Sequence) -> tuple[int, int, int, Mapping[Any, int]]:
    tables = (Subscriber, Enrollment, Delivery)
    return *(model.objects.count() for model in tables), tallies.of(Kind.PLACES, [sequence.pk])  # type: ignore[return-value]


def die_at(server: ScriptedServer, place: Place, moment: str) -> None:
    """A worker that is killed when the first message has come so far."""
    victims: list[Any] = []

    def reply(number: int, heard: str, argument: str) -> bytes | None:
        if heard == moment:
            until(lambda: bool(victims))
            doomed.kill(victims[0])
        return None

    server.script.reply = reply
    with doomed.worker(doomed.send_a_batch, place) as worker:
        victims.append(worker)
        worker.join(60)
        assert worker.exitcode == -9
    server.script.reply = Script().reply


@pytest.mark.parametrize(
    ("moment", "end", "n_taken"), [("MAIL", "skipped", 1), ("BODY", "unknown", 2)], ids=["before its body", "after it"]
)
def test_the_worker_was_killed_with_their_mail_on_its_way(
    server: ScriptedServer, place: Place, moment: str, end: str, n_taken: int
) -> None:
    """The rescue finds the row, counts how it ended, and nobody gets anything twice."""
    sequence = planned(2)
    first = sequence.emails.get(position=0)
    die_at(server, place, moment)
    assert forget_first().n_on_the_wire == 1
    life.until_idle()
    assert tallies.of(Kind.DELIVERIES, [first.pk]) == {(first.pk, end): 1, (first.pk, "sent"): 1}
    assert tallies.differences() == []
    assert list(Delivery.objects.values_list("subscriber__pk", "status")) == [(first_person().pk, "sent")]
    recipients = [taken.rcpt_to for taken in server.accepted]
    assert len(recipients) == len(set(recipients)) == n_taken


def test_a_worker_sends_on_while_they_are_deleted_at_every_step(server: ScriptedServer, place: Place) -> None:
    """Of twelve people one is deleted with each thing the worker says to the server."""
    n_people = 12
    planned(n_people)
    people = list(Subscriber.objects.select_related("account").order_by("pk"))
    gone: list[str] = []

    def delete(person: Subscriber) -> None:
        forget.forget(person.account, person.pk, "owner", clock.now())
        connection.close()

    def reply(number: int, heard: str, argument: str) -> bytes | None:
        if len(gone) < len(people) - 1 and heard in ("MAIL", "RCPT", "BODY"):
            person = people[len(gone)]
            gone.append(person.email_address)
            thread.submit(delete, person).result()
        return None

    server.script.reply = reply
    with ThreadPoolExecutor(1) as thread, doomed.worker(doomed.send_a_batch, place) as worker:
        worker.join(60)
        assert worker.exitcode == 0
    server.script.reply = Script().reply
    life.until_idle()
    left = set(Subscriber.objects.values_list("email_address", flat=True))
    taken = [one.rcpt_to for one in server.accepted]
    assert len(taken) == len(set(taken))
    assert left <= set(taken)
    assert set(Delivery.objects.values_list("status", "subscriber__email_address")) == {("sent", one) for one in left}
    assert tallies.differences() == []
