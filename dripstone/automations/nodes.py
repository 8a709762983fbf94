"""What each kind of node does with people who arrive at it, and when whoever stands at it goes on.

`arrive` and `look` take people at one node, all with the same chain of causes; each of them goes on, leaves or waits.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Series
from datetime import datetime
from typing import Any

from dripstone.automations import kinds, reasons, schedule
from dripstone.automations.graph import AT_ENTRY, BRANCHES, NEXT, NO, OTHERWISE, YES, GraphNode
from dripstone.automations.models import Step, Walk
from dripstone.automations.steps import Steps, Walker, fetch
from dripstone.engine import advance, enroll
from dripstone.engine import reasons as engine_reasons
from dripstone.engine.advance import Standing
from dripstone.engine.models import Enrollment
from dripstone.events import types
from dripstone.events.causes import Cause
from dripstone.events.models import Event
from dripstone.events.record import event, record
from dripstone.rules import already
from dripstone.sequences.known import known
from dripstone.subscribers.models import State
from dripstone.triggers import reasons as why
from dripstone.triggers import what, when

# Whether somebody has been there in this run is asked of all but these, which do nothing and lead several ways.
_EVERY_TIME = (kinds.CONDITION, kinds.SPLIT)
UNMAILABLE = (State.CANCELLED, State.BOUNCED, State.COMPLAINED)

# Purpose: events of a place with a lower id are older than what is done next.
_LAST_EVENT = "SELECT last_value FROM events_event_id_seq"


def arrive(steps: Steps, node: GraphNode, ones: list[Walker], chain: Cause) -> None:
    """chain   of what the node does"""
    if node.is_deleted:  # they were put there as it went
        steps.on(ones, node, reasons.PASSED, reasons.NODE_GONE)
        return
    fresh = ones if node.kind in _EVERY_TIME else _for_the_first_time(steps, node, ones)
    if fresh:
        _ARRIVE[node.kind](steps, node, fresh, chain)


def _for_the_first_time(steps: Steps, node: GraphNode, ones: list[Walker]) -> list[Walker]:
    """In this run. The others pass."""
    before = {one for one in ones if node.key in steps.walk(one).acted}
    steps.on(before, node, reasons.PASSED, reasons.ACTED_BEFORE)
    fresh = [one for one in ones if one not in before]
    steps.act(fresh, node.key)
    return fresh


def resume(steps: Steps, ones: Iterable[Walker]) -> None:
    """From where they stand, if it is time. Who may not walk waits for what lets them; who may not be mailed leaves."""
    at: dict[str, list[Walker]] = defaultdict(list)
    for one in ones:
        state, walk = steps.person(one).state, steps.walk(one)
        if state in UNMAILABLE:
            leave(steps, [one], reasons.state_is(state))
        elif not steps.may_walk(one):
            one.is_noted = bool(one.path)
            if state != State.ACTIVE:
                steps.due(one, None)  # until they confirm
        elif walk.node == AT_ENTRY:
            one.is_noted = True
            one.reason = one.reason or (reasons.STARTED if one.what == Step.What.WALKED else "")
            steps.go([one], steps.route.graph.start)
        elif walk.node not in steps.route.graph.nodes:
            leave(steps, [one], reasons.REMOVED_BY_EDIT)
        elif not walk.is_begun:
            one.is_noted = True
            one.reason = one.reason or reasons.GOES_ON
            steps.go([one], walk.node)
        else:
            at[walk.node].append(one)
    for key, some in at.items():
        node = steps.node(key)
        _LOOK[node.kind](steps, node, some)


def over(steps: Steps, one: Walker, node: GraphNode, reason: str, exit: str = NEXT) -> None:
    """What they waited for there has come to its end: they go on, or (who may not walk) will."""
    one.reason, one.is_noted = reason, True
    steps.on([one], node, reasons.OVER, reason, exit)


def stays(steps: Steps, one: Walker, at: datetime | None) -> None:
    """Nothing has come to its end: they are looked at again then."""
    one.is_noted = bool(one.path)
    steps.due(one, at)


def pull(steps: Steps, ones: Series[Walker], to: str) -> None:
    """Forward to an event node whose event has happened, and on from there. Who may not walk stays at it."""
    node = steps.node(to)
    steps.end_places(ones)
    for one in ones:
        walk = steps.walk(one)
        one.what, one.reason, one.is_noted = Step.What.PULLED, reasons.HAPPENED, True
        one.path.append({"node": walk.node, "what": reasons.LEFT_BEHIND, "reason": reasons.HAPPENED})
        if to not in walk.acted:
            steps.act([one], to)
        if steps.may_walk(one):
            steps.on([one], node, reasons.OVER, reasons.HAPPENED)
        else:
            steps.stand(one, to, is_begun=True, due_at=steps.now, ends_at=steps.now)
            one.path.append({"node": to, "what": reasons.WAITS, "reason": ""})


def leave(steps: Steps, ones: Series[Walker], reason: str, *, with_places: bool = True) -> None:
    if with_places:
        steps.end_places(ones)
    for one in ones:
        steps.leave(one, reason)


# --- Waits --------------------------------------------------------------------------------------------------------


def _wait(steps: Steps, node: GraphNode, ones: list[Walker], chain: Cause) -> None:
    ends = ends_of_wait(steps, node, dict.fromkeys(ones, steps.now))
    for one in ones:
        ends_at = ends[one.subscriber_id]
        if ends_at is None:
            steps.on([one], node, reasons.PASSED, reasons.NO_DATE, _without_date(node))
        elif ends_at <= steps.now:
            steps.on([one], node, reasons.PASSED, reasons.IN_THE_PAST)
        else:
            steps.wait(one, node, due_at=ends_at, ends_at=ends_at)


def ends_of_wait(steps: Steps, node: GraphNode, starts: Mapping[Any, datetime]) -> dict[int, datetime | None]:
    """By person, of a wait that began for each at that instant."""
    field_id = schedule.field_of(node.settings)
    days = steps.days(field_id, starts) if field_id is not None else {}
    return {
        one.subscriber_id: schedule.end_of_wait(node.settings, at, steps.zone, days.get(one.subscriber_id))
        for one, at in starts.items()
    }


def _without_date(node: GraphNode) -> str:
    return OTHERWISE if OTHERWISE in node.exits else NEXT


def _look_at_wait(steps: Steps, node: GraphNode, ones: list[Walker]) -> None:
    """Without an end: the date in the field is gone."""
    for one in ones:
        ends_at = steps.walk(one).ends_at
        if ends_at is None:
            over(steps, one, node, reasons.NO_DATE, _without_date(node))
        elif ends_at <= steps.now:
            over(steps, one, node, reasons.WAIT_OVER)
        else:
            stays(steps, one, ends_at)


# --- Acts ---------------------------------------------------------------------------------------------------------


def _act(steps: Steps, node: GraphNode, ones: list[Walker], chain: Cause) -> None:
    people = {one.subscriber_id: steps.person(one) for one in ones}
    held = steps.held.things[steps.automation_id]
    about: Any = {"cause": chain, "source": "automation", "shared": steps.shared}
    done = what.perform(steps.route.acts[node.key], held, people, steps.now, **about)
    if node.kind == kinds.UNSUBSCRIBE:
        for one in ones:
            one.path.append(_entry(node, done.passed.get(one.subscriber_id)))
            steps.leave(one, reasons.UNSUBSCRIBED)
        return
    for reason, some in _parted(ones, lambda one: done.passed.get(one.subscriber_id, "")):
        steps.on(some, node, reasons.PASSED if reason else reasons.ACTED, reason)


def _entry(node: GraphNode, reason: str | None) -> dict[str, Any]:
    return {"node": node.key, "what": reasons.PASSED if reason else reasons.ACTED, "reason": reason or ""}


# --- Forks --------------------------------------------------------------------------------------------------------


def _condition(steps: Steps, node: GraphNode, ones: list[Walker], chain: Cause) -> None:
    met = steps.met(node.key, node.settings["if"], ones)
    steps.on([one for one in ones if one.subscriber_id in met], node, reasons.WENT, exit=YES)
    others = [one for one in ones if one.subscriber_id not in met]
    if within := node.settings.get("within"):
        ends_at = schedule.after(steps.now, within, steps.zone)
        for one in others:
            steps.wait(one, node, due_at=steps.next_look(node, ends_at), ends_at=ends_at)
    else:
        steps.on(others, node, reasons.WENT, exit=NO)


def _look_at_condition(steps: Steps, node: GraphNode, ones: list[Walker]) -> None:
    met = steps.met(node.key, node.settings["if"], ones)
    for one in ones:
        ends_at = steps.walk(one).ends_at
        if one.subscriber_id in met:
            over(steps, one, node, reasons.CONDITION_MET, YES)
        elif ends_at is None or ends_at <= steps.now or not node.settings.get("within"):
            over(steps, one, node, reasons.WITHIN_OVER, NO)
        else:
            stays(steps, one, steps.next_look(node, ends_at))


def _split(steps: Steps, node: GraphNode, ones: list[Walker], chain: Cause) -> None:
    branches = node.settings[BRANCHES]
    if branches and "percent" in branches[0]:
        of = steps.automation_id
        for exit, some in _parted(ones, lambda one: share(of, one.subscriber_id, steps.walk(one).run, node)):
            steps.on(some, node, reasons.WENT, exit=exit)
        return
    left = ones
    for place, branch in enumerate(branches):
        met = steps.met(f"{node.key} {place}", branch["if"], left)
        steps.on([one for one in left if one.subscriber_id in met], node, reasons.WENT, exit=str(place))
        left = [one for one in left if one.subscriber_id not in met]
    steps.on(left, node, reasons.WENT, exit=OTHERWISE)


def _parted(ones: Iterable[Walker], by: Callable[[Walker], str]) -> Iterable[tuple[str, list[Walker]]]:
    found: dict[str, list[Walker]] = defaultdict(list)
    for one in ones:
        found[by(one)].append(one)
    return found.items()


def share(automation_id: int, subscriber_id: int, run: int, node: GraphNode) -> str:
    """The branch of a split by shares: always the same one for this run. foresight/walkers.py says it in SQL."""
    digest = hashlib.sha256(f"{automation_id}:{subscriber_id}:{run}:{node.key}".encode()).digest()
    left = int.from_bytes(digest[:8], "big") % 100
    branches = node.settings[BRANCHES]
    for place, branch in enumerate(branches):
        left -= branch["percent"]
        if left < 0:
            return str(place)
    return str(len(branches) - 1)  # shares add up to 100, so this is never reached


# --- Events -------------------------------------------------------------------------------------------------------


def _event(steps: Steps, node: GraphNode, ones: list[Walker], chain: Cause) -> None:
    """Who walks up to it waits for it, unless what it leaves behind is so already."""
    if is_gone(steps, node):
        steps.on(ones, node, reasons.PASSED, reasons.THING_GONE)
        return
    there = _there_already(steps, node, ones) if node.settings.get("already") else set()
    for one in ones:
        if one.subscriber_id in there:
            steps.on([one], node, reasons.PASSED, reasons.MET_ALREADY)
        else:
            ends_at = end_of_event(steps, node, steps.now)
            steps.wait(one, node, due_at=ends_at, ends_at=ends_at)


def end_of_event(steps: Steps, node: GraphNode, start: datetime) -> datetime | None:
    within = node.settings.get("within")
    return schedule.after(start, within, steps.zone) if within else None


def is_gone(steps: Steps, node: GraphNode) -> bool:
    """Whether what an event is about was deleted, so that it can't happen any more."""
    exists = known(steps.account.pk)
    return any(pk not in exists(kind, [pk]) for kind, pk in when.things(node.trigger))


def _there_already(steps: Steps, node: GraphNode, ones: list[Walker]) -> set[int]:
    trigger = node.trigger
    if trigger["trigger"] == when.DATE:
        is_over = datetime.fromisoformat(trigger["at"]) <= steps.now
        return {one.subscriber_id for one in ones} if is_over else set()
    condition = already.left_behind(trigger, steps.account, steps.now)
    return set() if condition is None else steps.met(f"{node.key} already", condition, ones)


def _look_at_event(steps: Steps, node: GraphNode, ones: list[Walker]) -> None:
    gone = is_gone(steps, node)
    for one in ones:
        walk = steps.walk(one)
        if has_happened(walk):
            over(steps, one, node, reasons.HAPPENED)
        elif gone:
            over(steps, one, node, reasons.THING_GONE)
        elif walk.ends_at is not None and walk.ends_at <= steps.now:
            over(steps, one, node, reasons.WITHIN_OVER, _at_the_end(node))
        else:
            stays(steps, one, walk.ends_at)


def has_happened(walk: Walk) -> bool:
    """While whoever waits at an event might not walk, it happened: an end without a limit of time says so."""
    return walk.ends_at is not None and walk.ends_at == walk.arrived_at


def _at_the_end(node: GraphNode) -> str:
    return OTHERWISE if OTHERWISE in node.exits else NEXT


# --- Sequences ----------------------------------------------------------------------------------------------------


def _sequence(steps: Steps, node: GraphNode, ones: list[Walker], chain: Cause) -> None:
    """A4. Whoever is in it already waits with it; with `repeat` they start again."""
    sequence = steps.held.things[steps.automation_id].sequences.get(node.settings["sequence_id"])
    if sequence is None:
        steps.on(ones, node, reasons.PASSED, reasons.THING_GONE)
        return
    steps.save()  # for the conditions of emails
    [(after_event,)] = fetch(_LAST_EVENT)
    ids = [one.subscriber_id for one in ones]
    entries = enroll.add(sequence, ids, "automation", steps.now, cause=chain)
    waiting = []
    for one in ones:
        entry = entries[one.subscriber_id]
        if entry.enrollment.status == Enrollment.Status.COMPLETED:
            steps.on([one], node, reasons.PASSED, reasons.COMPLETED_BEFORE)
        elif entry.enrollment.status == Enrollment.Status.REMOVED:
            steps.on([one], node, reasons.PASSED, why.NOT_MAILABLE)
        elif node.settings["wait"]:
            waiting.append((one, entry))
        elif entry.moved:
            steps.on([one], node, reasons.ACTED)
        else:
            steps.on([one], node, reasons.PASSED, why.ALREADY_SO)
    at_end = _at_end([entry.enrollment.pk for _, entry in waiting]) if _is_over_at_end(node) else set()
    for one, entry in waiting:
        if entry.enrollment.pk in at_end:
            steps.on([one], node, reasons.PASSED, reasons.SEQUENCE_END_REACHED)
        else:
            _wait_with(steps, one, node, entry, after_event)


def _wait_with(steps: Steps, one: Walker, node: GraphNode, entry: enroll.Entry, after_event: int) -> None:
    steps.wait(one, node, due_at=None)
    walk = steps.walk(one)
    walk.enrollment_id, walk.enrollment_run = entry.enrollment.pk, entry.enrollment.run
    walk.is_ours, walk.after_event = entry.moved, after_event


def _is_over_at_end(node: GraphNode) -> bool:
    return bool(node.settings["wait"] == kinds.LAST_EMAIL)


def _at_end(enrollment_ids: list[int]) -> set[int]:
    """The places that have had the last email, and stay (R6)."""
    return {one.enrollment_id for one in advance.standings_of(enrollment_ids) if _is_at_end(one)}


def _is_at_end(one: Standing) -> bool:
    has_next = one.current_id is not None or one.next_id is not None
    return not has_next and one.hold and one.last_ended_at is not None and one.sequence_publishes


def why_sequence_is_over(steps: Steps, one: Walker, node: GraphNode, event: Event) -> str:
    """Of an event of the place they wait with. "": it goes on, perhaps in another run."""
    walk = steps.walk(one)
    if event.pk <= walk.after_event:
        return ""
    match event.type:
        case types.SEQUENCE_COMPLETED:
            return reasons.SEQUENCE_COMPLETED
        case types.SEQUENCE_END_REACHED if _is_over_at_end(node):
            return reasons.SEQUENCE_END_REACHED
        case types.REMOVED_FROM_SEQUENCE:
            is_gone = event.data.get("reason") == engine_reasons.SEQUENCE_DELETED
            return reasons.SEQUENCE_GONE if is_gone else reasons.SEQUENCE_LEFT
        case types.ADDED_TO_SEQUENCE if event.data.get("run", 0) > (walk.enrollment_run or 0):
            walk.enrollment_run, walk.is_ours = event.data["run"], False
            steps.changed.add(one.subscriber_id)
    return ""


def _look_at_sequence(steps: Steps, node: GraphNode, ones: list[Walker]) -> None:
    """It came to its end while they might not walk, or an edit lets them wait no longer."""
    ended = {one for one in ones if steps.walk(one).ends_at is not None}
    at = {one: steps.walk(one).enrollment_id or 0 for one in ones}
    places = Enrollment.objects.in_bulk([at[one] for one in ended]) if ended else {}
    at_end = _at_end([at[one] for one in ones if one not in ended]) if _is_over_at_end(node) else set()
    for one in ones:
        if one in ended:
            over(steps, one, node, _why_it_has_ended(places.get(at[one]), node))
        elif at[one] in at_end:
            over(steps, one, node, reasons.SEQUENCE_END_REACHED)
        elif not node.settings["wait"]:
            over(steps, one, node, reasons.GOES_ON)
        else:
            stays(steps, one, None)


def _why_it_has_ended(place: Enrollment | None, node: GraphNode) -> str:
    if place is not None and place.status == Enrollment.Status.COMPLETED:
        return reasons.SEQUENCE_COMPLETED
    if place is not None and place.status == Enrollment.Status.ACTIVE and _is_over_at_end(node):
        return reasons.SEQUENCE_END_REACHED
    return reasons.SEQUENCE_LEFT


# --- Moves --------------------------------------------------------------------------------------------------------


def _move(steps: Steps, node: GraphNode, ones: list[Walker], chain: Cause) -> None:
    """They are sent: whoever reads events hands them over, in their order. Who is to leave if the other automation
    admits them waits for its answer."""
    target, way = node.settings["automation_id"], node.settings["way"]
    if not known(steps.account.pk)("automation", [target]):
        steps.on(ones, node, reasons.PASSED, reasons.THING_GONE)
        return
    kind = types.SENT_INTO_AUTOMATION if way == kinds.IN else types.SENT_OUT_OF_AUTOMATION
    and_leave = node.settings.get("and_leave", False)
    is_answered = and_leave and way == kinds.IN
    record(
        event(
            kind,
            steps.account.pk,
            steps.now,
            cause=chain,
            subscriber_id=one.subscriber_id,
            subject_id=target,
            **({"from": steps.automation_id, "run": one.run} if is_answered else {}),
        )
        for one in ones
    )
    for one in ones:
        if is_answered:
            steps.wait(one, node, due_at=None)
        elif and_leave:
            one.path.append({"node": node.key, "what": reasons.ACTED, "reason": ""})
            steps.leave(one, reasons.MOVED_ON)
        else:
            steps.on([one], node, reasons.ACTED)


def answered(steps: Steps, one: Walker, *, is_let_in: bool) -> None:
    """The other automation has admitted them, or not."""
    node = steps.node(steps.walk(one).node)
    if is_let_in:
        leave(steps, [one], reasons.MOVED_ON)
    else:
        end(steps, one, node, reasons.NOT_LET_IN)


def _look_at_move(steps: Steps, node: GraphNode, ones: list[Walker]) -> None:
    for one in ones:
        if steps.walk(one).ends_at is None:
            stays(steps, one, None)
        else:
            over(steps, one, node, reasons.NOT_LET_IN)


def end(steps: Steps, one: Walker, node: GraphNode, reason: str, exit: str = NEXT) -> None:
    """What they wait for has ended by an event. Who may not walk goes on once they may."""
    if steps.may_walk(one):
        over(steps, one, node, reason, exit)
        return
    walk = steps.walk(one)
    walk.due_at = walk.ends_at = steps.now
    if node.kind == kinds.EVENT:
        walk.arrived_at = steps.now  # has_happened
    one.is_noted = bool(one.path)
    steps.changed.add(one.subscriber_id)


# --- By kind ------------------------------------------------------------------------------------------------------

_ARRIVE: Mapping[str, Callable[[Steps, GraphNode, list[Walker], Cause], None]] = {
    **dict.fromkeys(kinds.ACTS, _act),
    kinds.WAIT: _wait,
    kinds.CONDITION: _condition,
    kinds.SPLIT: _split,
    kinds.EVENT: _event,
    kinds.SEQUENCE: _sequence,
    kinds.MOVE: _move,
}


def _nobody_stands_here(steps: Steps, node: GraphNode, ones: list[Walker]) -> None:
    """Nodes of these kinds are done at once; whoever is found at one as begun goes on."""
    for one in ones:
        over(steps, one, node, reasons.GOES_ON)


_LOOK: Mapping[str, Callable[[Steps, GraphNode, list[Walker]], None]] = {
    **dict.fromkeys((*kinds.ACTS, kinds.SPLIT), _nobody_stands_here),
    kinds.WAIT: _look_at_wait,
    kinds.CONDITION: _look_at_condition,
    kinds.EVENT: _look_at_event,
    kinds.SEQUENCE: _look_at_sequence,
    kinds.MOVE: _look_at_move,
}
