"""People in automations: let in, moved on, put elsewhere, let go. Nobody else writes walks and steps.

    held = walk.hold([automation.pk], ids)        # first of all in the transaction
    walk.admit(held, automation.pk, ids, now, cause=causes.OWNER)

Each verb works on sets, in the caller's transaction, in a number of statements that does not grow with the people, and
leaves a row of the log for each person. docs/reference/life-of-a-walk.md
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation, Walk
from dripstone.events.causes import Cause
from dripstone.subscribers.models import Subscriber

Sequences = Literal["end", "finish"]
"""What becomes of the place at a sequence node that somebody leaves, if this automation made it: it ends (A5), or they
are sent the rest."""


@dataclass
class Held:
    """What `hold` has locked: automations, what their graphs name, people, and the walks of these that are inside."""

    automations: Mapping[int, Automation]
    graphs: Mapping[int, Graph]
    people: Mapping[int, Subscriber]
    walks: dict[int, dict[int, Walk]] = field(default_factory=dict)  # automation → person → who is inside


def hold(automation_ids: Iterable[int], subscriber_ids: Iterable[int], *, alone: bool = False) -> Held:
    """In the lock order. What is gone is not there. alone: nobody else walks through these automations until the
    transaction ends (`FOR UPDATE`)."""
    raise NotImplementedError


def admit(
    held: Held,
    automation_id: int,
    subscriber_ids: Iterable[int],
    now: datetime,
    *,
    cause: Cause,
    entry: str = "",
    event_id: int | None = None,
    again: bool = False,
) -> dict[int, str]:
    """Let them in, and let them walk if it runs. Returns for each "" or why not (reasons.NOT_ENTERED).

    entry   id of the entry; "": by hand, by a move, matched already
    again   `reenter: never` notwithstanding
    """
    raise NotImplementedError


def step(held: Held, automation_id: int, subscriber_ids: Iterable[int], now: datetime) -> None:
    """Those who may walk go on from where they stand, if it is time, to the next place that waits."""
    raise NotImplementedError


def put(
    held: Held,
    automation_id: int,
    places: Mapping[int, str],
    now: datetime,
    *,
    cause: Cause,
    reason: str,
    sequences: Sequences = "end",
    new_run: bool = False,
) -> None:
    """People who are inside stand at a node (by person its key) that is still to be done; `step` or the next tick does
    it. reason   BY_HAND, BY_EDIT
    new_run   what has acted in this run may act again (A3)
    """
    raise NotImplementedError


def leave(
    held: Held,
    automation_id: int,
    subscriber_ids: Iterable[int],
    reason: str,
    now: datetime,
    *,
    cause: Cause,
    sequences: Sequences = "end",
) -> set[int]:
    """Out of the automation (reasons.LEFT). Returns who was inside."""
    raise NotImplementedError


def look_again(automation_id: int, keys: Iterable[str], now: datetime) -> int:
    """Whoever stands at these nodes is looked at by the next tick: their condition has changed. Returns how many."""
    raise NotImplementedError


def redate(held: Held, automation_id: int, subscriber_ids: Iterable[int], now: datetime, *, anew: bool) -> None:
    """Those who wait get the date that their node gives now, counted from when they arrived; anew: from now."""
    raise NotImplementedError


def next_slots(automation_id: int, now: datetime) -> int:
    """Overdue waits for a weekday and hour end at their next one (A11). Returns how many."""
    raise NotImplementedError


def still(automation_id: int, is_still: bool, now: datetime) -> int:
    """The places that it made for those who stand at a sequence node are sent nothing, or go on as after a pause (R4).
    Returns how many (A11)."""
    raise NotImplementedError
