"""The log of automations in words: who entered by what, each step with its reason, who did not enter, who left.

names = walk_words.names_of(steps, account_id)
walk_words.of(steps, names)   of each row: what happened, by what, the nodes on the way, where they stand now

Nodes and names are said as they are today; a node that is gone has its id alone.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dripstone import words
from dripstone.automations import graph as graphs
from dripstone.automations import reasons
from dripstone.automations import words as node_words
from dripstone.automations.graph import Graph, GraphNode
from dripstone.automations.models import Automation, Node, Step
from dripstone.conditions.words import Names as ThingNames
from dripstone.events.models import Event
from dripstone.explain import event_words
from dripstone.subscribers.models import Subscriber
from dripstone.triggers import reasons as passing

WHY_NOT: Mapping[str, str] = {
    reasons.INSIDE_ALREADY: "they were inside already",
    reasons.IN_ITS_OWN_CHAIN: "it came of what this automation did itself, and would have gone in a circle",
    reasons.TOO_DEEP: "ten rules and automations stand in the chain before it, and no chain is longer",
    reasons.NOT_RUNNING: "it was switched off",
    reasons.NOT_MAILABLE: "they may not be mailed: they unsubscribed, complained, or their address takes no mail",
    reasons.NEVER_AGAIN: "they have been through it before, and nobody enters a second time",
    reasons.TOO_OFTEN: "it had taken this person ten times within 24 hours, by what rules, automations or emails did",
    reasons.OUR_MISTAKE: "of an error of Dripstone’s own: nothing was done, and the log of the server says more",
}
"""What follows "did not enter, because"."""

WHY_ON: Mapping[str, str] = {
    reasons.STARTED: "they had waited at the entry",
    reasons.GOES_ON: "they had been put there, or a hundred steps had been enough for the moment",
    reasons.WAIT_OVER: "the wait was over",
    reasons.WITHIN_OVER: "the time was over",
    reasons.HAPPENED: "what they waited for happened",
    reasons.CONDITION_MET: "the condition was met",
    reasons.SEQUENCE_COMPLETED: "they completed the sequence",
    reasons.SEQUENCE_END_REACHED: "they had the last email of the sequence, in which they stay",
    reasons.SEQUENCE_LEFT: "they were taken out of the sequence before its end",
    reasons.SEQUENCE_GONE: "the sequence was deleted",
    reasons.NODE_GONE: "what they waited for was deleted",
    reasons.NOT_LET_IN: "the other automation did not let them in",
}
"""What follows "went on, because"."""

WHY_LEFT: Mapping[str, str] = {
    reasons.END: "nothing comes next",
    reasons.UNSUBSCRIBED: "the automation unsubscribed them",
    reasons.STATE_CANCELLED: "they unsubscribed",
    reasons.STATE_BOUNCED: "their address does not take mail any more",
    reasons.STATE_COMPLAINED: "they reported an email as spam",
    reasons.BY_HAND: "they were taken out by hand",
    reasons.BY_MOVE: "they were sent out",
    reasons.MOVED_ON: "they moved on into another automation",
    reasons.NEW_RUN: "they were moved back, and another run began",
    reasons.REMOVED_BY_EDIT: "the step where they stood was deleted",
    reasons.OVERDUE: "their wait had been over for too long when the automation was switched on again",
    reasons.AUTOMATION_DELETED: "the automation was deleted",
}
"""What follows "left, because"."""

WHY_PASSED: Mapping[str, str] = {
    **WHY_ON,
    **{code: f"{said[:1].lower()}{said[1:]}" for code, said in passing.WORDS.items()},
    reasons.ACTED_BEFORE: "it has acted in this run before",
    reasons.MET_ALREADY: "it was so already",
    reasons.COMPLETED_BEFORE: "they completed it before, and it does not repeat",
    reasons.IN_THE_PAST: "the time had passed",
    reasons.NO_DATE: "the field has no date that can be read",
    reasons.THING_GONE: "what it is about was deleted",
}
"""What follows "passed, because"."""

_AT_ENTRY = "the entry"


@dataclass(frozen=True, slots=True)
class Passed:
    """A node on the way.

    node      its key; "" for the entry
    said      in words: "Add the tag “Reader”"
    what      what became of it, of reasons.py: ACTED, PASSED, WENT, WAITS …
    outcome   the same in words: "done", "passed, because it was so already", "by “yes”", "waits here"
    """

    node: str
    said: str
    what: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the log.

    person      None: gone since
    automation  None: deleted since
    said        what happened: "Entered", "Did not enter, because they were inside already"
    by          what brought that about: "Got the tag “Course”, by API", "by hand"; "" for time
    way         the nodes on it, in order
    where       where they stand then: "Wait 3 days"; "" outside
    """

    row: Step
    person: Subscriber | None
    automation: Automation | None
    said: str
    by: str = ""
    way: tuple[Passed, ...] = ()
    where: str = ""

    @property
    def at(self) -> datetime:
        return self.row.at

    @property
    def sentence(self) -> str:
        """In one: `Entered: got the tag “Course”, by API`."""
        if not self.by:
            return self.said
        return f"{self.said}, {self.by}" if self.row.event_id is None else f"{self.said}: {lowered(self.by)}"


@dataclass(frozen=True, slots=True)
class Names:
    """All that some rows of the log name."""

    automations: Mapping[int, Automation]
    graphs: Mapping[int, Graph]
    things: ThingNames
    events: Mapping[int, Event]
    of_events: event_words.Names
    people: Mapping[int, Subscriber]

    def node(self, automation_id: int, key: str) -> GraphNode | None:
        found = self.graphs.get(automation_id)
        return None if found is None else found.nodes.get(key)

    def said(self, automation_id: int, key: str) -> str:
        """`Wait 3 days`; of what is gone its key."""
        if not key:
            return _AT_ENTRY
        node = self.node(automation_id, key)
        return node_words.node(node, self.things) if node is not None else f"the step {words.title(key)}, which is gone"


def names_of(steps: Collection[Step], account_id: int) -> Names:
    """A fixed number of queries, however many rows there are."""
    automations = Automation.objects.filter(account=account_id).in_bulk({row.automation_id for row in steps})
    found = graphs_of(automations.values())
    events = Event.objects.filter(account_id=account_id).in_bulk({row.event_id for row in steps if row.event_id})
    chains = [Event(cause=row.cause, data={}) for row in steps]
    people = Subscriber.objects.filter(account=account_id).in_bulk({row.subscriber_id for row in steps})
    things = node_words.names_of(found.values(), account_id)
    of_events = event_words.names_of([*events.values(), *chains], account_id)
    return Names(automations, found, things, events, of_events, people)


def graphs_of(automations: Collection[Automation]) -> dict[int, Graph]:
    """As they are published, deleted nodes among them. One query."""
    rows: dict[int, list[Node]] = defaultdict(list)
    for row in Node.objects.filter(automation__in=[one.pk for one in automations]):
        rows[row.automation_id].append(row)
    return {one.pk: graphs.of(one, rows[one.pk]) for one in automations}


def of(steps: Iterable[Step], names: Names) -> list[Line]:
    """In their order."""
    return [
        Line(
            row,
            names.people.get(row.subscriber_id),
            names.automations.get(row.automation_id),
            _said(row, names),
            _by(row, names),
            tuple(_way(row, names)),
            "" if _is_outside(row) else names.said(row.automation_id, row.node),
        )
        for row in steps
    ]


def _is_outside(row: Step) -> bool:
    """Afterwards. Whoever left in the step in which they entered has it at the end of the way."""
    return row.what in (Step.What.NOT_ENTERED, Step.What.LEFT) or _has_left(row)


def _has_left(row: Step) -> bool:
    return bool(row.path) and row.path[-1]["what"] == reasons.LEAVES


def _said(row: Step, names: Names) -> str:
    match row.what:
        case Step.What.ENTERED:
            entered = "Entered" if (row.run or 1) == 1 else f"Entered again (run {row.run})"
            return _because(f"{entered}, and left", WHY_LEFT.get(row.reason, "")) if _has_left(row) else entered
        case Step.What.NOT_ENTERED:
            return _because("Did not enter", WHY_NOT.get(row.reason, row.reason))
        case Step.What.PULLED:
            return f"Pulled forward to {words.title(names.said(row.automation_id, _pulled_to(row)))}"
        case Step.What.MOVED if row.reason == reasons.BY_EDIT:
            return "Moved on, because the step where they stood was deleted"
        case Step.What.MOVED:
            return f"Moved to {words.title(names.said(row.automation_id, row.node))}"
        case Step.What.LEFT:
            return _because("Left", WHY_LEFT.get(row.reason, row.reason))
        case _ if row.reason in WHY_NOT:
            return _because("Stayed", WHY_NOT[row.reason])
    return _because("Went on", WHY_ON.get(row.reason, row.reason))


def _because(said: str, why: str) -> str:
    return f"{said}, because {why}" if why else said


def _pulled_to(row: Step) -> str:
    """The event that pulled them: the first node on the way behind the one that they left."""
    later = (one["node"] for one in row.path if one["what"] != reasons.LEFT_BEHIND)
    return next(later, row.node)


def _by(row: Step, names: Names) -> str:
    """The event itself says by whom; what came of no event has its chain alone."""
    event = names.events.get(row.event_id or 0)
    if event is not None:
        return event_words.sentence(event, names.of_events)
    return event_words.because_of(row.cause, names.of_events)


def _way(row: Step, names: Names) -> Iterator[Passed]:
    for one in row.path:
        key = one["node"]
        said = names.said(row.automation_id, key)
        yield Passed(key, f"{said[:1].upper()}{said[1:]}", one["what"], _outcome(row, one, names))


def _outcome(row: Step, one: Mapping[str, Any], names: Names) -> str:
    why = one.get("reason", "")
    match one["what"]:
        case reasons.ACTED:
            return "done"
        case reasons.PASSED:
            return _because("passed", WHY_PASSED.get(why, why))
        case reasons.WENT:
            return _went(row, one, names)
        case reasons.WAITS:
            return "waits here"
        case reasons.LEAVES:
            return _because("leaves", WHY_LEFT.get(why, why))
        case reasons.PUT_OFF:
            return "goes on in a moment: a hundred steps are enough at once"
        case reasons.OVER:
            return _because("over", WHY_ON.get(why, why)) if why else "was over"
        case reasons.LEFT_BEHIND:
            return "left behind"
    return str(one["what"])


def _went(row: Step, one: Mapping[str, Any], names: Names) -> str:
    """An exit that it has no more has its name alone."""
    node, name = names.node(row.automation_id, one["node"]), one.get("exit", "")
    is_there = node is not None and name in dict(node.ways)
    way = node_words.way(node, name, names.things) if node is not None and is_there else ""
    return f"by {words.title(way or name)}" if way or name else "went on"


def lowered(said: str) -> str:
    return f"{said[:1].lower()}{said[1:]}"
