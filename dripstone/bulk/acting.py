"""A batch of an action on many people, or of its undo: one transaction, the cursor among what it writes.

Takes       an action that runs or is being undone, locked by the caller's transaction (runner.py)
Leaves      some people acted on, once each; what became of them in the report; their tags and fields as they were
            before, for a day; or the action ended
A crash here means that the batch at hand was not done: it begins again, and asks the filter anew.

Whom a filter means is asked batch by batch: people in the order of their ids, each once, up to the newest there was
when it began. It is asked again once they are locked, so that nobody is acted on who has just ceased to be meant.
docs/reference/life-of-a-bulk-action.md has the states.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import structlog
from django.db import OperationalError, connection, transaction

from dripstone.bulk import line
from dripstone.bulk.models import BulkAction, Change
from dripstone.conditions.people import Expanded, expanded
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.postgresql.compiled import Among, Compiled, Parameter
from dripstone.subscribers import subscribe, tags
from dripstone.subscribers.models import CustomField, Subscriber, Tag, held, locked_all
from dripstone.triggers import what
from dripstone.triggers.what import Action, Done

log = structlog.get_logger(__name__)

AT_A_TIME = 1000  # people in one transaction: some hundred milliseconds
# Of what is not done in sets: each may be a mail, or have Liquid.
FEWER = {what.FORM: 100, what.CALL: 200, what.MAIL_OWNER: 200}
MOST_FAILED_IDS = 100
OUR_MISTAKE = "Something went wrong on our side"

# Purpose: the next people of the account, whoever is meant. Index of subscribers by account.
_NEXT = """
SELECT id FROM subscribers_subscriber
WHERE account_id = %(account)s AND id > %(after)s AND id <= %(last)s ORDER BY id LIMIT %(limit)s
"""
_KEEP = """
INSERT INTO bulk_change (action_id, number, subscriber_id, before, after, at)
SELECT %(action)s, number, subscriber_id, before, after, %(now)s
FROM unnest(%(numbers)s::smallint[], %(people)s::bigint[], %(before)s::text[], %(after)s::text[])
    WITH ORDINALITY AS changed (number, subscriber_id, before, after, n) ORDER BY n
"""
_DROP = "DELETE FROM bulk_change WHERE id = ANY(%(changes)s)"

# Before people are deleted: against everybody, also those who only add a row that points at them.
_LOCKED_WHOLLY = Compiled(
    lambda: (
        Subscriber.objects.select_for_update()
        .filter(Among("id", Parameter("ids")), account=Parameter("account"))
        .order_by("id")
    )
)


def step(row: BulkAction, now: datetime) -> None:
    if row.state == BulkAction.State.UNDOING:
        _undo(row, now)
    else:
        _do(row, now)


def cause_of(row: BulkAction) -> Cause:
    cause = (*causes.bulk(row.pk), *row.because)
    return cause if row.fires_rules else causes.quietly(cause)


# --- A batch ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Batch:
    """What was done to some people.

    met      how many were acted on
    done     for each action in turn
    kept     changes that may be undone: the number of the action, the person, the value before and after
    failed   people at whom it stumbled
    """

    met: int = 0
    done: list[Done] = field(default_factory=list)
    kept: list[tuple[int, int, str | None, str | None]] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)


def _do(row: BulkAction, now: datetime) -> None:
    looked_at = _next_people(row)
    if not looked_at:
        _end(row, BulkAction.State.DONE, now)
        return
    filter = None if row.filter is None else expanded(row.filter, row.account_id)
    if filter is not None and filter.is_broken:
        row.why = BulkAction.Why.FILTER_BROKEN
        _end(row, BulkAction.State.FAILED, now)
        return
    batch = _outcome(row, filter, looked_at, now)
    row.after_id = looked_at[-1]
    row.n_looked_at += len(looked_at)
    row.n_met += batch.met
    row.n_failed += len(batch.failed)
    row.failed_ids = [*row.failed_ids, *batch.failed][:MOST_FAILED_IDS]
    row.n_changes += len(batch.kept)
    _count(row.report, batch.done)
    _keep(row, batch, now)
    row.save(
        update_fields=["after_id", "n_looked_at", "n_met", "n_failed", "failed_ids", "n_changes", "report"],
    )


def _next_people(row: BulkAction) -> list[int]:
    limit = min(FEWER.get(action["kind"], AT_A_TIME) for action in row.actions)
    if row.ids is not None:
        return [pk for pk in row.ids if pk > row.after_id][:limit]
    values = {"account": row.account_id, "after": row.after_id, "last": row.last_id, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, values)
        return [pk for (pk,) in cursor.fetchall()]


def _outcome(row: BulkAction, filter: Expanded | None, ids: Sequence[int], now: datetime) -> _Batch:
    """If it meets a mistake of ours at one of them, that one fails, and not all those around."""
    try:
        with transaction.atomic():
            return _act(row, filter, ids, now)
    except OperationalError:
        raise
    except Exception as error:
        log.error("bulk_action_batch_failed", exc_info=error, action_id=row.pk)
    whole = _Batch(done=[Done() for _ in row.actions])
    for pk in ids:
        alone = _outcome_alone(row, filter, pk, now)
        whole.met += alone.met
        whole.failed += alone.failed
        whole.kept += alone.kept
        for one, other in zip(whole.done, alone.done, strict=False):
            one.changed.update(other.changed)
            one.passed.update(other.passed)
    return whole


def _outcome_alone(row: BulkAction, filter: Expanded | None, pk: int, now: datetime) -> _Batch:
    try:
        with transaction.atomic():
            return _act(row, filter, [pk], now)
    except OperationalError:
        raise
    except Exception as error:
        log.error("bulk_action_person_failed", exc_info=error, action_id=row.pk, subscriber_id=pk)
        return _Batch(met=1, failed=[pk])


def _act(row: BulkAction, filter: Expanded | None, ids: Sequence[int], now: datetime) -> _Batch:
    """The lock order: what the actions name first, then people."""
    actions: list[Action] = row.actions
    meant = ids if filter is None else _meeting(row, filter, ids, now)
    if not meant:
        return _Batch(done=[Done() for _ in actions])
    things = what.hold(row.account_id, actions)
    people = _locked(row, meant)
    if filter is not None:
        still = set(_meeting(row, filter, list(people), now))
        people = {pk: person for pk, person in people.items() if pk in still}
    batch = _Batch(met=len(people))
    has_deletion = any(action["kind"] == what.DELETE for action in actions)
    for number, action in enumerate(actions):
        done = what.perform(action, things, people, now, cause=cause_of(row), source="bulk")
        batch.done.append(done)
        if not has_deletion:
            batch.kept += _changes(number, action, done, people)
    return batch


def _meeting(row: BulkAction, filter: Expanded, ids: Collection[int], now: datetime) -> list[int]:
    return list(filter.people(row.account, now, among=ids).order_by("pk").values_list("pk", flat=True))


def _locked(row: BulkAction, ids: Collection[int]) -> dict[int, Subscriber]:
    if any(action["kind"] == what.DELETE for action in row.actions):
        return {person.pk: person for person in _LOCKED_WHOLLY.all(account=row.account_id, ids=list(ids))}
    return locked_all(row.account_id, ids)


def _changes(
    number: int, action: Action, done: Done, people: Mapping[int, Subscriber]
) -> Iterable[tuple[int, int, str | None, str | None]]:
    """Of an action that may be undone, in the order of people."""
    if action["kind"] in (what.TAG, what.UNTAG):
        return [(number, pk, None, None) for pk in sorted(done.changed)]
    if action["kind"] == what.FIELD:
        key = str(action["custom_field_id"])
        return [(number, pk, done.before.get(pk), people[pk].fields.get(key)) for pk in sorted(done.changed)]
    return []


def _count(report: list[dict[str, Any]], done: Iterable[Done]) -> None:
    for told, one in zip(report, done, strict=True):
        told["changed"] += len(one.changed)
        told["passed"] = dict(Counter(told["passed"]) + Counter(one.passed.values()))


def _keep(row: BulkAction, batch: _Batch, now: datetime) -> None:
    if not batch.kept:
        return
    numbers, people, before, after = zip(*batch.kept, strict=True)
    values: dict[str, Any] = {"numbers": list(numbers), "people": list(people)}
    values |= {"before": list(before), "after": list(after), "action": row.pk, "now": now}
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, values)


def _end(row: BulkAction, state: BulkAction.State, now: datetime) -> None:
    row.state, row.ended_at = state, now
    row.save(update_fields=["state", "why", "ended_at"])
    line.leave(row.account_id)
    log.info("bulk_action_ended", action_id=row.pk, state=state.value, n_met=row.n_met, n_failed=row.n_failed)


# --- Undoing ------------------------------------------------------------------------------------------------------


def _undo(row: BulkAction, now: datetime) -> None:
    """The last changes first: what one action did after another is undone before it."""
    changes = list(Change.objects.filter(action=row).order_by("-pk")[:AT_A_TIME])
    if not changes:
        row.state, row.undone_at = BulkAction.State.UNDONE, now
        row.save(update_fields=["state", "undone_at"])
        line.leave(row.account_id)
        log.info("bulk_action_undone", action_id=row.pk, n_undone=row.n_undone, n_left=row.n_left)
        return
    people = locked_all(row.account_id, [change.subscriber_id for change in changes])
    n_undone = 0
    for number, of_action in groupby(changes, attrgetter("number")):
        theirs = {change.subscriber_id: change for change in of_action if change.subscriber_id in people}
        action: Action = row.actions[number]
        if theirs:
            n_undone += _UNDO[action["kind"]](row, action, theirs, people, now)
    with connection.cursor() as cursor:
        cursor.execute(_DROP, {"changes": [change.pk for change in changes]})
    row.n_undone += n_undone
    row.n_left += len(changes) - n_undone
    row.save(update_fields=["n_undone", "n_left"])


def _undo_tag(
    row: BulkAction, action: Action, changes: Mapping[int, Change], people: Mapping[int, Subscriber], now: datetime
) -> int:
    """Who has the tag since then; whoever lost it and got it again has it from somebody else."""
    pairs = [(action["tag_id"], pk) for pk in changes]
    since = tags.since(pairs)
    as_left = [pair for pair in pairs if since.get(pair) == changes[pair[1]].at]
    return len(tags.remove_all(row.account_id, as_left, now, cause=cause_of(row)))


def _undo_untag(
    row: BulkAction, action: Action, changes: Mapping[int, Change], people: Mapping[int, Subscriber], now: datetime
) -> int:
    tag_id = action["tag_id"]
    if not held(Tag, row.account_id, [tag_id]):
        return 0
    return len(tags.put_all(row.account_id, [(tag_id, pk) for pk in changes], now, cause=cause_of(row)))


def _undo_field(
    row: BulkAction, action: Action, changes: Mapping[int, Change], people: Mapping[int, Subscriber], now: datetime
) -> int:
    field_id = action["custom_field_id"]
    if not held(CustomField, row.account_id, [field_id]):
        return 0
    key = str(field_id)
    as_left = {pk: one for pk, one in changes.items() if (people[pk].fields.get(key) or None) == (one.after or None)}
    asked = [(pk, field_id, one.before) for pk, one in as_left.items()]
    problems = subscribe.write_values(people, asked, now, cause=cause_of(row))
    written = [pk for pk, problem in zip(as_left, problems, strict=True) if problem is None]
    for pk in written:
        if (before := as_left[pk].before) is None:
            people[pk].fields.pop(key, None)
        else:
            people[pk].fields[key] = before
    return len(written)


_UNDO = {what.TAG: _undo_tag, what.UNTAG: _undo_untag, what.FIELD: _undo_field}
