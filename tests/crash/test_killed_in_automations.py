"""A worker or an owner is killed in an automation, before each of the statements that write; somebody goes on
afterwards. (To die before one that only reads is to die before the next that writes.)

Each step was done once or not at all: nobody is without a node, no act is left out, what is queued is queued once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.automations import run, switching, verbs
from dripstone.automations.models import Automation, Node, Step, Walk
from dripstone.calls.models import Call
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.events.models import Numbering, Reader
from dripstone.subscribers import tags
from dripstone.subscribers.models import Subscriber, Tag, Tagging
from dripstone.triggers.turn import READER
from tests.automations import nodes
from tests.crash import doomed
from tests.crash.doomed import Place
from tests.factories import make_account, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db(transaction=True)

DONE_ONCE = ["first", "second", "third"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(connection.settings_dict["NAME"], tmp_path, "memory://automations")
    connection.close()


@dataclass
class Scene:
    """An automation in which some enter, call somebody and wait for a sequence, some wait for a time, and some are
    pulled out of the sequence and moved into another one."""

    account: Account = field(default_factory=make_account)

    def __post_init__(self) -> None:
        self.tags = {name: make_tag(self.account, name=name) for name in ("in", "buyer", *DONE_ONCE, "moved")}
        self.course = make_sequence(self.account, {"delay_value": 3})
        self.other = self._made(nodes.tag("t", self.tags["moved"].pk), nodes.wait("w", days=1))
        self.one = self._made(
            nodes.tag("first", self.tags["first"].pk, "call"),
            nodes.call("call", "course"),
            nodes.sequence("course", self.course.pk, "pause"),
            nodes.wait("pause", "second", days=1),
            nodes.tag("second", self.tags["second"].pk, "mail"),
            nodes.mail_owner("mail", "bought"),
            nodes.event("bought", nodes.tagged(self.tags["buyer"].pk), "third"),
            nodes.tag("third", self.tags["third"].pk, "send"),
            nodes.move("send", self.other.pk, "in", "stay"),
            nodes.wait("stay", days=1),
            on=nodes.tagged(self.tags["in"].pk),
        )
        run.until_idle(clock.now)

    def _made(self, *given: nodes.Node, on: nodes.Node | None = None) -> Automation:
        graph = {"entries": [{"id": "a", **on}] if on else [], "start": given[0]["id"], "nodes": list(given)}
        made = verbs.create(self.account, {"name": "A", "reenter": "always", **graph}, clock.now())
        return switching.activate(made, clock.now())

    def enters(self) -> Subscriber:
        person = make_subscriber(self.account)
        tags.add(self.tags["in"], person, clock.now(), cause=causes.API)
        return person

    def happens(self) -> list[Subscriber]:
        """One has entered, the wait of another is over, and a third has bought something while in the sequence."""
        waiting, buying = self.enters(), self.enters()
        run.until_idle(clock.now)
        tags.add(self.tags["buyer"], buying, clock.now(), cause=causes.API)
        now = clock.now()
        Enrollment.objects.filter(subscriber=waiting).delete()
        Walk.objects.filter(subscriber_id=waiting.pk).update(
            node="pause", due_at=now, ends_at=now, enrollment_id=None, enrollment_run=None, is_ours=False
        )
        return [self.enters(), waiting, buying]

    def became_of(self, people: list[Subscriber]) -> list[Any]:
        """All that the automation may leave, but for what it queues."""
        walks = Walk.objects.filter(subscriber_id__in=[one.pk for one in people])
        of_one = walks.filter(automation=self.one, left_at=None)
        return [
            [of_one.filter(subscriber_id=one.pk).values_list("node", flat=True).get() for one in people],
            [self.names_of(one) for one in people],
            [Enrollment.objects.filter(subscriber=one, status="active").count() for one in people],
            [walks.filter(automation=self.other, subscriber_id=one.pk).count() for one in people],
            [Step.objects.filter(subscriber_id=one.pk, automation_id=self.one.pk).count() for one in people],
        ]

    def names_of(self, person: Subscriber) -> list[str]:
        return sorted(Tagging.objects.filter(subscriber=person).values_list("tag__name", flat=True))


BECAME = [
    ["course", "bought", "stay"],
    [["first", "in"], ["first", "in", "second"], ["buyer", "first", "in", "moved", "third"]],
    [1, 0, 0],
    [0, 0, 1],
    [1, 2, 2],
]


def test_a_worker_is_killed_before_any_statement(place: Place) -> None:
    scene = Scene()
    for n_statements in range(1, 900):
        people = scene.happens()
        was_killed = dies(place, doomed.walk_and_die_at, n_statements)
        run.until_idle(clock.now)
        assert scene.became_of(people) == BECAME, n_statements
        assert Reader.objects.get(pk=READER).number == Numbering.objects.get().last
        if not was_killed:
            assert n_statements > 40
            break
    else:
        pytest.fail("it does not end")
    assert Call.objects.count() == 3 * n_statements, "one for everybody who entered"
    scene.one.refresh_from_db()
    assert scene.one.n_entered == 3 * n_statements


def dies(place: Place, work: Any, *arguments: Any) -> bool:
    """Whether the worker was killed before it was done."""
    connection.close()
    with doomed.worker(work, place, *arguments) as worker:
        worker.join(60)
        assert worker.exitcode in (0, -9)
        return bool(worker.exitcode == -9)


@dataclass
class Standing:
    """A fresh automation with two people inside, one in its sequence and one who waits behind it."""

    scene: Scene

    def __post_init__(self) -> None:
        tag = make_tag(self.scene.account)
        self.one = self.scene._made(
            nodes.sequence("course", self.scene.course.pk, "pause"),
            nodes.wait("pause", "bought", days=1),
            nodes.event("bought", nodes.tagged(self.scene.tags["buyer"].pk), "end"),
            nodes.wait("end", days=1),
            on=nodes.tagged(tag.pk),
        )
        self.people = [make_subscriber(self.scene.account) for _ in range(2)]
        for person in self.people:
            tags.add(tag, person, clock.now(), cause=causes.API)
        run.until_idle(clock.now)

    def nodes_of(self) -> list[str | None]:
        walks = Walk.objects.filter(automation=self.one.pk, left_at=None)
        found = dict(walks.values_list("subscriber_id", "node"))
        return [found.get(person.pk) for person in self.people]

    def stills(self) -> set[bool]:
        """Whether their places are sent nothing."""
        places = Enrollment.objects.filter(subscriber__in=self.people)
        return {paused_at is not None for paused_at in places.values_list("paused_at", flat=True)}


def test_a_draft_is_published_whole_or_not_at_all(place: Place) -> None:
    scene = Scene()
    for n_statements in range(1, 200):
        standing = Standing(scene)
        draft = {"entries": [], "start": "end", "nodes": [nodes.wait("end", days=2)]}
        one = verbs.save_draft(standing.one, draft, clock.now())
        was_killed = dies(place, doomed.act_on_automation_and_die_at, "publish", one.pk, 0, n_statements)
        one.refresh_from_db()
        alive = set(Node.objects.filter(automation=one, deleted_at=None).values_list("key", flat=True))
        assert (one.draft is None, alive) in [
            (True, {"end"}),
            (False, {"course", "pause", "bought", "end"}),
        ], n_statements
        run.until_idle(clock.now)
        assert standing.nodes_of() == ["course", "course"], "they finish it, behind the scenes or not"
        leads = Node.objects.filter(automation=one, key="course").values_list("deleted_at", "leads_to").get()
        assert (leads[0] is None) == (one.draft is not None) and leads[1] == (None if one.draft else "end")
        if not was_killed:
            assert one.draft is None and n_statements > 2
            return
    pytest.fail("it does not end")


@pytest.mark.parametrize(("act", "status"), [("pause", "paused"), ("activate", "active")])
def test_it_is_switched_with_all_its_places_or_not_at_all(place: Place, act: str, status: str) -> None:
    scene = Scene()
    for n_statements in range(1, 200):
        standing = Standing(scene)
        if act == "activate":
            switching.pause(standing.one, clock.now())
        was_killed = dies(place, doomed.act_on_automation_and_die_at, act, standing.one.pk, 0, n_statements)
        standing.one.refresh_from_db()
        assert standing.stills() == {standing.one.status == "paused"}, n_statements
        run.until_idle(clock.now)
        assert standing.nodes_of() == ["course", "course"]
        if not was_killed:
            assert standing.one.status == status and n_statements > 2
            return
    pytest.fail("it does not end")


def test_it_is_deleted_and_everybody_leaves_or_nothing_happens(place: Place) -> None:
    scene = Scene()
    for n_statements in range(1, 200):
        standing = Standing(scene)
        was_killed = dies(place, doomed.act_on_automation_and_die_at, "delete", standing.one.pk, 0, n_statements)
        is_there = Automation.objects.filter(pk=standing.one.pk).exists()
        run.until_idle(clock.now)
        assert standing.nodes_of() == (["course", "course"] if is_there else [None, None]), n_statements
        places = Enrollment.objects.filter(subscriber__in=standing.people)
        assert Counter(places.values_list("status", flat=True)) == {"active" if is_there else "removed": 2}
        if not was_killed:
            assert not is_there and n_statements > 2
            return
    pytest.fail("it does not end")


def test_somebody_is_moved_by_hand_or_stays_where_they_are(place: Place) -> None:
    scene = Scene()
    for n_statements in range(1, 200):
        standing = Standing(scene)
        person = standing.people[0]
        was_killed = dies(place, doomed.act_on_automation_and_die_at, "move", standing.one.pk, person.pk, n_statements)
        where = standing.nodes_of()[0]
        status = Enrollment.objects.get(subscriber=person).status
        assert (where, status) in [("course", "active"), ("bought", "removed")], n_statements
        assert Step.objects.filter(subscriber_id=person.pk, what="moved").count() == (where == "bought")
        if not was_killed:
            assert where == "bought" and n_statements > 2
            return
    pytest.fail("it does not end")


def test_somebody_is_added_by_hand_once_or_not_at_all(place: Place) -> None:
    scene = Scene()
    for n_statements in range(1, 200):
        person = make_subscriber(scene.account)
        n_calls = Call.objects.count()
        was_killed = dies(place, doomed.act_on_automation_and_die_at, "add", scene.one.pk, person.pk, n_statements)
        run.until_idle(clock.now)
        n_inside = Walk.objects.filter(automation=scene.one, subscriber_id=person.pk, node="course").count()
        assert n_inside in (0, 1)
        did = (Tag.objects.filter(taggings__subscriber=person).count(), Call.objects.count() - n_calls)
        assert did == (n_inside, n_inside), n_statements
        assert Enrollment.objects.filter(subscriber=person).count() == n_inside
        if not was_killed:
            assert n_inside == 1 and n_statements > 2
            return
    pytest.fail("it does not end")
