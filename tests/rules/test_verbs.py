"""Rules: made, changed, switched, copied, deleted, and what is refused."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from dripstone.accounts.models import Account
from dripstone.automations import run
from dripstone.errors import Invalid, NotFound
from dripstone.events import causes
from dripstone.ops import prune
from dripstone.rules import log, standing, verbs
from dripstone.rules.models import Firing, Rule
from dripstone.subscribers import tags
from dripstone.triggers.models import DatedTrigger
from tests.factories import make_account, make_subscriber, make_tag
from tests.rules.making import NOW, has, outcomes, rule, tag, tag_added, work_off

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=1)


def refused(account: Account, given: dict[str, Any]) -> dict[str | None, str]:
    with pytest.raises(Invalid) as caught:
        verbs.create(account, given, NOW)
    return dict(caught.value.problems)


def test_it_is_off_unless_it_is_made_active(alice: Account) -> None:
    a, b = make_tag(alice), make_tag(alice)
    given = {"name": " Course ", "triggers": [tag_added(a)], "condition": has(b), "actions": [tag(b)]}
    one = verbs.create(alice, given, NOW, "ann@example.com")
    one.refresh_from_db()
    assert (one.name, one.is_on, one.edition, one.made_at, one.changed_at) == ("Course", False, 1, NOW, NOW)
    assert (one.triggers, one.condition, one.actions) == ([tag_added(a)], has(b), [tag(b)])
    assert one.changed_by == "ann@example.com"
    assert verbs.create(alice, given | {"active": True, "condition": None}, NOW).is_on


def test_every_problem_is_told_by_its_member(alice: Account) -> None:
    theirs = make_tag(make_account("Mallory"))
    given = {"name": "", "triggers": [tag_added(theirs)], "condition": has(theirs), "actions": [], "active": "yes"}
    found = refused(alice, given)
    assert set(found) == {"name", "triggers[0].tag_id", "condition.ids[0]", "actions", "active"} or len(found) == 5
    assert set(refused(alice, {})) == {"name", "triggers", "actions"}


def test_an_edit_changes_what_is_given_and_holds_for_what_is_read_after_it(alice: Account) -> None:
    a, b, c = (make_tag(alice) for _ in range(3))
    one = rule(alice, tag(b), when=tag_added(a))
    person = make_subscriber(alice)
    tags.add(a, person, NOW, cause=causes.API)
    one = verbs.update(one, {"actions": [tag(c)], "name": "Other"}, LATER)
    assert (one.name, one.edition, one.changed_at, one.is_on) == ("Other", 2, LATER, True)
    work_off()
    assert set(person.taggings.values_list("tag_id", flat=True)) == {a.pk, c.pk}
    assert verbs.update(one, {"active": False}, LATER).is_on is False
    with pytest.raises(Invalid):
        verbs.update(one, {"triggers": None}, LATER)


def test_what_was_deleted_may_be_written_back_by_an_edit(alice: Account) -> None:
    a, b = make_tag(alice), make_tag(alice)
    one = rule(alice, tag(b), when=tag_added(a))
    tags.delete(b, NOW, cause=causes.OWNER)
    assert verbs.update(one, {"actions": [tag(b)], "triggers": [tag_added(a)]}, NOW).edition == 2
    with pytest.raises(Invalid):
        verbs.create(alice, {"name": "R", "triggers": [tag_added(a)], "actions": [tag(b)]}, NOW)


def test_a_copy_is_off_and_its_own(alice: Account) -> None:
    a, b = make_tag(alice), make_tag(alice)
    one = rule(alice, tag(b), when=tag_added(a), only_if=has(b))
    Rule.objects.filter(pk=one.pk).update(name="x" * 255, n_fired=7)
    copy = verbs.duplicate(one, LATER)
    assert (copy.name, copy.is_on, copy.n_fired, copy.made_at) == ("x" * 248 + " (copy)", False, 0, LATER)
    assert (copy.triggers, copy.condition, copy.actions) == (one.triggers, one.condition, one.actions)


def test_a_deleted_rule_does_nothing_more_and_its_log_goes_at_night(alice: Account) -> None:
    a, b = make_tag(alice), make_tag(alice)
    one, other = rule(alice, tag(b), when=tag_added(a)), rule(alice, tag(b), when=tag_added(a))
    person = make_subscriber(alice)
    tags.add(a, person, NOW, cause=causes.API)
    work_off()
    tags.add(a, make_subscriber(alice), NOW, cause=causes.API)
    verbs.delete(one, LATER)
    work_off()
    assert outcomes(other) == ["fired", "fired"] and len(outcomes(one)) == 1
    assert [row.rule for row in log.of_person(alice.pk, person.pk)] == [other]
    prune.everything(LATER)
    assert set(Firing.objects.values_list("rule_id", flat=True)) == {other.pk}
    for verb in (verbs.delete, lambda rule, now: verbs.switch(rule, True, now), verbs.duplicate):
        with pytest.raises(NotFound):
            verb(one, LATER)


def test_the_log_is_kept_for_a_year(alice: Account) -> None:
    a, b = make_tag(alice), make_tag(alice)
    one = rule(alice, tag(b), when=tag_added(a))
    tags.add(a, make_subscriber(alice), NOW, cause=causes.API)
    work_off()
    tags.add(a, make_subscriber(alice), NOW, cause=causes.API)
    work_off(NOW + timedelta(days=2))
    prune.everything(NOW + timedelta(days=366))
    assert [row.at for row in log.of_rule(one)] == [NOW + timedelta(days=2)]


@pytest.mark.parametrize("outcome", Firing.Outcome.values)
def test_the_log_of_one_outcome_is_a_range_of_an_index(alice: Account, outcome: str) -> None:
    """Else a rare one is looked for among a year of the other."""
    one = rule(alice, tag(make_tag(alice)), when=tag_added(make_tag(alice)))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
    plan = log.of_rule(one).filter(outcome=outcome).reverse()[:50].explain()
    assert "firing_of_outcome" in plan
    assert "Filter" not in plan


def test_dates_are_waited_for_while_it_is_on(alice: Account) -> None:
    from dripstone.subscribers import fields

    field, _ = fields.create(alice.pk, {"label": "Day"}, NOW, cause=causes.OWNER)
    one = rule(alice, tag(make_tag(alice)), when={"trigger": "field_date", "custom_field_id": field.pk})
    listening = DatedTrigger.objects.filter(owner="rule", owner_id=one.pk, ended_at=None)
    assert listening.count() == 1
    verbs.switch(one, False, NOW)
    assert not listening.exists()
    verbs.switch(one, True, NOW)
    assert listening.count() == 1
    verbs.delete(one, NOW)
    assert not listening.exists()


def test_an_account_has_so_many_rules_and_no_more(alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "MOST", 1)
    a = make_tag(alice)
    one = rule(alice, tag(a), when={"trigger": "cancelled"})
    with pytest.raises(Invalid, match="more than 1 rules"):
        verbs.duplicate(one, NOW)
    rule(make_account("Mallory"), {"kind": "unsubscribe"}, when={"trigger": "became_active"})


def test_how_far_rules_are_behind(alice: Account) -> None:
    a, b = make_tag(alice), make_tag(alice)
    assert standing.now() == standing.Standing(0, 0, None)
    tags.add(a, make_subscriber(alice), NOW, cause=causes.API)
    one = rule(alice, tag(b), when=tag_added(a))
    assert standing.now() == standing.Standing(1, 0, None)
    tags.add(a, make_subscriber(alice), LATER, cause=causes.API)
    assert standing.now() == standing.Standing(1, 1, LATER)
    work_off(LATER)
    assert standing.now() == standing.Standing(1, 0, None)
    verbs.switch(one, False, LATER)
    assert standing.now().n_on == 0


def test_a_worker_goes_on_while_there_is_something_to_do_and_stops_when_told(alice: Account) -> None:
    a, b = make_tag(alice), make_tag(alice)
    one = rule(alice, tag(b), when=tag_added(a))
    tags.add(a, make_subscriber(alice), NOW, cause=causes.API)
    rounds = iter([False, False, True])
    assert run.keep_going(lambda: NOW, lambda: next(rounds)) == 1
    verbs.switch(one, False, NOW)
    assert run.keep_going(lambda: NOW, lambda: False) == 0, "nobody listens: it ends by itself"
