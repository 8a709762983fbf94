"""People in automations: let in, moved on, put elsewhere, let go. Nobody else writes walks and steps.

    held = walk.hold([automation.pk], ids)        # first of all in the transaction
    walk.admit(held, automation.pk, ids, now, cause=causes.OWNER)

Each verb works on sets, in the caller's transaction, in a number of statements that does not grow with the people, and
leaves a row of the log for each person. docs/reference/life-of-a-walk.md
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from dripstone.accounts.models import Account
from dripstone.automations import kinds, nodes, reasons, schedule
from dripstone.automations.book import Book
from dripstone.automations.models import Automation, Step, Walk
from dripstone.automations.steps import Earlier, Entering, Steps, Walker, execute, things_of
from dripstone.automations.steps import Held as Held
from dripstone.automations.steps import Sequences as Sequences
from dripstone.engine.acts import places
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.events.causes import Cause
from dripstone.postgresql.compiled import Among, Compiled, Parameter
from dripstone.rules import fire
from dripstone.subscribers.models import State, Subscriber, locked_all
from dripstone.triggers import what

log = structlog.get_logger(__name__)

MOST = 10  # times that an automation takes the same person by anything but an act of outside (A16),
WITHIN = timedelta(hours=24)

_WALKS = Compiled(
    lambda: (
        Walk.objects.select_for_update(no_key=True)
        .filter(
            Among("automation_id", Parameter("automations")), Among("subscriber_id", Parameter("people")), left_at=None
        )
        .order_by("id")
    )
)

# Purpose: automations without their drafts, as they are once they are held. Primary key.
_LOCK = """
SELECT id, account_id, name, status, reenter, entries, start, edition, listens_after, time_zone, n_entered, n_left,
       n_not_entered
FROM automations_automation WHERE id = ANY(%(ids)s) ORDER BY id FOR {strength}
"""
# Purpose: what has entered and left is counted; last in a transaction, since others who walk wait for this row only.
_COUNT = """
UPDATE automations_automation a SET n_entered = a.n_entered + c.n_entered, n_left = a.n_left + c.n_left,
                                    n_not_entered = a.n_not_entered + c.n_not_entered
FROM unnest(%(automations)s::bigint[], %(n_entered)s::bigint[], %(n_left)s::bigint[], %(n_not_entered)s::bigint[])
     AS c (id, n_entered, n_left, n_not_entered)
WHERE a.id = c.id
"""
_COUNTED = ("n_entered", "n_left", "n_not_entered")

# --- Holding ------------------------------------------------------------------------------------------------------


def hold(
    automation_ids: Iterable[int], subscriber_ids: Iterable[int], *, alone: bool = False, book: Book | None = None
) -> Held:
    """In the lock order: automations, what their graphs name, people, walks. What is gone is not there.

    alone   nobody else walks through these automations until the transaction ends
    book    of whoever acts again and again, and never in a transaction that will be undone
    """
    held = of(locked(automation_ids, alone=alone), book or Book())
    add_people(held, subscriber_ids)
    return held


def locked(automation_ids: Iterable[int], *, alone: bool = False, skip_locked: bool = False) -> list[Automation]:
    """By id. Not alone, only what is counted may change meanwhile (and nobody may delete or edit them)."""
    strength = f"{'UPDATE' if alone else 'KEY SHARE'}{' SKIP LOCKED' if skip_locked else ''}"
    return list(Automation.objects.raw(_LOCK.format(strength=strength), {"ids": list(automation_ids)}))


def of(automations: Iterable[Automation], book: Book) -> Held:
    """What these automations need, which are locked."""
    rows = {one.pk: one for one in automations}
    routes = book.routes(rows.values())
    accounts = Account.objects.in_bulk({one.account_id for one in rows.values()})
    named: dict[int, list[what.Action]] = defaultdict(list)
    for one in rows.values():
        named[one.account_id] += routes[one.pk].named
    things = {account_id: what.hold(account_id, named[account_id]) for account_id in sorted(accounts)}
    own = {pk: things_of(things[one.account_id], routes[pk]) for pk, one in rows.items()}
    return Held(rows, routes, accounts, own)


def add_people(held: Held, subscriber_ids: Iterable[int]) -> None:
    ids = list(set(subscriber_ids))
    for account_id in sorted(held.accounts):
        held.people |= locked_all(account_id, ids)
    add_walks(held, held.people)


def add_walks(held: Held, people: Collection[int]) -> None:
    """Of people who are locked."""
    for pk in held.automations:
        held.walks.setdefault(pk, {})
    for one in _WALKS.all(automations=list(held.automations), people=list(people)) if people else ():
        held.walks[one.automation_id][one.subscriber_id] = one


def keep_counts(held: Held) -> None:
    """The last thing in the transaction."""
    ids = sorted({pk for pk, _ in held.counts})
    if ids:
        execute(_COUNT, automations=ids, **{name: [held.counts[pk, name] for pk in ids] for name in _COUNTED})
    held.counts = Counter()


def steps(held: Held, automation_id: int, now: datetime) -> Steps:
    return Steps(held, automation_id, now, nodes.arrive)


def _done(steps: Steps) -> None:
    steps.run()
    steps.keep()
    keep_counts(steps.held)


T = TypeVar("T", bound="_WithPerson")


def apart(
    held: Held,
    automation_id: int,
    do: Callable[[Steps, Sequence[T]], None],
    ones: Sequence[T],
    fail: Callable[[Steps, T], None],
    now: datetime,
) -> None:
    """One step of all of them; if it meets a mistake of ours, each alone, and those that meet it again `fail`."""

    def together(some: Sequence[T]) -> None:
        one_step = steps(held, automation_id, now)
        do(one_step, some)
        one_step.keep()

    def alone(one: T) -> None:
        log.error("automation_failed", automation_id=automation_id, subscriber_id=one.subscriber_id)
        one_step = steps(held, automation_id, now)
        fail(one_step, one)
        one_step.keep()

    def undone(some: Sequence[T]) -> None:
        """They are locked still."""
        ids = [one.subscriber_id for one in some]
        held.people |= Subscriber.objects.in_bulk(ids)
        for pk in ids:
            held.walks[automation_id].pop(pk, None)
        rows = Walk.objects.filter(automation=automation_id, subscriber_id__in=ids, left_at=None)
        held.walks[automation_id] |= {row.subscriber_id: row for row in rows}

    fire.apart(together, ones, alone, undone)


class _WithPerson(Protocol):
    """Who takes part."""

    @property
    def subscriber_id(self) -> int: ...


def put_off(steps: Steps, subscriber_id: int, event_id: int | None = None) -> None:
    """Somebody for whom we fail stays where they are, and is tried again an hour later."""
    walker = steps.add(subscriber_id, Step.What.WALKED, reasons.OUR_MISTAKE, event_id=event_id)
    steps.walk(walker).due_at = steps.now + schedule.AN_HOUR
    steps.changed.add(subscriber_id)


# --- Letting in ---------------------------------------------------------------------------------------------------


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

    cause   () for time; else what brought it about
    entry   id of the entry; "": by hand, by a move, matched already
    again   `reenter: never` notwithstanding
    """
    one_step = steps(held, automation_id, now)
    asked = [Asked(pk, cause, entry, event_id, again) for pk in sorted(set(subscriber_ids)) if pk in held.people]
    found = let_in(one_step, asked)
    _done(one_step)
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody who would enter, once among several."""

    subscriber_id: int
    cause: Cause
    entry: str = ""
    event_id: int | None = None
    again: bool = False


def let_in(steps: Steps, asked: Collection[Asked]) -> dict[int, str]:
    """Whoever may enter stands at the entry, and goes on from there if that is allowed. The log is not kept yet."""
    earlier = steps.earlier([one.subscriber_id for one in asked], steps.now - WITHIN)
    found, entering = {}, []
    for one in asked:
        before = earlier.get(one.subscriber_id, Earlier())
        found[one.subscriber_id] = reason = _why_not(steps, one, before)
        if reason:
            steps.refuse(one.subscriber_id, reason, one.cause, one.event_id)
        else:
            entering.append(Entering(one.subscriber_id, before.last_run + 1, one.entry, one.cause, one.event_id))
    for walker in steps.enter(entering):
        if steps.may_walk(walker):
            steps.go([walker], steps.route.graph.start)
        elif steps.person(walker).state != State.ACTIVE:
            steps.due(walker, None)  # until they confirm
    return found


def _why_not(steps: Steps, one: Asked, before: Earlier) -> str:
    automation = steps.automation
    if before.is_inside:
        return reasons.INSIDE_ALREADY
    if causes.has_automation(one.cause, automation.pk):
        return reasons.IN_ITS_OWN_CHAIN
    if causes.depth(one.cause) >= causes.DEEPEST:
        return reasons.TOO_DEEP
    if automation.status == Automation.Status.INACTIVE:
        return reasons.NOT_RUNNING
    if steps.held.people[one.subscriber_id].state not in (State.ACTIVE, State.INACTIVE):
        return reasons.NOT_MAILABLE
    if automation.reenter == Automation.Reenter.NEVER and before.has_walked and not one.again:
        return reasons.NEVER_AGAIN
    is_counted = not causes.is_from_outside(one.cause)
    return reasons.TOO_OFTEN if is_counted and before.n_counted >= MOST else ""


# --- Moving on ----------------------------------------------------------------------------------------------------


def step(held: Held, automation_id: int, subscriber_ids: Iterable[int], now: datetime) -> None:
    """Those who may walk go on from where they stand, if it is time, to the next place that waits."""
    one_step = steps(held, automation_id, now)
    inside = [pk for pk in sorted(set(subscriber_ids)) if pk in one_step.walks]
    nodes.resume(one_step, [one_step.add(pk, Step.What.WALKED, "") for pk in inside])
    _done(one_step)


def put(
    held: Held,
    automation_id: int,
    to: Mapping[int, str],
    now: datetime,
    *,
    cause: Cause,
    reason: str,
    sequences: Sequences = "end",
    new_run: bool = False,
) -> None:
    """People who are inside stand at a node that is still to be done; `step` or the next tick does it.

    to       by person, the key of the node
    reason   BY_HAND, BY_EDIT
    sequences   what becomes of the place at a sequence node that they leave, if this run made it (A5)
    new_run   what has acted in this run may act again (A3)
    """
    one_step = steps(held, automation_id, now)
    walkers = [one_step.add(pk, Step.What.MOVED, reason, cause) for pk in sorted(to) if pk in one_step.walks]
    if sequences == "end":
        one_step.end_places(walkers)
    else:
        _resume(one_step, walkers)
    if new_run:
        walkers = _begin_anew(one_step, walkers, reason)
    for one in walkers:
        walk, key = one_step.walk(one), to[one.subscriber_id]
        if walk.node:
            one.path.append({"node": walk.node, "what": reasons.LEFT_BEHIND, "reason": reason})
        is_confirmed = one_step.person(one).state == State.ACTIVE
        one_step.stand(one, key, is_begun=False, due_at=now if is_confirmed else None)
    _done(one_step)


def _begin_anew(steps: Steps, ones: list[Walker], reason: str) -> list[Walker]:
    """Their runs end, and others begin, by the same entry."""
    earlier = steps.earlier([one.subscriber_id for one in ones], steps.now - WITHIN)
    entering = []
    for one in ones:
        walk = steps.walk(one)
        run = earlier[one.subscriber_id].last_run + 1
        entering.append(Entering(one.subscriber_id, run, walk.entry, one.cause, None))
        one.is_noted = False
        steps.leave(one, reasons.NEW_RUN)
    steps.keep()  # nobody is inside twice
    steps.walkers, steps.gone, steps.changed, steps.counts = [], [], set(), Counter()
    begun = steps.enter(entering)
    for one in begun:
        one.what, one.reason = Step.What.MOVED, reason
    steps.counts["n_entered"] -= len(begun)  # they had entered: another run is no other entry
    return begun


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
    one_step = steps(held, automation_id, now)
    inside = [pk for pk in sorted(set(subscriber_ids)) if pk in one_step.walks]
    walkers = [one_step.add(pk, Step.What.LEFT, reason, cause) for pk in inside]
    if sequences == "finish":
        _resume(one_step, walkers)
    nodes.leave(one_step, walkers, reason, with_places=sequences == "end")
    _done(one_step)
    return set(inside)


# --- Dates --------------------------------------------------------------------------------------------------------


def look_again(automation_id: int, keys: Iterable[str], now: datetime) -> int:
    """Whoever stands at these nodes is looked at by the next tick: their condition has changed. Returns how many."""
    rows = Walk.objects.filter(automation=automation_id, node__in=list(keys), left_at=None)
    return rows.update(due_at=now)


def without_date(automation_id: int, keys: Iterable[str], now: datetime) -> int:
    """The same for waits for a date in a field that is gone: they have no end any more."""
    rows = Walk.objects.filter(automation=automation_id, node__in=list(keys), left_at=None, is_begun=True)
    return rows.update(due_at=now, ends_at=None)


def redate(held: Held, automation_id: int, subscriber_ids: Iterable[int], now: datetime, *, anew: bool) -> None:
    """Those who wait for a time, or for something within one, get the end that their node gives now, counted from when
    they arrived; anew: from now. No row of the log: the edit is told where it was made."""
    one_step = steps(held, automation_id, now)
    at: dict[str, dict[Walker, datetime]] = defaultdict(dict)
    for pk in sorted(set(subscriber_ids)):
        walk = one_step.walks.get(pk)
        if walk is not None and walk.is_begun and walk.node in one_step.route.graph.nodes:
            walker = one_step.add(pk, Step.What.WALKED, "")
            walker.is_noted = False
            at[walk.node][walker] = now if anew else walk.arrived_at
    for key, starts in at.items():
        _redate(one_step, key, starts)
    _done(one_step)


def _redate(steps: Steps, key: str, starts: Mapping[Walker, datetime]) -> None:
    node = steps.node(key)
    if node.kind == kinds.WAIT:
        ends = nodes.ends_of_wait(steps, node, starts)
    elif node.kind in (kinds.EVENT, kinds.CONDITION):
        ends = {one.subscriber_id: nodes.end_of_event(steps, node, start) for one, start in starts.items()}
    else:
        return
    for one in starts:
        walk = steps.walk(one)
        if not nodes.has_happened(walk):
            walk.ends_at = ends[one.subscriber_id]
            is_looked_at_now = node.kind == kinds.CONDITION or (walk.ends_at is None and node.kind == kinds.WAIT)
            steps.due(one, steps.now if is_looked_at_now else walk.ends_at)


def next_slots(automation_id: int, now: datetime) -> int:
    """Overdue waits for a weekday and hour end at their next one (A11). Returns how many."""
    held = of(locked([automation_id]), Book())
    if automation_id not in held.automations:
        return 0
    one_step = steps(held, automation_id, now)
    n = 0
    for node in one_step.route.graph.nodes.values():
        if node.kind == kinds.WAIT and schedule.is_for_weekday(node.settings):
            slot = schedule.end_of_wait(node.settings, now, one_step.zone)
            waiting = Walk.objects.filter(automation=automation_id, node=node.key, left_at=None, is_begun=True)
            n += waiting.filter(ends_at__lt=now, called_to="").update(ends_at=slot, due_at=slot)
    return n


# --- Places of an automation that does not run ----------------------------------------------------------------------


def still(automation_id: int, is_still: bool, now: datetime) -> int:
    """The places that it made for those who stand at a sequence node are sent nothing, or go on as after a pause (R4).
    Returns how many (A11). Whom the owner has paused by hand stays so."""
    inside = Walk.objects.filter(automation=automation_id, left_at=None, enrollment_id__isnull=False)
    if is_still:
        walks = inside.filter(is_ours=True, stilled_at=None)
        paused = places.pause_all([pk for pk in walks.values_list("enrollment_id", flat=True) if pk is not None], now)
        return walks.filter(enrollment_id__in=paused).update(stilled_at=now)
    walks = inside.filter(stilled_at__isnull=False)
    stilled = dict(walks.values_list("enrollment_id", "stilled_at"))
    walks.update(stilled_at=None)
    return places.resume_all(_as_we_left_them(stilled), now)


def _resume(steps: Steps, ones: Iterable[Walker]) -> None:
    """They keep their places, which nobody would wake any more."""
    stilled = {steps.walk(one).enrollment_id: steps.walk(one).stilled_at for one in ones}
    if any(stilled.values()):
        places.resume_all(_as_we_left_them(stilled), steps.now)


def _as_we_left_them(stilled: Mapping[int | None, datetime | None]) -> list[int]:
    """Of places, with when each was stilled: without those that the owner has paused, or that have begun anew."""
    rows = Enrollment.objects.filter(pk__in=[*filter(None, stilled)], paused_at__isnull=False)
    return [pk for pk, paused_at in rows.values_list("pk", "paused_at") if paused_at == stilled[pk]]
