"""A test run: one imagined person walks through an automation, on a clock of their own.

    with trial.lived(automation, graph, Imagined("Ann", tag_ids={3}), begins_at=now) as life:
        life.happened     what became of them, in order: steps, emails, calls …

Takes       a graph of the automation, published or a draft; who the person is, and what happens to them when
Leaves      nothing: all of it is one transaction, which is rolled back. No mail is planned, nobody is called
A crash here means that there is no answer.

The person is a row, and the code that lets everybody in and moves them on moves this one, with rules and other
automations beside it. A copy of the automation has the graph; the automation itself does not hear of this person.
Emails are taken for sent at the instant at which they are due. Nobody else is looked at, whatever the clock says.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar

from django.db import connection, models, transaction

from dripstone.accounts.models import Account
from dripstone.automations import dates as node_dates
from dripstone.automations import graph as graphs
from dripstone.automations import hear, imagining, kinds, read, tick, verbs, walk
from dripstone.automations.book import Book
from dripstone.automations.graph import BRANCHES, NO, YES, Graph, GraphNode
from dripstone.automations.imagining import Happening, Imagined
from dripstone.automations.models import Automation, NodeDate, Step, Walk
from dripstone.calls.models import Call
from dripstone.engine import advance, audience, filters, reasons, transitions
from dripstone.engine.models import Enrollment
from dripstone.events import causes
from dripstone.events.models import Event, Number
from dripstone.given import MAX_ID
from dripstone.rules.book import Book as RuleBook
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import Subscriber
from dripstone.triggers import dates, when
from dripstone.triggers.dates import Due, Owner
from dripstone.triggers.models import DatedTrigger, OwnerMail
from dripstone.triggers.when import Trigger

_LATEST: Final = MAX_ID  # the number of an event that everybody who listens hears

MOST_LINES = 300
MOST_AT_ONCE = 200  # walks that are due at one instant
MOST_INSTANTS = 2_000
MOST_SECONDS = 5.0
LONGEST = timedelta(days=5 * 366)

M = TypeVar("M", bound=models.Model)

TOO_MUCH: Final = "too_much"  # it was ended after so many instants, or so much work
TOO_LONG: Final = "too_long"  # … or years


@dataclass(frozen=True, slots=True)
class Planned:
    """Something is to happen to them. after: they have begun"""

    after: timedelta
    what: Happening


# --- What becomes of them -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Did:
    """It happens, as was asked for."""

    at: datetime
    what: Happening


@dataclass(frozen=True, slots=True)
class Walked:
    """step   a row of the log, of this automation or of another one"""

    at: datetime
    step: Step


@dataclass(frozen=True, slots=True)
class Mailed:
    """why_not   a reason: it is skipped"""

    at: datetime
    sequence: Sequence
    email: SequenceEmail
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Called:
    at: datetime
    url: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """To the owners."""

    at: datetime
    text: str


Happened = Did | Walked | Mailed | Called | Told


@dataclass
class Life:
    """automation   the copy
    stands       where they stand at the end; None: outside
    paused       sequences in which an email was due, and which send nothing
    cut          why it was ended before its end; "": it was not
    """

    account: Account
    automation: Automation
    person: Subscriber
    graph: Graph
    happened: list[Happened] = field(default_factory=list)
    stands: Walk | None = None
    paused: list[Sequence] = field(default_factory=list)
    cut: str = ""


@contextmanager
def lived(
    automation: Automation,
    graph: Graph,
    person: Imagined,
    *,
    begins_at: datetime,
    entry: str = "",
    planned: tuple[Planned, ...] = (),
    ways: Mapping[str, str] | None = None,
) -> Iterator[Life]:
    """All that becomes of them, while its rows are there to be read.

    entry   id of the entry by which they come in; "": by hand
    ways    forks at which they go by the exit named, whatever is true: {"bought": "yes"}
    Raises Invalid with what is wrong with the person, and OperationalError when somebody holds what it needs.
    """
    with transaction.atomic():
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '2s'")
            person = imagining.before(trigger_of(graph, entry), person)
            living = _Living(automation, with_ways(graph, ways or {}), person, begins_at)
            living.live(entry, planned)
            yield living.life
        finally:
            transaction.set_rollback(True)


# --- Forks whose question is answered -------------------------------------------------------------------------------


def with_ways(graph: Graph, ways: Mapping[str, str]) -> Graph:
    """The same graph, in which these forks lead by the exit named. Pure."""
    nodes = {
        key: _decided(node, ways[key]) if ways.get(key) in dict(node.ways) else node
        for key, node in graph.nodes.items()
    }
    return replace(graph, nodes=nodes)


_TRUE: Final[dict[str, Any]] = {"all": []}
_FALSE: Final[dict[str, Any]] = {"not": _TRUE}


def _decided(node: GraphNode, way: str) -> GraphNode:
    match node.kind:
        case kinds.CONDITION if way in (YES, NO):
            return replace(node, settings={**node.settings, "if": _TRUE if way == YES else _FALSE})
        case kinds.SPLIT:
            branches = [_branch(one, is_it=str(place) == way) for place, one in enumerate(node.settings[BRANCHES])]
            return replace(node, settings={**node.settings, BRANCHES: branches})
    return node


def _branch(branch: Mapping[str, Any], *, is_it: bool) -> dict[str, Any]:
    if "percent" in branch:
        return {**branch, "percent": 100 if is_it else 0}
    return {**branch, "if": _TRUE if is_it else _FALSE}


# --- Instant after instant ------------------------------------------------------------------------------------------


class _Living:
    """At each: acts of outside, dates, waits that are over, emails; and what each causes before the next (A9)."""

    def __init__(self, automation: Automation, graph: Graph, person: Imagined, begins_at: datetime) -> None:
        self.now = self._began_at = begins_at
        self._gives_up_at = time.monotonic() + MOST_SECONDS
        self._original = automation
        copy = _copied(automation, graph, begins_at)
        somebody = imagining.make(automation.account, person, begins_at)
        self.life = Life(automation.account, copy, somebody, graph)
        self._books = read.Books(RuleBook(), Book())
        self._last: dict[type[models.Model], int] = {model: _highest(model) for model in (Event, Step, Call)}
        self._planned: list[tuple[datetime, Happening]] = []
        self._dates = _Dates(automation.account, somebody.pk, begins_at)
        self._stuck: set[tuple[int, int | None]] = set()  # places whose email cannot go, and which

    def live(self, entry: str, planned: tuple[Planned, ...]) -> None:
        self._planned = [(self._began_at + one.after, one.what) for one in planned]
        self._come_in(entry)
        for n_before in range(MOST_INSTANTS + 1):
            self._instant()
            following = self._next()
            if following is None:
                break
            self.now = max(following, self.now)
            if self._is_cut(n_before):
                break
        self.life.stands = self._walks().filter(automation=self.life.automation).first()

    def _is_cut(self, n_before: int) -> bool:
        if self.now > self._began_at + LONGEST:
            self.life.cut = TOO_LONG
        is_much = n_before >= MOST_INSTANTS or len(self.life.happened) >= MOST_LINES
        if is_much or time.monotonic() > self._gives_up_at:
            self.life.cut = TOO_MUCH
        return bool(self.life.cut)

    def _instant(self) -> None:
        self._happen()
        self._reach_dates()
        self._walk_on()
        self._mail()

    def _next(self) -> datetime | None:
        """When something is due; what an email has just set off may be due now."""
        walks = self._walks().filter(automation__status=Automation.Status.ACTIVE, due_at__isnull=False)
        found = [
            *(at for at, _ in self._planned),
            *walks.values_list("due_at", flat=True),
            *(place.due_at for place in self._places()),
            *self._dates.to_come(),
            *NodeDate.objects.filter(automation=self.life.automation).values_list("at", flat=True),
        ]
        return min((at for at in found if at is not None), default=None)

    def _walks(self) -> models.QuerySet[Walk]:
        return Walk.objects.filter(subscriber_id=self.life.person.pk, left_at=None).order_by("due_at", "pk")

    # Acts of outside

    def _come_in(self, entry: str) -> None:
        """As it would be: a date in a field when it is reached, anything else now. What cannot be brought about lets
        them in all the same."""
        trigger = trigger_of(self.life.graph, entry)
        if trigger is not None and imagining.may_happen(trigger):
            self._do(trigger)
            return
        if trigger is not None and trigger["trigger"] == when.FIELD_DATE and self._dates.is_to_come(trigger):
            return
        held = walk.hold([self.life.automation.pk], [self.life.person.pk], book=self._books.automations)
        cause = causes.OWNER if trigger is None else causes.NONE
        walk.admit(held, self.life.automation.pk, [self.life.person.pk], self.now, cause=cause, entry=entry)
        self._note()
        self._hear()

    def _happen(self) -> None:
        due = [what for at, what in sorted(self._planned, key=lambda pair: pair[0]) if at <= self.now]
        self._planned = [pair for pair in self._planned if pair[0] > self.now]
        for what in due:
            self._do(what)

    def _do(self, what: Happening) -> None:
        self.life.happened.append(Did(self.now, what))
        imagining.happen(self.life.account, self.life.person, what, self.now)
        self._hear()

    # What comes of it

    def _hear(self) -> None:
        """Event after event, until no more come of them."""
        while events := self._new(Event, subscriber_id=self.life.person.pk):
            happenings = read.happenings([Number(pk=_LATEST, event=one) for one in events], self._books)
            self._work_off(happenings)

    def _work_off(self, happenings: Iterable[hear.Happening]) -> None:
        """The automation itself does not hear: its copy does."""
        read.work_off([self._for_the_copy(one) for one in happenings], self.now, self._books)
        self._note()

    def _for_the_copy(self, one: hear.Happening) -> hear.Happening:
        entries = {pk: entry for pk, entry in one.entries.items() if pk != self._original.pk}
        return replace(one, entries=entries)

    def _reach_dates(self) -> None:
        for due in self._dates.take(self.now):
            self._work_off(read.of_dates([due], self._books))
            self._hear()
        for reached in NodeDate.objects.filter(automation=self.life.automation, at__lte=self.now).order_by("at", "pk"):
            node_dates.call_to(reached, self._books.automations)
            self._walk_on()

    def _walk_on(self) -> None:
        """Whose wait is over, and who is called to a date: one walk after the other."""
        for _ in range(MOST_AT_ONCE):
            due = self._walks().filter(automation__status=Automation.Status.ACTIVE, due_at__lte=self.now).first()
            if due is None:
                return
            held = walk.hold([due.automation_id], [self.life.person.pk], book=self._books.automations)
            tick.go_on(held, self.now)
            self._note()
            self._hear()

    # Emails

    def _places(self) -> list[Enrollment]:
        """That wait for an email with a date, and may get it."""
        rows = Enrollment.objects.filter(
            account=self.life.account, subscriber=self.life.person, status="active", due_at__isnull=False
        )
        found = rows.select_related("sequence", "next_email").order_by("due_at", "pk")
        return [place for place in found if (place.pk, place.next_email_id) not in self._stuck]

    def _mail(self) -> None:
        for place in self._places():
            if place.due_at is not None and place.due_at <= self.now:
                self._mail_one(place)
                self._hear()

    def _mail_one(self, place: Enrollment) -> None:
        """Taken for sent, or skipped as planning does (R14, R21). A paused sequence sends nothing (R13)."""
        sequence, email = place.sequence, place.next_email
        assert email is not None
        if not sequence.active:
            self._stuck.add((place.pk, email.pk))
            self.life.paused.append(sequence)
            return
        why_not = self._why_not(sequence, email)
        if why_not:
            transitions.skipped_delivery(place, email, why_not, self.now).save()
        else:
            transitions.sent_delivery(place, email, self.now).save()
        self.life.happened.append(Mailed(self.now, sequence, email, why_not))
        advance.advance([place.pk], self.now)

    def _why_not(self, sequence: Sequence, email: SequenceEmail) -> str:
        person = self.life.person.pk
        if email.deleted_at is not None:
            return reasons.EMAIL_DELETED
        if excluded := audience.excluded(sequence, [person], self.now).get(person):
            return excluded
        return reasons.FILTERED if filters.kept_from({email: [person]}, self.now) else ""

    # What is told of it

    def _note(self) -> None:
        person = self.life.person.pk
        for step in self._new(Step, subscriber_id=person):
            self.life.happened.append(Walked(self.now, step))
        for call in self._new(Call, account_id=self.life.account.pk, subscriber_ids__contains=[person]):
            self.life.happened.append(Called(self.now, call.url, bytes(call.body)))
        for mail in OwnerMail.objects.filter(account=self.life.account, subscriber_id=person):
            self.life.happened.append(Told(self.now, mail.text))
            mail.delete()  # so that the next one is told as well

    def _new(self, model: type[M], **which: Any) -> list[M]:
        found = list(model._default_manager.filter(pk__gt=self._last[model], **which).order_by("pk"))
        if found:
            self._last[model] = found[-1].pk
        return found


def _highest(model: type[models.Model]) -> int:
    last: int | None = model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
    return last or 0


def trigger_of(graph: Graph, entry: str) -> Trigger | None:
    """None: by hand."""
    return next((graphs.trigger_of(one) for one in graph.entries if one["id"] == entry), None)


def _copied(automation: Automation, graph: Graph, now: datetime) -> Automation:
    """Another automation that runs, with this graph. It has the name, so that the log can say it."""
    stamps = dict.fromkeys(("status_at", "made_at", "changed_at"), now)
    copy = Automation.objects.create(
        account=automation.account,
        name=automation.name,
        status=Automation.Status.ACTIVE,
        reenter=automation.reenter,
        **stamps,
    )
    verbs.set_graph(copy, graph, now)
    node_dates.set_up(copy, graph, now)
    return copy


# --- Dates in their fields ------------------------------------------------------------------------------------------


_SAME = ("custom_field_id", "days", "hour", "yearly")  # members of a trigger, as rows keep it


class _Dates:
    """Those that rules and automations wait for: when each is reached, by this person alone."""

    def __init__(self, account: Account, subscriber_id: int, began_at: datetime) -> None:
        self._account, self._person = account, subscriber_id
        self._began_at = began_at
        self._values: dict[int, tuple[str, datetime]] = {}  # by field: the value, and since when
        self._taken: dict[int, date] = {}  # by trigger

    def to_come(self) -> list[datetime]:
        return [at for _, _, at in self._found(self._began_at)]

    def is_to_come(self, asked: Trigger) -> bool:
        """Whether one like this is reached at all."""
        found = (one for one, _, _ in self._found(self._began_at))
        return any(all(getattr(one, name) == asked[name] for name in _SAME) for one in found)

    def take(self, now: datetime) -> Iterator[Due]:
        """Those that are reached, one after the other: what one causes may move the next."""
        while due := next(((trigger, on, at) for trigger, on, at in self._found(now) if at <= now), None):
            trigger, on, at = due
            self._taken[trigger.pk] = on
            owner = Owner(trigger.owner, trigger.owner_id, trigger.account_id)  # type: ignore[arg-type]  # as it was kept
            yield Due(owner, trigger.number, self._person, at, on)

    def _found(self, now: datetime) -> list[tuple[DatedTrigger, date, datetime]]:
        """In order. now: when a value that is new has been written"""
        triggers = list(DatedTrigger.objects.filter(account_id=self._account.pk, ended_at=None))
        fields = Subscriber.objects.values_list("fields", flat=True).get(pk=self._person) if triggers else {}
        found = []
        for trigger in triggers:
            value = fields.get(str(trigger.custom_field_id), "")
            known, since = self._values.setdefault(trigger.custom_field_id, (value, self._began_at))
            if value != known:
                self._values[trigger.custom_field_id] = value, (since := now)
            day = dates.days({value}, trigger.time_zone).get(value)
            asked = trigger.days, trigger.hour, trigger.time_zone, since
            taken = self._taken.get(trigger.pk)
            if day and (one := dates.reached(day, *asked, yearly=trigger.yearly, taken=taken)):
                found.append((trigger, *one))
        return sorted(found, key=lambda one: (one[2], one[0].pk))
