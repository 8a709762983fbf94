"""Actions on many people: begun for everybody who meets a filter, or for a list of ids; cancelled, and undone.

Takes       whom it is about, and actions as triggers/what.py has them
Leaves      a row in the account's line, which runner.py works through (acting.py)
A crash here means nothing was asked for: each is one transaction.

docs/reference/life-of-a-bulk-action.md has the states; counting.py says before what it would do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from dripstone.accounts.models import Account
from dripstone.bulk import counting, line, wake
from dripstone.bulk.counting import Whom
from dripstone.bulk.models import BulkAction
from dripstone.conditions import reading
from dripstone.errors import Invalid, NotFound, PreconditionFailed, TooLarge
from dripstone.events.causes import Cause
from dripstone.given import Checked, Given, as_numbers, is_id
from dripstone.subscribers.models import Subscriber
from dripstone.triggers import what
from dripstone.triggers.what import Action

MOST_IDS = 100_000
MOST_WAITING = 100  # actions of an account
MAY_BE_UNDONE = timedelta(days=1)
KEPT_CHANGES_DAYS = 1  # after the end: ops/prune.py
DESTRUCTIVE = frozenset({what.DELETE, what.UNSUBSCRIBE})  # nothing leads back from them
UNDOABLE = frozenset({what.TAG, what.UNTAG, what.FIELD})

FULL = f"{MOST_WAITING} bulk actions of this account wait already: try again when some are done"
CHANGED = "Who is meant, or what it would do to them, has changed since it was counted: count again"

count = counting.count


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked for, checked."""

    whom: Whom
    actions: list[Action]
    fire_rules: bool


def read(given: Given, account_id: int) -> Asked:
    """Either `filter`, a condition, or `ids`; `actions`; `fire_rules`, true unless given. Raises Invalid with every
    problem. Among ids, those of nobody are passed over later, as are those of people who go meanwhile."""
    read = Checked(given)
    whom = _read_whom(read, account_id)
    read.drop_nulls("fire_rules")
    read.flag("fire_rules")
    actions: list[Action] = []
    try:
        actions = what.read(given.get("actions"), "actions", account_id, for_="bulk")
    except Invalid as refused:
        read.problems += refused.problems
    read.raise_problems()
    return Asked(whom, actions, read.values.get("fire_rules", True))


def _read_whom(read: Checked, account_id: int) -> Whom:
    has = [name for name in ("filter", "ids") if read.given.get(name) is not None]
    if len(has) != 1:
        read.problems.append((None, "Give either filter or ids: whom it is about"))
        return {}
    if has == ["filter"]:
        condition = reading.read(read, "filter", account_id)
        return {} if condition is None else {"filter": condition}
    ids = read.take("ids", as_numbers)
    if not isinstance(ids, list):
        read.wrong("ids", "must be an array")
    elif not ids:
        read.blank("ids")
    elif len(ids) > MOST_IDS:
        read.wrong("ids", f"can't have more than {MOST_IDS} entries")
    elif not all(map(is_id, ids)):
        read.wrong("ids", "must be an array of ids")
    elif not Subscriber.objects.filter(account_id=account_id, pk__in=ids).exists():
        read.wrong("ids", "must have somebody of this account among them")
    else:
        return {"ids": sorted(set(ids))}
    return {}


@transaction.atomic
def begin(
    account: Account,
    whom: Whom,
    actions: Sequence[Action],
    asked_by: str,
    now: datetime,
    *,
    fire_rules: bool,
    because: Cause = (),
    seen: str | None = None,
) -> BulkAction:
    """It will be done, batch after batch.

    whom      {"filter": condition} or {"ids": […]}, in order and each once
    because   what the chain of causes has behind the action itself: ("rule 7",)
    seen      the token of the count that was shown: it is about the people there were then. None: nobody has counted
    Raises PreconditionFailed when a count would say something else by now, and TooLarge when too much waits.
    """
    last_id = whom["ids"][-1] if "ids" in whom else counting.newest(account)
    if seen is not None:
        then = counting.last_id_of(seen)
        last_id = last_id if then is None else min(then, last_id)
        if counting.count(account, whom, actions, now, last_id=then).token != seen:
            raise PreconditionFailed(CHANGED)
    if _waiting(account.pk).count() >= MOST_WAITING or not line.stand_in(account.pk):
        raise TooLarge(FULL)
    ids = whom.get("ids")
    row = BulkAction.objects.create(
        account=account,
        filter=whom.get("filter"),
        ids=ids,
        actions=list(actions),
        fires_rules=fire_rules,
        because=list(because),
        asked_by=asked_by,
        asked_at=now,
        queued_at=now,
        last_id=last_id,
        n_to_look_at=len(ids) if ids is not None else counting.n_people(account, last_id),
        report=[{"changed": 0, "passed": {}} for _ in actions],
    )
    wake.worker()
    return row


def of_account(account_id: int) -> QuerySet[BulkAction]:
    return BulkAction.objects.filter(account_id=account_id)


def _waiting(account_id: int) -> QuerySet[BulkAction]:
    return of_account(account_id).filter(state__in=(BulkAction.State.RUNNING, BulkAction.State.UNDOING))


@transaction.atomic
def cancel(account: Account, action_id: int, now: datetime) -> BulkAction:
    """What was done stays. The batch at hand is waited for. Raises NotFound, and Invalid when it is not running."""
    row = _locked(account, action_id)
    if row.state != BulkAction.State.RUNNING:
        raise Invalid(_NOT_RUNNING.get(row.state, "It is over already: nothing is left to cancel"))
    row.state, row.ended_at = BulkAction.State.CANCELLED, now
    row.save(update_fields=["state", "ended_at"])
    line.leave(account.pk)
    return row


_NOT_RUNNING: Mapping[str, str] = {BulkAction.State.UNDOING: "It is being undone, which cannot be cancelled"}


@transaction.atomic
def undo(account: Account, action_id: int, asked_by: str, now: datetime) -> BulkAction:
    """Tags and fields become again what they were, of those people with whom they still are as the action left them.
    It is done batch after batch, too. Raises NotFound, and Invalid with why not."""
    row = _locked(account, action_id)
    if (why := why_no_undo(row, now)) is not None:
        raise Invalid(why)
    if not line.stand_in(account.pk):
        raise TooLarge(FULL)
    row.state, row.queued_at, row.undo_asked_by = BulkAction.State.UNDOING, now, asked_by
    row.save(update_fields=["state", "queued_at", "undo_asked_by"])
    wake.worker()
    return row


def why_no_undo(row: BulkAction, now: datetime) -> str | None:
    """None: it may be undone."""
    match row.state:
        case BulkAction.State.RUNNING:
            return "It is still running: cancel it first"
        case BulkAction.State.UNDOING:
            return "It is being undone already"
        case BulkAction.State.UNDONE:
            return "It was undone already"
    if not row.n_changes:
        return "It has changed no tag and no field: only these can be undone"
    if row.ended_at is not None and now >= row.ended_at + MAY_BE_UNDONE:
        return "It ended more than a day ago: what was there before is not kept any more"
    return None


def is_destructive(actions: Sequence[Mapping[str, Any]]) -> bool:
    return any(action["kind"] in DESTRUCTIVE for action in actions)


def _locked(account: Account, action_id: int) -> BulkAction:
    """While a batch is done, this waits for its end."""
    row = of_account(account.pk).select_for_update(no_key=True).filter(pk=action_id).first()
    if row is None:
        raise NotFound
    return row
