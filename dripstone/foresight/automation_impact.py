"""Says what an act on an automation would do to the people inside, before it is done: publishing a draft, switching it,
deleting it; and moving one person by hand.

Takes       an automation, and what would be done to it with which choices
Leaves      nothing: it only reads. (An act on one person is carried out and undone, as impact_of_place.py does it.)
A crash here means there is no answer; nothing was to be kept.

What becomes of whoever stands at a node is said by the code that does it (automations/edits.py); here people are
counted and named. The token is the one that the act asks for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from dripstone.automations import inside, kinds, people, publishing, removal, schedule, switching, verbs
from dripstone.automations.edits import Change
from dripstone.automations.graph import AT_ENTRY, NEXT, Graph, GraphNode
from dripstone.automations.models import Automation, Step, Walk
from dripstone.automations.steps import Sequences
from dripstone.automations.switching import Overdue
from dripstone.engine import advance, follow
from dripstone.engine import schedule as engine_schedule
from dripstone.engine.models import Enrollment, places_of
from dripstone.events.causes import Cause
from dripstone.foresight import going, impact_of_place
from dripstone.foresight.going import Crowd, Going
from dripstone.sequences.models import SequenceEmail
from dripstone.subscribers.models import State, Subscriber

PUBLISH, ACTIVATE, PAUSE, DEACTIVATE, DELETE = "publish", "activate", "pause", "deactivate", "delete"


@dataclass(frozen=True, slots=True)
class AtNode:
    """Where somebody stands, or where something is to be chosen.

    key      "" is the entry
    n        how many stand there; `names`: the first of them
    n_late   of them, whose wait was over while the automation did not run
    change   what an edit makes of the node; None: the act is no edit, or it leaves the node as it is
    """

    key: str
    kind: str
    n: int
    names: list[str] = field(default_factory=list)
    n_late: int = 0
    change: Change | None = None


@dataclass(frozen=True)
class AutomationImpact:
    """n_inside        all counts are numbers of people
    nodes           of a publishing those that change, else those where somebody stands; in the order of the list
    going           what happens at once
    n_unconfirmed   of those it would move at once: they go on when they have confirmed
    n_let_go        overdue people who leave instead
    n_slots         overdue waits for a weekday and hour, which take their next slot
    n_places        in sequences that this automation put people into and they stand at: of a deletion these end, or are
                    finished; of a stop they stand still, and go on when it is switched on
    n_mailed        of these, who get the next email of the sequence at once when they go on
    """

    act: str
    token: str
    n_inside: int
    graph: Graph
    nodes: list[AtNode] = field(default_factory=list)
    going: Going = field(default_factory=Going)
    n_unconfirmed: int = 0
    n_let_go: int = 0
    n_slots: int = 0
    n_places: int = 0
    n_mailed: int = 0
    start: tuple[str | None, str | None] | None = None  # of an edit that sets another one: before and after

    @property
    def is_silent(self) -> bool:
        """It concerns nobody."""
        return not (any(one.n for one in self.nodes) or self.going.n or self.n_places)

    def as_json(self) -> dict[str, Any]:
        return {
            "act": self.act,
            "token": self.token,
            "inside": self.n_inside,
            "nodes": [_node_as_json(one) for one in self.nodes],
            "start": None if self.start is None else {"before": self.start[0], "after": self.start[1]},
            "at_once": _going_as_json(self.going),
            "unconfirmed": self.n_unconfirmed,
            "leave_as_overdue": self.n_let_go,
            "take_next_slot": self.n_slots,
            "places": self.n_places,
            "mailed_at_once": self.n_mailed,
        }


class _Moved(NamedTuple):
    """People who go on.

    key       where they come to; None: out
    who       which walks
    by_state  how many of them there are in each state; None: that is to be counted
    is_asked  they stand there already, and are looked at again
    is_over   the same, and their wait is over
    is_sent_out  they leave, also those who may not walk
    """

    key: str | None
    who: Q
    by_state: Counter[str] | None = None
    is_asked: bool = False
    is_over: bool = False
    is_sent_out: bool = False


# --- Publishing ---------------------------------------------------------------------------------------------------


def of_publish(
    automation: Automation, draft: Graph | None, now: datetime, choices: Mapping[str, Any] | None = None
) -> AutomationImpact:
    """draft   None: the one that is kept. Raises Invalid where there is nothing to publish, and for wrong choices."""
    plan = publishing.plan(automation, draft, choices)
    token = plan.token()  # before anybody is counted: whoever moves meanwhile makes it void
    counts = inside.by_node(automation.pk)
    start = None if plan.before.start == plan.draft.start else (plan.before.start, plan.draft.start)
    told = [AT_ENTRY] * bool(start and counts.get(AT_ENTRY)) + list(plan.changes)
    names = inside.names(automation.pk, [key for key in told if counts.get(key)])
    nodes = [
        AtNode(key, _kind(plan.before, key), counts.get(key, 0), names.get(key, []), change=plan.changes.get(key))
        for key in told
    ]
    impact = AutomationImpact(PUBLISH, token, sum(counts.values()), plan.after, nodes, start=start)
    movers = [change for change in plan.changes.values() if change.moves_at_once and counts.get(change.key)]
    return _with_going(impact, automation, _moved_by(movers, automation, plan.after, now), now)


def _moved_by(changes: Iterable[Change], automation: Automation, after: Graph, now: datetime) -> Iterator[_Moved]:
    """Whom these move."""
    zone = ZoneInfo(automation.account.time_zone)
    for change in changes:
        here, node = Q(node=change.key), after.nodes[change.key]
        if change.then in ("leave_sequence", "go_on"):
            yield _Moved(node.leads_to, here, is_sent_out=node.leads_to is None)
            continue
        over = _came_long_ago(node, now, zone) if change.gives_dates_anew else _NOBODY
        if over is None:
            yield _Moved(going.UNKNOWN, here)
            continue
        if change.gives_dates_anew:
            yield _Moved(node.key, here & over, is_over=True)
        if change.then == "asked":
            is_over = node.kind == kinds.SEQUENCE
            asked = here & _has_done_with_it(node) if is_over else here
            yield _Moved(node.key, asked & ~over, is_asked=not is_over, is_over=is_over)


def _has_done_with_it(node: GraphNode) -> Q:
    """Of those who stand at a sequence node, for whom it does not wait any more."""
    if node.settings["wait"] is False:
        return Q()
    place = Enrollment.objects.filter(pk=OuterRef("enrollment_id"), status=Enrollment.Status.ACTIVE)
    at_its_end = Exists(place.filter(next_email=None, in_flight=False))
    return Q(at_its_end) if node.settings["wait"] == kinds.LAST_EMAIL else _NOBODY


def _came_long_ago(node: GraphNode, now: datetime, zone: ZoneInfo) -> Q | None:
    """Whose wait is over by what the node says now; None: that is not known before."""
    dated = dict(node.settings) if node.kind == kinds.WAIT else {"for": node.settings.get("within")}
    if node.kind != kinds.WAIT and dated["for"] is None:
        return _NOBODY
    if schedule.field_of(dated) is not None:
        return None
    latest = _latest_arrival(dated, now, zone)
    return _NOBODY if latest is None else Q(arrived_at__lte=latest)


def _latest_arrival(dated: Mapping[str, Any], now: datetime, zone: ZoneInfo) -> datetime | None:
    """Who came by then has waited long enough: the later somebody came, the later their wait ends."""

    def is_over(came: datetime) -> bool:
        ends = schedule.end_of_wait(dated, came, zone)
        return ends is not None and ends <= now

    first, last = now - _LONGEST, now
    if not is_over(first):
        return None
    while last - first > timedelta(microseconds=1):
        middle = first + (last - first) / 2
        first, last = (middle, last) if is_over(middle) else (first, middle)
    return last if is_over(last) else first


_LONGEST = timedelta(days=20_000)  # no wait is longer
_NOBODY = Q(pk=None)

# --- Switching ----------------------------------------------------------------------------------------------------


def of_switch(
    automation: Automation,
    status: str,
    now: datetime,
    overdue: Overdue = "walk",
    older_than: timedelta | None = None,
) -> AutomationImpact:
    """status       "active", "paused" or "inactive"
    overdue, older_than   as switching.activate has them
    """
    act = {"active": ACTIVATE, "paused": PAUSE, "inactive": DEACTIVATE}[status]
    before = now - (older_than or timedelta(0)) if overdue == "leave" else None
    late = _Late(now, before, switching.slots(automation))
    token, graph = switching.token_of(automation, status), verbs.published(automation)
    people = _everybody(automation, graph, late)
    impact = _of_everybody(act, token, automation, graph, people)
    if automation.status == status or Automation.Status.ACTIVE not in (automation.status, status):
        return replace(impact, n_places=0, n_let_go=0, n_slots=0)
    if status != Automation.Status.ACTIVE:
        return replace(impact, n_let_go=0, n_slots=0)
    told = replace(impact, n_mailed=_n_mailed(automation, now))
    return _with_going(told, automation, _waiting_to_go(graph, people, late), now)


class _Late(NamedTuple):
    """before   since when somebody must be overdue to leave; None: nobody does
    slots    nodes that wait for a weekday
    """

    now: datetime
    before: datetime | None
    slots: list[str]


# Purpose: everybody inside, by what the ticks do with them when it runs again (_Alike). A slot of a weekday that has
# passed is not over but another one. By walk_at_node, and every person of the account: 0.7 µs a walk.
_INSIDE = """
SELECT w.node, w.called_to, w.is_begun,
       coalesce(w.ends_at <= %(now)s AND NOT (w.is_slot AND w.ends_at < %(now)s), false),
       coalesce(w.node = ANY(%(events)s) AND w.ends_at = w.arrived_at, false),
       coalesce(w.ends_at <= %(before)s AND w.due_at <= %(before)s, false) AND NOT w.is_slot, p.state,
       count(*), count(*) FILTER (WHERE w.is_late AND p.state = 'active'),
       count(*) FILTER (WHERE w.is_late AND p.state = 'active' AND w.ends_at <= %(before)s),
       count(*) FILTER (WHERE w.is_slot AND w.ends_at < %(now)s),
       count(*) FILTER (WHERE w.is_ours AND w.enrollment_id IS NOT NULL)
FROM (SELECT *, node = ANY(%(slots)s) AS is_slot,
             ends_at <= %(now)s AND due_at <= %(now)s AND NOT node = ANY(%(slots)s) AS is_late
      FROM automations_walk WHERE automation_id = %(automation)s AND left_at IS NULL) w
JOIN subscribers_subscriber p ON p.id = w.subscriber_id
GROUP BY 1, 2, 3, 4, 5, 6, 7
"""


class _Alike(NamedTuple):
    """Of walks: where they stand, called where to, whether the node is begun, the wait over, the event waited for has
    happened, and whether they leave as overdue; the state of the person. How many there are, and of them the overdue,
    those who leave as overdue, those whose slot has passed, and those in a sequence into which the automation put them.
    """

    key: str
    called_to: str
    is_begun: bool
    is_over: bool
    has_happened: bool
    leaves: bool
    state: str
    n: int
    n_late: int
    n_let_go: int
    n_slots: int
    n_places: int


def _waiting_to_go(graph: Graph, people: Iterable[_Alike], late: _Late) -> Iterator[_Moved]:
    """Whom the ticks find when it runs again, without those who leave instead."""
    stay = _leaves(late)
    kinds_of: dict[tuple[str, str, bool, bool, bool], Counter[str]] = defaultdict(Counter)
    for one in people:
        if not one.leaves:
            kinds_of[one[:5]][one.state] += one.n
    for kind, by_state in kinds_of.items():
        key, called_to, is_begun, is_over, has_happened = kind
        who = Q(node=key, called_to=called_to, is_begun=is_begun) & ~stay
        who &= Q(ends_at__lte=late.now) if is_over else Q(ends_at=None) | Q(ends_at__gt=late.now)
        if called_to:
            yield _Moved(dict(graph.nodes[called_to].ways).get(NEXT), who, by_state)
        elif key == AT_ENTRY:
            yield _Moved(graph.start, who, by_state)
        elif not is_begun:
            yield _Moved(key, who, by_state)
        elif has_happened:
            yield _Moved(dict(graph.nodes[key].ways)[NEXT], who & _HAS_HAPPENED, by_state)
        elif is_over and key in late.slots:
            yield _Moved(key, who & Q(ends_at=late.now), by_state, is_over=True)
        elif is_over:
            is_event = graph.nodes[key].kind == kinds.EVENT
            yield _Moved(key, who & ~_HAS_HAPPENED if is_event else who, by_state, is_over=True)
        elif graph.nodes[key].kind == kinds.CONDITION:
            yield _Moved(key, who, by_state, is_asked=True)


_HAS_HAPPENED = Q(ends_at__isnull=False, ends_at=F("arrived_at"))  # nodes.has_happened


def _leaves(late: _Late) -> Q:
    if late.before is None:
        return _NOBODY
    return Q(ends_at__lte=late.before, due_at__lte=late.before) & ~Q(node__in=late.slots)


def _n_mailed(automation: Automation, now: datetime) -> int:
    """Whose place was still, and whose next email goes at once (R4): what is due in days waits for its next slot."""
    stilled = _inside(automation).filter(stilled_at__isnull=False)
    due = Q(held_due_at__lte=now) | Q(in_flight=True)
    places = Enrollment.objects.filter(due, pk__in=stilled.values("enrollment_id"), paused_at__isnull=False)
    counts = Counter(dict(places.values_list("next_email").annotate(n=Count("pk")).order_by()))
    emails = SequenceEmail.objects.filter(pk__in=counts).select_related("sequence")
    return sum(
        counts[email.pk]
        for email in emails
        if follow.may_go(email.sequence, email) and not engine_schedule.follows_schedule(advance.delay_of(email))
    )


# --- Deleting -----------------------------------------------------------------------------------------------------


def of_removal(automation: Automation, now: datetime, sequences: Sequences) -> AutomationImpact:
    token, graph = removal.token_of(automation, sequences), verbs.published(automation)
    return _of_everybody(DELETE, token, automation, graph, _everybody(automation, graph, _Late(now, None, [])))


# --- All of them --------------------------------------------------------------------------------------------------


def _everybody(automation: Automation, graph: Graph, late: _Late) -> list[_Alike]:
    events = [node.key for node in graph.nodes.values() if node.kind == kinds.EVENT]
    with connection.cursor() as cursor:
        cursor.execute(_INSIDE, {"automation": automation.pk, "events": events, **late._asdict()})
        return [_Alike(*row) for row in cursor.fetchall()]


def _of_everybody(act: str, token: str, automation: Automation, graph: Graph, people: list[_Alike]) -> AutomationImpact:
    """Where they stand."""
    counts: Counter[str] = Counter()
    late: Counter[str] = Counter()
    for one in people:
        counts[one.key] += one.n
        late[one.key] += one.n_late
    names = inside.names(automation.pk, counts)
    nodes = [
        AtNode(key, _kind(graph, key), counts[key], names.get(key, []), n_late=late[key])
        for key in [AT_ENTRY, *graph.nodes]
        if key in counts
    ]
    return AutomationImpact(
        act,
        token,
        counts.total(),
        graph,
        nodes,
        n_let_go=sum(one.n_let_go for one in people),
        n_slots=sum(one.n_slots for one in people),
        n_places=sum(one.n_places for one in people),
    )


def _inside(automation: Automation) -> QuerySet[Walk]:
    return Walk.objects.filter(automation=automation.pk, left_at=None)


def _kind(graph: Graph, key: str) -> str:
    return "" if key == AT_ENTRY else graph.nodes[key].kind


def _with_going(
    impact: AutomationImpact, automation: Automation, moved: Iterable[_Moved], now: datetime
) -> AutomationImpact:
    """Nobody unconfirmed walks; and nobody at all while it does not run, if it is not switched on by this."""
    runs = impact.act == ACTIVATE or automation.status == Automation.Status.ACTIVE
    crowds, n_unconfirmed = [], 0
    for one in moved if runs else (one for one in moved if one.is_sent_out):
        walks = _inside(automation).filter(one.who, subscriber_id=OuterRef("pk"))
        everybody = Subscriber.objects.filter(Exists(walks), account=automation.account_id)
        by_state = one.by_state or Counter(dict(everybody.values_list("state").annotate(n=Count("pk")).order_by()))
        if one.is_sent_out:
            crowds.append(Crowd(None, everybody, by_state.total()))
            continue
        n_unconfirmed += by_state[State.INACTIVE]
        active = everybody.filter(state=State.ACTIVE)
        crowds.append(Crowd(one.key, active, by_state[State.ACTIVE], is_asked=one.is_asked, is_over=one.is_over))
    told = going.of(automation, impact.graph, crowds, now)
    return replace(impact, going=told, n_unconfirmed=n_unconfirmed)


# --- As JSON ------------------------------------------------------------------------------------------------------


def _node_as_json(one: AtNode) -> dict[str, Any]:
    change = one.change
    edit = (
        {}
        if change is None
        else {
            "what": change.what,
            "then": change.then,
            "leads_to": dict(change.ways),
            "choices": {
                name: {"options": list(of), "chosen": change.chosen[name]} for name, of in change.offers.items()
            },
        }
    )
    return {"id": one.key, "kind": one.kind, "people": one.n, "names": one.names, "overdue": one.n_late, **edit}


def _going_as_json(told: Going) -> dict[str, Any]:
    return {
        "people": told.n,
        "is_about": told.is_about,
        "wait_at": [{"node": key, "people": n} for key, n in told.stops.items()],
        "leave": told.leaves,
        "sequences": [
            {"sequence_id": pk, "people": n, "mailed_at_once": told.mailed[pk]} for pk, n in told.enters.items() if n
        ],
        "acts": [{"node": key, "people": n} for key, n in told.acted.items()],
        "calls": told.called,
        "mails_to_owner": told.told,
        "unsubscribed": told.unsubscribed,
        "moves": [{"automation_id": pk, "way": way, "people": n} for (pk, way), n in told.moved.items()],
        "unknown": told.unknown,
    }


# --- One person, by hand ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfPerson:
    """What an act on somebody would do: carried out, looked at and undone.

    before, after   where they stand; None: outside
    steps           the lines that the log would have
    left            sequences that they would be taken out of; `entered`: those they would enter, or begin again
    """

    before: Walk | None
    after: Walk | None
    steps: list[Step]
    left: list[int]
    entered: list[int]


def of_move(
    automation: Automation, subscriber_id: int, key: str, now: datetime, *, cause: Cause, keep_place: bool = False
) -> OfPerson:
    """Raises what people.move raises."""
    act = partial(people.move, automation, subscriber_id, key, now, cause=cause, keep_place=keep_place)
    return _of_person(automation, subscriber_id, act)


def of_leaving(
    automation: Automation, subscriber_id: int, now: datetime, *, cause: Cause, keep_place: bool = False
) -> OfPerson:
    """Raises what people.remove raises."""
    act = partial(people.remove, automation, subscriber_id, now, cause=cause, keep_place=keep_place)
    return _of_person(automation, subscriber_id, act)


def _of_person(automation: Automation, subscriber_id: int, act: impact_of_place.Proposal) -> OfPerson:
    before, places = people.walk_of(automation, subscriber_id), _places(automation, subscriber_id)
    last = Step.objects.order_by("-pk").values_list("pk", flat=True).first() or 0

    def look() -> OfPerson:
        steps = Step.objects.filter(automation_id=automation.pk, subscriber_id=subscriber_id, pk__gt=last)
        now = _places(automation, subscriber_id)
        left = [pk for pk, (_, is_in) in places.items() if is_in and not now[pk][1]]
        entered = [pk for pk, (at, is_in) in now.items() if is_in and places.get(pk) != (at, True)]
        return OfPerson(before, people.walk_of(automation, subscriber_id), list(steps.order_by("pk")), left, entered)

    return impact_of_place.carried_out_and_undone(act, look)


def _places(automation: Automation, subscriber_id: int) -> dict[int, tuple[datetime, bool]]:
    """By sequence: when they entered it last, and whether they are in it."""
    rows = places_of(automation.account_id, subscriber_id).values_list("sequence_id", "entered_at", "status")
    return {pk: (at, status in (Enrollment.Status.ACTIVE, Enrollment.Status.UNCONFIRMED)) for pk, at, status in rows}


@dataclass(frozen=True, slots=True)
class OfAdding:
    """reasons   by person: "" for who would enter, else why not
    steps     the lines that the log would have
    """

    reasons: Mapping[int, str]
    steps: list[Step]


def of_adding(
    automation: Automation, subscriber_ids: Iterable[int], now: datetime, *, cause: Cause, again: bool = False
) -> OfAdding:
    """Raises what people.add raises."""
    found: dict[int, str] = {}
    last = Step.objects.order_by("-pk").values_list("pk", flat=True).first() or 0

    def act() -> None:
        nonlocal found
        found = people.add(automation, subscriber_ids, now, cause=cause, again=again)

    def look() -> OfAdding:
        steps = Step.objects.filter(automation_id=automation.pk, subscriber_id__in=found, pk__gt=last)
        return OfAdding(found, list(steps.order_by("pk")))

    return impact_of_place.carried_out_and_undone(act, look)
