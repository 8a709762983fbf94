"""Edits while people are inside (A12, A13): shown first, then done as shown; nobody is ever without a node."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.automations import people as by_hand
from dripstone.automations import publishing, verbs
from dripstone.automations.models import Automation, Errand, Node, Walk
from dripstone.engine.acts import places as acts
from dripstone.engine.models import Enrollment
from dripstone.errors import Conflict, Invalid, NotFound, Unseen
from dripstone.events import causes
from dripstone.foresight import automation_impact
from dripstone.subscribers import tags
from tests.automations.making import (
    DAY,
    NOW,
    add,
    ask,
    automation,
    counts,
    draft,
    due,
    left,
    log,
    publish,
    sequence,
    stands,
    switch,
    tag,
    tagged,
    wait,
    work_off,
)
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

LATER = NOW + DAY
WELCOME = {"subject": "welcome", "delay_value": 0}
SECOND = {"subject": "second", "delay_value": 2}


def places(person: Any) -> list[tuple[int, str]]:
    return list(Enrollment.objects.filter(subscriber=person).order_by("pk").values_list("sequence_id", "status"))


# --- The token ----------------------------------------------------------------------------------------------------


def test_while_nobody_is_inside_it_is_published_at_once(alice: Account) -> None:
    one = draft(automation(alice, wait("a")), wait("b"))
    assert [node.key for node in verbs.published(publishing.publish(one, NOW)).living] == ["b"]
    one.refresh_from_db()
    assert (one.draft, one.start) == (None, "b")


def test_while_somebody_is_inside_its_impact_must_have_been_seen(alice: Account) -> None:
    one = automation(alice, wait("a"))
    add(one, make_subscriber(alice))
    one = draft(one, wait("b"))
    for token in (None, "0123456789abcdef0123"):
        with pytest.raises(Unseen):
            publishing.publish(one, NOW, token=token)
    assert issubclass(Unseen, Conflict)
    assert [node.key for node in verbs.published(one).living] == ["a"]
    token = automation_impact.of_publish(one, None, NOW).token
    publishing.publish(one, NOW, token=token)
    assert [node.key for node in verbs.published(one).living] == ["b"]


def test_a_token_is_void_when_somebody_has_come_where_something_changes(alice: Account) -> None:
    one = automation(alice, wait("a"))
    add(one, make_subscriber(alice))
    one = draft(one, wait("b"))
    token = automation_impact.of_publish(one, None, NOW).token
    add(one, make_subscriber(alice))
    with pytest.raises(Unseen):
        publishing.publish(one, NOW, token=token)


def test_it_stays_good_while_people_move_where_nothing_changes(alice: Account) -> None:
    one = automation(alice, wait("a", "b"), wait("b"))
    add(one, make_subscriber(alice))
    one = draft(one, wait("a", "b"), wait("b", days=9))
    token = automation_impact.of_publish(one, None, NOW).token
    add(one, make_subscriber(alice))
    verbs.update(one, {"name": "Other"}, NOW)
    publishing.publish(one, NOW, token=token)


def test_it_is_for_these_choices_and_this_draft_alone(alice: Account) -> None:
    one = automation(alice, wait("a"))
    add(one, make_subscriber(alice))
    one = draft(one, wait("a", days=9))
    anew = {"nodes": {"a": {"dates": "anew"}}}
    kept, moved = (automation_impact.of_publish(one, None, NOW, choices).token for choices in (None, anew))
    assert kept != moved
    with pytest.raises(Unseen):
        publishing.publish(one, NOW, token=kept, choices=anew)
    one = draft(one, wait("a", days=8))
    with pytest.raises(Unseen):
        publishing.publish(one, NOW, token=kept)


def test_without_a_draft_there_is_nothing_to_publish(alice: Account) -> None:
    one = automation(alice, wait("a"))
    with pytest.raises(Invalid, match="nothing to publish"):
        publishing.publish(one, NOW)
    with pytest.raises(Invalid, match="nothing to publish"):
        automation_impact.of_publish(one, None, NOW)


def test_a_draft_whose_id_has_become_another_kind_is_refused(alice: Account) -> None:
    one = draft(automation(alice, wait("a")), wait("b"))
    Node.objects.create(automation=one, key="b", kind="tag", settings={"tag_id": 1}, exits={"next": None})
    with pytest.raises(Invalid, match="another kind"):
        publishing.publish(one, NOW)


def test_mallory_publishes_nothing_of_alices(alice: Account) -> None:
    one = draft(automation(alice, wait("a")), wait("b"))
    one.account = make_account("Mallory")
    with pytest.raises(NotFound):
        publishing.publish(one, NOW)


# --- Waits --------------------------------------------------------------------------------------------------------


def test_whoever_waits_at_a_deleted_wait_keeps_their_date_and_goes_on_behind_it(alice: Account) -> None:
    a, b, person = make_tag(alice), make_tag(alice), make_subscriber(alice)
    one = automation(alice, wait("a", "act"), tag("act", a, "b"), tag("b", b, "end"), wait("end"))
    add(one, person)
    told = publish(one, tag("b", b, "end"), wait("end"), now=LATER)
    assert [(at.key, at.n, at.names, at.change.then) for at in told.nodes if at.n and at.change] == [
        ("a", 1, [person.first_name], "keep_date")
    ]
    work_off(LATER)
    assert (stands(one, person), due(one, person)) == ("a", NOW + 3 * DAY)
    work_off(NOW + 3 * DAY)
    assert stands(one, person) == "end"
    assert set(person.taggings.values_list("tag_id", flat=True)) == {b.pk}  # what is deleted on the way does nothing


def test_whoever_waits_before_the_end_of_what_is_left_leaves_then(alice: Account) -> None:
    one, person = automation(alice, wait("a", "b"), wait("b")), make_subscriber(alice)
    add(one, person)
    publish(one, now=LATER)
    assert stands(one, person) == "a"
    work_off(NOW + 3 * DAY)
    assert (stands(one, person), left(one, person)) == (None, "end")


def test_a_changed_wait_leaves_dates_as_they_are(alice: Account) -> None:
    one, first, second = automation(alice, wait("a")), make_subscriber(alice), make_subscriber(alice)
    add(one, first)
    publish(one, wait("a", days=10), now=LATER)
    add(one, second, now=LATER)
    work_off(LATER)
    assert (due(one, first), due(one, second)) == (NOW + 3 * DAY, LATER + 10 * DAY)


def test_or_gives_them_anew_from_when_they_came(alice: Account) -> None:
    one, person = automation(alice, wait("a")), make_subscriber(alice)
    add(one, person)
    told = publish(one, wait("a", days=10), now=LATER, a={"dates": "anew"})
    assert told.going.n == 0
    work_off(LATER)
    assert due(one, person) == NOW + 10 * DAY


def test_a_date_given_anew_that_is_past_moves_them_on_at_once(alice: Account) -> None:
    one, person = automation(alice, wait("a", "b"), wait("b")), make_subscriber(alice)
    add(one, person)
    add(one, make_subscriber(alice), now=LATER)
    shorter = wait("a", "b", hours=5)
    told = publish(one, shorter, wait("b"), now=LATER, a={"dates": "anew"})
    assert (told.going.n, told.going.stops) == (1, {"b": 1})
    work_off(LATER)
    assert counts(one) == {"a": 1, "b": 1} and stands(one, person) == "b"


# --- Sequences ----------------------------------------------------------------------------------------------------


def test_whoever_is_in_a_sequence_that_is_deleted_from_the_graph_finishes_it_and_goes_on(alice: Account) -> None:
    course = make_sequence(alice, WELCOME, SECOND)
    one, person = automation(alice, sequence("s", course.pk, "b"), wait("b")), make_subscriber(alice)
    add(one, person)
    publish(one, wait("b"))
    work_off()
    assert (stands(one, person), places(person)) == ("s", [(course.pk, "active")])
    acts.remove(Enrollment.objects.get(subscriber=person).pk, "owner", "", LATER)
    work_off(LATER)
    assert stands(one, person) == "b"


def test_or_leaves_it_at_once(alice: Account) -> None:
    course = make_sequence(alice, WELCOME, SECOND)
    one = automation(alice, sequence("s", course.pk, "b"), wait("b"))
    people = [make_subscriber(alice) for _ in range(3)]
    add(one, *people)
    told = publish(one, wait("b"), s={"sequence": "leave"})
    assert (told.going.n, told.going.stops) == (3, {"b": 3})
    assert counts(one) == {"s": 3} and Errand.objects.count() == 1
    work_off()
    assert counts(one) == {"b": 3} and Errand.objects.count() == 0
    assert [places(person) for person in people] == [[(course.pk, "removed")]] * 3
    assert log(one, people[0])[1:] == [("moved", "b", "by_edit"), ("walked", "b", "goes_on")]


def test_whoever_was_in_it_before_keeps_the_place(alice: Account) -> None:
    """A5: only a run that this automation made is lost."""
    course, person = make_sequence(alice, WELCOME, SECOND), make_subscriber(alice)
    make_enrollment(course, person)
    one = automation(alice, sequence("s", course.pk, "b"), wait("b"))
    add(one, person)
    publish(one, wait("b"), s={"sequence": "leave"})
    work_off()
    assert (stands(one, person), places(person)) == ("b", [(course.pk, "active")])


def test_out_of_a_sequence_with_nothing_behind_it_they_leave(alice: Account) -> None:
    course = make_sequence(alice, WELCOME, SECOND)
    one, person = automation(alice, sequence("s", course.pk)), make_subscriber(alice)
    add(one, person)
    told = publish(one, s={"sequence": "leave"})
    assert told.going.leaves == 1
    work_off()
    assert (stands(one, person), left(one, person)) == (None, "removed_by_edit")
    assert places(person) == [(course.pk, "removed")]


def test_another_sequence_is_for_those_who_come_later(alice: Account) -> None:
    old, new = make_sequence(alice, WELCOME, SECOND), make_sequence(alice, WELCOME, SECOND)
    one, first, second = automation(alice, sequence("s", old.pk)), make_subscriber(alice), make_subscriber(alice)
    add(one, first)
    publish(one, sequence("s", new.pk))
    add(one, second)
    work_off()
    assert (places(first), places(second)) == ([(old.pk, "active")], [(new.pk, "active")])
    assert stands(one, first) == "s"


def test_whom_a_sequence_node_no_longer_lets_wait_goes_on(alice: Account) -> None:
    course = make_sequence(alice, WELCOME, SECOND)
    one, person = automation(alice, sequence("s", course.pk, "b"), wait("b")), make_subscriber(alice)
    add(one, person)
    told = publish(one, sequence("s", course.pk, "b", wait=False), wait("b"))
    assert told.going.stops == {"b": 1}
    work_off()
    assert (stands(one, person), places(person)) == ("b", [(course.pk, "active")])


# --- Conditions and events ------------------------------------------------------------------------------------------


def test_another_condition_is_asked_at_once(alice: Account) -> None:
    a, b = make_tag(alice), make_tag(alice)
    has, has_not = make_subscriber(alice), make_subscriber(alice)
    tags.add(b, has, NOW, cause=causes.OWNER)
    within = {"within": {"days": 9}}
    one = automation(alice, ask("c", a, "yes", None, **within), wait("yes"))
    add(one, has, has_not)
    told = publish(one, ask("c", b, "yes", None, **within), wait("yes"))
    assert (told.going.stops, told.going.leaves) == ({"yes": 1}, 0)
    work_off()
    assert (stands(one, has), stands(one, has_not)) == ("yes", "c")


def test_a_condition_without_a_limit_any_more_lets_nobody_stand(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, ask("c", a, "yes", "no", within={"days": 9}), wait("yes"), wait("no"))
    add(one, person)
    told = publish(one, ask("c", a, "yes", "no"), wait("yes"), wait("no"))
    assert told.going.stops == {"no": 1}
    work_off()
    assert stands(one, person) == "no"


def test_another_event_counts_from_now(alice: Account) -> None:
    a, b, person = make_tag(alice), make_tag(alice), make_subscriber(alice)
    one = automation(alice, tagged("e", a, "b", already=False), wait("b"))
    add(one, person)
    tags.add(b, person, NOW, cause=causes.OWNER)
    work_off()
    publish(one, tagged("e", b, "b"), wait("b"), now=LATER)
    work_off(LATER)
    assert stands(one, person) == "e"
    tags.remove(b, person, LATER, cause=causes.OWNER)
    tags.add(b, person, LATER, cause=causes.OWNER)
    work_off(LATER)
    assert stands(one, person) == "b"


def test_whoever_waits_at_a_deleted_event_waits_on_behind_the_scenes(alice: Account) -> None:
    a, inside, before = make_tag(alice), make_subscriber(alice), make_subscriber(alice)
    one = automation(alice, wait("w", "e"), tagged("e", a, "b"), wait("b"))
    add(one, inside, before)
    by_hand.move(one, inside.pk, "e", NOW, cause=causes.OWNER)
    assert publish(one, wait("w", "b"), wait("b")).going.n == 0
    work_off()
    assert counts(one) == {"e": 1, "w": 1}
    for person in (inside, before):
        tags.add(a, person, NOW, cause=causes.OWNER)
    work_off()
    assert (stands(one, inside), stands(one, before)) == ("b", "w")


def test_or_goes_on_at_once(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, tagged("e", a, "b"), wait("b"))
    add(one, person)
    told = publish(one, wait("b"), e={"wait": "end"})
    assert told.going.stops == {"b": 1}
    work_off()
    assert stands(one, person) == "b"


def test_whom_it_sends_out_leaves_also_while_nobody_may_walk(alice: Account) -> None:
    unconfirmed, person = make_subscriber(alice, state="inactive"), make_subscriber(alice)
    one = automation(alice, wait("w"))
    add(one, unconfirmed, person)
    by_hand.move(one, unconfirmed.pk, "w", NOW, cause=causes.OWNER)
    switch(one, "paused")
    told = publish(one, w={"wait": "end"})
    assert (told.going.n, told.going.leaves) == (2, 2)
    work_off()
    assert counts(one) == {} and left(one, person) == "removed_by_edit"


def test_a_deleted_condition_leads_by_the_branch_that_is_named(alice: Account) -> None:
    a, first, second = make_tag(alice), make_subscriber(alice), make_subscriber(alice)
    nodes = ask("c", a, "yes", "no"), wait("yes"), wait("no")
    for person, branch in ((first, "yes"), (second, "no")):
        one = automation(alice, wait("w", "c"), *nodes)
        add(one, person)
        publish(one, *nodes[1:], c={"branch": branch})
        work_off(NOW + 3 * DAY)
        assert stands(one, person) == branch


# --- Starts, new nodes and entries ----------------------------------------------------------------------------------


def test_another_start_holds_for_whoever_is_still_at_the_entry(alice: Account) -> None:
    one, person = automation(alice, wait("a"), wait("b"), status="paused"), make_subscriber(alice)
    add(one, person)
    one = draft(one, wait("a"), wait("b"), start="b")
    told = automation_impact.of_publish(one, None, NOW)
    assert (told.start, [(at.key, at.n) for at in told.nodes]) == (("a", "b"), [("", 1)])
    publishing.publish(one, NOW, token=told.token)
    switch(one, "active")
    work_off()
    assert stands(one, person) == "b"


def test_a_new_node_touches_only_those_who_come_to_it(alice: Account) -> None:
    one, first, second = automation(alice, wait("a")), make_subscriber(alice), make_subscriber(alice)
    add(one, first)
    told = publish(one, wait("new", "a"), wait("a"))
    assert told.going.n == 0 and all(not at.n for at in told.nodes)
    add(one, second)
    work_off()
    assert (stands(one, first), stands(one, second)) == ("a", "new")


def test_a_new_entry_catches_only_what_happens_later(alice: Account) -> None:
    a, early, late = make_tag(alice), make_subscriber(alice), make_subscriber(alice)
    one = automation(alice, wait("a"))
    tags.add(a, early, NOW, cause=causes.OWNER)
    work_off()
    one = draft(one, wait("a"), entries=[{"trigger": "tag_added", "tag_id": a.pk}])
    publishing.publish(one, NOW)
    tags.add(a, late, NOW, cause=causes.OWNER)
    work_off()
    assert (stands(one, early), stands(one, late)) == (None, "a")


def test_while_it_does_not_run_nobody_goes_on_by_an_edit(alice: Account) -> None:
    a, person = make_tag(alice), make_subscriber(alice)
    one = automation(alice, ask("c", a, "yes", "no", within={"days": 9}), wait("yes"), wait("no"))
    add(one, person)
    one = switch(one, "paused")
    told = publish(one, ask("c", a, "yes", "no"), wait("yes"), wait("no"))
    assert told.going.n == 0
    work_off()
    assert stands(one, person) == "c"
    switch(one, "active")
    work_off()
    assert stands(one, person) == "no"


# --- Any graph, any edit --------------------------------------------------------------------------------------------

KEYS = "abcdef"


@st.composite
def drafts(draw: st.DrawFn) -> list[tuple[str, str | None, int]]:
    """Kept nodes, each with where it leads and a number that changes its settings."""
    kept = [key for key in KEYS if draw(st.booleans())]
    return [
        (key, draw(st.sampled_from([None, *kept[place + 1 :]])), draw(st.integers(1, 3)))
        for place, key in enumerate(kept)
    ]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(drafts(), min_size=2, max_size=4), st.data())
def test_through_any_edits_everybody_inside_has_a_node_and_gets_to_the_end(
    alice: Account, histories: list[list[tuple[str, str | None, int]]], data: st.DataObject
) -> None:
    """Whoever is put anywhere stands at a node that there is, edit after edit, and nobody stays for ever."""
    course, mark = make_sequence(alice, WELCOME, SECOND), make_tag(alice)

    def nodes(of: list[tuple[str, str | None, int]]) -> list[dict[str, Any]]:
        makers: dict[str, Any] = {
            "a": lambda key, to, n: wait(key, to, days=n),
            "b": lambda key, to, n: ask(key, mark, None, to, within={"days": n}),
            "c": lambda key, to, n: tagged(key, mark, to, within={"days": n}, otherwise=to),
            "d": lambda key, to, n: wait(key, to, hours=n),
            "e": lambda key, to, n: sequence(key, course.pk, to, wait=[False, "completed", "last_email"][n - 1]),
            "f": lambda key, to, n: ask(key, mark, to, to),
        }
        return [makers[key](key, to, n) for key, to, n in of]

    one, now = automation(alice, *nodes(histories[0])), NOW
    people = []
    for after in histories[1:]:
        for key in [None, *(node.key for node in verbs.published(one).living)]:
            person = make_subscriber(alice)
            add(one, person, now=now)
            if key is not None and stands(one, person) is not None:
                by_hand.move(one, person.pk, key, now, cause=causes.OWNER)
            people.append(person)
        saved = draft(one, *nodes(after), now=now)
        if saved.draft is None:
            continue
        offered = automation_impact.of_publish(saved, None, now)
        choices = {
            at.key: {name: data.draw(st.sampled_from(of)) for name, of in at.change.offers.items()}
            for at in offered.nodes
            if at.change and at.change.offers
        }
        publish(one, *nodes(after), now=now, **choices)
        assert_everybody_has_a_node(one)
        work_off(now)
        assert_everybody_has_a_node(one)
        now += DAY
    for _ in range(20):
        work_off(now)
        now += DAY
    assert_everybody_has_a_node(one)
    assert set(counts(one)) <= {"e"}  # the sequence is mailed by the engine, which does not run here


def assert_everybody_has_a_node(one: Automation) -> None:
    keys = {"", *Node.objects.filter(automation=one).values_list("key", flat=True)}
    living = {None, *Node.objects.filter(automation=one, deleted_at=None).values_list("key", flat=True)}
    assert set(counts(one)) <= keys
    gone = Node.objects.filter(automation=one, deleted_at__isnull=False)
    assert set(gone.values_list("leads_to", flat=True)) <= living
    assert not Walk.objects.filter(automation=one.pk, left_at=None).exclude(node__in=keys).exists()
