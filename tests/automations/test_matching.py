"""People who match already can be added when an automation is switched on (A10)."""

from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.automations import matching
from dripstone.automations.models import Automation
from dripstone.conditions import people as conditions
from dripstone.conditions import reading
from dripstone.errors import Invalid
from dripstone.given import Checked
from dripstone.subscribers.models import Subscriber
from tests.automations.making import NOW, add, automation, wait
from tests.factories import make_account, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db


def found(one: Automation) -> set[Subscriber]:
    return set(conditions.matching(matching.whom(one, NOW), one.account, NOW))


def listening(alice: Account, *entries: dict[str, Any]) -> Automation:
    return automation(alice, wait("w"), entries=list(entries))


def test_it_finds_those_for_whom_an_entry_is_so_already(alice: Account) -> None:
    tagged, other, both = (make_subscriber(alice) for _ in range(3))
    a, b = make_tag(alice, tagged, both), make_tag(alice, other, both)
    make_subscriber(alice)
    make_tag(make_account("Mallory"), make_subscriber(make_account("Mallory")))
    one = listening(alice, {"trigger": "tag_added", "tag_id": a.pk}, {"trigger": "tag_added", "tag_id": b.pk})
    assert found(one) == {tagged, other, both}


def test_not_those_who_are_inside_or_may_not_be_mailed(alice: Account) -> None:
    inside, gone, unconfirmed = (make_subscriber(alice, state=state) for state in ("active", "bounced", "inactive"))
    a = make_tag(alice, inside, gone, unconfirmed)
    one = listening(alice, {"trigger": "tag_added", "tag_id": a.pk})
    add(one, inside)
    assert found(one) == {unconfirmed}


def test_it_is_a_condition_that_can_be_kept(alice: Account) -> None:
    a, course = make_tag(alice), make_sequence(alice)
    one = listening(
        alice,
        {"trigger": "tag_added", "tag_id": a.pk},
        {"trigger": "sequence_completed", "sequence_id": course.pk},
    )
    read = Checked({"filter": matching.whom(one, NOW)})
    assert reading.read(read, "filter", alice.pk) is not None
    read.raise_problems()


def test_what_leaves_nothing_behind_finds_nobody(alice: Account) -> None:
    a = make_tag(alice)
    lost = {"trigger": "tag_removed", "tag_id": a.pk}
    one = listening(alice, lost)
    with pytest.raises(Invalid, match="leaves a trace"):
        matching.whom(one, NOW)
    assert [entry["trigger"] for entry in matching.traceless(one, NOW)] == ["tag_removed"]
    assert matching.traceless(listening(alice, {"trigger": "tag_added", "tag_id": a.pk}), NOW) == []
    with pytest.raises(Invalid):
        matching.whom(listening(alice), NOW)
