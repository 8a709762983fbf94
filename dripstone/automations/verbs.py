"""Automations: made, drafted, renamed, copied. Switching, publishing and deleting concern the people inside, and are in
files of their own.
"""

from datetime import datetime

from django.db.models import QuerySet

from dripstone.accounts.models import Account
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation
from dripstone.given import Given

OWNER = "owner"


def of(account: Account) -> QuerySet[Automation]:
    return Automation.objects.filter(account=account)


def locked(automation: Automation) -> Automation:
    """As it is now, until the transaction ends. Raises NotFound."""
    raise NotImplementedError


def published(automation: Automation) -> Graph:
    """Deleted nodes included."""
    raise NotImplementedError


def draft_of(automation: Automation) -> Graph | None:
    """None: nothing is unpublished."""
    raise NotImplementedError


def read(automation: Automation, given: Given) -> Graph:
    """A graph for this automation, whichever was published or drafted before. Raises Invalid."""
    raise NotImplementedError


def create(account: Account, given: Given, now: datetime, actor: str = OWNER) -> Automation:
    """given  `name`, `reenter`, and the graph: `entries`, `start`, `nodes`
    Inactive, and published at once: nobody is inside. Raises Invalid with every problem by its member.
    """
    raise NotImplementedError


def update(automation: Automation, given: Given, now: datetime, actor: str = OWNER) -> Automation:
    """`name` and `reenter`, whichever are given. Raises Invalid, NotFound."""
    raise NotImplementedError


def save_draft(
    automation: Automation, given: Given, now: datetime, actor: str = OWNER, *, seen: int | None = None
) -> Automation:
    """seen   the `draft_number` that the caller has read: another one by now raises Conflict
    Raises Invalid, NotFound.
    """
    raise NotImplementedError


def drop_draft(automation: Automation, now: datetime, actor: str = OWNER, *, seen: int | None = None) -> Automation:
    raise NotImplementedError


def duplicate(automation: Automation, now: datetime, actor: str = OWNER) -> Automation:
    """The same once more, inactive, named "… (copy)". Raises Invalid, NotFound."""
    raise NotImplementedError


def set_graph(automation: Automation, graph: Graph, now: datetime, actor: str = OWNER) -> None:
    """Publishes it, and drops the draft. The automation is locked. Its nodes that are not in `graph` are deleted and
    lead out; those that are in it as deleted lead where it says."""
    raise NotImplementedError
