"""What is wrong with an automation, in words: where people strand, wait for ever, or get nothing; what feeds itself.

Takes       automations of one account, or a graph that is not published yet
Leaves      nothing: it only reads, with a fixed number of queries for any number of automations
"""

from collections.abc import Collection
from datetime import datetime

from dripstone.accounts.models import Account
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation
from dripstone.explain.findings import Finding


def of(automations: Collection[Automation], account: Account, now: datetime) -> dict[int, list[Finding]]:
    """Findings by automation, the gravest first; each with the key of its node, "" for the whole or an entry."""
    raise NotImplementedError


def of_graph(graph: Graph, automation: Automation, now: datetime) -> list[Finding]:
    """The same of a draft of it."""
    raise NotImplementedError
