"""Which automations name a thing: in an entry or at a node, in its condition too; themselves or through a segment.

Deleting it is never refused because of them: entries that name it rest, nodes that do something with it pass everybody
by, a condition about it is met by nobody (A14). So whoever deletes it is told first. What is not published yet counts:
it would be published without the thing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from dripstone import words
from dripstone.automations import graph, reading
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation, Node
from dripstone.conditions import uses
from dripstone.grammar import Thing

ENTRY, NODE = "entry", "node"


@dataclass(frozen=True, slots=True)
class Use:
    """status    of the automation
    parts     of it: "entry", "node"
    nodes     keys of the nodes that name the thing, in their order
    through   ids of the segments through which a condition in it names the thing; () where it names it itself
    is_draft  only what is not published yet names it
    """

    automation_id: int
    name: str
    status: str
    parts: tuple[str, ...]
    nodes: tuple[str, ...] = ()
    through: tuple[int, ...] = ()
    is_draft: bool = False

    @property
    def words(self) -> str:
        """`the automation “After the course”`."""
        return f"the automation {words.title(self.name)}"

    @property
    def is_active(self) -> bool:
        return self.status == Automation.Status.ACTIVE


def of(thing: Thing, account_id: int) -> list[Use]:
    """By name; those that name it themselves first."""
    return of_each([thing], account_id)[thing]


def of_each(things: Iterable[Thing], account_id: int) -> dict[Thing, list[Use]]:
    """The same for many things: a query for automations and one for nodes, and three for what stands in segments."""
    found = uses.namers(things, account_id, _naming(account_id), lambda one: one.automation_id)
    return {thing: [replace(one, through=through) for one, through in named] for thing, named in found.items()}


def _naming(account_id: int) -> dict[Thing, list[Use]]:
    """By thing: the automations that name it themselves."""
    found: dict[Thing, list[Use]] = defaultdict(list)
    for automation, published in graphs(account_id):
        here = _named(published)
        planned = _named(graph.from_json(automation.draft)) if automation.draft is not None else {}
        for thing, nodes in here.items():
            found[thing].append(_use(automation, nodes))
        for thing in planned.keys() - here.keys():
            found[thing].append(_use(automation, planned[thing], is_draft=True))
    return found


def graphs(account_id: int) -> list[tuple[Automation, Graph]]:
    """Of every automation what is published, by name. Two queries."""
    rows = list(Automation.objects.filter(account_id=account_id).order_by("name", "pk"))
    nodes: dict[int, list[Node]] = defaultdict(list)
    if rows:
        for node in Node.objects.filter(automation__account_id=account_id, deleted_at=None).order_by("position", "pk"):
            nodes[node.automation_id].append(node)
    return [(one, graph.of(one, nodes[one.pk])) for one in rows]


def _use(automation: Automation, places: Collection[str], *, is_draft: bool = False) -> Use:
    nodes = tuple(key for key in places if not key.startswith(reading.ENTRY))
    parts = (*([ENTRY] if len(nodes) < len(places) else []), *([NODE] if nodes else []))
    return Use(automation.pk, automation.name, automation.status, parts, nodes, is_draft=is_draft)


def _named(of: Graph) -> dict[Thing, list[str]]:
    """By thing: where it is named, as reading.things calls the places."""
    found: dict[Thing, list[str]] = defaultdict(list)
    for place, named in reading.things(of).items():
        for thing in named:
            found[thing].append(place)
    return found
