"""A person is deleted while others write about them: real commits, real threads. Somebody is always first."""

from collections.abc import Callable
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import enroll, life, plan, transitions
from dripstone.engine.acts import forget, places
from dripstone.engine.models import Delivery, Enrollment, Note
from dripstone.errors import NotFound
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.senders.memory import MemorySender
from dripstone.sequences.models import Sequence
from dripstone.subscribers import forms, subscribe, tags
from dripstone.subscribers.models import Subscriber
from dripstone.tallies import verbs as tallies
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.racing import together

pytestmark = pytest.mark.django_db(transaction=True)

NOW = MONDAY_9
ROUNDS = 8


def race(*calls: Callable[[], Any]) -> list[Any]:
    """What each answered or raised, in the order in which they ended."""
    left = iter(calls)
    return together(lambda: next(left)(), times=len(calls))


def forgetting(person: Subscriber) -> Callable[[], Any]:
    return lambda: forget.forget(person.account, person.pk, "owner", NOW)


def nothing_is_left_of(person: Subscriber) -> None:
    assert not Subscriber.objects.filter(pk=person.pk).exists()
    assert not Enrollment.objects.filter(subscriber_id=person.pk).exists()
    assert not Delivery.objects.filter(subscriber_id=person.pk).exists()
    assert set(Event.objects.filter(subscriber_id=person.pk).values_list("type", flat=True)) == {"subscriber.deleted"}
    assert not Note.objects.exclude(enrollment__in=Enrollment.objects.all()).exists()
    assert tallies.differences() == []


@pytest.fixture
def account() -> Account:
    return make_account()


def somebody(account: Account) -> tuple[Sequence, Subscriber]:
    sequence = make_sequence(account, {"delay_value": 0}, {"delay_value": 2})
    person = make_subscriber(account)
    make_enrollment(sequence, person)
    return sequence, person


def test_six_delete_them_at_once_and_one_does(account: Account) -> None:
    _, person = somebody(account)
    results = race(*[forgetting(person)] * 6)
    assert sum(isinstance(one, NotFound) for one in results) == 5
    nothing_is_left_of(person)


Act = Callable[[Sequence, Subscriber], Any]


def _comes_in_again(sequence: Sequence, person: Subscriber) -> Any:
    return enroll.add(make_sequence(sequence.account, {}), [person.pk], "api", NOW)


def _is_tagged(sequence: Sequence, person: Subscriber) -> Any:
    return tags.add(make_tag(sequence.account), person, NOW, cause=causes.API)


def _signs_up(sequence: Sequence, person: Subscriber) -> Any:
    form = forms.create(sequence.account_id, {"name": "F"}, NOW)
    return forms.add(form, person, {}, NOW, cause=causes.API)


def _unsubscribes(sequence: Sequence, person: Subscriber) -> Any:
    return transitions.cancel(person.pk, NOW, cause=causes.SUBSCRIBER)


def _is_paused(sequence: Sequence, person: Subscriber) -> Any:
    return places.pause(person.enrollments.get().pk, "owner", "", NOW)


def _is_planned(sequence: Sequence, person: Subscriber) -> Any:
    return plan.everything_due(NOW)


def _is_renamed(sequence: Sequence, person: Subscriber) -> Any:
    return subscribe.update(person.pk, {"first_name": "Other"}, NOW, cause=causes.API)


@pytest.mark.parametrize(
    "act", [_comes_in_again, _is_tagged, _signs_up, _unsubscribes, _is_paused, _is_planned, _is_renamed]
)
def test_whatever_else_is_done_to_them_at_that_moment_leaves_nothing(account: Account, act: Act) -> None:
    """It comes before, or finds nobody and says so."""
    for _ in range(ROUNDS):
        sequence, person = somebody(account)
        results = race(forgetting(person), lambda s=sequence, p=person: act(s, p))  # type: ignore[misc]
        failed = [one for one in results if isinstance(one, Exception)]
        assert all(isinstance(one, NotFound | Enrollment.DoesNotExist) for one in failed), failed
        nothing_is_left_of(person)


def test_the_api_adds_their_address_at_that_moment(account: Account) -> None:
    """They are updated and deleted, or deleted and somebody new; never active if they had unsubscribed."""
    for _ in range(ROUNDS):
        person = make_subscriber(account, state="cancelled", canceled_at=NOW)
        given = {"email_address": person.email_address}
        race(forgetting(person), *[lambda g=given: subscribe.upsert(account.pk, g, NOW, cause=causes.API)] * 3)
        states = Subscriber.objects.filter(email_address=person.email_address).values_list("state", flat=True)
        assert set(states) <= {"cancelled"}
        again = subscribe.upsert(account.pk, given, NOW, cause=causes.API)
        assert again.subscriber.state == "cancelled"
        assert tallies.differences() == []


def test_workers_send_while_everybody_is_deleted(account: Account, settings: Any) -> None:
    """No mail goes twice, none is lost track of, no worker stumbles."""
    sequence = make_sequence(account, {"delay_value": 0}, {"delay_value": 2})
    people = [make_subscriber(account) for _ in range(60)]
    enroll.add(sequence, [person.pk for person in people], "bulk", NOW)
    plan.everything_due(NOW)
    senders = [MemorySender() for _ in range(3)]
    workers = [lambda s=sender, n=n: _send(f"worker{n}", s) for n, sender in enumerate(senders)]
    deleters = [lambda some=people[n::3]: _delete(some) for n in range(3)]
    results = race(*workers, *deleters)
    assert [one for one in results if isinstance(one, Exception)] == []
    _send("last", senders[0])
    taken = [message.rcpt_to for sender in senders for message in sender.messages]
    assert len(taken) == len(set(taken))
    assert Subscriber.objects.count() == Delivery.objects.count() == Enrollment.objects.count() == 0
    assert tallies.differences() == []


def _send(worker: str, sender: MemorySender) -> None:
    while sum(life.send_batch(worker, sender, lambda: NOW).values()):
        pass


def _delete(people: list[Subscriber]) -> None:
    for person in people:
        forget.forget(person.account, person.pk, "owner", NOW)
