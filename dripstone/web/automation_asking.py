"""Asking before an act by hand on one person in an automation: what it does, seen by doing it and taking it back."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.automations import walk, who
from dripstone.automations.models import Automation, Step, Walk
from dripstone.content import subjects
from dripstone.engine.models import Enrollment, places_of
from dripstone.errors import Invalid, PreconditionFailed
from dripstone.explain import walk_words
from dripstone.foresight import impact, impact_of_place
from dripstone.subscribers.models import Subscriber
from dripstone.web import asking, asking_places
from dripstone.web.asking import Line, Question, Told

GOING_ON = (Enrollment.Status.ACTIVE, Enrollment.Status.UNCONFIRMED)


@dataclass(frozen=True, slots=True)
class Act:
    """verb     with its arguments but for the instant; carried out twice, the first time to see what comes of it
    title    the question: "Move Ana to “Wait 3 days”?"
    button   what pressing it does: "Move them"
    said     afterwards
    back     where one goes on, and where "Cancel" leads without JavaScript
    """

    automation: Automation
    person: Subscriber
    verb: Callable[[datetime], object]
    title: str
    button: str
    said: str
    back: str
    facts: str = ""
    is_grave: bool = False


def ask(request: HttpRequest, account: Account, act: Act) -> HttpResponse:
    """Do it, or ask. What is refused is said where one was. Raises NotFound."""
    question = Question(act.title, act.back, act.facts, act.is_grave, section="automations")
    try:
        return asking.ask(
            request, account, question, partial(_tell, account, act), partial(_do, act), _then(request, act)
        )
    except Invalid as error:
        return asking.refused(request, error, act.back)


def refuse(request: HttpRequest, sentence: str, back: str) -> HttpResponse:
    return asking.refused(request, Invalid(sentence), back)


def _then(request: HttpRequest, act: Act) -> Callable[[bool], HttpResponse]:
    def then(_: bool) -> HttpResponse:
        messages.success(request, act.said)
        return asking.leave(request, act.back)

    return then


def _do(act: Act, seen: str) -> bool | None:
    """None: the world is another one by now, and nothing was done."""
    with suppress(PreconditionFailed), transaction.atomic():
        walk.hold([act.automation.pk], [act.person.pk])
        if _world(act) != seen:
            raise PreconditionFailed
        act.verb(clock.now())
        return True
    return None


def _world(act: Act) -> str:
    """A figure of where they stand, of their state, and of what the automation is and does."""
    automation = Automation.objects.values_list("edition", "status").filter(pk=act.automation.pk).first()
    state = Subscriber.objects.values_list("state", flat=True).get(pk=act.person.pk)
    walks = Walk.objects.filter(automation=act.automation.pk, subscriber_id=act.person.pk)
    where = list(walks.order_by("pk").values_list("run", "node", "arrived_at", "left_at"))
    return impact.figure(f"{automation} {state} {where}")


def _tell(account: Account, act: Act, now: datetime) -> Told:
    before = {place.pk: place for place in _places(act)}
    last = Step.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    world = _world(act)

    def look() -> list[Line]:
        after = {place.pk: place for place in _places(act)}
        ended = [asking_places.ends(place, account, now) for pk, place in before.items() if pk not in after]
        begun = [_begins(place, account, now) for pk, place in after.items() if _is_new(place, before.get(pk))]
        return [*_steps(act, last), *ended, *begun]

    lines = impact_of_place.carried_out_and_undone(lambda: act.verb(now), look)
    others = "Nobody else is touched."
    return Told(
        world,
        is_silent=False,
        button=act.button,
        lines=lines or [Line(0, "Nothing else changes for them.")],
        rest=others if act.automation.status == Automation.Status.ACTIVE else f"{others} {_STILL}",
    )


_STILL = "The automation does not run: they stay there until it does."


def _steps(act: Act, last: int) -> Iterator[Line]:
    """What the log would say."""
    steps = list(who.log(act.automation.pk, person=act.person.pk).filter(pk__gt=last).order_by("pk"))
    names = walk_words.names_of(steps, act.automation.account_id)
    for line in walk_words.of(steps, names):
        for one in line.way:
            yield Line(0, f"{one.said}: {one.outcome}")
        if not line.way:
            yield Line(0, f"{line.said}{f': {line.where}' if line.where else ''}")


def _places(act: Act) -> list[Enrollment]:
    rows = places_of(act.automation.account_id, act.person.pk).filter(status__in=GOING_ON)
    return list(rows.select_related("sequence", "next_email").order_by("pk"))


def _is_new(place: Enrollment, before: Enrollment | None) -> bool:
    return before is None or before.run != place.run


def _begins(place: Enrollment, account: Account, now: datetime) -> Line:
    begins = f"{words.title(place.sequence.name)} begins for them"
    if place.next_email is None or place.due_at is None:
        return Line(0, f"{begins}.")
    title, is_now = subjects.title(place.next_email.subject), place.due_at <= now
    return Line(0, f"{begins}; {title} goes", date="now" if is_now else words.on(place.due_at, account.time_zone, now))
