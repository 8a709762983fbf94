"""Where people stand in an automation, as lists to choose from and addresses of pages say it.

`?node=welcome` is a node, `?node=.` the entry (no key of a node is a dot), and without it people stand anywhere.
"""

from collections.abc import Iterator
from urllib.parse import urlencode

from dripstone.automations.graph import AT_ENTRY, Graph
from dripstone.conditions.words import Names
from dripstone.web import automation_faces, automation_steps

ENTRY = "."


def in_address(key: str | None) -> str:
    """None: anywhere."""
    return "" if key is None else key or ENTRY


def of_address(text: str) -> str | None:
    text = text.replace("\0", "")
    return None if not text else AT_ENTRY if text == ENTRY else text


def people_at(people: str, key: str) -> str:
    """The list of those who stand there; people: the address of the list of everybody."""
    return f"{people}?{urlencode({'node': in_address(key)})}" if people else ""


def places(graph: Graph, names: Names) -> Iterator[tuple[str, str]]:
    """The entry and each node, as the list of steps has them, in the words of an address and in English."""
    yield ENTRY, "The entry"
    numbers = {row.node.key: row.number for row in automation_steps.of(graph) if row.number and row.node}
    for key, number in sorted(numbers.items(), key=lambda one: one[1]):
        yield key, f"{number}. {called(graph, key, names)}"


def called(graph: Graph, key: str, names: Names) -> str:
    """In a few words: `Wait 3 days`, `Write better emails`."""
    if key == AT_ENTRY:
        return "The entry"
    return automation_faces.title(graph.nodes[key], names) if key in graph.nodes else "A step that is gone"
