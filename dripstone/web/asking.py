"""Asking first: an act that touches people shows what it will do, once; one that touches nobody is done at once.

The question repeats the act's own form, with a figure of the world it was told about (`seen`). The act is done only in
that world. If it has moved, nothing is done: the question is asked again, and what is different is marked. Between
question and act the server keeps nothing; whoever walks away has changed nothing.

`ask` does so for any act; `first` for edits of a sequence, asking_places.py for acts on one person's place.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect, HttpResponseClientRefresh

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.content import subjects
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid, PreconditionFailed
from dripstone.explain import impact_words
from dripstone.explain.impact_words import Effect
from dripstone.foresight import impact
from dripstone.foresight.impact import Impact, Where
from dripstone.sequences.verbs import Edit
from dripstone.subscribers.models import Subscriber
from dripstone.web.forms import NOT_MEMBERS
from dripstone.web.frame import show

DIALOG = "ask"  # the id of the element that htmx puts the question into
NAMES = 3
DAYS = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """title     "Publish “Ask for one thing”?"
    back      where "Cancel" leads without JavaScript
    facts     one sentence about the act itself, if there is something to say
    is_grave  it deletes or ends something: asked about also when it touches nobody
    asks_why  for a `reason`, which is kept with what was done
    members   sent along with the answer, beside what the act's own form sent
    section   whose page this is (places.py)
    """

    title: str
    back: str
    facts: str = ""
    is_grave: bool = False
    asks_why: bool = False
    members: Mapping[str, str] = field(default_factory=dict)
    section: str = "sequences"


@dataclass(frozen=True, slots=True)
class Line:
    """Of the question: how many people, what happens to them, and who they are.

    n       of people, or of what `noun` says; 0: it is about no number
    date    stands out, between the phrase and the rest of it: "“Day 3” goes", "today, 11:00", ", instead of Wed 2 Dec"
    is_new  it was not told before the world moved
    """

    n: int
    phrase: str
    names: str = ""
    date: str = ""
    rest: str = ""
    is_new: bool = False
    noun: str = "person"

    def __str__(self) -> str:
        who = f"{words.people(self.n) if self.noun == 'person' else words.count(self.n, self.noun)} " if self.n else ""
        return f"{who}{self.phrase}{f' {self.date}' if self.date else ''}{self.rest}"


@dataclass(frozen=True, slots=True)
class Example:
    """One person, before and after."""

    name: str
    before: str
    after: str
    why: str


@dataclass(frozen=True, slots=True)
class Told:
    """What an act would do.

    world      figure of the world that this is about
    is_silent  it touches nobody
    button     what pressing it does: "Publish, mail 2 now"
    moved      from which days to which: "Tue 1 Dec (4) and Wed 2 Dec (3)", twice
    rest       a last sentence: whom it leaves alone
    """

    world: str
    is_silent: bool
    button: str
    lines: list[Line]
    moved: tuple[str, str] | None = None
    examples: list[Example] = field(default_factory=list)
    rest: str = ""

    @property
    def counts_people(self) -> bool:
        return any(line.n for line in self.lines)


def ask(
    request: HttpRequest,
    account: Account,
    question: Question,
    tell: Callable[[datetime], Told],
    do: Callable[[str], T | None],
    then: Callable[[T], HttpResponse],
) -> HttpResponse:
    """Do it and answer `then(done)`, or ask. Raises what these two raise; nothing is done then.

    tell  what it would do now
    do    it, if the world has this figure; None: the world is another one by now, and nothing was done
    """
    now, seen = clock.now(), request.POST.get("seen", "")
    if seen and (done := do(seen)) is not None:
        return then(done)
    while True:
        told = tell(now)
        if not told.is_silent or (question.is_grave and not seen):
            return _ask(request, account, question, told, is_again=bool(seen))
        if (done := do(told.world)) is not None:
            return then(done)


def refused(request: HttpRequest, error: Invalid, back: str) -> HttpResponse:
    """For a form that is only a button: the sentences stand in the dialog, or on the page it came from."""
    sentence = "; ".join(error.messages).rstrip(".") + "."
    if _is_dialog(request):
        return render(request, "asking/_refused.html", {"sentence": sentence}, status=422)
    messages.error(request, sentence)
    return leave(request, back)


def leave(request: HttpRequest, to: str) -> HttpResponse:
    """To another page after an act, whether it came by htmx or by an ordinary form. To another place on the same page a
    browser would only scroll, so it is told to load the page again."""
    if not request.headers.get("HX-Request"):
        return redirect(to)
    here, there = urlsplit(request.headers.get("HX-Current-URL", "")), urlsplit(to)
    is_same = bool(there.fragment) and (here.path, here.query) == (there.path, there.query)
    return HttpResponseClientRefresh() if is_same else HttpResponseClientRedirect(to)


def _ask(request: HttpRequest, account: Account, question: Question, told: Told, *, is_again: bool) -> HttpResponse:
    before, now_told = request.POST.getlist("told"), [str(line) for line in told.lines]
    lines = [replace(line, is_new=is_again and str(line) not in before) for line in told.lines]
    context = {
        "section": question.section,
        "current": "true",
        "question": question,
        "told": told,
        "action": request.get_full_path(),
        "members": list(_members(request, question)),
        "why": request.POST.get("reason", ""),
        "told_lines": now_told,
        "lines": lines,
        "gone": [text for text in before if text not in now_told] if is_again else [],
        "is_again": is_again,
    }
    response = show(request, "asking/_question.html" if _is_dialog(request) else "asking/page.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


def _is_dialog(request: HttpRequest) -> bool:
    return request.headers.get("HX-Target") == DIALOG


def _members(request: HttpRequest, question: Question) -> Iterator[tuple[str, str]]:
    """Of the question's form."""
    yield from question.members.items()
    asked = {"reason"} if question.asks_why else set()
    for name in request.POST:
        if name not in NOT_MEMBERS | asked and name not in question.members:
            yield from ((name, str(value)) for value in request.POST.getlist(name))


# --- Edits of a sequence ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """verb      of engine/acts/edits.py, with its arguments
    proposal  the same of foresight/impact.py
    title     the question: "Publish “Ask for one thing”?"
    button    what pressing it does: "Publish"
    facts     one sentence about the act itself, if there is something to say
    is_grave  it deletes: asked about also when it touches nobody
    members   sent along with the answer, beside what the act's own form sent
    back      where "Cancel" leads without JavaScript; "" for the sequence's page
    """

    sequence_id: int
    verb: Callable[[], Edit]
    proposal: Callable[[], Edit]
    title: str
    button: str
    facts: str = ""
    is_grave: bool = False
    members: Mapping[str, str] = field(default_factory=dict)
    back: str = ""


def first(request: HttpRequest, account: Account, act: Act, then: Callable[[Edit], HttpResponse]) -> HttpResponse:
    """Do the edit and answer `then(edit)`, or ask."""
    back = act.back or reverse("sequence", args=[act.sequence_id])
    question = Question(act.title, back, act.facts, act.is_grave, members=act.members)
    return ask(request, account, question, partial(_tell, account, act), partial(_do, account, act), then)


def _do(account: Account, act: Act, seen: str) -> Edit | None:
    """None: the world is another one by now, and nothing was done."""
    with suppress(PreconditionFailed), impact.unchanged(account, act.sequence_id, seen):
        return act.verb()
    return None


def _readable(told: Impact) -> Impact:
    """With subjects as people read them, names in place of Liquid."""
    emails = {pk: copy(email) for pk, email in told.emails.items()}
    for email in emails.values():
        email.subject = subjects.readable(email.subject)
    return replace(told, emails=emails)


def _tell(account: Account, act: Act, now: datetime) -> Told:
    told = _readable(impact.of(account, act.sequence_id, act.proposal, now))
    people = _people(told)
    return Told(
        impact.figure(told.world),
        is_silent=not told.affected,
        button=_button(act, told),
        lines=[_line(effect, told, people) for effect in impact_words.effects(told)],
        moved=_moved(told, now),
        examples=list(_examples(told, people, now)),
    )


def _button(act: Act, told: Impact) -> str:
    """ "Publish, mail 2 now": it says what it will do."""
    n = sum(told.right_away.values())
    return f"{act.button}, mail {n:,} now" if n else act.button


def _people(told: Impact) -> dict[int, str]:
    """Names of the examples, by enrollment."""
    ids = [one.enrollment_id for one in told.examples]
    rows = Enrollment.objects.filter(pk__in=ids).select_related("subscriber")
    return {row.pk: _name(row.subscriber) for row in rows}


def _name(person: Subscriber) -> str:
    return person.first_name or person.email_address


def _line(effect: Effect, told: Impact, people: dict[int, str]) -> Line:
    ids = dict.fromkeys(one.enrollment_id for one in told.examples if effect.concerns(one))
    names = [people[pk] for pk in ids if pk in people][:NAMES]
    more = effect.n - len(names)
    shown = [*names, f"{more:,} more"] if names and more > 0 else names
    return Line(effect.n, effect.phrase, words.listed(shown))


def _moved(told: Impact, now: datetime) -> tuple[str, str] | None:
    """From when to when: "Tue 1 Dec (4) and Wed 2 Dec (3)", twice."""
    if not told.moved:
        return None
    today = _today(told, now)
    return _days(told.moved_from, today), _days(told.moved_to, today)


def _days(counts: Counter[date | None], today: date) -> str:
    dated = sorted((day, n) for day, n in counts.items() if day is not None)
    shown = [f"{words.short_day(day, today)} ({n:,})" for day, n in dated[:DAYS]]
    if rest := sum(n for _, n in dated[DAYS:]):
        shown.append(f"later ({rest:,})")
    if none := counts[None]:
        shown.append(f"no date ({none:,})")
    return words.listed(shown)


def _examples(told: Impact, people: dict[int, str], now: datetime) -> Iterator[Example]:
    for one in told.examples:
        if one.enrollment_id in people:
            name, why = people[one.enrollment_id], impact_words.why(told, one)
            yield Example(name, _where(told, one.before, now), _where(told, one.after, now), why)


def _where(told: Impact, where: Where, now: datetime) -> str:
    if where.status in ("completed", "removed"):
        return where.status.capitalize()
    subject = "Nothing yet" if where.email_id is None else words.title(told.emails[where.email_id].subject)
    if where.at is None:
        return subject
    if where.at <= now:
        return f"{subject}, right away"
    at = where.at.astimezone(ZoneInfo(told.done.sequence.time_zone))
    return f"{subject}, {words.short_day(at.date(), _today(told, now))}, {at:%H:%M}"


def _today(told: Impact, now: datetime) -> date:
    return now.astimezone(ZoneInfo(told.done.sequence.time_zone)).date()
