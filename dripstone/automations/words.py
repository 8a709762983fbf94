"""Nodes, exits and entries of a graph in words.

names = words.names_of([graph], account_id)
words.node(node, names)   "Put them into the sequence “Welcome”, and wait until they have completed it"
"""

from collections.abc import Iterable

from dripstone.automations.graph import Entry, Graph, GraphNode
from dripstone.conditions.words import Names


def names_of(graphs: Iterable[Graph], account_id: int) -> Names:
    """Of all that they name: a query for each kind of thing, however many graphs there are."""
    raise NotImplementedError


def node(node: GraphNode, names: Names) -> str:
    """With a capital, without a full stop."""
    raise NotImplementedError


def way(node: GraphNode, name: str, names: Names) -> str:
    """What stands at an exit: `yes`, `50%`, `otherwise`; "" at a plain `next`."""
    raise NotImplementedError


def entry(entries: Iterable[Entry], names: Names) -> str:
    """`When somebody gets the tag “Course” or joins the form “News”`."""
    raise NotImplementedError
