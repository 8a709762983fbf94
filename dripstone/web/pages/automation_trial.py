"""/automations/<id>/trial: one imagined person walks through, and the page shows every step. Nothing is kept.

All of it stands in the address, so that a test run can be sent to somebody, and gone back to.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.automations import imagining, reading, trial, trial_reading, verbs
from dripstone.automations import words as node_words
from dripstone.automations.graph import Graph, GraphNode
from dripstone.automations.imagining import CONFIRMS, UNSUBSCRIBES, Imagined
from dripstone.automations.models import Automation
from dripstone.automations.trial import Planned
from dripstone.automations.trial_reading import Run
from dripstone.conditions.words import Names
from dripstone.engine import schedule
from dripstone.errors import Invalid
from dripstone.explain import trial_words
from dripstone.explain.trial_words import Told
from dripstone.given import Checked, FromText
from dripstone.grammar import kinds as grammar_kinds
from dripstone.web import forms
from dripstone.web.forms import Form
from dripstone.web.frame import member, show
from dripstone.web.paging import number

log = structlog.get_logger(__name__)

UNITS = (("days", "days"), ("hours", "hours"), ("minutes", "minutes"))
MOST = 10_000  # of a unit
BUSY = "Somebody holds what the test run needs just now: try again"
AS_IT_IS = "As it is then"


@require_safe
@member
def automation_trial(request: HttpRequest, account: Account, automation_id: int) -> HttpResponse:
    row = get_object_or_404(verbs.of(account).select_related("account"), pk=automation_id)
    is_draft = row.draft is not None and request.GET.get("of") != "published"
    graph = _graph(row, is_draft=is_draft)
    asked = _Asked(request.GET, graph, row, clock.now())
    told: Told | None = None
    problems: list[Any] = []
    if "go" in request.GET:
        try:
            told = _run(row, graph, asked)
        except Invalid as refused:
            problems = [forms.for_a_page(one) for one in refused.problems]
        except OperationalError as error:
            log.warning("trial_given_up", automation_id=row.pk, exc_info=error)
            problems = [(None, BUSY)]
    names = node_words.names_of([graph], account.pk)
    form = Form(asked.values(), problems)
    context = {
        "section": "automations",
        "current": "true",
        "automation": row,
        "is_draft": is_draft,
        "form": form,
        "told": told,
        "days": _days(told, account),
        **asked.controls(names, form),
    }
    return show(request, "automations/trial.html", account, context, 422 if problems else 200)


def _graph(row: Automation, *, is_draft: bool) -> Graph:
    draft = verbs.draft_of(row) if is_draft else None
    return verbs.published(row) if draft is None else draft


def _run(row: Automation, graph: Graph, asked: "_Asked") -> Told:
    """Raises Invalid and OperationalError."""
    run = asked.run()
    with trial.lived(row, graph, run.person, begins_at=run.begins_at, entry=run.entry, planned=run.planned,
                     ways=run.ways) as life:  # fmt: skip
        return trial_words.told(life)


Timed = tuple[str, trial_words.Line]


def _days(told: Told | None, account: Account) -> list[tuple[str, list[Timed]]]:
    """Lines by day of the account's zone, each with its time on the wall there."""
    zone = ZoneInfo(account.time_zone)
    timed = [(line.at.astimezone(zone), line) for line in (told.lines if told else ())]
    by_day = groupby(timed, key=lambda pair: pair[0].date())
    return [(f"{words.day(day)} {day.year}", [(f"{at:%H:%M}", line) for at, line in lines]) for day, lines in by_day]


# --- What is asked ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fork:
    """name   of its control; choices: exits in words"""

    name: str
    said: str
    choices: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Happening:
    """name   of the control that says after how long; unit: of the one beside it"""

    name: str
    unit: str
    said: str
    value: str
    unit_value: str
    problem: str


class _Asked:
    """What the address says, with what is usual where it says nothing."""

    def __init__(self, get: QueryDict, graph: Graph, row: Automation, now: datetime) -> None:
        self._get, self._graph, self._row = get, graph, row
        self._account = row.account
        self._zone = ZoneInfo(row.account.time_zone)
        self._begins = (now + timedelta(hours=1)).astimezone(self._zone)
        self._things = sorted(reading.all_things(graph))
        self._forks, self._events = trial_reading.forks(graph), trial_reading.events(graph)

    def _ids(self, kind: str) -> list[int]:
        return [pk for of_kind, pk in self._things if of_kind == kind]

    # For the form

    def values(self) -> dict[str, Any]:
        usual = {
            "name": imagining.NAME,
            "entry": next((entry["id"] for entry in self._graph.entries), ""),
            "day": self._begins.date().isoformat(),
            "hour": self._begins.hour,
            CONFIRMS: "1",
            **{f"unit-{key}": "days" for key in (UNSUBSCRIBES, *(node.key for node in self._events))},
        }
        given: dict[str, Any] = {name: self._get[name] for name in self._get}
        return {**usual, **given, **{name: self._get.getlist(name) for name in ("tags", "forms", "products")}}

    def controls(self, names: Names, form: Form) -> dict[str, Any]:
        things = {kind: [(pk, names[kind, pk]) for pk in self._ids(kind) if (kind, pk) in names] for kind in _THINGS}
        entries = [("", "By hand"), *((key, said) for key, said in node_words.entries(self._graph.entries, names))]
        forks = [
            Fork(f"way-{node.key}", node_words.node(node, names), [("", AS_IT_IS), *_ways(node, names)])
            for node in self._forks
        ]
        events = [
            self._happening(form, f"after-{one.key}", f"unit-{one.key}", node_words.node(one, names))
            for one in self._events
        ]
        fields = [(f"field-{pk}", label) for pk, label in things["custom_field"]]
        return {
            "entries": entries,
            "hours": [(hour, f"{hour}:00") for hour in range(24)],
            "things": things,
            "field_controls": fields,
            "forks": forks,
            "events": events,
            "units": UNITS,
            "unsubscribing": self._happening(form, UNSUBSCRIBES, f"unit-{UNSUBSCRIBES}", "They unsubscribe"),
            "states": [("", "Has confirmed their address"), ("unconfirmed", "Has not confirmed it yet")],
        }

    @staticmethod
    def _happening(form: Form, name: str, unit: str, said: str) -> Happening:
        return Happening(name, unit, said, form.values.get(name, ""), form.values[unit], form.problem(name))

    # For the run

    def run(self) -> Run:
        """Raises Invalid with every problem."""
        read = Checked(FromText({name: self._get[name] for name in self._get}))
        planned = list(self._planned(read))
        begins_at = self._begins_at(read)
        read.raise_problems()
        values = self.values()
        entries = {entry["id"] for entry in self._graph.entries}
        entry = str(values["entry"])
        ways = {node.key: way for node in self._forks if (way := self._get.get(f"way-{node.key}", ""))}
        return Run(self._person(values), begins_at, entry if entry in entries else "", tuple(planned), ways)

    def _person(self, values: dict[str, Any]) -> Imagined:
        return Imagined(
            first_name=str(values["name"]).strip(),
            is_confirmed=values.get("state") != "unconfirmed",
            tag_ids=self._chosen("tags", "tag"),
            form_ids=self._chosen("forms", "form"),
            product_ids=self._chosen("products", "product"),
            fields={pk: self._get.get(f"field-{pk}", "").strip() for pk in self._ids("custom_field")},
        )

    def _chosen(self, name: str, kind: str) -> frozenset[int]:
        chosen = {pk for text in self._get.getlist(name) if (pk := number(text)) is not None}
        return frozenset(chosen.intersection(self._ids(kind)))

    def _begins_at(self, read: Checked) -> datetime:
        day = self._begins.date()
        if self._get.get("day"):
            day = grammar_kinds.day(read, "day") or day
        read.drop_nulls("hour")
        read.whole_number("hour", 0, 23)
        hour = read.values.get("hour", self._begins.hour)
        return schedule.instant(datetime.combine(day, time(hour)), self._zone)

    def _planned(self, read: Checked) -> Iterator[Planned]:
        for node in self._events:
            if (after := self._after(read, node.key)) is not None:
                yield Planned(after, node.trigger)
        is_unconfirmed = self._get.get("state") == "unconfirmed"
        if is_unconfirmed and (after := self._after(read, CONFIRMS, unit="days")) is not None:
            yield Planned(after, CONFIRMS)
        if (after := self._after(read, UNSUBSCRIBES)) is not None:
            yield Planned(after, UNSUBSCRIBES)

    def _after(self, read: Checked, key: str, unit: str = "") -> timedelta | None:
        """None: it does not happen."""
        name = key if key in (CONFIRMS, UNSUBSCRIBES) else f"after-{key}"
        if not self._get.get(name, "").strip():
            return None
        read.whole_number(name, 0, MOST)
        unit = unit or self._get.get(f"unit-{key}", "")
        value = read.values.get(name)
        return None if value is None else timedelta(**{unit if unit in dict(UNITS) else "days": value})


_THINGS = ("tag", "form", "product", "custom_field")


def _ways(node: GraphNode, names: Names) -> list[tuple[str, str]]:
    return [(name, node_words.way(node, name, names) or name) for name, _ in node.ways]
