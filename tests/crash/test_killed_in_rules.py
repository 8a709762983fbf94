"""A worker is killed while it works off events and dates for rules, before each of its statements; another goes on.

Each rule has fired once for each event and date, its actions are done once, and what they queue is queued once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.automations import run
from dripstone.calls.models import Call
from dripstone.engine.models import Enrollment
from dripstone.events import causes, types
from dripstone.events.models import Event, Numbering, Reader
from dripstone.rules import verbs
from dripstone.rules.models import Firing, Rule
from dripstone.subscribers import fields, tags
from dripstone.subscribers.models import Tagging
from dripstone.triggers import turn
from dripstone.triggers.models import DatedDue, DatedTrigger
from tests.crash import doomed
from tests.crash.doomed import Place
from tests.factories import make_account, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(connection.settings_dict["NAME"], tmp_path, "memory://rules")
    connection.close()


@dataclass
class Scene:
    """Rules that put people into a sequence, call somebody and add another tag, on which another rule fires; one waits
    for a date."""

    account: Account = field(default_factory=make_account)

    def __post_init__(self) -> None:
        self.first, self.second, dated = (make_tag(self.account) for _ in range(3))
        day, _ = fields.create(self.account.pk, {"label": "Day"}, clock.now(), cause=causes.OWNER)
        enter = {"kind": "enter_sequence", "sequence_id": make_sequence(self.account, {}).pk}
        call, tag = {"kind": "call", "url": "https://example.com/in"}, {"kind": "tag", "tag_id": self.second.pk}
        untag = {"kind": "untag", "tag_id": self.first.pk}
        reached = {"trigger": "field_date", "custom_field_id": day.pk, "days": 0, "hour": 0}
        rule(self.account, {"trigger": "tag_added", "tag_id": self.first.pk}, enter, call, tag)
        rule(self.account, {"trigger": "tag_added", "tag_id": self.second.pk}, untag)
        rule(self.account, reached, {"kind": "tag", "tag_id": dated.pk})
        run.until_idle(clock.now)

    def happens(self) -> list[int]:
        """The first tag is added to two new people, one with a date that has come."""
        now, people = clock.now(), [make_subscriber(self.account) for _ in range(2)]
        DatedDue.objects.create(
            trigger=DatedTrigger.objects.get(), account_id=self.account.pk, subscriber_id=people[0].pk, at=now,
            day=now.date(), date=now.date(),
        )  # fmt: skip
        for person in people:
            tags.add(self.first, person, now, cause=causes.API)
        return [person.pk for person in people]

    def became_of(self, people: list[int]) -> list[Any]:
        """All that the rules may leave."""
        rules = list(Rule.objects.filter(account=self.account).order_by("pk").values_list("pk", flat=True))
        log = Firing.objects.filter(subscriber_id__in=people)
        events = Event.objects.filter(subscriber_id__in=people)
        return [
            sorted(
                (rules.index(one.rule_id), people.index(one.subscriber_id), str(one.outcome), one.done) for one in log
            ),
            [Tagging.objects.filter(subscriber_id=pk).count() for pk in people],
            [Enrollment.objects.filter(subscriber_id=pk).count() for pk in people],
            sorted(events.values_list("type", flat=True)),
            DatedDue.objects.filter(account_id=self.account.pk, at__isnull=False).count(),
        ]


def rule(account: Account, trigger: dict[str, Any], *actions: dict[str, Any]) -> Rule:
    given = {"name": "R", "triggers": [trigger], "actions": list(actions), "active": True}
    return verbs.create(account, given, clock.now())


def test_a_worker_is_killed_before_any_statement(place: Place) -> None:
    scene = Scene()
    added = sorted([types.TAG_ADDED] * 5 + [types.TAG_REMOVED] * 2 + [types.ADDED_TO_SEQUENCE] * 2)
    three, one = ["changed"] * 3, ["changed"]
    fired = [(0, 0, "fired", three), (0, 1, "fired", three), (1, 0, "fired", one), (1, 1, "fired", one)]
    for n_statements in range(1, 400):
        people = scene.happens()
        connection.close()
        with doomed.worker(doomed.work_off_rules_and_die_at, place, n_statements) as worker:
            worker.join(60)
            was_killed = worker.exitcode == -9
        run.until_idle(clock.now)
        assert scene.became_of(people) == [[*fired, (2, 0, "fired", one)], [2, 1], [1, 1], added, 0], n_statements
        assert Reader.objects.get(pk=turn.READER).number == Numbering.objects.get().last
        if not was_killed:
            assert n_statements > 40
            break
    else:
        pytest.fail("it does not end")
    assert Call.objects.count() == 2 * n_statements
    counts = Rule.objects.order_by("pk").values_list("n_fired", "n_not_fired")
    assert list(counts) == [(2 * n_statements, 0), (2 * n_statements, 0), (n_statements, 0)]


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
