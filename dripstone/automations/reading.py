"""Reads a graph that somebody gave for an automation, and what a graph names."""

from collections.abc import Collection, Mapping

from dripstone.accounts.models import Account
from dripstone.automations.graph import Graph
from dripstone.given import Given
from dripstone.grammar import Thing


def read(
    given: Given,
    account: Account,
    *,
    known: Mapping[str, str],
    may_be_gone: Collection[Thing] = (),
    own: int | None = None,
) -> Graph:
    """`entries`, `start` and `nodes`, as they are to be kept. Raises Invalid with every problem, each with its member:
    `nodes[2].if`. The sentence names the node.

    known   kind of each node that the automation ever had, by key
    may_be_gone   what the graphs before an edit name: it may be written back, deleted or not
    own     id of the automation, which no move names; None: it is not made yet
    """
    raise NotImplementedError


def things(graph: Graph) -> dict[str, frozenset[Thing]]:
    """What is named, by key of the node, and by `entry a` of the entry a."""
    raise NotImplementedError


def all_things(graph: Graph) -> frozenset[Thing]:
    """All of it."""
    raise NotImplementedError
