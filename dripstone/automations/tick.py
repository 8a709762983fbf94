"""Waits that are over, and people who are called to a date: the next step of each.

Takes       people whose walk is due, in automations that are active; those who are called in any
Leaves      them at the next place that waits, or out (walk.py)
A crash here means that they are still due: it is one transaction for a batch.

Any number of workers do this at once. Each takes people whom nobody holds, of each person one walk, since what it
causes comes before their next; and of each account some before anybody's second batch.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import structlog
from django.db import OperationalError, transaction

from dripstone.automations import nodes, reasons, walk
from dripstone.automations.book import Book
from dripstone.automations.models import Automation, Step, Walk
from dripstone.automations.steps import Held, Steps, fetch
from dripstone.postgresql.compiled import Among, Compiled, Parameter
from dripstone.postgresql.deadlocks import is_deadlock
from dripstone.subscribers.models import Subscriber
from dripstone.triggers.turn import NOTHING, Passed

log = structlog.get_logger(__name__)

AUTOMATIONS = 20  # in one batch
LEAST = 250  # people in one: a step costs statements by the nodes on its way, and fewer people would make each dearer

# Purpose: automations where something is due: of each account the one that waits longest before anybody's second. By
# walk_due and walk_called, a probe for each automation.
_DUE = """
SELECT id FROM (
    SELECT a.id, due.at, row_number() OVER (PARTITION BY a.account_id ORDER BY due.at, a.id) AS place
    FROM automations_automation a
    CROSS JOIN LATERAL (
        (SELECT w.due_at AS at FROM automations_walk w
         WHERE %(with_waits)s AND a.status = 'active' AND w.automation_id = a.id AND w.left_at IS NULL
           AND w.due_at <= %(now)s
         ORDER BY w.due_at, w.id LIMIT 1)
        UNION ALL
        (SELECT w.due_at FROM automations_walk w
         WHERE w.automation_id = a.id AND w.left_at IS NULL AND w.called_to <> '' AND w.due_at <= %(now)s LIMIT 1)
        LIMIT 1) due) found
ORDER BY place, at, id LIMIT %(limit)s
"""
# Purpose: walks that are due there, the longest first, as nobody else holds them. By walk_due and walk_called.
_TAKE = """
SELECT w.* FROM unnest(%(automations)s::bigint[], %(active)s::boolean[]) AS a (id, is_active)
CROSS JOIN LATERAL (
    SELECT * FROM automations_walk w
    WHERE %(with_waits)s AND w.automation_id = a.id AND w.left_at IS NULL AND a.is_active AND w.due_at <= %(now)s
    ORDER BY w.due_at, w.id LIMIT (SELECT %(limit)s::bigint) FOR NO KEY UPDATE SKIP LOCKED) w
UNION ALL
SELECT w.* FROM unnest(%(automations)s::bigint[], %(active)s::boolean[]) AS a (id, is_active)
CROSS JOIN LATERAL (
    SELECT * FROM automations_walk w
    WHERE w.automation_id = a.id AND w.left_at IS NULL AND w.called_to <> '' AND w.due_at <= %(now)s
      AND NOT (%(with_waits)s AND a.is_active)
    ORDER BY w.id LIMIT (SELECT %(limit)s::bigint) FOR NO KEY UPDATE SKIP LOCKED) w
"""
_NEXT = """
SELECT min(due.at) FROM automations_automation a
CROSS JOIN LATERAL (SELECT w.due_at AS at FROM automations_walk w
                    WHERE w.automation_id = a.id AND w.left_at IS NULL AND w.due_at > %(after)s
                    ORDER BY w.due_at LIMIT 1) due
WHERE a.status = 'active'
"""
_PEOPLE = Compiled(
    lambda: (
        Subscriber.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(Among("id", Parameter("ids")))
        .order_by("id")
    )
)


class Pace:
    """How many go into a batch: so many that its transaction, which holds people, lasts half a second."""

    MOST = 2_000
    SECONDS = 0.5

    def __init__(self, least: int) -> None:
        self.least, self.limit = least, max(least, 200)

    @contextmanager
    def kept(self) -> Iterator[int]:
        began = time.monotonic()
        is_done = False
        try:
            yield self.limit
            is_done = True
        finally:
            took = time.monotonic() - began
            if took > self.SECONDS or not is_done:
                self.limit = max(self.least, self.limit // 2)
            elif took < self.SECONDS / 3:
                self.limit = min(self.MOST, self.limit * 2)


_pace = Pace(LEAST)


def some(now: datetime, book: Book, *, with_waits: bool = True) -> Passed:
    """Work off one batch. Without waits: of those who are called."""
    try:
        with _pace.kept() as limit, transaction.atomic():
            return _some(now, limit, book, with_waits=with_waits)
    except OperationalError as error:
        if not is_deadlock(error):
            raise
        log.info("walks_wait")  # for somebody who holds what we need: they are due still
        return Passed(0, True)


def _some(now: datetime, limit: int, book: Book, *, with_waits: bool = True) -> Passed:
    ids = [pk for (pk,) in fetch(_DUE, now=now, limit=AUTOMATIONS, with_waits=with_waits)]
    automations = walk.locked(ids, skip_locked=True) if ids else []
    if not automations:
        return NOTHING
    held = walk.of(automations, book)
    _take(held, now, max(1, limit // len(automations)), with_waits=with_waits)
    is_more = any(held.walks.values())
    go_on(held, now)
    return Passed(held.n_steps, is_more)


def go_on(held: Held, now: datetime) -> None:
    """Whoever is held walks on, from where they stand or from where they are called to."""
    for automation_id, walks in sorted(held.walks.items()):
        walk.apart(held, automation_id, _go_on, [walks[person] for person in sorted(walks)], _fail, now)
    walk.keep_counts(held)


def _take(held: Held, now: datetime, limit: int, *, with_waits: bool) -> None:
    """Of each person the walk that is first; who is called comes before whose wait is over."""
    automations = list(held.automations.values())
    active = [one.status == Automation.Status.ACTIVE for one in automations]
    values = {"automations": [one.pk for one in automations], "active": active, "now": now, "limit": limit}
    found = list(Walk.objects.raw(_TAKE, {**values, "with_waits": with_waits}))
    found.sort(key=lambda one: (one.called_to == "", one.due_at or now, one.pk))
    held.people = {one.pk: one for one in _PEOPLE.all(ids=list({one.subscriber_id for one in found}))}
    taken: set[int] = set()
    for one in found:
        if one.subscriber_id in held.people and one.subscriber_id not in taken:
            taken.add(one.subscriber_id)
            held.walks.setdefault(one.automation_id, {})[one.subscriber_id] = one


def _go_on(steps: Steps, walks: Sequence[Walk]) -> None:
    resuming = []
    called: dict[str, list[int]] = defaultdict(list)
    for one in walks:
        is_mailable = steps.held.people[one.subscriber_id].state not in nodes.UNMAILABLE
        if (
            is_mailable
            and one.called_to
            and (one.called_to in steps.route.ahead.get(one.node, ()) or one.called_to == one.node)
        ):
            called[one.called_to].append(one.subscriber_id)
        else:
            resuming.append(one.subscriber_id)
    for to, people in called.items():
        _pull(steps, people, to)
    walkers = [steps.add(person, Step.What.WALKED, "") for person in resuming]
    for walker in walkers:
        steps.walk(walker).called_to = ""
        steps.changed.add(walker.subscriber_id)
    nodes.resume(steps, walkers)
    steps.run()


def _pull(steps: Steps, people: Iterable[int], to: str) -> None:
    walkers = [steps.add(person, Step.What.WALKED, "") for person in people]
    for walker in walkers:
        steps.walk(walker).called_to = ""
        steps.changed.add(walker.subscriber_id)
    waiting = [one for one in walkers if steps.walk(one).node == to and steps.walk(one).is_begun]
    for one in waiting:
        nodes.end(steps, one, steps.node(to), reasons.HAPPENED)
    nodes.pull(steps, [one for one in walkers if one not in waiting], to)


def _fail(steps: Steps, one: Walk) -> None:
    walk.put_off(steps, one.subscriber_id)


def next_instant(after: datetime) -> datetime | None:
    """When somebody is due next, later than that; for the virtual clock."""
    [(found,)] = fetch(_NEXT, after=after)
    return found  # type: ignore[no-any-return]
