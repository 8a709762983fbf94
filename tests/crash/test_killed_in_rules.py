"""A worker is killed while it works off events and dates for rules, before each of its statements; another goes on.

Each rule has fired once for each event and date, its actions are done once, and what they queue is queued once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.calls.models import Call
from dripstone.engine.models import Enrollment
from dripstone.events import causes, types
from dripstone.events.models import Event, Numbering, Reader
from dripstone.rules import read, run, verbs
from dripstone.rules.models import Firing, Rule
from dripstone.subscribers import fields, tags
from dripstone.subscribers.models import Subscriber, Tagging
from dripstone.triggers.models import DatedDue, DatedTrigger
from tests.crash import doomed
from tests.crash.doomed import Place
from tests.factories import make_account, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(connection.settings_dict["NAME"], tmp_path, "memory://rules")
    connection.close()


def story() -> Account:
    """A tag is added to two people, one with a date that has come. Rules put them into a sequence, call somebody, add
    another tag, and that one fires a rule; another waits for the date."""
    now, account = clock.now(), make_account()
    first, second, dated = (make_tag(account) for _ in range(3))
    day, _ = fields.create(account.pk, {"label": "Day"}, now, cause=causes.OWNER)
    values = {str(day.pk): (now - timedelta(days=1)).date().isoformat()}
    people = [make_subscriber(account, fields=values), make_subscriber(account)]
    enter = {"kind": "enter_sequence", "sequence_id": make_sequence(account, {}).pk}
    call = {"kind": "call", "url": "https://example.com/in"}
    added = {"trigger": "tag_added", "tag_id": first.pk}
    reached = {"trigger": "field_date", "custom_field_id": day.pk, "days": 0, "hour": 0}
    rule(account, added, enter, call, {"kind": "tag", "tag_id": second.pk})
    rule(account, {"trigger": "tag_added", "tag_id": second.pk}, {"kind": "untag", "tag_id": first.pk})
    waits = rule(account, reached, {"kind": "tag", "tag_id": dated.pk})
    run.until_idle(clock.now)
    due = DatedDue.objects.get_or_create(
        trigger_id=trigger_of(waits), subscriber_id=people[0].pk, defaults={"account_id": account.pk}
    )[0]
    DatedDue.objects.filter(pk=due.pk).update(at=now, day=now.date(), date=now.date(), taken=None)
    for person in people:
        tags.add(first, person, now, cause=causes.API)
    return account


def trigger_of(one: Rule) -> int:
    return DatedTrigger.objects.get(owner="rule", owner_id=one.pk, ended_at=None).pk


def rule(account: Account, trigger: dict[str, Any], *actions: dict[str, Any]) -> Rule:
    given = {"name": "R", "triggers": [trigger], "actions": list(actions), "active": True}
    return verbs.create(account, given, clock.now())


def seen(account: Account) -> list[Any]:
    """All that the rules may leave."""
    people = list(Subscriber.objects.filter(account=account).order_by("pk").values_list("pk", flat=True))
    rules = list(Rule.objects.filter(account=account).order_by("pk"))
    numbers = {one.pk: number for number, one in enumerate(rules)}
    return [
        sorted(
            (numbers[one.rule_id], people.index(one.subscriber_id), one.outcome, str(one.done))
            for one in Firing.objects.filter(account_id=account.pk)
        ),
        [(one.n_fired, one.n_not_fired) for one in rules],
        [Tagging.objects.filter(subscriber_id=pk).count() for pk in people],
        [Enrollment.objects.filter(subscriber_id=pk).count() for pk in people],
        Call.objects.filter(account_id=account.pk).count(),
        Event.objects.filter(account_id=account.pk, type=types.TAG_ADDED).count(),
        Event.objects.filter(account_id=account.pk, type=types.TAG_REMOVED).count(),
        DatedDue.objects.filter(account_id=account.pk, at__isnull=False).count(),
    ]


def test_a_worker_is_killed_before_any_statement(place: Place) -> None:
    expected: Any = None
    for n_statements in range(1, 400):
        account = story()
        connection.close()
        with doomed.worker(doomed.work_off_rules_and_die_at, place, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        run.until_idle(clock.now)
        expected = expected or seen(account)
        assert seen(account) == expected, n_statements
        assert Reader.objects.get(pk=read.READER).number == Numbering.objects.get().last
        Rule.objects.all().update(is_on=False)
        if not was_killed:
            assert n_statements > 40
            break
    else:
        pytest.fail("it does not end")
    assert expected[1:] == [[(2, 0), (2, 0), (1, 0)], [2, 1], [1, 1], 2, 5, 2, 0]


def test_a_rule_is_on_from_now_on_or_not_at_all(place: Place) -> None:
    account = make_account()
    tag, other = make_tag(account), make_tag(account)
    one = rule(account, {"trigger": "tag_added", "tag_id": tag.pk}, {"kind": "tag", "tag_id": other.pk})
    for n_statements in range(1, 60):
        verbs.switch(one, False, clock.now())
        tags.add(tag, make_subscriber(account), clock.now(), cause=causes.API)
        connection.close()
        with doomed.worker(doomed.switch_a_rule_on_and_die_at, place, one.pk, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        one.refresh_from_db()
        n_before = Firing.objects.count()
        tags.add(tag, make_subscriber(account), clock.now(), cause=causes.API)
        run.until_idle(clock.now)
        assert Firing.objects.count() - n_before == one.is_on, "of what came after it, and of nothing before"
        if not was_killed:
            assert one.is_on
            return
    pytest.fail("it does not end")
