"""Asking before an act on one person's place: what it does to each email of the sequence, by the code that does it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.content import subjects
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid, PreconditionFailed
from dripstone.explain import place_impact
from dripstone.explain.place_impact import PlaceImpact
from dripstone.foresight import impact_of_place
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber
from dripstone.web import asking
from dripstone.web.asking import Line, Question, Told


@dataclass(frozen=True, slots=True)
class Act:
    """verb     with its arguments; it is carried out twice, the first time to see what comes of it
    title    the question: "Skip “Five subject lines”?"
    button   what pressing it does: "Skip it"
    said     afterwards, once
    back     where one goes on, and where "Cancel" leads without JavaScript
    facts    one sentence about the act itself
    """

    sequence: Sequence
    person: Subscriber
    verb: Callable[[], object]
    title: str
    button: str
    said: str
    back: str
    facts: str = ""
    is_grave: bool = False
    asks_why: bool = True
    section: str = "people"


def ask(request: HttpRequest, account: Account, act: Act) -> HttpResponse:
    """Do it, or ask. What is refused is said where one was. Raises NotFound."""
    question = Question(act.title, act.back, act.facts, act.is_grave, act.asks_why, section=act.section)
    try:
        return asking.ask(
            request, account, question, partial(_tell, account, act), partial(_do, act), partial(_done, request, act)
        )
    except Invalid as error:
        return asking.refused(request, error, act.back)


def name_of(person: Subscriber) -> str:
    return person.first_name or person.email_address


def ends(place: Enrollment, account: Account, now: datetime) -> Line:
    """That it does, with the email that does not go then. The place comes with its sequence and its next email."""
    ends = f"{words.title(place.sequence.name)} ends for them"
    if place.next_email is None or place.due_at is None:
        return Line(0, f"{ends}.")
    title = subjects.title(place.next_email.subject)
    return Line(0, f"{ends}; {title} would have gone", date=words.on(place.due_at, account.time_zone, now))


def _do(act: Act, seen: str) -> object | None:
    """None: the world is another one by now, and nothing was done."""
    with suppress(PreconditionFailed), impact_of_place.unchanged(act.sequence.pk, act.person.pk, seen):
        return act.verb()
    return None


def _done(request: HttpRequest, act: Act, _: object) -> HttpResponse:
    messages.success(request, act.said)
    return asking.leave(request, act.back)


def _tell(account: Account, act: Act, now: datetime) -> Told:
    """The foot of the page names the account's zone; another one is said here."""
    zone = act.sequence.time_zone
    found = place_impact.of(act.sequence.pk, act.person.pk, act.verb, now)
    return Told(
        found.world,
        is_silent=False,
        button=_button(act, found),
        lines=[_line(change) for change in place_impact.changes(found)] or [Line(0, "No email moves.")],
        rest=f"Nobody else is touched, and nothing else of {name_of(act.person)}: only this place in "
        f"{words.title(act.sequence.name)}.{'' if zone == account.time_zone else f' Times are {words.zone(zone)}.'}",
    )


def _button(act: Act, found: PlaceImpact) -> str:
    return f"{act.button}, mail 1 now" if found.right_away is not None else act.button


def _line(change: place_impact.Change) -> Line:
    return Line(0, f"{change.phrase[:1].upper()}{change.phrase[1:]}", date=change.date, rest=change.rest)
