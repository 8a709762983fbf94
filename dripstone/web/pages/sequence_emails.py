"""Acts on the emails of a sequence: add, put in order, change the delay, publish, unpublish, delete.

What an email says is written in the editor. Here it is one of a line.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.content import subjects
from dripstone.engine.acts import edits
from dripstone.errors import Invalid
from dripstone.foresight import impact
from dripstone.given import FromText, Given
from dripstone.sequences import drafts
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.sequences.verbs import Edit
from dripstone.web import asking, forms, line
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show
from dripstone.web.pages.sequences import changed, done, sequence_of
from dripstone.web.paging import number

Verb = tuple[Callable[..., Edit], Callable[..., Edit]]
"""As it is done, and as it is proposed."""

PUBLISH: Verb = (edits.publish_email, impact.publish_email)
UPDATE: Verb = (edits.update_email, impact.update_email)
HOLD: Verb = (edits.hold_email, impact.hold_email)
RELEASE: Verb = (edits.release_email, impact.release_email)
SKIP_WAIT: Verb = (edits.skip_wait, impact.skip_wait)
DELETE: Verb = (edits.delete_email, impact.delete_email)

UNTITLED = "Untitled email"
DELAY = ("delay_value", "delay_unit", "send_days")
OVERTAKEN = "Somebody has changed it since you asked: look at it again, and publish it then"
GONE = "That email is not here any more: somebody deleted it"


def email_of(account: Account, sequence_id: int, email_id: int) -> SequenceEmail:
    sequence = sequence_of(account, sequence_id)
    email = get_object_or_404(sequence.emails.filter(deleted_at=None), pk=email_id)
    email.sequence = sequence
    return email


# --- A new one ---------------------------------------------------------------------------------------------------


@member
@require_http_methods(["GET", "HEAD", "POST"])
def new_email(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    """A draft, before the email that is named or at the end, open in the editor."""
    sequence, back = sequence_of(account, sequence_id), reverse("sequence", args=[sequence_id])
    if request.method != "POST":
        return redirect(back)
    try:
        place = _position(sequence, request.POST.get("before", ""))
        is_first = not sequence.emails.filter(deleted_at=None).exists()
        given = {"subject": UNTITLED, "delay_value": 0 if is_first else 1, "delay_unit": "days"} | place
        made = edits.create_email(account, sequence.pk, given, clock.now(), actor(request)).email
    except Invalid as error:
        return asking.refused(request, error, back)
    assert made is not None
    return asking.leave(request, editor(made))


def editor(email: SequenceEmail) -> str:
    return f"{reverse('sequence', args=[email.sequence_id])}/emails/{email.pk}"


def _position(sequence: Sequence, before: str, moving: int = 0) -> dict[str, Any]:
    """The position that puts an email before the one with this id; for "" that after the last (R10).

    The verb would refuse a place before an email that goes at once, too, but it names it by its id.
    """
    others = sequence.emails.filter(deleted_at=None).exclude(pk=moving).order_by("position")
    if before == "":
        last = others.last()
        return {"position": last.position + 1} if last else {}
    found = others.filter(pk=number(before) or 0).first()
    if found is None:
        raise Invalid(GONE)
    if found.delay_value == 0:
        raise Invalid(f"{title(found)} goes at once, so it stays the first: give it a delay to put another before it")
    return {"position": found.position}


@member
@require_POST
def copy(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """A draft that says the same, right after it. It touches nobody."""
    email = email_of(account, sequence_id, email_id)
    made = edits.duplicate_email(account, sequence_id, email.pk, clock.now(), actor(request)).email
    assert made is not None
    return changed(request, account, sequence_id, "The copy is a draft, right below.", made.pk)


# --- Order -------------------------------------------------------------------------------------------------------


@member
@require_POST
def order(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """Before the email that is named, or at the end."""
    email, before = email_of(account, sequence_id, email_id), request.POST.get("before", "")
    try:
        place = _position(email.sequence, before, email.pk)
    except Invalid as error:
        return asking.refused(request, error, reverse("sequence", args=[sequence_id]))
    return _act(
        request,
        email,
        UPDATE,
        (place,),
        title=f"Move {title(email)}?",
        button="Move it",
        facts=_place_after_move(email, place["position"]),
        said="Moved.",
    )


def _place_after_move(email: SequenceEmail, position: int) -> str:
    others = email.sequence.emails.filter(deleted_at=None).exclude(pk=email.pk)
    n_before, n_others = others.filter(position__lt=position).count(), others.count()
    return f"It becomes email {n_before + 1} of {n_others + 1}."


# --- Published or not --------------------------------------------------------------------------------------------


@member
@require_POST
def publication(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """What its draft says, too. Between question and answer it stays the draft that was asked about."""
    email = email_of(account, sequence_id, email_id)
    revision = request.POST.get("revision") or drafts.of(email).revision
    try:
        return _act(
            request,
            email,
            PUBLISH,
            (revision,),
            title=f"Publish {'the changes of ' if email.published else ''}{title(email)}?",
            button="Publish",
            facts=_place_in_line(email),
            members={"revision": revision},
            said=f"{title(email)} is published.",
        )
    except drafts.Overtaken:
        return asking.refused(request, Invalid(OVERTAKEN), reverse("sequence", args=[sequence_id]))


@member
@require_POST
def unpublication(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    email = email_of(account, sequence_id, email_id)
    return _act(
        request,
        email,
        UPDATE,
        ({"published": False},),
        title=f"Unpublish {title(email)}?",
        button="Unpublish",
        facts="People who wait for it now keep waiting until it is published again. Later people pass it over.",
        said=f"{title(email)} is a draft again.",
    )


def _place_in_line(email: SequenceEmail) -> str:
    """`It is email 4 of 5: 2 days later, at 11:00, Monday to Friday.`"""
    steps = line.steps(email.sequence)
    step = next(step for step in steps if step.email.pk == email.pk)
    delay = step.delay[0].lower() + step.delay[1:]
    return f"It is email {step.number} of {len(steps)}: {', '.join(filter(None, (delay, step.days)))}."


@member
@require_POST
def hold(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    email = email_of(account, sequence_id, email_id)
    return _act(
        request,
        email,
        HOLD,
        (),
        title=f"Put {title(email)} on hold?",
        button="Put on hold",
        facts="Nobody gets it until it is released. Whoever comes to it waits there; nobody passes it over.",
        said=f"{title(email)} is on hold.",
    )


@member
@require_POST
def release(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    email = email_of(account, sequence_id, email_id)
    return _act(
        request,
        email,
        RELEASE,
        (),
        title=f"Release {title(email)}?",
        button="Release",
        facts="What fell due meanwhile goes right away if its delay is in hours, else at the next hour and day for it.",
        said=f"{title(email)} is released.",
    )


@member
@require_POST
def skipping(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """Everybody who waits for it now gets it now."""
    email = email_of(account, sequence_id, email_id)
    return _act(
        request,
        email,
        SKIP_WAIT,
        (),
        title=f"Skip the wait for {title(email)}?",
        button="Skip the wait",
        facts="Everybody who waits for it now gets it now. Who comes later waits as ever.",
        said=f"The wait for {title(email)} is skipped.",
    )


@member
@require_POST
def deletion(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    email = email_of(account, sequence_id, email_id)
    return _act(
        request,
        email,
        DELETE,
        (),
        title=f"Delete {title(email)}?",
        button="Delete email",
        facts="For good. What was sent of it stays in people's histories.",
        said=f"{title(email)} is deleted.",
        is_grave=True,
    )


# --- Delay -------------------------------------------------------------------------------------------------------


@member
@require_http_methods(["GET", "HEAD", "POST"])
def delay(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """Value, unit and the email's own days, changed where they stand."""
    email = email_of(account, sequence_id, email_id)
    if request.method == "POST":
        return _save_delay(request, account, email)
    if request.GET.get("as") == "words":
        return _gap(request, account, email)
    return _changing(request, account, email, Form(_saved(email)))


def _save_delay(request: HttpRequest, account: Account, email: SequenceEmail) -> HttpResponse:
    try:
        edit = edits.update_email(
            account, email.sequence_id, email.pk, _given_delay(request), clock.now(), actor(request)
        )
    except Invalid as error:
        form = forms.refused(request, error, ["send_days"])
        return _changing(request, account, email, form, status=422)
    if _is_part(request):
        response = _gap(request, account, email, is_retimed=bool(edit.retimed))
        return trigger_client_event(response, "sequence-changed")
    said = "Saved, for dates given from now on. People who wait keep theirs." if edit.retimed else "Saved."
    return changed(request, account, email.sequence_id, said, email.pk)


def _given_delay(request: HttpRequest) -> Given:
    """No day chosen, like all seven, means the sequence's. An email after hours follows no days."""
    given = forms.given(request, ["send_days"])
    read = FromText({name: given[name] for name in DELAY if name in given})
    if "send_days" in read and (not read["send_days"] or read.get("delay_unit") == "hours"):
        read["send_days"] = None
    return read


def _saved(email: SequenceEmail) -> dict[str, Any]:
    days = [words.WEEKDAYS[day] for day in email.send_days or ()]
    return {"delay_value": email.delay_value, "delay_unit": email.delay_unit, "send_days": days}


def _gap(request: HttpRequest, account: Account, email: SequenceEmail, *, is_retimed: bool = False) -> HttpResponse:
    sequence = sequence_of(account, email.sequence_id)
    step = next(step for step in line.steps(sequence) if step.email.pk == email.pk)
    context = {"sequence": sequence, "step": step, "is_retimed": is_retimed, "is_back": True}
    return show(request, "sequences/_gap.html", account, context)


def _changing(
    request: HttpRequest, account: Account, email: SequenceEmail, form: Form, status: int = 200
) -> HttpResponse:
    sequence, chosen = email.sequence, form.values.get("send_days", ())
    context = {
        "section": "sequences",
        "current": "true",
        "sequence": sequence,
        "email": email,
        "form": form,
        "wrong": {name: form.problem(name) for name in DELAY},
        "problems": [sentence for _, sentence in form.problems],
        "days": [(name, name[:3].capitalize(), name in chosen) for name in words.WEEKDAYS],
        "days_of_sequence": words.days(sequence.send_days).replace("Every", "every"),
    }
    template = "sequences/_delay.html" if _is_part(request) else "sequences/delay.html"
    response = show(request, template, account, context, status)
    response["Vary"] = "HX-Target, Cookie"
    return response


def _is_part(request: HttpRequest) -> bool:
    return request.headers.get("HX-Target", "").startswith("gap-")


# --- Acting ------------------------------------------------------------------------------------------------------


def title(email: SequenceEmail) -> str:
    return words.title(subjects.readable(email.subject))


def _act(
    request: HttpRequest, email: SequenceEmail, verb: Verb, given: tuple[Any, ...], *, said: str, **question: Any
) -> HttpResponse:
    """question: title, button, facts … of asking.Act."""
    account, does, proposes = email.sequence.account, *verb
    arguments = (account, email.sequence_id, email.pk, *given, clock.now(), actor(request))
    act = asking.Act(email.sequence_id, partial(does, *arguments), partial(proposes, *arguments), **question)
    return done(request, account, act, said, email_id=email.pk)
