"""Graphs as people give them: what is kept of one, and what is refused in which words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone import grammar
from dripstone.accounts.models import Account
from dripstone.automations import graph as graphs
from dripstone.automations import kinds, reading, words
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation
from dripstone.errors import Invalid, Problem
from dripstone.events import causes
from dripstone.purchases.models import Product
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields, forms
from dripstone.subscribers.models import CustomField, Form, Tag
from tests.factories import MONDAY_9, make_account, make_purchase, make_sequence, make_tag

pytestmark = pytest.mark.django_db

Json = dict[str, Any]


@dataclass(frozen=True)
class Things:
    tag: Tag
    form: Form
    sequence: Sequence
    field: CustomField
    product: Product
    other: Automation


@pytest.fixture
def things(alice: Account) -> Things:
    stamps = {"status_at": MONDAY_9, "made_at": MONDAY_9, "changed_at": MONDAY_9}
    return Things(
        tag=make_tag(alice, name="Course"),
        form=forms.create(alice.pk, {"name": "News"}, MONDAY_9),
        sequence=make_sequence(alice, {}, name="Welcome"),
        field=fields.create(alice.pk, {"label": "Birthday"}, MONDAY_9, cause=causes.API)[0],
        product=Product.objects.get(pk=make_purchase(alice).lines.get().product_id),
        other=Automation.objects.create(account=alice, name="Other", **stamps),
    )


def read(account: Account, given: Json, **known: str) -> Graph:
    return reading.read(given, account, known=known)


def kept(account: Account, given: Json) -> Json:
    return graphs.as_json(read(account, given))


def refused(account: Account, *nodes: Any, **more: Any) -> dict[str | None, str]:
    with pytest.raises(Invalid) as caught:
        read(account, {"nodes": list(nodes), **more})
    return dict(caught.value.problems)


def one_node(account: Account, **node: Any) -> Json:
    """As it is kept, without the id."""
    [found] = kept(account, {"nodes": [{"id": "a", **node}]})["nodes"]
    assert found.pop("id") == "a"
    return found  # type: ignore[no-any-return]


def has(tag: Tag) -> Json:
    return {"type": "tags", "ids": [tag.pk]}


# --- What is kept -------------------------------------------------------------------------------------------------


def test_the_example_of_the_reference_is_kept_as_it_is_given(alice: Account, things: Things) -> None:
    graph: Json = {
        "entries": [{"id": "a", "trigger": "tag_added", "tag_id": things.tag.pk}],
        "start": "welcome",
        "nodes": [
            {
                "id": "welcome",
                "kind": "sequence",
                "sequence_id": things.sequence.pk,
                "wait": "completed",
                "next": "bought",
            },
            {
                "id": "bought",
                "kind": "condition",
                "if": {"type": "tags", "ids": [things.tag.pk]},
                "within": {"days": 2},
                "yes": None,
                "no": "pause",
            },
            {"id": "pause", "kind": "wait", "for": {"days": 3}, "next": "morning"},
            {"id": "morning", "kind": "wait", "until": {"weekdays": ["monday"], "hour": 9}, "next": "ab"},
            {
                "id": "ab",
                "kind": "split",
                "branches": [{"percent": 50, "next": "nudge"}, {"percent": 50, "next": None}],
            },
            {"id": "nudge", "kind": "tag", "tag_id": things.tag.pk, "next": None},
        ],
    }
    assert kept(alice, graph) == graph
    found = read(alice, graph)
    assert found.exits_of("ab") == [("0", "nudge"), ("1", None)]
    assert found.nodes["bought"].exits == {"yes": None, "no": "pause"}
    assert found.nodes["ab"].settings == {"branches": [{"percent": 50}, {"percent": 50}]}


def test_an_empty_graph_is_one(alice: Account) -> None:
    empty: Json = {"entries": [], "start": None, "nodes": []}
    assert kept(alice, {}) == kept(alice, empty) == kept(alice, {"nodes": None, "entries": "[]"}) == empty


def test_a_form_hands_the_lists_over_as_text(alice: Account, things: Things) -> None:
    given = {"entries": '[{"trigger": "became_active"}]', "nodes": '[{"id": "a", "kind": "unsubscribe"}]', "start": "a"}
    assert kept(alice, given)["nodes"] == [{"id": "a", "kind": "unsubscribe"}]


def test_entries_without_an_id_get_one_that_is_free(alice: Account, things: Things) -> None:
    triggers = [{"trigger": "became_active"}, {"trigger": "purchased", "id": "e1"}, {"trigger": "form_joined"}]
    found = kept(alice, {"entries": triggers})["entries"]
    assert [(one["id"], one["trigger"]) for one in found] == [
        ("e2", "became_active"),
        ("e1", "purchased"),
        ("e3", "form_joined"),
    ]


def test_an_entry_that_says_the_same_as_one_before_is_dropped(alice: Account) -> None:
    twice = [{"id": "a", "trigger": "became_active"}, {"id": "b", "trigger": "became_active"}]
    assert kept(alice, {"entries": twice})["entries"] == twice[:1]


@pytest.mark.parametrize(("holds", "wait"), [(False, "completed"), (True, "last_email")])
def test_who_is_in_a_sequence_that_holds_waits_for_its_last_email(alice: Account, holds: bool, wait: str) -> None:
    sequence = make_sequence(alice, hold=holds)
    assert one_node(alice, kind="sequence", sequence_id=sequence.pk)["wait"] == wait
    assert one_node(alice, kind="sequence", sequence_id=sequence.pk, wait=False)["wait"] is False


def test_a_wait_has_the_hour_at_which_the_account_sends(things: Things, alice: Account) -> None:
    hour = alice.send_hour
    on_days = one_node(alice, kind="wait", until={"weekdays": ["friday", "monday"]})
    assert on_days == {"kind": "wait", "until": {"weekdays": ["monday", "friday"], "hour": hour}, "next": None}
    of_field = one_node(alice, kind="wait", until={"custom_field_id": things.field.pk})
    assert of_field["until"] == {"custom_field_id": things.field.pk, "days": 0, "hour": hour}
    assert "otherwise" not in of_field
    leaves = one_node(alice, kind="wait", until={"custom_field_id": things.field.pk}, otherwise=None)
    assert leaves["otherwise"] is None


def test_an_instant_without_an_offset_is_one_of_the_account(alice: Account) -> None:
    Account.objects.filter(pk=alice.pk).update(time_zone="America/New_York")
    alice.refresh_from_db()
    assert one_node(alice, kind="wait", until={"at": "2027-01-02"})["until"] == {"at": "2027-01-02T00:00:00-05:00"}
    assert one_node(alice, kind="event", trigger="date", at="2027-07-02T09:00Z")["at"] == "2027-07-02T05:00:00-04:00"


@pytest.mark.parametrize(
    ("trigger", "already"),
    [
        ("tag_added", True),
        ("form_joined", True),
        ("purchased", True),
        ("field_date", True),
        ("date", True),
        ("sequence_entered", False),
        ("sequence_completed", False),
        ("sequence_left", False),
        ("became_active", False),
        ("tag_removed", None),
        ("field_changed", None),
        ("link_clicked", None),
    ],
)
def test_an_event_knows_whether_what_it_leaves_behind_counts(
    alice: Account, things: Things, trigger: str, already: bool | None
) -> None:
    members = {
        "tag_id": things.tag.pk,
        "form_id": things.form.pk,
        "sequence_id": things.sequence.pk,
        "custom_field_id": things.field.pk,
        "at": "2027-01-01",
    }
    found = one_node(alice, kind="event", trigger=trigger, **members)
    assert found.get("already") is already
    if already is None:
        assert "already" not in one_node(alice, kind="event", trigger=trigger, **members, already=False)
        problems = refused(alice, {"id": "a", "kind": "event", "trigger": trigger, **members, "already": True})
        assert list(problems) == ["nodes[0].already"]
    else:
        turned = one_node(alice, kind="event", trigger=trigger, **members, already=not already)
        assert turned["already"] is not already


def test_a_value_of_a_field_leaves_something_behind(alice: Account, things: Things) -> None:
    found = one_node(
        alice, kind="event", trigger="field_changed", custom_field_id=things.field.pk, value="x", already=True
    )
    assert found["already"] is True


def test_a_condition_in_the_old_form_is_kept_in_the_grammar(alice: Account, things: Things) -> None:
    old = {"match": "all", "conditions": [{"type": "tag", "operator": "in", "ids": [things.tag.pk]}]}
    found = one_node(alice, kind="condition", **{"if": old})["if"]
    assert [leaf["type"] for leaf in grammar.leaves(found)] == ["tags"]
    assert "match" not in found


def test_what_was_named_before_may_be_written_back_when_it_is_gone(alice: Account, things: Things) -> None:
    nodes = [
        {"id": "a", "kind": "tag", "tag_id": things.tag.pk, "next": "b"},
        {"id": "b", "kind": "condition", "if": has(things.tag), "yes": None, "no": None},
    ]
    before = reading.all_things(read(alice, {"nodes": nodes}))
    assert before == {("tag", things.tag.pk)}
    things.tag.delete()
    assert {*refused(alice, *nodes)} == {"nodes[0].tag_id", "nodes[1].if.ids"}
    assert reading.read({"nodes": nodes}, alice, known={}, may_be_gone=before).nodes.keys() == {"a", "b"}


def test_what_is_named_is_told_by_node_and_entry(alice: Account, things: Things) -> None:
    tag, field, sequence = ("tag", things.tag.pk), ("custom_field", things.field.pk), ("sequence", things.sequence.pk)
    branches: list[Json] = [{"if": has(things.tag), "next": None}, {"if": {"all": []}, "next": None}]
    graph = read(
        alice,
        {
            "entries": [{"id": "a", "trigger": "sequence_left", "sequence_id": things.sequence.pk}],
            "nodes": [
                {"id": "a", "kind": "move", "automation_id": things.other.pk, "way": "in"},
                {"id": "b", "kind": "wait", "until": {"custom_field_id": things.field.pk}},
                {"id": "c", "kind": "split", "branches": branches},
                {"id": "d", "kind": "event", "trigger": "purchased", "product_id": things.product.pk},
                {"id": "e", "kind": "sequence", "sequence_id": things.sequence.pk},
                {"id": "f", "kind": "call", "url": "https://example.com/"},
            ],
        },
    )
    assert reading.things(graph) == {
        "entry a": {sequence},
        "a": {("automation", things.other.pk)},
        "b": {field},
        "c": {tag},
        "d": {("product", things.product.pk)},
        "e": {sequence},
        "f": frozenset(),
    }


def test_as_many_queries_are_asked_for_many_nodes_as_for_two(
    alice: Account, things: Things, django_assert_max_num_queries: Any
) -> None:
    tag = things.tag.pk

    def nodes(n: int) -> Json:
        asking = [{"id": f"a{one}", "kind": "condition", "if": has(things.tag)} for one in range(n)]
        waiting = [{"id": f"b{one}", "kind": "event", "trigger": "tag_added", "tag_id": tag} for one in range(n)]
        sending = [{"id": f"c{one}", "kind": "sequence", "sequence_id": things.sequence.pk} for one in range(n)]
        return {"nodes": asking + waiting + sending}

    for n in (1, 60):
        with django_assert_max_num_queries(4):
            read(alice, nodes(n))


# --- What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        ({"kind": "dance"}, ("kind", "The node a: kind must be one of: sequence, wait, tag, untag, field, form")),
        ({}, ("kind", "The node a: kind can't be blank")),
        ({"kind": "tag"}, ("tag_id", "The node a: tag_id can't be blank")),
        ({"kind": "tag", "tag_id": 2**40}, ("tag_id", f"The node a: tag_id: tag {2**40} does not exist")),
        ({"kind": "field", "custom_field_id": "x"}, ("custom_field_id", "The node a: custom_field_id must be an id")),
        ({"kind": "unsubscribe", "next": "a"}, ("next", "The node a: next can't be: whoever is unsubscribed leaves")),
        ({"kind": "sequence", "sequence_id": 2**40}, ("sequence_id", "does not exist")),
        ({"kind": "wait"}, ("for", "The node a: for or until must be given")),
        ({"kind": "wait", "for": {"days": 1}, "until": {"at": "2027-01-01"}}, ("for", "and not both")),
        ({"kind": "wait", "for": {}}, ("for", "must have one of: minutes, hours, days, weeks")),
        ({"kind": "wait", "for": {"days": 1, "hours": 2}}, ("for", "must have one of")),
        ({"kind": "wait", "for": {"days": 0}}, ("for.days", "must be an integer between 1 and 3650")),
        ({"kind": "wait", "for": {"minutes": 525_601}}, ("for.minutes", "between 1 and 525600")),
        ({"kind": "wait", "for": {"weeks": 1.5}}, ("for.weeks", "must be an integer")),
        ({"kind": "wait", "for": 3}, ("for", "must be an object")),
        ({"kind": "wait", "for": {"days": 1}, "otherwise": "b"}, ("otherwise", "the date in a field")),
        ({"kind": "wait", "until": {}}, ("until", "must have one of: at, weekdays, custom_field_id")),
        ({"kind": "wait", "until": {"at": "soon"}}, ("until.at", "must be a date")),
        ({"kind": "wait", "until": {"at": "9999-12-31T23:59Z"}}, ("until.at", "between 1900-01-01 and 2999-12-31")),
        ({"kind": "event", "trigger": "date", "at": "0001-01-01"}, ("at", "between 1900-01-01 and 2999-12-31")),
        ({"kind": "wait", "until": {"weekdays": []}}, ("until", "must contain at least one day")),
        ({"kind": "wait", "until": {"weekdays": ["moonday"]}}, ("until.weekdays", "moonday")),
        ({"kind": "wait", "until": {"weekdays": ["monday"], "hour": 24}}, ("until.hour", "between 0 and 23")),
        ({"kind": "wait", "until": {"custom_field_id": 2**40}}, ("until.custom_field_id", "does not exist")),
        ({"kind": "condition"}, ("if", "The node a: if can't be blank")),
        ({"kind": "condition", "if": {"type": "tags", "ids": [2**40]}}, ("if.ids", "contains the unknown tag")),
        ({"kind": "condition", "if": {"all": []}, "within": {"days": 0}}, ("within.days", "between 1 and")),
        ({"kind": "condition", "if": {"all": []}, "next": "b"}, ("next", "is no way on from this kind of node")),
        ({"kind": "split"}, ("branches", "can't be blank")),
        ({"kind": "split", "branches": []}, ("branches", "can't be blank")),
        ({"kind": "split", "branches": {"a": 1}}, ("branches", "must be an array")),
        ({"kind": "split", "branches": [{}]}, ("branches[0].if", "can't be blank")),
        ({"kind": "split", "branches": [{"percent": 99}]}, ("branches", "add up to 100 percent, not to 99")),
        ({"kind": "split", "branches": [{"percent": 0.5}]}, ("branches[0].percent", "must be an integer")),
        ({"kind": "split", "branches": [{"percent": 100}], "otherwise": "b"}, ("otherwise", "not for shares")),
        ({"kind": "split", "branches": [{"percent": 100}] * 21}, ("branches", "can't have more than 20")),
        (
            {"kind": "split", "branches": [{"percent": 100}, {"if": {"all": []}}]},
            ("branches", "must all have if, or all percent"),
        ),
        ({"kind": "split", "branches": [{"percent": 100, "next": "x"}]}, ("branches[0].next", "there is no node x")),
        ({"kind": "event"}, ("trigger", "can't be blank")),
        ({"kind": "event", "trigger": "cancelled"}, ("trigger", "must be one of")),
        ({"kind": "event", "trigger": "date"}, ("at", "can't be blank")),
        ({"kind": "event", "trigger": "became_active", "otherwise": "b"}, ("otherwise", "needs within")),
        ({"kind": "move"}, ("automation_id", "can't be blank")),
        ({"kind": "move", "automation_id": 2**40, "way": "in"}, ("automation_id", "does not exist")),
        ({"kind": "move", "automation_id": 3, "way": "up"}, ("way", "must be one of: in, out")),
        ({"kind": "call", "url": "ftp://example.com"}, ("url", "url")),
        ({"kind": "mail_owner", "text": "{{ oops"}, ("text", "text")),
        ({"kind": "tag", "tag_id": 3, "next": 7}, ("next", "must be the id of a node, or null")),
        ({"kind": "unsubscribe", "id": "a b"}, ("id", "must be 1 to 40 letters, digits, hyphens and underscores")),
        ({"kind": "unsubscribe", "id": None}, ("id", "id can't be blank")),
    ],
)
def test_every_problem_is_told_by_its_member_and_names_the_node(
    alice: Account, node: Json, problem: tuple[str, str]
) -> None:
    member, sentence = problem
    found = refused(alice, {"id": "a", **node}, {"id": "b", "kind": "unsubscribe"})
    assert sentence in found[f"nodes[0].{member}" if f"nodes[0].{member}" in found else f"nodes[0].{member}.weekdays"]


def test_all_problems_are_told_together(alice: Account) -> None:
    found = refused(alice, {"id": "a", "kind": "tag"}, 7, {"kind": "wait"}, entries=[{"trigger": "date"}], start="zzz")
    assert set(found) == {
        "nodes[0].tag_id",
        "nodes[1]",
        "nodes[2].id",
        "nodes[2].for",
        "entries[0].trigger",
        "start",
    }
    assert found["start"] == "start: there is no node zzz"
    assert found["entries[0].trigger"].startswith("entries[0].trigger must be one of: form_joined")


@pytest.mark.parametrize(("name", "most"), [("nodes", 200), ("entries", 20)])
def test_there_are_limits(alice: Account, name: str, most: int) -> None:
    many = [{"id": f"n{number}", "kind": "unsubscribe", "trigger": "became_active"} for number in range(most + 1)]
    with pytest.raises(Invalid) as caught:
        read(alice, {name: many})
    assert caught.value.problems == [(name, f"{name} can't have more than {most} entries")]
    assert read(alice, {name: many[:most]})


def test_nodes_must_not_lead_in_a_circle(alice: Account, things: Things) -> None:
    def tag(key: str, to: str) -> Json:
        return {"id": key, "kind": "tag", "tag_id": things.tag.pk, "next": to}

    branches = [{"percent": 30, "next": None}, {"percent": 70, "next": "b"}]
    found = refused(alice, tag("a", "b"), tag("b", "c"), {"id": "c", "kind": "split", "branches": branches})
    assert found == {
        "nodes[2].branches[1].next": "The node c: branches[1].next: the way leads in a circle: b → c → b",
    }
    assert refused(alice, tag("a", "a")) == {"nodes[0].next": "The node a: next: the way leads in a circle: a → a"}


def test_an_id_stands_for_one_node_of_one_kind(alice: Account, things: Things) -> None:
    leave = {"id": "a", "kind": "unsubscribe"}
    found = refused(alice, leave, leave)
    assert found == {"nodes[1].id": "The node a: id is of another node, too: a"}
    with pytest.raises(Invalid) as caught:
        read(alice, {"nodes": [leave]}, a=kinds.TAG)
    [(member, sentence)] = caught.value.problems
    assert (member, sentence) == (
        "nodes[0].id",
        "The node a: id was a node of another kind (tag): give this one a new id",
    )
    assert read(alice, {"nodes": [leave]}, a=kinds.UNSUBSCRIBE)


def test_two_entries_have_two_ids(alice: Account) -> None:
    found = refused(alice, entries=[{"id": "a", "trigger": "became_active"}, {"id": "a", "trigger": "purchased"}])
    assert set(found) == {"entries[0].id", "entries[1].id"}


def test_it_moves_nobody_into_itself(alice: Account, things: Things) -> None:
    move = {"id": "a", "kind": "move", "automation_id": things.other.pk, "way": "in"}
    with pytest.raises(Invalid, match="is this automation itself"):
        reading.read({"nodes": [move]}, alice, known={}, own=things.other.pk)


def test_another_account_has_nothing_of_it(alice: Account, things: Things) -> None:
    mallory = make_account("Mallory")
    nodes = [
        {"id": "a", "kind": "tag", "tag_id": things.tag.pk},
        {"id": "b", "kind": "sequence", "sequence_id": things.sequence.pk},
        {"id": "c", "kind": "move", "automation_id": things.other.pk, "way": "out"},
        {"id": "d", "kind": "condition", "if": has(things.tag)},
        {"id": "e", "kind": "wait", "until": {"custom_field_id": things.field.pk}},
        {"id": "f", "kind": "event", "trigger": "form_joined", "form_id": things.form.pk},
    ]
    entries = [{"trigger": "purchased", "product_id": things.product.pk}]
    found = refused(mallory, *nodes, entries=entries)
    assert len(found) == 7
    assert all("does not exist" in sentence or "unknown" in sentence for sentence in found.values())


# --- Anything -----------------------------------------------------------------------------------------------------

MEMBERS = (
    *("id", "kind", "next", "yes", "no", "otherwise", "branches", "percent", "if", "within", "for", "until", "at"),
    *("days", "hour", "weekdays", "trigger", "tag_id", "custom_field_id", "value", "already", "wait", "way", "type"),
    *("automation_id", "sequence_id", "ids", "all", "url", "body", "text", "and_leave", "yearly", "minutes"),
)
plain = st.one_of(
    *(st.none(), st.booleans(), st.integers(-3, 2**65), st.floats(), st.text(max_size=3)),
    st.sampled_from([*kinds.ALL, "a", "b", "tags", "tag_added", "date", "field_date", "in", "9999-12-31T23:59Z"]),
)
anything: st.SearchStrategy[Any] = st.recursive(
    plain,
    lambda inside: st.one_of(
        st.lists(inside, max_size=3), st.dictionaries(st.sampled_from(MEMBERS), inside, max_size=5)
    ),
    max_leaves=12,
)
odd_nodes = st.fixed_dictionaries(
    {"id": st.sampled_from([*"abc", 7]), "kind": st.sampled_from([*kinds.ALL, None])},
    optional=dict.fromkeys(MEMBERS[2:], anything),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(nodes=st.one_of(anything, st.lists(odd_nodes, max_size=3)), entries=anything, start=anything)
def test_whatever_is_given_is_kept_or_refused_in_words(alice: Account, nodes: Any, entries: Any, start: Any) -> None:
    problems: list[Problem] = []
    graph = None
    try:
        graph = read(alice, {"nodes": nodes, "entries": entries, "start": start})
    except Invalid as refused:
        problems = refused.problems
    assert (graph is None) == bool(problems)
    assert all(isinstance(member, str) and sentence for member, sentence in problems)
    if graph is not None:
        named = reading.all_things(graph)
        assert reading.read(graphs.as_json(graph), alice, known={}, may_be_gone=named) == graph


# --- There and back -----------------------------------------------------------------------------------------------

spans = st.one_of(*(st.fixed_dictionaries({unit: st.integers(1, most)}) for unit, most in reading.MOST_OF.items()))
hours = st.integers(0, 23)
Draw = Callable[..., Any]


def _conditions(things: Things) -> st.SearchStrategy[Json]:
    leaf = st.sampled_from([has(things.tag), {"type": "subscriber_state", "states": ["active"]}])
    return st.one_of(
        leaf, st.fixed_dictionaries({"not": leaf}), st.fixed_dictionaries({"all": st.lists(leaf, min_size=1)})
    )


def _nodes(things: Things, to: st.SearchStrategy[str | None]) -> dict[str, st.SearchStrategy[Json]]:
    """By kind, its members but the id, as they are kept."""
    fixed, just = st.fixed_dictionaries, st.just
    on = {"next": to}
    condition, tag, field = _conditions(things), just(things.tag.pk), just(things.field.pk)
    shares = st.integers(0, 100).flatmap(
        lambda n: st.tuples(fixed({"percent": just(n), **on}), fixed({"percent": just(100 - n), **on})).map(list)
    )
    limited = {"within": spans, "otherwise": to}
    tag_added = {"trigger": just("tag_added"), "tag_id": tag, "already": st.booleans()}
    return {
        kinds.SEQUENCE: fixed(
            {"sequence_id": just(things.sequence.pk), "wait": st.sampled_from(kinds.SEQUENCE_WAITS), **on}
        ),
        kinds.WAIT: st.one_of(
            fixed({"for": spans, **on}),
            fixed({"until": just({"at": "2027-01-02T09:00:00+00:00"}), **on}),
            fixed({"until": fixed({"weekdays": just(["monday", "friday"]), "hour": hours}), **on}),
            fixed(
                {"until": fixed({"custom_field_id": field, "days": st.integers(-9, 9), "hour": hours}), **on},
                optional={"otherwise": to},
            ),
        ),
        kinds.TAG: fixed({"tag_id": tag, **on}),
        kinds.UNTAG: fixed({"tag_id": tag, **on}),
        kinds.FIELD: fixed({"custom_field_id": field, "value": st.sampled_from([None, "{{ subscriber.id }}"]), **on}),
        kinds.FORM: fixed({"form_id": just(things.form.pk), **on}),
        kinds.UNSUBSCRIBE: just({}),
        kinds.CONDITION: fixed({"if": condition, "yes": to, "no": to}, optional={"within": spans}),
        kinds.SPLIT: st.one_of(
            fixed({"branches": shares}),
            fixed({"branches": st.lists(fixed({"if": condition, **on}), min_size=1, max_size=3), "otherwise": to}),
        ),
        kinds.EVENT: st.one_of(
            fixed({**tag_added, **on}),
            fixed({**tag_added, **on, **limited}),
            fixed({"trigger": just("tag_removed"), "tag_id": tag, **on}),
        ),
        kinds.MOVE: fixed(
            {
                "automation_id": just(things.other.pk),
                "way": st.sampled_from(kinds.WAYS),
                "and_leave": st.booleans(),
                **on,
            }
        ),
        kinds.CALL: fixed({"url": just("https://example.com/hook"), **on}, optional={"body": just({"a": "b"})}),
        kinds.MAIL_OWNER: fixed({"text": just("Look"), **on}),
    }


@st.composite
def normal_graphs(draw: Draw, things: Things) -> Json:
    keys = list("abcdef"[: draw(st.integers(1, 6))])
    nodes = []
    for place, key in enumerate(keys):
        to = st.sampled_from([None, *keys[place + 1 :]])
        kind = draw(st.sampled_from(kinds.ALL))
        nodes.append({"id": key, "kind": kind, **draw(_nodes(things, to)[kind])})
    triggers: list[Json] = [{"trigger": "tag_added", "tag_id": things.tag.pk}, {"trigger": "became_active"}]
    entries = [{"id": f"in-{number}", **one} for number, one in enumerate(triggers) if draw(st.booleans())]
    return {"entries": entries, "start": draw(st.sampled_from([None, *keys])), "nodes": draw(st.permutations(nodes))}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_what_is_kept_is_read_as_the_same_and_said_in_words(
    alice: Account, things: Things, data: st.DataObject
) -> None:
    given = data.draw(normal_graphs(things))
    graph = read(alice, given)
    assert graphs.as_json(graph) == given
    assert graphs.from_json(given) == graph
    names = words.names_of([graph], alice.pk)
    for node in graph.nodes.values():
        sentence = words.node(node, names)
        assert sentence[0].isupper()
        assert "gone" not in sentence
        assert all(isinstance(words.way(node, name, names), str) for name, _ in graph.exits_of(node.key))


# --- In words -----------------------------------------------------------------------------------------------------


def test_nodes_and_their_exits_are_said_in_words(alice: Account, things: Things) -> None:
    field, on = things.field.pk, {"next": None}
    said: dict[str, Json] = {
        "Put them into the sequence “Welcome”, and wait until they have completed it": {
            "kind": "sequence",
            "sequence_id": things.sequence.pk,
            **on,
        },
        "Wait 3 days": {"kind": "wait", "for": {"days": 3}},
        "Wait 1 week": {"kind": "wait", "for": {"weeks": 1}},
        "Wait until Saturday, 2 January 2027 at 09:00": {"kind": "wait", "until": {"at": "2027-01-02T09:00"}},
        "Wait until the next Monday or Friday at 9:00": {
            "kind": "wait",
            "until": {"weekdays": ["monday", "friday"], "hour": 9},
        },
        "Wait until 2 days before the date in the field “Birthday”, at 9:00": {
            "kind": "wait",
            "until": {"custom_field_id": field, "days": -2, "hour": 9},
        },
        "Add the tag “Course”": {"kind": "tag", "tag_id": things.tag.pk},
        "Unsubscribe them": {"kind": "unsubscribe"},
        "Ask whether they have the tag “Course”": {"kind": "condition", "if": has(things.tag)},
        "Wait up to 2 days until they have the tag “Course”": {
            "kind": "condition",
            "if": has(things.tag),
            "within": {"days": 2},
        },
        "Split them by chance: 30%, 70%": {"kind": "split", "branches": [{"percent": 30}, {"percent": 70}]},
        "Go the first way that fits": {"kind": "split", "branches": [{"if": has(things.tag)}]},
        "Wait until the person gets the tag “Course”, at most 1 week, unless that is so already": {
            "kind": "event",
            "trigger": "tag_added",
            "tag_id": things.tag.pk,
            "within": {"weeks": 1},
        },
        "Put them into the automation “Other”, and leave this one": {
            "kind": "move",
            "automation_id": things.other.pk,
            "way": "in",
            "and_leave": True,
        },
        "Take them out of the automation “Other”": {"kind": "move", "automation_id": things.other.pk, "way": "out"},
    }
    nodes = [{"id": f"n{number}", **one} for number, one in enumerate(said.values())]
    graph = read(alice, {"nodes": nodes})
    names = words.names_of([graph], alice.pk)
    assert [words.node(one, names) for one in graph.nodes.values()] == list(said)
    ways = {
        (words.node(one, names), words.way(one, name, names))
        for one in graph.nodes.values()
        for name, _ in graph.exits_of(one.key)
    }
    assert ("Split them by chance: 30%, 70%", "70%") in ways
    assert ("Go the first way that fits", "if they have the tag “Course”") in ways
    assert ("Go the first way that fits", "otherwise") in ways
    assert ("Wait up to 2 days until they have the tag “Course”", "not within 2 days") in ways
    assert ("Add the tag “Course”", "") in ways
    things.tag.delete()
    gone = words.names_of([graph], alice.pk)
    assert (
        words.node(graph.nodes["n6"], gone)
        == f"Add the tag number {things.tag.pk or nodes[6]['tag_id']}, which is gone"
    )


def test_entries_are_said_in_one_sentence_and_each(alice: Account, things: Things) -> None:
    entries = [{"id": "a", "trigger": "tag_added", "tag_id": things.tag.pk}, {"id": "b", "trigger": "became_active"}]
    graph = read(alice, {"entries": entries})
    names = words.names_of([graph], alice.pk)
    assert words.entry(graph.entries, names) == "When somebody gets the tag “Course” or becomes active"
    assert words.entries(graph.entries, names) == [
        ("a", "When somebody gets the tag “Course”"),
        ("b", "When somebody becomes active"),
    ]
    assert words.entry([], names) == "Nobody enters by themselves"
