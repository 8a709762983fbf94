"""What an act on an automation would do is told before it is done, and is what then happens."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.automations import people as by_hand
from dripstone.automations import verbs, words
from dripstone.automations.models import Automation, Walk
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.explain import automation_impact_words
from dripstone.foresight import automation_impact, going
from dripstone.subscribers import fields, subscribe, tags
from dripstone.subscribers.models import Tag
from tests.automations.making import (
    DAY,
    NOW,
    Node,
    add,
    ask,
    automation,
    counts,
    draft,
    publish,
    sequence,
    switch,
    tag,
    tagged,
    wait,
    work_off,
)
from tests.factories import make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

LATER = NOW + 4 * DAY
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a whole life takes seconds: none is made smaller


def everything() -> list[Any]:
    """Every row of every table an act can touch."""
    found = []
    tables = ["automation", "node", "walk", "step", "errand", "nodedate"]
    with connection.cursor() as cursor:
        for table in [*(f"automations_{one}" for one in tables), "engine_enrollment", "events_event"]:
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
            found.append(cursor.fetchall())
    return found


def said(told: automation_impact.AutomationImpact, alice: Account, **choice: Any) -> str:
    return automation_impact_words.summary(told, words.names_of([told.graph], alice.pk), **choice)


def switched(one: Automation, status: str, now: Any = NOW, **choices: Any) -> automation_impact.AutomationImpact:
    one.refresh_from_db()
    return automation_impact.of_switch(one, status, now, **choices)


# --- It is what happens ---------------------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn, mark: Tag, other: Tag, course: int) -> list[Node]:
    """Any of nodes that ask, split and wait, a key of one kind for good."""
    kept = [key for key in "abcdefg" if draw(st.booleans())] or ["a"]
    found = []
    for place, key in enumerate(kept):
        target = st.sampled_from([None, *kept[place + 1 :]])
        x, y, tag_of, n = draw(target), draw(target), draw(st.sampled_from([mark, other])), draw(st.integers(1, 5))
        has = {"type": "tags", "ids": [tag_of.pk]}
        found.append(
            {
                "a": wait(key, x, days=n),
                "b": ask(key, tag_of, x, y, **({"within": {"days": n}} if n > 2 else {})),
                "c": tagged(key, tag_of, x, within={"days": n}, otherwise=y),
                "d": {"id": key, "kind": "split", "branches": [{"if": has, "next": x}], "otherwise": y},
                "e": {
                    "id": key,
                    "kind": "split",
                    "branches": [{"percent": 20 * n, "next": x}, {"percent": 100 - 20 * n, "next": y}],
                },
                "f": sequence(key, course, x, wait=[False, "completed"][n % 2]),
                "g": wait(key, x, until={"weekdays": ["tuesday"], "hour": 9}),
            }[key]
        )
    return found


@settings(max_examples=8, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_where_everybody_goes_at_once_is_foretold(alice: Account, data: st.DataObject) -> None:
    """Any graph, any edit, with people anywhere; then it is paused, and switched on again."""
    mark, other, course = make_tag(alice), make_tag(alice), make_sequence(alice, {"subject": "hi", "delay_value": 0})
    one = automation(alice, *data.draw(graphs(mark, other, course.pk)))
    for n in range(12):
        person = make_subscriber(alice, state="inactive" if n == 7 else "active")
        for each in (mark, other):
            if data.draw(st.booleans()):
                tags.add(each, person, NOW, cause=causes.API)
        add(one, person)
        keys = [node.key for node in verbs.published(one).living]
        if by_hand.walk_of(one, person.pk) is not None and (key := data.draw(st.sampled_from([None, *keys]))):
            by_hand.move(one, person.pk, key, NOW, cause=causes.OWNER)
    work_off()
    saved = draft(one, *data.draw(graphs(mark, other, course.pk)))
    if saved.draft is not None:
        offered = automation_impact.of_publish(saved, None, NOW)
        choices: dict[str, Any] = {
            at.key: {name: data.draw(st.sampled_from(of)) for name, of in at.change.offers.items()}
            for at in offered.nodes
            if at.change and at.change.offers
        }
        before = counts(one)
        told = publish(one, *saved.draft["nodes"], **choices)
        assert_so(one, told, before, NOW)
    switch(one, "paused")
    later = NOW + data.draw(st.integers(0, 6)) * DAY
    before = counts(one)
    told = switched(one, "active", later)
    switch(one, "active", later)
    assert_so(one, told, before, later)


def assert_so(one: Automation, told: automation_impact.AutomationImpact, before: dict[str, int], now: Any) -> None:
    """By how many stand where afterwards. Whoever comes to a node from which others go counts as standing there."""
    n_before = sum(before.values())
    assert told.n_inside == n_before
    work_off(now)
    after = counts(one)
    if not told.going.is_about and not told.going.unknown:
        assert n_before - sum(after.values()) == told.going.leaves
        arrived = Walk.objects.filter(automation=one.pk, left_at=None, arrived_at=now, is_begun=True)
        stopped = Counter(arrived.exclude(node="").values_list("node", flat=True))
        if now > NOW:  # at one instant nobody can tell who has come by this
            assert stopped == +told.going.stops


# --- Forks, sequences and acts on the way ---------------------------------------------------------------------------


def test_shares_are_counted_as_walking_reckons_them(alice: Account) -> None:
    branches = [{"percent": percent, "next": key} for percent, key in ((20, "a"), (30, "b"), (50, None))]
    nodes = [wait("w", "s", days=1), {"id": "s", "kind": "split", "branches": branches}, wait("a"), wait("b")]
    one = automation(alice, *nodes)
    add(one, *(make_subscriber(alice) for _ in range(40)))
    switch(one, "paused")
    found = switched(one, "active", LATER).going
    switch(one, "active", LATER)
    work_off(LATER)
    assert (found.stops, found.leaves) == (counts(one), 40 - sum(counts(one).values())) and found.leaves > 5


def test_many_are_told_of_by_the_shares(alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(going, "MOST_RECKONED", 10)
    a, people = make_tag(alice), [make_subscriber(alice) for _ in range(20)]
    branches = [{"percent": 50, "next": "q"}, {"percent": 50, "next": None}]
    nodes = [wait("w", "s", days=1), {"id": "s", "kind": "split", "branches": branches}, ask("q", a, "y", "n")]
    one = automation(alice, *nodes, wait("y"), wait("n"))
    add(one, *people)
    for person in people[:12]:
        tags.add(a, person, NOW, cause=causes.API)
    switch(one, "paused")
    found = switched(one, "active", LATER).going
    assert (found.stops, found.leaves, found.is_about) == ({"y": 6, "n": 4}, 10, True)


def test_who_enters_a_sequence_and_is_mailed_at_once(alice: Account) -> None:
    at_once = make_sequence(alice, {"subject": "now", "delay_value": 0})
    people = [make_subscriber(alice) for _ in range(4)]
    make_enrollment(at_once, people[0])
    Enrollment.objects.filter(subscriber=make_enrollment(at_once, people[1]).subscriber).update(
        status="completed", completed_at=NOW, next_email=None, due_at=None, in_flight=False
    )
    later = make_sequence(alice, {"subject": "later", "delay_value": 1})
    nodes = [wait("w", "s", days=1), sequence("s", at_once.pk, "t"), sequence("t", later.pk, wait=False)]
    one = automation(alice, *nodes)
    add(one, *people)
    switch(one, "paused")
    found = switched(one, "active", LATER).going
    assert (found.enters, found.mailed) == (Counter({at_once.pk: 2, later.pk: 1}), Counter({at_once.pk: 2}))
    assert (found.stops, found.leaves) == (Counter({"s": 3}), 1)


def test_calls_and_mail_to_the_owner_are_counted_and_acts_may_change_conditions_behind_them(alice: Account) -> None:
    a = make_tag(alice)
    call = {"id": "c", "kind": "call", "url": "https://example.org/hook", "next": "m"}
    mail = {"id": "m", "kind": "mail_owner", "text": "Somebody is here", "next": "t"}
    one = automation(alice, wait("w", "c", days=1), call, mail, tag("t", a, "q"), ask("q", a, "end"), wait("end"))
    add(one, make_subscriber(alice), make_subscriber(alice))
    switch(one, "paused")
    told = switched(one, "active", LATER)
    assert (told.going.called, told.going.told, told.going.acted, told.going.is_about) == (2, 2, {"t": 2}, True)
    assert "2 people have a call made about them at once" in said(told, alice)


def test_more_forks_than_it_follows_are_said_to_be_unknown(alice: Account) -> None:
    nodes = [wait("w", "f0", days=1)]
    for n in range(going.MOST_CROWDS + 5):
        nodes.append(tag(f"f{n}", make_tag(alice, name=f"Tag {n}"), f"f{n + 1}"))
    nodes.append(wait(f"f{going.MOST_CROWDS + 5}"))
    one = automation(alice, *nodes)
    add(one, make_subscriber(alice))
    switch(one, "paused")
    told = switched(one, "active", LATER)
    assert (told.going.n, told.going.unknown, told.going.stops) == (1, 1, {})


def test_a_new_date_in_a_field_is_not_known_before(alice: Account) -> None:
    field, _ = fields.create(alice.pk, {"label": "Party"}, NOW, cause=causes.OWNER)
    given = {"email_address": "bob@example.org", "fields": {field.key: "2026-12-24"}}
    person = subscribe.upsert(alice.pk, given, NOW, cause=causes.API).subscriber
    until = {"custom_field_id": field.pk, "days": 0, "hour": 9}
    one = automation(alice, wait("w", until=until))
    add(one, person)
    draft(one, wait("w", until=until | {"days": -60}))
    one.refresh_from_db()
    told = automation_impact.of_publish(one, None, NOW, {"nodes": {"w": {"dates": "anew"}}})
    assert (told.going.unknown, told.going.leaves) == (1, 0)


# --- It changes nothing, and says who ---------------------------------------------------------------------------------


def test_asking_changes_nothing(alice: Account) -> None:
    course = make_sequence(alice, {"subject": "hi", "delay_value": 0})
    one = automation(alice, wait("w", "s", days=1), sequence("s", course.pk))
    add(one, make_subscriber(alice), make_subscriber(alice))
    draft(one, sequence("s", course.pk))
    one.refresh_from_db()
    before = everything()
    automation_impact.of_publish(one, None, NOW)
    automation_impact.of_switch(one, "inactive", NOW)
    automation_impact.of_removal(one, NOW, "end")
    person = Walk.objects.earliest("pk").subscriber_id
    automation_impact.of_move(one, person, "s", NOW, cause=causes.OWNER)
    automation_impact.of_adding(one, [make_subscriber(alice).pk], NOW, cause=causes.OWNER)
    assert everything() == before


def test_it_names_the_first_twenty(alice: Account) -> None:
    one = automation(alice, wait("w"))
    people = [make_subscriber(alice, first_name=f"P{n}") for n in range(25)]
    add(one, *people[:24])
    nameless = make_subscriber(alice, first_name=None, email_address="nobody@example.org")
    other = automation(alice, wait("w"), name="Other")
    add(other, nameless)
    told = automation_impact.of_removal(one, NOW, "end")
    assert [(at.n, at.names) for at in told.nodes] == [(24, [f"P{n}" for n in range(20)])]
    assert automation_impact.of_removal(other, NOW, "end").nodes[0].names == ["nobody@example.org"]


def test_it_is_written_as_json_with_what_may_be_chosen(alice: Account) -> None:
    a, course = make_tag(alice), make_sequence(alice, {"subject": "hi", "delay_value": 0})
    one = automation(alice, sequence("s", course.pk, "q"), ask("q", a, "x", "y"), wait("x"), wait("y"))
    add(one, make_subscriber(alice, first_name="Ann"))
    draft(one, wait("x"), wait("y"))
    one.refresh_from_db()
    told = automation_impact.of_publish(one, None, NOW).as_json()
    assert (told["act"], told["inside"], len(told["token"])) == ("publish", 1, 20)
    assert told["nodes"] == [
        {
            "id": "s",
            "kind": "sequence",
            "people": 1,
            "names": ["Ann"],
            "overdue": 0,
            "what": "deleted",
            "then": "finish",
            "leads_to": {"next": "y"},
            "choices": {"sequence": {"options": ["finish", "leave"], "chosen": "finish"}},
        },
        {
            "id": "q",
            "kind": "condition",
            "people": 0,
            "names": [],
            "overdue": 0,
            "what": "deleted",
            "then": "keep_date",
            "leads_to": {"next": "y"},
            "choices": {
                "wait": {"options": ["keep", "end"], "chosen": "keep"},
                "branch": {"options": ["no", "yes"], "chosen": "no"},
            },
        },
    ]
    assert told["at_once"]["people"] == 0 and told["start"] == {"before": "s", "after": "x"}


# --- In words -----------------------------------------------------------------------------------------------------


def test_an_edit_in_words(alice: Account) -> None:
    one = automation(alice, wait("a", "b", days=2), wait("b", "c", days=5), wait("c"))
    add(one, make_subscriber(alice))
    told = publish(one, wait("b", "c", days=6), wait("c"))
    assert said(told, alice) == (
        "1 person waits on at “Wait 2 days”, which is deleted, as they would have, and then goes on to “Wait 6 days”."
    )
    other = automation(alice, wait("a"), name="Other")
    draft(other, wait("b"))
    other.refresh_from_db()
    assert said(automation_impact.of_publish(other, None, NOW), alice).startswith("Nobody is inside")


def test_a_switch_and_a_deletion_in_words(alice: Account) -> None:
    course = make_sequence(alice, {"subject": "hi", "delay_value": 0}, name="Welcome")
    one = automation(alice, wait("w", "s", days=1), sequence("s", course.pk))
    add(one, make_subscriber(alice), make_subscriber(alice))
    assert said(switched(one, "paused"), alice) == (
        "2 people keep their place, and nobody walks on until it runs again."
    )
    switch(one, "paused")
    told = switched(one, "active", LATER)
    assert said(told, alice).startswith(
        "2 people get the first email of “Welcome” at once; 2 people go on at once, and"
    )
    late = switched(one, "active", LATER, overdue="leave", older_than=timedelta(hours=1))
    assert said(late, alice) == "2 people leave, since their wait was over too long ago."
    switch(one, "active", LATER)
    work_off(LATER)
    gone = automation_impact.of_removal(one, LATER, "end")
    assert said(gone, alice, sequences="end") == (
        "2 people leave the automation; 2 people are taken out of the sequence where they stand."
    )
    assert said(gone, alice, sequences="finish").endswith(
        "stay in the sequence where they stand, and get the rest of it."
    )


def test_choices_in_words(alice: Account) -> None:
    a, course = make_tag(alice), make_sequence(alice, {"subject": "hi", "delay_value": 0})
    half = [{"percent": 50, "next": None}, {"percent": 50, "next": None}]
    one = automation(
        alice,
        sequence("s", course.pk, "q"),
        ask("q", a, "p", None, within={"days": 2}),
        {"id": "p", "kind": "split", "branches": half},
        tagged("e", a, None, within={"days": 1}, otherwise=None),
        wait("w"),
    )
    draft(one, wait("w", days=9))
    one.refresh_from_db()
    told = automation_impact.of_publish(one, None, NOW)
    names = words.names_of([told.graph], alice.pk)
    found: dict[str, list[str]] = {}
    for at, _, options in automation_impact_words.choices(told, names):
        found.setdefault(at.key, []).extend(text for _, text in options)
    waits = ["Wait to the end, and go on then", "Wait no longer, and go on now"]
    assert found == {
        "s": ["Finish the sequence, and go on then", "Leave the sequence now, and go on"],
        "q": [*waits, "By “not within 2 days”", "By “yes”"],
        "p": ["By “50%”", "By “50%”"],
        "e": [*waits, "By “not within 1 day”", "As if it had happened"],
        "w": ["Keep the dates they have", "Give them new dates, counted from when they came there"],
    }
