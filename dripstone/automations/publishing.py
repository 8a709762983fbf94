"""Publishes a draft while people are inside (A12, A13).

Takes       an automation with a draft, what was chosen, and the token of the impact that was shown
Leaves      the graph as it was drafted, each node that is gone from it behind the scenes; whoever stands where somebody
            may go on by the edit is looked at next by the tick; what takes time is noted (errands.py)
A crash here means nothing was published: it is one transaction.

Nobody walks meanwhile: whoever moves people holds the automation, and this waits for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import transaction

from dripstone.automations import dates, edits, errands, inside, verbs, walk
from dripstone.automations import graph as graphs
from dripstone.automations.edits import Change, Choices
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation
from dripstone.errors import Invalid
from dripstone.events import causes

NO_DRAFT = "There is nothing to publish: everything is published already"


@dataclass(frozen=True)
class Plan:
    """What publishing would change."""

    automation: Automation
    before: Graph
    draft: Graph
    choices: Choices = field(default_factory=dict)

    @cached_property
    def changes(self) -> dict[str, Change]:
        return edits.changes(self.before, self.draft, self.choices)

    @cached_property
    def after(self) -> Graph:
        """With the nodes that are gone behind it."""
        return edits.published(self.before, self.draft, self.choices)

    def token(self) -> str:
        """Changes with the graphs, with what is chosen, said or not, and with who stands where something changes."""
        chosen = {key: dict(change.chosen) for key, change in sorted(self.changes.items())}
        said: Any = [graphs.as_json(self.draft), chosen]
        nodes = set(self.changes)
        if self.before.start != self.draft.start:
            nodes.add(graphs.AT_ENTRY)
        return inside.token(self.automation, self.before, ["publish", said], nodes)


def plan(automation: Automation, draft: Graph | None = None, choices: object = None) -> Plan:
    """draft     None: the one that is kept
    choices   as they were sent: {"nodes": {"pause": {"dates": "anew"}}}
    Raises Invalid where there is nothing to publish, and for choices that nothing offers.
    """
    draft = draft or verbs.draft_of(automation)
    if draft is None:
        raise Invalid(NO_DRAFT)
    before = verbs.published(automation)
    _check_kinds(before, draft)
    return Plan(automation, before, draft, edits.read(choices, before, draft))


def publish(
    automation: Automation,
    now: datetime,
    actor: str = verbs.OWNER,
    *,
    token: str | None = None,
    choices: Mapping[str, Any] | None = None,
) -> Automation:
    """Raises Unseen while somebody is inside and the token is not that of this draft, these choices and these people;
    Invalid, NotFound."""
    with transaction.atomic():
        automation = verbs.locked(automation)
        planned = plan(automation, choices=choices)
        inside.must_be_seen(automation, token, planned.token())
        verbs.set_graph(automation, planned.after, now, actor)
        dates.set_up(automation, planned.after, now)
        _follow(planned, now, actor)
        return automation


def _check_kinds(before: Graph, draft: Graph) -> None:
    """Something else may have been published since the draft was saved."""
    for key, node in draft.nodes.items():
        if key in before.nodes and before.nodes[key].kind != node.kind:
            raise Invalid.member("nodes", f"“{key}” is the id of another kind of node: give this one another id")


def _follow(planned: Plan, now: datetime, actor: str) -> None:
    """Whoever stands where something changes."""
    automation, cause = planned.automation, causes.of_actor(actor)
    for change in planned.changes.values():
        if change.then in ("leave_sequence", "go_on"):
            errands.go_on(automation, change.key, now, cause)
        if change.gives_dates_anew:
            errands.redate(automation, change.key, now, cause)
    asked = [change.key for change in planned.changes.values() if change.then == "asked"]
    walk.look_again(automation.pk, asked, now)
