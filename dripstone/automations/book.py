"""Graphs of automations, ready to be walked; and which automations hear of an event.

Kept in memory from one reading to the next, as rules are (rules/book.py): each reading asks for the editions, and loads
what has changed. Who acts in a transaction that will be undone (foresight, a test run) takes a Book of its own.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import structlog
from django.db.models import Exists, OuterRef, Q, QuerySet

from dripstone.automations import graph as graphs
from dripstone.automations import kinds, schedule
from dripstone.automations.graph import AT_ENTRY, Entry, Graph, GraphNode
from dripstone.automations.models import Automation, Node, Walk
from dripstone.events import types
from dripstone.events.models import Event
from dripstone.grammar import Thing
from dripstone.triggers import what, when
from dripstone.triggers.when import Key, Trigger

log = structlog.get_logger(__name__)

_OF_STATES = (
    types.SUBSCRIBER_ACTIVATED,
    types.SUBSCRIBER_UNSUBSCRIBED,
    types.SUBSCRIBER_BOUNCED,
    types.SUBSCRIBER_COMPLAINED,
)


class Route:
    """The graph of an automation, and what is asked of it with each step."""

    def __init__(self, automation: Automation, graph: Graph) -> None:
        self.automation_id, self.account_id = automation.pk, automation.account_id
        self.graph = graph

    @cached_property
    def order(self) -> Mapping[str, int]:
        """Of the nodes: each comes after all that lead to it."""
        placed: list[str] = []
        seen: set[str] = set()
        for first in self.graph.nodes:
            way = [(first, self._targets(first))] if first not in seen else []
            seen.add(first)
            while way:
                key, targets = way[-1]
                following = next((one for one in targets if one not in seen), None)
                if following is None:
                    placed.append(key)
                    way.pop()
                else:
                    seen.add(following)
                    way.append((following, self._targets(following)))
        return {key: place for place, key in enumerate(reversed(placed))}

    def _targets(self, key: str) -> Iterator[str]:
        return iter([to for _, to in self.graph.exits_of(key) if to is not None and to in self.graph.nodes])

    def exit(self, node: GraphNode, name: str) -> str | None:
        """Where it leads; of a deleted node there is one way. None: out."""
        if node.is_deleted:
            return node.leads_to
        return self._exits[node.key].get(name)

    @cached_property
    def _exits(self) -> Mapping[str, Mapping[str, str | None]]:
        return {key: dict(node.ways) for key, node in self.graph.nodes.items()}

    # What its nodes do

    @cached_property
    def acts(self) -> Mapping[str, what.Action]:
        """By key, of the nodes that do something of triggers/what.py. Each is different, so that its place among them
        names it."""
        nodes = self.graph.nodes.values()
        return {node.key: {**node.action, "node": node.key} for node in nodes if node.kind in kinds.ACTS}

    @cached_property
    def named(self) -> list[what.Action]:
        """What has to be held before people: the acts, and entering the sequences."""
        nodes = self.graph.nodes.values()
        entering = [{"kind": what.ENTER_SEQUENCE, **node.settings} for node in nodes if node.kind == kinds.SEQUENCE]
        return [*self.acts.values(), *entering]

    # What it hears

    @cached_property
    def entries(self) -> list[tuple[Entry, Trigger]]:
        return [(entry, graphs.trigger_of(entry)) for entry in self.graph.entries]

    @cached_property
    def events(self) -> list[GraphNode]:
        """Deleted ones too, for whoever stands there."""
        return [node for node in self.graph.nodes.values() if node.kind == kinds.EVENT]

    @cached_property
    def keys(self) -> Mapping[Key, list[str]]:
        """Which event nodes may wait for an event."""
        found: dict[Key, list[str]] = defaultdict(list)
        for node in self.events:
            for key in when.event_keys(node.trigger):
                found[key].append(node.key)
        return dict(found)

    def met_by(self, event: Event) -> set[str]:
        """The event nodes that wait for this."""
        asked = {one for key in when.keys_of(event) for one in self.keys.get(key, ())}
        return {one for one in asked if when.is_met(self.graph.nodes[one].trigger, event)}

    def met_by_date(self, trigger: Trigger) -> set[str]:
        return {node.key for node in self.events if node.trigger == trigger}

    def entry_of_date(self, trigger: Trigger) -> str | None:
        return next((entry["id"] for entry, one in self.entries if one == trigger), None)

    @cached_property
    def ahead(self) -> Mapping[str, list[str]]:
        """Event nodes that can be reached, the nearest first, by key; also of AT_ENTRY."""
        keys = [AT_ENTRY, *self.graph.nodes]
        return {key: [node.key for node in self.graph.events_ahead(key)] for key in keys}

    def before(self, key: str) -> list[str]:
        """From where an event node can be reached, itself among them."""
        return [key, *(one for one, events in self.ahead.items() if key in events)]

    @cached_property
    def dated(self) -> list[Trigger]:
        """Triggers `field_date` of entries and events, each once: a date's number is its place here."""
        found: list[Trigger] = []
        for trigger in (*(one for _, one in self.entries), *(node.trigger for node in self.events)):
            if trigger["trigger"] == when.FIELD_DATE and trigger not in found:
                found.append(trigger)
        return found

    @cached_property
    def heeds_all(self) -> bool:
        """Whether any event may end what somebody waits for: a condition."""
        return any(node.kind == kinds.CONDITION and node.settings.get("within") for node in self.graph.nodes.values())

    @cached_property
    def fields(self) -> frozenset[int]:
        """Whose dates are waited for."""
        found = (schedule.field_of(node.settings) for node in self.graph.nodes.values() if node.kind == kinds.WAIT)
        return frozenset(one for one in found if one is not None)

    def waiting_for(self, thing: Thing) -> list[str]:
        """The event nodes that wait for something with it."""
        return [node.key for node in self.events if thing in when.things(node.trigger)]

    def waiting_for_field(self, field_id: int) -> list[str]:
        """The nodes that wait for its date."""
        nodes = self.graph.nodes.values()
        return [one.key for one in nodes if one.kind == kinds.WAIT and schedule.field_of(one.settings) == field_id]

    @cached_property
    def has_sequences(self) -> bool:
        return any(node.kind == kinds.SEQUENCE for node in self.graph.nodes.values())

    def heeds(self, event: Event) -> bool:
        """Whether it may concern somebody who is inside."""
        if event.type in _OF_STATES or self.heeds_all:
            return True
        if event.type in types.OF_SEQUENCES and self.has_sequences:
            return True
        if event.type in (types.SENT_INTO_AUTOMATION, types.SENT_OUT_OF_AUTOMATION):
            return self.automation_id in (event.subject_id, event.data.get("from"))
        if event.type == types.FIELD_VALUE_UPDATED and event.subject_id in self.fields:
            return True
        return any(key in self.keys for key in when.keys_of(event))


class Version(NamedTuple):
    pk: int
    edition: int
    status: str
    listens_after: int


@dataclass(slots=True)
class Page:
    """The automations of an account by id, and what the entries hear of those that let people in."""

    versions: list[Version] = field(default_factory=list)
    routes: dict[int, Route] = field(default_factory=dict)
    hearing: dict[Key, list[tuple[Version, str, Trigger]]] = field(default_factory=dict)

    def entries(self, event: Event, number: int) -> dict[int, str]:
        """Automations whose entry the event meets, each with the id of its first."""
        found: dict[int, str] = {}
        for key in dict.fromkeys(when.keys_of(event)):
            for version, entry, trigger in self.hearing.get(key, ()):
                if version.pk not in found and number > version.listens_after and when.is_met(trigger, event):
                    found[version.pk] = entry
        return found

    def inside(self, event: Event, automation_ids: Collection[int]) -> set[int]:
        """Among those in which the person is, the ones that the event may concern."""
        return {pk for pk in automation_ids if pk in self.routes and self.routes[pk].heeds(event)}


class Book:
    """One thread reads in it."""

    def __init__(self) -> None:
        self._pages: dict[int, Page] = {}
        self._routes: dict[int, tuple[int, Route]] = {}  # by automation, with the edition

    def routes(self, automations: Iterable[Automation]) -> dict[int, Route]:
        """Of these, as they are now: `edition` says whether they have changed."""
        rows = {one.pk: one for one in automations}
        stale = [pk for pk, one in rows.items() if self._routes.get(pk, (None,))[0] != one.edition]
        if stale:
            nodes: dict[int, list[Node]] = {pk: [] for pk in stale}
            for node in Node.objects.filter(automation__in=stale):
                nodes[node.automation_id].append(node)
            for pk in stale:
                self._routes[pk] = rows[pk].edition, Route(rows[pk], graphs.of(rows[pk], nodes[pk]))
        return {pk: self._routes[pk][1] for pk in rows}

    def pages(self, account_ids: Collection[int]) -> dict[int, Page]:
        """As they are now, of these accounts: automations that listen."""
        rows = listening().filter(account_id__in=account_ids).order_by("pk")
        versions: dict[int, list[Version]] = defaultdict(list)
        for account_id, *version in rows.values_list("account_id", *Version._fields):
            versions[account_id].append(Version._make(version))
        for account_id in account_ids:
            if self._pages.setdefault(account_id, Page()).versions != versions[account_id]:
                self._pages[account_id] = self._page(versions[account_id])
        return {account_id: self._pages[account_id] for account_id in account_ids}

    def _page(self, versions: list[Version]) -> Page:
        automations = Automation.objects.in_bulk([one.pk for one in versions])
        routes = self.routes(automations.values())
        there = [one for one in versions if one.pk in routes]
        return Page(versions, {one.pk: routes[one.pk] for one in there}, _hearing(there, routes))


def _hearing(versions: Iterable[Version], routes: Mapping[int, Route]) -> dict[Key, list[tuple[Version, str, Trigger]]]:
    hearing: dict[Key, list[tuple[Version, str, Trigger]]] = defaultdict(list)
    for version in versions:
        if version.status != Automation.Status.INACTIVE:
            for entry, trigger in routes[version.pk].entries:
                for key in when.event_keys(trigger):
                    hearing[key].append((version, entry["id"], trigger))
    return dict(hearing)


def listening() -> QuerySet[Automation]:
    """Those that hear of events: who is inside an inactive one is pulled and leaves, too."""
    inside: Any = Walk.objects.filter(automation=OuterRef("pk"), left_at=None)
    return Automation.objects.filter(~Q(status=Automation.Status.INACTIVE) | Exists(inside))
