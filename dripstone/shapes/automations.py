"""Automations, their drafts, what is wrong with one, who is inside, and the log."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, NotRequired

from typing_extensions import TypedDict

from dripstone.accounts.models import Account
from dripstone.automations import counts, verbs, words
from dripstone.automations import graph as graphs
from dripstone.automations.graph import AT_ENTRY, Graph
from dripstone.automations.models import Automation, Step, Walk
from dripstone.automations.steps import Sequences
from dripstone.conditions.words import Names
from dripstone.explain import automation_impact_words, walk_words
from dripstone.explain.findings import Finding
from dripstone.explain.walk_words import Line, Passed
from dripstone.foresight.automation_impact import AutomationImpact
from dripstone.shapes.health import FindingShape, finding
from dripstone.shapes.instants import instant, instant_or_none
from dripstone.subscribers.models import Subscriber


class StepShape(TypedDict):
    """A node in words. `people`: who stand there. `deleted`: it was taken out while somebody stood there."""

    id: str
    sentence: str
    people: int
    deleted: bool


class AutomationShape(TypedDict):
    """`sentence`: what lets people in. `people` are inside, `at_entry` those of them who have not walked yet; the other
    counts are of all time. `steps` are in the answer about one automation."""

    id: int
    name: str
    status: str
    reenter: str
    entries: list[dict[str, Any]]
    start: str | None
    nodes: list[dict[str, Any]]
    sentence: str
    people: int
    at_entry: int
    entered: int
    left: int
    not_entered: int
    has_draft: bool
    status_since: str
    created_at: str
    updated_at: str
    steps: NotRequired[list[StepShape]]


class DraftShape(TypedDict):
    """`revision`: to be sent along when it is saved, so that nothing is overwritten that somebody else has saved."""

    entries: list[dict[str, Any]]
    start: str | None
    nodes: list[dict[str, Any]]
    revision: int
    changed_at: str | None
    changed_by: str | None


class AutomationImpactShape(TypedDict):
    """What an act would do to people: docs/reference/automations.md.

    summary            in one sentence
    inside             all counts are numbers of people
    nodes              where somebody stands, or something is to be chosen; `id` "" is the entry
    start              of an edit that sets another one
    at_once            what happens by the act itself
    unconfirmed        would go on at once, too, and will when they have confirmed
    leave_as_overdue   of those whose time is over
    take_next_slot     whose wait for a weekday and hour is over
    mailed_at_once     whose place in a sequence stood still, and who get its next email at once
    places             in sequences that it put people into and they stand at
    """

    act: str
    token: str
    summary: str
    inside: int
    nodes: list[dict[str, Any]]
    start: dict[str, str | None] | None
    at_once: dict[str, Any]
    unconfirmed: int
    leave_as_overdue: int
    take_next_slot: int
    mailed_at_once: int
    places: int


class AutomationFindingShape(FindingShape):
    """`node`: which it is about; null where it is about an entry or the whole."""

    node: str | None


class AutomationChecksShape(TypedDict):
    automation_id: int
    findings: list[AutomationFindingShape]


class WalkShape(TypedDict):
    """entry    id of the entry they came by; null: by hand, by a move, or because they matched already
    node     where they stand; null: at the entry, or outside
    until    when they go on at the latest, by what is known now
    reason   why they left
    """

    id: int
    automation_id: int
    subscriber_id: int
    email_address: str | None
    run: int
    entry: str | None
    entered_at: str
    node: str | None
    sentence: str | None
    arrived_at: str
    until: str | None
    left_at: str | None
    reason: str | None
    reason_text: str | None
    completed: bool


class PassedShape(TypedDict):
    node: str | None
    sentence: str
    outcome: str
    outcome_text: str


class LineShape(TypedDict):
    """what     entered, not_entered, walked, pulled, moved or left
    run      null: they did not enter
    way      the nodes on it, in order
    cause    who or what brought it about, from the outermost to the last
    """

    id: int
    automation_id: int
    subscriber_id: int
    email_address: str | None
    run: int | None
    at: str
    what: str
    node: str | None
    reason: str | None
    sentence: str
    way: list[PassedShape]
    event_id: int | None
    cause: list[str]


# --- Automations --------------------------------------------------------------------------------------------------


def automations(rows: Collection[Automation], account: Account) -> list[AutomationShape]:
    """A number of queries that does not grow with them."""
    found = verbs.published_of_each(rows)
    names = words.names_of(found.values(), account.pk)
    people = counts.inside([row.pk for row in rows])
    return [_automation(row, found[row.pk], people[row.pk], names) for row in rows]


def automation(row: Automation) -> AutomationShape:
    graph, people = verbs.published(row), counts.inside([row.pk])[row.pk]
    names = words.names_of([graph], row.account_id)
    nodes = [node for node in graph.nodes.values() if not node.is_deleted or people[node.key]]
    steps = [
        StepShape(id=node.key, sentence=words.node(node, names), people=people[node.key], deleted=node.is_deleted)
        for node in nodes
    ]
    return {**_automation(row, graph, people, names), "steps": steps}


def _automation(row: Automation, graph: Graph, people: Counter[str], names: Names) -> AutomationShape:
    drawn = graphs.as_json(graph)
    return AutomationShape(
        id=row.pk,
        name=row.name,
        status=row.status,
        reenter=row.reenter,
        entries=drawn["entries"],
        start=drawn["start"],
        nodes=drawn["nodes"],
        sentence=words.entry(graph.entries, names),
        people=people.total(),
        at_entry=people[AT_ENTRY],
        entered=row.n_entered,
        left=row.n_left,
        not_entered=row.n_not_entered,
        has_draft=row.draft is not None,
        status_since=instant(row.status_at),
        created_at=instant(row.made_at),
        updated_at=instant(row.changed_at),
    )


def draft(row: Automation) -> DraftShape:
    """What is published, where nothing is unpublished."""
    is_one = row.draft is not None
    drawn = graphs.as_json(verbs.draft_of(row) or verbs.published(row))
    return DraftShape(
        entries=drawn["entries"],
        start=drawn["start"],
        nodes=drawn["nodes"],
        revision=row.draft_revision,
        changed_at=instant_or_none(row.draft_changed_at) if is_one else None,
        changed_by=row.draft_changed_by if is_one else None,
    )


def impact(told: AutomationImpact, of: Automation, sequences: Sequences | None = None) -> AutomationImpactShape:
    """sequences   of a deletion, what becomes of them"""
    names = words.names_of([told.graph], of.account_id)
    summary = automation_impact_words.summary(told, names, sequences=sequences)
    found = told.as_json()
    return AutomationImpactShape(
        act=found["act"],
        token=found["token"],
        summary=summary,
        inside=found["inside"],
        nodes=found["nodes"],
        start=found["start"],
        at_once=found["at_once"],
        unconfirmed=found["unconfirmed"],
        leave_as_overdue=found["leave_as_overdue"],
        take_next_slot=found["take_next_slot"],
        mailed_at_once=found["mailed_at_once"],
        places=found["places"],
    )


def checks(row: Automation, findings: Iterable[Finding]) -> AutomationChecksShape:
    found = [AutomationFindingShape(**finding(one), node=one.node or None) for one in findings]
    return AutomationChecksShape(automation_id=row.pk, findings=found)


# --- People -------------------------------------------------------------------------------------------------------


def walks(rows: Collection[Walk], of: Automation) -> list[WalkShape]:
    graph = verbs.published(of)
    names = words.names_of([graph], of.account_id)
    people = Subscriber.objects.filter(account=of.account_id).in_bulk({row.subscriber_id for row in rows})
    return [_walk(row, graph, names, people.get(row.subscriber_id)) for row in rows]


def walk(row: Walk, of: Automation) -> WalkShape:
    return walks([row], of)[0]


def _walk(row: Walk, graph: Graph, names: Names, person: Subscriber | None) -> WalkShape:
    is_inside = row.left_at is None
    node = graph.nodes.get(row.node) if is_inside else None
    return WalkShape(
        id=row.pk,
        automation_id=row.automation_id,
        subscriber_id=row.subscriber_id,
        email_address=person.email_address if person else None,
        run=row.run,
        entry=row.entry or None,
        entered_at=instant(row.entered_at),
        node=(row.node or None) if is_inside else None,
        sentence=words.node(node, names) if node else None,
        arrived_at=instant(row.arrived_at),
        until=instant_or_none(row.ends_at),
        left_at=instant_or_none(row.left_at),
        reason=row.left_because or None,
        reason_text=walk_words.WHY_LEFT.get(row.left_because) or None,
        completed=row.is_completed,
    )


# --- The log ------------------------------------------------------------------------------------------------------


def log(rows: Collection[Step], account: Account) -> list[LineShape]:
    """Of what is deleted since, nothing is told."""
    names = walk_words.names_of(rows, account.pk)
    return [_line(one) for one in walk_words.of(rows, names) if one.automation is not None]


def _line(one: Line) -> LineShape:
    row = one.row
    return LineShape(
        id=row.pk,
        automation_id=row.automation_id,
        subscriber_id=row.subscriber_id,
        email_address=one.person.email_address if one.person else None,
        run=row.run,
        at=instant(row.at),
        what=row.what,
        node=row.node or None,
        reason=row.reason or None,
        sentence=one.sentence,
        way=[passed(part) for part in one.way],
        event_id=row.event_id,
        cause=list(row.cause),
    )


def passed(one: Passed) -> PassedShape:
    return PassedShape(node=one.node or None, sentence=one.said, outcome=one.what, outcome_text=one.outcome)
