"""Automations: made, drafted, renamed, copied. Switching, publishing and deleting concern the people inside, and have
files of their own.

A draft stands beside the graph that people walk through, and is always a sound one: what could not be published is
refused.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from dripstone.accounts.models import Account
from dripstone.automations import graph as graphs
from dripstone.automations import reading
from dripstone.automations.graph import Graph, GraphNode
from dripstone.automations.models import Automation, Node
from dripstone.errors import Conflict, Invalid, NotFound
from dripstone.given import MAX_NAME, Checked, Given

MOST = 500  # of an account
OWNER = "owner"
_COPY = " (copy)"


class Overtaken(Conflict):
    """Somebody else has changed this automation meanwhile"""


def of(account: Account) -> QuerySet[Automation]:
    return Automation.objects.filter(account=account)


def locked(automation: Automation, *, alone: bool = True) -> Automation:
    """As it is now, until the transaction ends. Raises NotFound.

    alone   nobody walks through it meanwhile; a draft is nobody's way
    """
    rows = Automation.objects.select_for_update(no_key=not alone, of=("self",)).select_related("account")
    found = rows.filter(account=automation.account_id, pk=automation.pk).first()
    if found is None:
        raise NotFound
    return found


# --- Graphs -------------------------------------------------------------------------------------------------------


def published(automation: Automation) -> Graph:
    """Deleted nodes included."""
    return graphs.of(automation, automation.nodes.all())


def published_of_each(automations: Iterable[Automation]) -> dict[int, Graph]:
    """The same of many, by id: one query."""
    rows = {one.pk: one for one in automations}
    nodes: dict[int, list[Node]] = {pk: [] for pk in rows}
    for node in Node.objects.filter(automation__in=rows):
        nodes[node.automation_id].append(node)
    return {pk: graphs.of(one, nodes[pk]) for pk, one in rows.items()}


def draft_of(automation: Automation) -> Graph | None:
    """None: nothing is unpublished."""
    return None if automation.draft is None else graphs.from_json(automation.draft)


def read(automation: Automation, given: Given) -> Graph:
    """A graph for this automation, whose ids of nodes keep their kinds, and which may name what its graphs name now.
    Raises Invalid."""
    now, draft = published(automation), draft_of(automation)
    known = {node.key: node.kind for node in now.nodes.values()}
    named = reading.all_things(now) | (reading.all_things(draft) if draft else frozenset())
    return reading.read(given, automation.account, known=known, may_be_gone=named, own=automation.pk)


# --- Making and changing ------------------------------------------------------------------------------------------


@transaction.atomic
def create(account: Account, given: Given, now: datetime, actor: str = OWNER) -> Automation:
    """given  `name`, `reenter` (absent: always), and the graph: `entries`, `start`, `nodes`
    actor   who does it, kept as `changed_by`
    Inactive, and published at once: nobody is inside. Raises Invalid with every problem by its member.
    """
    head = Checked(given, required=("name",))
    _read_head(head)
    try:
        graph = reading.read(given, account, known={})
    except Invalid as error:
        head.problems += error.problems
    return _made(account, head.sound(), graph, None, now, actor)


@transaction.atomic
def update(automation: Automation, given: Given, now: datetime, actor: str = OWNER) -> Automation:
    """`name` and `reenter`, whichever are given, at once. Raises Invalid, NotFound."""
    automation = locked(automation)
    head = Checked(given)
    _read_head(head)
    return _set_head(automation, head.sound(), now, actor)


def _read_head(head: Checked) -> None:
    head.name("name")
    head.drop_nulls("reenter")
    head.choice("reenter", Automation.Reenter.values)


def _set_head(automation: Automation, values: dict[str, Any], now: datetime, actor: str) -> Automation:
    if any(getattr(automation, name) != value for name, value in values.items()):
        for name, value in values.items():
            setattr(automation, name, value)
        automation.edition += 1
        automation.changed_at, automation.changed_by = now, actor
        automation.save(update_fields=["name", "reenter", "edition", "changed_at", "changed_by"])
    return automation


@transaction.atomic
def duplicate(automation: Automation, now: datetime, actor: str = OWNER) -> Automation:
    """The same once more, with its draft, inactive, named "… (copy)", whatever has become of the things it names.
    Raises Invalid, NotFound."""
    automation = locked(automation, alone=False)
    living = published(automation).living
    graph = Graph(tuple(automation.entries), automation.start or None, {node.key: node for node in living})
    head = {"name": f"{automation.name[: MAX_NAME - len(_COPY)]}{_COPY}", "reenter": automation.reenter}
    return _made(automation.account, head, graph, automation.draft, now, actor)


def _made(
    account: Account, head: dict[str, Any], graph: Graph, draft: dict[str, Any] | None, now: datetime, actor: str
) -> Automation:
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)  # two at once do not pass the limit together
    if of(account).count() >= MOST:
        raise Invalid(f"An account can't have more than {MOST:,} automations; delete one first")
    stamps: dict[str, Any] = {"status_at": now, "made_at": now, "changed_at": now, "changed_by": actor}
    drafted = {} if draft is None else {"draft": draft, "draft_changed_at": now, "draft_changed_by": actor}
    automation = Automation(account=account, **head, **stamps, **drafted)
    automation.entries, automation.start = list(graph.entries), graph.start or ""
    automation.save()
    Node.objects.bulk_create(_row(automation, node, place) for place, node in enumerate(graph.living))
    return automation


# --- Drafts -------------------------------------------------------------------------------------------------------


@transaction.atomic
def save_draft(
    automation: Automation, given: Given, now: datetime, actor: str = OWNER, *, seen: int | None = None
) -> Automation:
    """What says the same as what is published leaves nothing unpublished.

    seen   the `draft_revision` that the caller has read: when it is another one by now, nothing is saved
    Raises Invalid with every problem by its member, Overtaken and NotFound.
    """
    automation = _unless_overtaken(automation, seen)
    draft = graphs.as_json(read(automation, given))
    is_published = draft == graphs.as_json(published(automation))
    return _set_draft(automation, None if is_published else draft, now, actor)


@transaction.atomic
def drop_draft(automation: Automation, now: datetime, actor: str = OWNER, *, seen: int | None = None) -> Automation:
    """Raises Overtaken and NotFound."""
    return _set_draft(_unless_overtaken(automation, seen), None, now, actor)


def _unless_overtaken(automation: Automation, seen: int | None) -> Automation:
    automation = locked(automation, alone=False)
    if seen not in (None, automation.draft_revision):
        raise Overtaken
    return automation


def _set_draft(automation: Automation, draft: dict[str, Any] | None, now: datetime, actor: str) -> Automation:
    if draft != automation.draft:
        automation.draft, automation.draft_revision = draft, automation.draft_revision + 1
        automation.draft_changed_at, automation.draft_changed_by = now, actor
        automation.save(update_fields=_DRAFT)
    return automation


_DRAFT = ("draft", "draft_revision", "draft_changed_at", "draft_changed_by")

# --- Publishing ---------------------------------------------------------------------------------------------------


def set_graph(automation: Automation, graph: Graph, now: datetime, actor: str = OWNER) -> None:
    """Publishes it, and drops the draft: for the caller, who has locked the automation and moves whoever has to move.

    graph   its nodes that are deleted lead where it says; what the automation had and it has not is deleted, and leads
            out
    """
    rows = {row.key: row for row in automation.nodes.all()}
    new = [_row(automation, node, place) for place, node in enumerate(graph.living) if node.key not in rows]
    for place, node in enumerate(graph.living):
        if node.key in rows:
            _set_node(rows[node.key], node, place)
    living = {node.key for node in graph.living}
    for key in rows.keys() - living:
        rows[key].deleted_at = rows[key].deleted_at or now
        rows[key].leads_to = graph.nodes[key].leads_to if key in graph.nodes else None
    Node.objects.bulk_create(new)
    Node.objects.bulk_update(rows.values(), ["settings", "exits", "position", "deleted_at", "leads_to"])
    automation.entries, automation.start = list(graph.entries), graph.start or ""
    automation.edition += 1
    automation.changed_at, automation.changed_by = now, actor
    automation.draft, automation.draft_revision = None, automation.draft_revision + 1
    automation.draft_changed_at, automation.draft_changed_by = now, actor
    automation.save(update_fields=["entries", "start", "edition", "changed_at", "changed_by", *_DRAFT])


def _row(automation: Automation, node: GraphNode, place: int) -> Node:
    return _set_node(Node(automation=automation, key=node.key, kind=node.kind), node, place)


def _set_node(row: Node, node: GraphNode, place: int) -> Node:
    row.settings, row.exits, row.position = dict(node.settings), dict(node.exits), place
    row.deleted_at, row.leads_to = None, None
    return row
