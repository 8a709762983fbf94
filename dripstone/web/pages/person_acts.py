"""Acts on one person: on their place in a sequence, and on the person as a whole. Each says first what it will do."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import NamedTuple

from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_http_methods, require_POST

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.content import subjects
from dripstone.engine import enroll, notes, notices, transitions
from dripstone.engine.acts import places
from dripstone.engine.models import Enrollment, places_of
from dripstone.errors import Invalid, PreconditionFailed
from dripstone.events import causes
from dripstone.foresight import impact, impact_of_place
from dripstone.given import FromText
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers import forms as signing_up
from dripstone.subscribers.models import Form as SignUpForm
from dripstone.subscribers.models import State, Subscriber, lock_person
from dripstone.web import asking, asking_places, forms
from dripstone.web.asking import Line, Question, Told
from dripstone.web.asking_places import name_of
from dripstone.web.forms import Form
from dripstone.web.frame import Guarded, actor, member, show
from dripstone.web.pages.person import INSIDE, about, address, person_of, place_of
from dripstone.web.paging import number

Verb = Callable[[int, str, str, datetime], Enrollment]


# --- A place ------------------------------------------------------------------------------------------------------


class Act(NamedTuple):
    """`title` and `said` name {name}, whose place it is, {sequence}, and {email} or {Email}, which it is about."""

    verb: Verb
    title: str
    button: str
    said: str
    facts: str
    is_grave: bool = False


def _view(act: Act) -> Guarded[[int]]:
    @member
    @require_POST
    def view(request: HttpRequest, account: Account, enrollment_id: int) -> HttpResponse:
        place = place_of(account, enrollment_id)
        return _ask(request, place, act, place.next_email)

    return view


pausing = _view(
    Act(
        places.pause,
        "Pause {name} in {sequence}?",
        "Pause",
        "{name} is paused and keeps their place.",
        "They keep their place, and nothing of this sequence is sent to them until you resume.",
    )
)
resumption = _view(
    Act(
        places.resume,
        "Resume {name} in {sequence}?",
        "Resume",
        "{name} goes on.",
        "They go on where they stopped. Nothing that was missed comes all at once.",
    )
)
skipping = _view(
    Act(
        places.skip,
        "Skip {email} for {name}?",
        "Skip it",
        "{Email} is skipped.",
        "The delay of the email after it counts from now.",
    )
)
sending = _view(
    Act(
        places.send_now,
        "Send {email} to {name} now?",
        "Send it now",
        "{Email} goes to {name} right away.",
        "Whatever the day and the hour. The delay of the email after it counts from then.",
    )
)
restart = _view(
    Act(
        places.restart,
        "Start {sequence} again for {name}?",
        "Start again",
        "{name} starts {sequence} again.",
        "From the first email, in a new run. What they had stays in their history.",
    )
)
removal = _view(
    Act(
        places.remove,
        "Take {name} out of {sequence}?",
        "Take them out",
        "{name} is out of {sequence}.",
        "They stay on file, with what they were sent. Added again, they go on after the last email they had, or begin "
        "anew if the sequence repeats.",
        is_grave=True,
    )
)


@member
@require_http_methods(["GET", "HEAD", "POST"])
def moving(request: HttpRequest, account: Account, enrollment_id: int) -> HttpResponse:
    """GET: which email? POST with `email_id`: asks, and does it."""
    place = place_of(account, enrollment_id)
    published = place.sequence.emails.filter(deleted_at=None, published=True).order_by("position")
    email = published.filter(pk=number(request.POST.get("email_id", "")) or 0).first()
    if email is None:
        return _which_email(request, account, place)

    def verb(enrollment_id: int, actor: str, reason: str, now: datetime) -> Enrollment:
        return places.move_to(enrollment_id, email.pk, actor, reason, now)

    delay = words.delay(email.delay_value, email.delay_unit)
    facts = (
        f"It comes next, and its delay ({delay}) counts from now." if email.delay_value else "It comes next, at once."
    )
    act = Act(verb, "Move {name} to {email}?", "Move them", "{Email} comes next for {name}.", facts)
    return _ask(request, place, act, email)


def _which_email(request: HttpRequest, account: Account, place: Enrollment) -> HttpResponse:
    emails = place.sequence.emails.filter(deleted_at=None).defer("content").order_by("position")
    choices = [
        (email.pk, f"{position}. {subjects.readable(email.subject)}{_of(email, place)}")
        for position, email in enumerate(emails, 1)
        if email.published
    ]
    form = Form({"email_id": place.next_email_id}, [])
    if request.method == "POST":
        form = Form({"email_id": place.next_email_id}, [("email_id", "Choose the email that comes next")])
    context = about(place.subscriber) | {"place": place, "choices": choices, "form": form}
    return show(request, "people/moving.html", account, context, 422 if request.method == "POST" else 200)


def _of(email: SequenceEmail, place: Enrollment) -> str:
    return ", which comes next as it is" if email.pk == place.next_email_id else ""


def _ask(request: HttpRequest, place: Enrollment, act: Act, email: SequenceEmail | None) -> HttpResponse:
    person, back = place.subscriber, address(place.subscriber_id, place.pk)
    try:
        reason = notes.reason_of(FromText({"reason": request.POST.get("reason", "")}))
    except Invalid as error:
        return asking.refused(request, error, back)
    title = subjects.title(email.subject) if email is not None else "the next email"
    named = {"name": name_of(person), "sequence": words.title(place.sequence.name)}
    named |= {"email": title, "Email": title[:1].upper() + title[1:]}
    asked = asking_places.Act(
        place.sequence,
        person,
        partial(act.verb, place.pk, actor(request), reason, clock.now()),
        title=act.title.format(**named),
        button=act.button,
        said=act.said.format(**named),
        back=back,
        facts=act.facts,
        is_grave=act.is_grave,
    )
    return asking_places.ask(request, place.account, asked)


# --- Into something -----------------------------------------------------------------------------------------------


@member
@require_http_methods(["GET", "HEAD", "POST"])
def entry(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    """Into a sequence (asks, with what will come), or onto a form."""
    found = person_of(account, subscriber_id)
    if request.method != "POST":
        return _choose(request, account, found, Form())
    if request.POST.get("form_id"):
        return _onto_form(request, account, found)
    sequences = Sequence.objects.filter(account=account, deleted_at=None)
    sequence = sequences.filter(pk=number(request.POST.get("sequence_id", "")) or 0).first()
    if sequence is None:
        return _choose(request, account, found, Form({}, [("sequence_id", "Choose a sequence")]), 422)
    name, title = name_of(found), words.title(sequence.name)
    act = asking_places.Act(
        sequence,
        found,
        partial(enroll.add, sequence, [found.pk], "owner", clock.now(), cause=forms.cause(request)),
        title=f"Add {name} to {title}?",
        button="Add them",
        said=_after_entry(name, title, sequence),
        back=address(found.pk),
        facts="" if sequence.active else "This sequence is paused: they wait until it runs again.",
        asks_why=False,
    )
    return asking_places.ask(request, account, act)


def _after_entry(name: str, title: str, sequence: Sequence) -> str:
    return f"{name} is in {title}." if sequence.active else f"{name} is in {title}, and waits until it runs again."


def _choose(request: HttpRequest, account: Account, found: Subscriber, form: Form, status: int = 200) -> HttpResponse:
    inside = places_of(account.pk, found.pk).filter(status__in=INSIDE).values_list("sequence_id", flat=True)
    rows = Sequence.objects.filter(account=account, deleted_at=None).exclude(pk__in=list(inside)).order_by("name")
    context = about(found) | {
        "form": form,
        "sequences": [("", "Choose…"), *rows.values_list("pk", "name")],
        "signing_up": [("", "Choose…"), *_forms_without(account, found)],
    }
    return show(request, "people/entry.html", account, context, status)


def _forms_without(account: Account, found: Subscriber) -> list[tuple[int, str]]:
    active = SignUpForm.objects.filter(account=account, status=SignUpForm.Status.ACTIVE)
    return list(active.exclude(subscriptions__subscriber=found).order_by("name").values_list("pk", "name"))


def _onto_form(request: HttpRequest, account: Account, found: Subscriber) -> HttpResponse:
    form_id = number(request.POST.get("form_id", "")) or 0
    form = get_object_or_404(SignUpForm, pk=form_id, account=account)
    signing_up.add(form, found, {}, clock.now(), cause=forms.cause(request))
    messages.success(request, f"{name_of(found)} is on the form {words.title(form.name)}.")
    return asking.leave(request, address(found.pk))


# --- The person as a whole ----------------------------------------------------------------------------------------


@member
@require_POST
def unsubscription(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    """For somebody who asked for it otherwise than by a link. Asks first: it says what ends."""
    found, back = person_of(account, subscriber_id), address(subscriber_id)
    try:
        said = notes.reason_of(FromText({"reason": request.POST.get("reason", "")}))
    except Invalid as error:
        return asking.refused(request, error, back)
    if found.state not in (State.ACTIVE, State.INACTIVE):
        return asking.refused(request, Invalid(f"Nothing is sent to {name_of(found)} as it is"), back)
    name = name_of(found)
    question = Question(
        f"Unsubscribe {name}?",
        back,
        facts="From everything. Only their own click can bring them back.",
        is_grave=True,
        asks_why=True,
        section="people",
    )
    cancel = partial(transitions.cancel, found.pk, clock.now(), cause=causes.OWNER, said=said)

    def do(seen: str) -> bool | None:
        with suppress(PreconditionFailed), transaction.atomic():
            lock_person(found)
            if _world(account, found) != seen:
                raise PreconditionFailed
            return cancel()
        return None

    def done(_: bool) -> HttpResponse:
        messages.success(request, f"{name} is unsubscribed: nothing is sent to them any more.")
        return asking.leave(request, back)

    return asking.ask(request, account, question, partial(_what_ends, account, found, cancel), do, done)


def _world(account: Account, found: Subscriber) -> str:
    """A figure of the person's state and of all their places that go on."""
    state = Subscriber.objects.values_list("state", flat=True).get(pk=found.pk)
    rows = _going_on(account, found).order_by("pk").values_list("pk", "status", "next_email_id", "due_at")
    return impact.figure(f"{state} {list(rows)}")


def _going_on(account: Account, found: Subscriber) -> QuerySet[Enrollment]:
    return places_of(account.pk, found.pk).filter(status__in=INSIDE)


def _what_ends(account: Account, found: Subscriber, cancel: Callable[[], bool], now: datetime) -> Told:
    world = _world(account, found)
    before = list(_going_on(account, found).select_related("sequence", "next_email").order_by("pk"))
    ended = impact_of_place.carried_out_and_undone(
        cancel, lambda: {place.pk for place in before} - set(_going_on(account, found).values_list("pk", flat=True))
    )
    lines = [asking_places.ends(place, account, now) for place in before if place.pk in ended]
    return Told(
        world,
        is_silent=False,
        button="Unsubscribe",
        lines=lines or [Line(0, "They are in no sequence, so no email is kept from them.")],
        rest="Nobody else is touched. They stay on file, with what they were sent.",
    )


@member
@require_POST
def confirmation(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    """The mail of double opt-in once more."""
    found, back = person_of(account, subscriber_id), address(subscriber_id)
    try:
        notices.confirmation(found.pk, clock.now())
    except Invalid as error:
        return asking.refused(request, error, back)
    messages.success(request, f"The mail that asks to confirm goes to {found.email_address} right away.")
    return asking.leave(request, back)
