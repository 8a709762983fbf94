"""Automations: made, renamed, copied, drafted; and how a graph is put in the place of another."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.automations import graph as graphs
from dripstone.automations import verbs
from dripstone.automations.graph import GraphNode
from dripstone.automations.models import Automation, Node
from dripstone.errors import Invalid, NotFound
from dripstone.subscribers.models import Tag
from tests.factories import MONDAY_9 as NOW
from tests.factories import make_account, make_tag

pytestmark = pytest.mark.django_db

LATER = NOW + timedelta(hours=1)
Json = dict[str, Any]


@pytest.fixture
def course(alice: Account) -> Tag:
    return make_tag(alice, name="Course")


def tag(key: str, tag: Tag, to: str | None = None) -> Json:
    return {"id": key, "kind": "tag", "tag_id": tag.pk, "next": to}


def wait(key: str, to: str | None = None, days: int = 3) -> Json:
    return {"id": key, "kind": "wait", "for": {"days": days}, "next": to}


def drawn(course: Tag, **more: Any) -> Json:
    entry = {"id": "in", "trigger": "tag_added", "tag_id": course.pk}
    return {"entries": [entry], "start": "a", "nodes": [wait("a", "b"), tag("b", course)], **more}


def make(alice: Account, course: Tag, **more: Any) -> Automation:
    return verbs.create(alice, {"name": "Course", **drawn(course), **more}, NOW, "ann@example.com")


def as_kept(automation: Automation) -> Json:
    automation.refresh_from_db()
    return graphs.as_json(verbs.published(automation))


# --- Making -------------------------------------------------------------------------------------------------------


def test_a_new_one_is_inactive_and_published(alice: Account, course: Tag) -> None:
    one = make(alice, course, name=" Course ")
    assert as_kept(one) == drawn(course)
    assert (one.name, one.status, one.reenter, one.draft, one.edition) == ("Course", "inactive", "always", None, 1)
    assert (one.made_at, one.changed_at, one.status_at, one.changed_by) == (NOW, NOW, NOW, "ann@example.com")
    assert list(one.nodes.order_by("position").values_list("key", "kind")) == [("a", "wait"), ("b", "tag")]


def test_a_name_is_enough(alice: Account) -> None:
    one = verbs.create(alice, {"name": "Course", "reenter": "never"}, NOW)
    assert as_kept(one) == {"entries": [], "start": None, "nodes": []}
    assert one.reenter == "never"


def test_every_problem_is_told_by_its_member(alice: Account, course: Tag) -> None:
    with pytest.raises(Invalid) as caught:
        verbs.create(alice, {"name": " ", "reenter": "twice", "start": "x", "nodes": [{"id": "a"}]}, NOW)
    assert {name for name, _ in caught.value.problems} == {"name", "reenter", "start", "nodes[0].kind"}
    assert not Automation.objects.exists()


def test_an_account_has_so_many_at_most(alice: Account, course: Tag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "MOST", 2)
    make(alice, course)
    one = make(alice, course)
    with pytest.raises(Invalid, match="more than 2 automations"):
        make(alice, course)
    with pytest.raises(Invalid, match="more than 2 automations"):
        verbs.duplicate(one, NOW)
    mallory = make_account("Mallory")
    assert verbs.create(mallory, {"name": "Mine"}, NOW)
    assert verbs.of(alice).count() == 2


def test_it_is_renamed_at_once(alice: Account, course: Tag) -> None:
    one = make(alice, course)
    changed = verbs.update(one, {"name": "Other", "reenter": "never"}, LATER, "bob@example.com")
    assert (changed.name, changed.reenter, changed.edition, changed.changed_at) == ("Other", "never", 2, LATER)
    assert verbs.update(one, {"name": "Other"}, LATER + timedelta(hours=1)).changed_at == LATER
    with pytest.raises(Invalid):
        verbs.update(one, {"name": None}, LATER)
    assert as_kept(one) == drawn(course)


def test_a_copy_is_inactive_and_has_the_draft_too_but_not_what_was_deleted(alice: Account, course: Tag) -> None:
    one = make(alice, course, reenter="never")
    verbs.set_graph(one, verbs.read(one, {"start": "a", "nodes": [wait("a")]}), NOW)
    verbs.save_draft(one, {"start": "a", "nodes": [wait("a", days=9)]}, NOW)
    Automation.objects.filter(pk=one.pk).update(status="active", name="x" * 255)
    course.delete()
    copy = verbs.duplicate(one, LATER, "bob@example.com")
    copy.refresh_from_db()
    assert (copy.status, copy.reenter, copy.changed_by, copy.n_entered) == ("inactive", "never", "bob@example.com", 0)
    assert copy.name == "x" * 248 + " (copy)"
    assert as_kept(copy) == {"entries": [], "start": "a", "nodes": [wait("a")]}
    assert copy.draft == {"entries": [], "start": "a", "nodes": [wait("a", days=9)]}
    assert copy.nodes.count() == 1


def test_one_that_is_gone_is_not_found(alice: Account, course: Tag) -> None:
    one = make(alice, course)
    one.nodes.all().delete()
    Automation.objects.filter(pk=one.pk).delete()
    acts: list[Callable[[], Any]] = [
        lambda: verbs.update(one, {"name": "x"}, NOW),
        lambda: verbs.save_draft(one, {}, NOW),
        lambda: verbs.drop_draft(one, NOW),
        lambda: verbs.duplicate(one, NOW),
    ]
    for act in acts:
        with pytest.raises(NotFound):
            act()


# --- Drafts -------------------------------------------------------------------------------------------------------


def test_a_draft_stands_beside_what_is_published(alice: Account, course: Tag) -> None:
    one = make(alice, course)
    draft = drawn(course, nodes=[wait("a", "b", days=5), tag("b", course)])
    saved = verbs.save_draft(one, draft, LATER, "bob@example.com")
    assert (saved.draft, saved.draft_changed_at, saved.draft_changed_by) == (draft, LATER, "bob@example.com")
    assert (saved.changed_at, saved.edition) == (NOW, 1)
    assert as_kept(one) == drawn(course)
    assert graphs.as_json(verbs.draft_of(one) or verbs.published(one)) == draft
    dropped = verbs.drop_draft(one, LATER)
    assert (dropped.draft, verbs.draft_of(dropped)) == (None, None)


def test_what_says_the_same_as_what_is_published_is_no_draft(alice: Account, course: Tag) -> None:
    one = make(alice, course)
    assert verbs.save_draft(one, drawn(course), LATER).draft is None
    assert verbs.save_draft(one, drawn(course, start="b"), LATER).draft is not None
    assert verbs.save_draft(one, drawn(course), LATER).draft is None


def test_only_what_could_be_published_is_kept_as_a_draft(alice: Account, course: Tag) -> None:
    one = make(alice, course)
    with pytest.raises(Invalid, match="there is no node z"):
        verbs.save_draft(one, drawn(course, start="z"), LATER)
    assert as_kept(one) == drawn(course)
    assert one.draft is None


def test_who_has_not_seen_what_was_saved_meanwhile_saves_nothing(alice: Account, course: Tag) -> None:
    one = make(alice, course)
    first = verbs.save_draft(one, drawn(course, start="b"), NOW, seen=0)
    with pytest.raises(verbs.Overtaken):
        verbs.save_draft(one, drawn(course, start=None), NOW, seen=0)
    with pytest.raises(verbs.Overtaken):
        verbs.drop_draft(one, NOW, seen=0)
    again = verbs.save_draft(one, drawn(course, start="b"), NOW, seen=first.draft_revision)
    assert again.draft_revision == first.draft_revision
    verbs.set_graph(verbs.locked(one), verbs.read(one, drawn(course)), NOW)
    with pytest.raises(verbs.Overtaken):
        verbs.save_draft(one, drawn(course), NOW, seen=first.draft_revision)


def test_what_the_graphs_name_may_stay_when_it_is_gone(alice: Account, course: Tag) -> None:
    one, vip = make(alice, course), make_tag(alice, name="VIP")
    ids = course.pk, vip.pk
    verbs.save_draft(one, drawn(course, nodes=[wait("a", "b"), tag("b", vip)]), NOW)
    course.delete()
    vip.delete()
    course.pk, vip.pk = ids
    with_both = drawn(course, nodes=[wait("a", "b", days=9), tag("b", vip)])
    assert verbs.save_draft(one, with_both, NOW).draft == with_both
    assert verbs.save_draft(one, drawn(course, nodes=[wait("a")]), NOW).draft is not None
    with pytest.raises(Invalid, match=f"tag {vip.pk} does not exist"):
        verbs.save_draft(one, with_both, NOW)


# --- Publishing ---------------------------------------------------------------------------------------------------


def test_another_graph_takes_its_place_and_what_is_gone_stays_behind_the_scenes(alice: Account, course: Tag) -> None:
    one = make(alice, course)
    verbs.save_draft(one, drawn(course, start="b"), NOW)
    new = verbs.read(one, {"start": "c", "nodes": [tag("c", course, "b"), tag("b", course)]})
    gone = GraphNode("a", "wait", {"for": {"days": 3}}, {"next": "b"}, is_deleted=True, leads_to="b")
    verbs.set_graph(verbs.locked(one), graphs.Graph((), "c", {**new.nodes, "a": gone}), LATER, "bob@example.com")
    assert as_kept(one) == {"entries": [], "start": "c", "nodes": [tag("c", course, "b"), tag("b", course)]}
    assert (one.draft, one.edition, one.changed_at, one.changed_by) == (None, 2, LATER, "bob@example.com")
    row = Node.objects.get(automation=one, key="a")
    assert (row.deleted_at, row.leads_to, row.settings) == (LATER, "b", {"for": {"days": 3}})
    assert verbs.published(one).nodes["a"].ways == [("next", "b")]
    assert verbs.published_of_each([one]) == {one.pk: verbs.published(one)}


def test_what_a_graph_says_nothing_of_is_deleted_and_leads_out(alice: Account, course: Tag) -> None:
    one = make(alice, course)
    verbs.set_graph(verbs.locked(one), verbs.read(one, {"nodes": [tag("b", course)]}), LATER)
    verbs.set_graph(verbs.locked(one), verbs.read(one, {"nodes": []}), LATER + timedelta(hours=1))
    rows = one.nodes.order_by("key").values_list("key", "deleted_at", "leads_to")
    assert list(rows) == [("a", LATER, None), ("b", LATER + timedelta(hours=1), None)]


def test_an_id_that_comes_back_keeps_its_kind(alice: Account, course: Tag) -> None:
    one = make(alice, course)
    verbs.set_graph(verbs.locked(one), verbs.read(one, {"nodes": []}), NOW)
    with pytest.raises(Invalid, match="was a node of another kind"):
        verbs.read(one, {"nodes": [tag("a", course)]})
    verbs.set_graph(verbs.locked(one), verbs.read(one, {"nodes": [wait("a", days=7)]}), LATER)
    row = one.nodes.get(key="a")
    assert (row.deleted_at, row.settings) == (None, {"for": {"days": 7}})
