"""Put one person into a sequence, by their address; says before and after what happens to them."""

from collections.abc import Iterator
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.content import subjects
from dripstone.engine import filters, reasons
from dripstone.engine.acts import entries
from dripstone.engine.enroll import Entry
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid
from dripstone.foresight import timetable
from dripstone.foresight.timetable import Line
from dripstone.given import FromText
from dripstone.sequences.models import Sequence
from dripstone.web import forms
from dripstone.web.forms import Form
from dripstone.web.frame import member, show

COMES_FROM = ("first_run",)  # pages that this form stands on, too


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new_person(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    found = get_object_or_404(Sequence, pk=sequence_id, account=account, deleted_at=None)
    if request.method != "POST":
        return _form(request, account, found, Form())
    try:
        entry = entries.add(found, _given(request), clock.now(), cause=forms.cause(request))
    except Invalid as error:
        return _form(request, account, found, forms.refused(request, error), 422)
    say = messages.success if entry.added else messages.warning
    say(request, said(entry, found, account, clock.now()))
    back = request.POST.get("from", "")
    return redirect(back) if back in COMES_FROM else redirect("sequence", found.pk)


def _given(request: HttpRequest) -> FromText:
    """A name that was left blank is one that nobody knows: it takes none away."""
    return FromText({name: value for name, value in forms.given(request).items() if value or name != "first_name"})


def _form(request: HttpRequest, account: Account, sequence: Sequence, form: Form, status: int = 200) -> HttpResponse:
    context = {
        "section": "sequences",
        "current": "true",
        "sequence": sequence,
        "form": form,
        "ahead": ahead(sequence, clock.now()),
        "from": request.POST.get("from", ""),
    }
    return show(request, "sequences/new_person.html", account, context, status)


def ahead(sequence: Sequence, now: datetime, *, with_drafts: bool = False) -> list[Line]:
    """The emails that somebody who enters now would get, with their dates; nothing while it is paused.

    with_drafts   as if every draft were published
    """
    emails = list(sequence.emails.all())
    for email in emails:
        email.published = email.published or with_drafts  # never saved
    readers = filters.readers(filters.of(emails), sequence.account_id)
    return timetable.of_entry(sequence, emails, now, readers) if sequence.active else []


def said(entry: Entry, sequence: Sequence, account: Account, now: datetime) -> str:
    """`Bob is in. “Welcome” goes to them within a minute.`"""
    who = entry.person.first_name or entry.person.email_address
    return " ".join(_sentences(entry, who, sequence, account, now))


def _sentences(entry: Entry, who: str, sequence: Sequence, account: Account, now: datetime) -> Iterator[str]:
    place = entry.enrollment
    if place.status == Enrollment.Status.REMOVED:
        yield f"Nothing is sent to {who}, because {reasons.because(place.removed_reason)}."
        return
    yield f"{who} is in." if entry.added else f"{who} was in it already, and nothing has changed."
    if place.status == Enrollment.Status.UNCONFIRMED:
        yield "They have yet to confirm their address; the first email counts from then."
    elif not sequence.active:
        yield "The sequence is paused: they wait until it runs again."
    elif entry.added:
        yield _what_comes(place, account, now)


def _what_comes(place: Enrollment, account: Account, now: datetime) -> str:
    row = Enrollment.objects.select_related("next_email").get(pk=place.pk)
    if row.next_email is None:
        return "Nothing is published yet: they get the first email when it is."
    subject = words.title(subjects.readable(row.next_email.subject))
    if row.due_at is None:
        return f"{subject} comes next, without a date yet."
    if row.due_at <= now:
        return f"{subject} goes to them within a minute."
    return f"{subject} goes to them {words.on(row.due_at, account.time_zone, now)}."
