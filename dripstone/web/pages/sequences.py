"""A sequence: its schedule in words, its emails in order, the people in it and what comes next for each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.engine.acts import edits
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid
from dripstone.foresight import impact
from dripstone.given import as_yes_no
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import emails as email_stats
from dripstone.stats import places
from dripstone.web import asking, forms
from dripstone.web.frame import actor, member, show
from dripstone.web.paging import page

STATUSES = {"active": "In progress", "unconfirmed": "To confirm", "completed": "Completed", "removed": "Removed"}


@dataclass(frozen=True, slots=True)
class Step:
    """An email in its place."""

    number: int
    email: SequenceEmail
    delay: str
    sent: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to filter the people."""

    status: str  # "" = all people
    label: str
    count: int
    is_chosen: bool


@require_safe
@member
def sequence(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    found = get_object_or_404(
        Sequence.objects.select_related("sending_address", "email_template"),
        pk=sequence_id,
        account=account,
        deleted_at=None,
    )
    chosen = request.GET.get("status", "")
    people = Enrollment.objects.filter(sequence=found).select_related("subscriber", "next_email")
    if chosen in STATUSES:
        people = people.filter(status=chosen)
    context = {
        "section": "sequences",
        "current": "true",  # aria-current: we are inside the section, not on its own page
        "sequence": found,
        "schedule": words.schedule(found.send_days, found.send_hour, found.time_zone),
        "steps": list(_steps(found)),
        "choices": list(_choices(found, chosen)),
        "people": page(request, people),
    }
    return show(request, "sequences/detail.html", account, context)


@member
@require_POST
def activity(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    """Pause it, or let it run again."""
    found = get_object_or_404(Sequence, pk=sequence_id, account=account, deleted_at=None)
    given, back = forms.given(request), reverse("sequence", args=[found.pk])
    resumes = as_yes_no(given.get("active")) is True
    arguments = (account, found.pk, given, clock.now(), actor(request))
    act = asking.Act(
        found.pk,
        partial(edits.update_sequence, *arguments),
        partial(impact.update_sequence, *arguments),
        title=f"{'Resume' if resumes else 'Pause'} {words.title(found.name)}?",
        button="Resume" if resumes else "Pause",
    )
    try:
        return asking.first(request, account, act, lambda _: asking.leave(request, back))
    except Invalid as error:
        return asking.refused(request, error, back)


def _steps(sequence: Sequence) -> Iterator[Step]:
    emails = list(SequenceEmail.objects.filter(sequence=sequence, deleted_at=None).order_by("position"))
    ids = [email.pk for email in emails]
    sent, waiting = email_stats.sent_of(ids), places.waiting_for(ids)
    is_first = True
    for number, email in enumerate(emails, 1):
        delay = words.wait(email.delay_value, email.delay_unit, email.send_days, is_first=is_first)
        yield Step(number, email, delay, sent[email.pk], waiting[email.pk])
        is_first = is_first and not email.published


def _choices(sequence: Sequence, chosen: str) -> Iterator[Choice]:
    counts = places.by_status([sequence.pk])
    yield Choice("", "Everybody", counts.total(), chosen not in STATUSES)
    for status, label in STATUSES.items():
        if (n := counts[sequence.pk, status]) or chosen == status:
            yield Choice(status, label, n, chosen == status)
