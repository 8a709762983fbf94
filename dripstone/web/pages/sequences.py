"""A sequence: its schedule in words, its emails in order, the people in it and what comes next for each."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.engine.models import Delivery, Enrollment
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.web.frame import member, show
from dripstone.web.paging import page

STATUSES = {"active": "In progress", "unconfirmed": "To confirm", "completed": "Completed", "removed": "Removed"}


@dataclass(frozen=True, slots=True)
class Step:
    """An email in its place."""

    email: SequenceEmail
    delay: str
    sent: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to filter the people."""

    status: str  # "" = everybody
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


def _steps(sequence: Sequence) -> Iterator[Step]:
    deliveries = Delivery.objects.filter(sequence=sequence, status="sent").values("email_id").annotate(n=Count("id"))
    sent = {row["email_id"]: row["n"] for row in deliveries}
    places = Enrollment.objects.filter(sequence=sequence, status="active").values("next_email_id")
    waiting = {row["next_email_id"]: row["n"] for row in places.annotate(n=Count("id"))}
    is_first = True
    for email in SequenceEmail.objects.filter(sequence=sequence, deleted_at=None).order_by("position"):
        delay = words.wait(email.delay_value, email.delay_unit, email.send_days, is_first=is_first)
        yield Step(email, delay, sent.get(email.pk, 0), waiting.get(email.pk, 0))
        is_first = is_first and not email.published


def _choices(sequence: Sequence, chosen: str) -> Iterator[Choice]:
    groups = Enrollment.objects.filter(sequence=sequence).values("status").annotate(n=Count("id"))
    counts = {row["status"]: row["n"] for row in groups}
    yield Choice("", "Everybody", sum(counts.values()), chosen not in STATUSES)
    for status, label in STATUSES.items():
        if status in counts or chosen == status:
            yield Choice(status, label, counts.get(status, 0), chosen == status)
