"""An automation is deleted with everybody in it (A14)."""

import pytest

from dripstone.accounts.models import Account
from dripstone.automations import errands, reasons, removal
from dripstone.automations.models import Automation, Errand, Node, Walk
from dripstone.automations.steps import Sequences
from dripstone.engine import enroll
from dripstone.engine.models import Enrollment
from dripstone.errors import NotFound, Unseen
from dripstone.events import causes
from dripstone.foresight import automation_impact
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields
from dripstone.subscribers.models import Subscriber
from dripstone.triggers.models import DatedTrigger
from tests.automations.making import NOW, add, automation, left, sequence, switch, wait, work_off
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber

pytestmark = pytest.mark.django_db


@pytest.fixture
def course(alice: Account) -> Sequence:
    emails = {"subject": "welcome", "delay_value": 0}, {"subject": "second", "delay_value": 2}
    return make_sequence(alice, *emails, repeat=True)


def delete(one: Automation, sequences: Sequences = "end") -> automation_impact.AutomationImpact:
    one.refresh_from_db()
    told = automation_impact.of_removal(one, NOW, sequences)
    removal.delete(one, NOW, sequences=sequences, token=told.token)
    return told


def status(person: Subscriber) -> str:
    return Enrollment.objects.get(subscriber=person).status


def test_everybody_leaves(alice: Account) -> None:
    one, person = automation(alice, wait("w")), make_subscriber(alice)
    add(one, person)
    told = delete(one)
    assert (told.n_inside, told.n_places, [(at.key, at.n) for at in told.nodes]) == (1, 0, [("w", 1)])
    assert not Automation.objects.exists() and not Node.objects.exists()
    assert left(one, person) == reasons.AUTOMATION_DELETED
    work_off(NOW)
    with pytest.raises(NotFound):
        removal.delete(one, NOW, sequences="end")


def test_the_sequences_it_put_them_into_end(alice: Account, course: Sequence) -> None:
    people = [make_subscriber(alice) for _ in range(3)]
    make_enrollment(course, people[2])
    one = automation(alice, sequence("s", course.pk))
    add(one, *people[:2])
    assert delete(one).n_places == 2
    assert [status(person) for person in people] == ["active"] * 3
    work_off()
    assert [status(person) for person in people] == ["removed", "removed", "active"]
    assert not Errand.objects.exists()


def test_or_go_on(alice: Account, course: Sequence) -> None:
    person = make_subscriber(alice)
    one = automation(alice, sequence("s", course.pk))
    add(one, person)
    switch(one, "paused")
    assert Enrollment.objects.get(subscriber=person).paused_at is not None
    delete(one, "finish")
    work_off()
    place = Enrollment.objects.get(subscriber=person)
    assert (place.status, place.paused_at) == ("active", None)


def test_a_place_entered_anew_meanwhile_is_not_ended(alice: Account, course: Sequence) -> None:
    person = make_subscriber(alice)
    one = automation(alice, sequence("s", course.pk))
    add(one, person)
    delete(one)
    enroll.add(course, [person.pk], "bulk", NOW, cause=causes.OWNER)
    work_off()
    assert status(person) == "active"


def test_places_end_a_batch_at_a_time(alice: Account, course: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between two batches: the next go on where these ended."""
    monkeypatch.setattr(errands, "BATCH", 2)
    people = [make_subscriber(alice) for _ in range(5)]
    one = automation(alice, sequence("s", course.pk))
    add(one, *people)
    delete(one)
    assert errands.some(NOW).is_more
    assert sorted(map(status, people)) == ["active"] * 3 + ["removed"] * 2
    while errands.some(NOW).is_more:
        pass
    assert set(map(status, people)) == {"removed"} and not errands.is_any()


def test_while_somebody_is_inside_its_impact_must_have_been_seen(alice: Account) -> None:
    one = automation(alice, wait("w"))
    add(one, make_subscriber(alice))
    one.refresh_from_db()
    for token in (None, automation_impact.of_removal(one, NOW, "finish").token):
        with pytest.raises(Unseen):
            removal.delete(one, NOW, sequences="end", token=token)
    assert Walk.objects.filter(left_at=None).count() == 1


def test_with_nobody_inside_it_is_deleted_at_once_with_its_dates(alice: Account) -> None:
    field, _ = fields.create(alice.pk, {"label": "Birthday"}, NOW, cause=causes.OWNER)
    entry = {"trigger": "field_date", "custom_field_id": field.pk, "days": 0, "hour": 9, "yearly": True}
    one = automation(alice, wait("w"), entries=[entry])
    assert DatedTrigger.objects.filter(owner="automation", owner_id=one.pk).exists()
    removal.delete(one, NOW, sequences="end")
    assert not DatedTrigger.objects.filter(owner="automation", owner_id=one.pk, ended_at=None).exists()


def test_mallory_deletes_nothing_of_alices(alice: Account) -> None:
    one = automation(alice, wait("w"))
    one.account = make_account("Mallory")
    with pytest.raises(NotFound):
        removal.delete(one, NOW, sequences="end")
    assert Automation.objects.exists()
