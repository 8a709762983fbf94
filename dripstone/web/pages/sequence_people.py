"""The people of a sequence: all of them, those of a status, or those who wait for one of its emails."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from dripstone import words
from dripstone.accounts.models import Account
from dripstone.content import subjects
from dripstone.engine.models import Enrollment
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.stats import places
from dripstone.web.frame import member, show
from dripstone.web.paging import PATIENCE_MS, Page, number, page, page_within

LIST = "people"  # the id of the part that htmx loads after the page, if need be
STATUSES = {"active": "In progress", "unconfirmed": "To confirm", "completed": "Completed", "removed": "Removed"}


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to filter the people."""

    query: str  # "" = all people
    label: str
    count: int
    is_chosen: bool


@require_safe
@member
def people(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    sequence = get_object_or_404(Sequence, pk=sequence_id, account=account, deleted_at=None)
    status, waited_for = request.GET.get("status", ""), _email(sequence, request.GET.get("waiting", ""))
    rows, n_rows = _of_status(sequence, status) if waited_for is None else _waiting_for(waited_for)
    rows, is_part = rows.select_related("subscriber", "next_email"), request.headers.get("HX-Target") == LIST
    may_take_long = waited_for is None or is_part or "long" in request.GET
    # Of few who wait for an email the sequence may have to be read to its end.
    find = page if may_take_long else partial(page_within, patience_ms=PATIENCE_MS)
    found: Page[Enrollment] | None = find(request, rows, n_rows=n_rows)
    context = {
        "section": "sequences",
        "current": "true",
        "sequence": sequence,
        "choices": list(_choices(sequence, status, waited_for, n_rows)),
        "people": found,
        "long": f"{request.get_full_path()}&long=1",
    }
    response = show(request, "sequences/_people.html" if is_part else "sequences/people.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


def _email(sequence: Sequence, text: str) -> SequenceEmail | None:
    email_id = number(text)
    return None if email_id is None else sequence.emails.filter(pk=email_id, deleted_at=None).first()


def _of_status(sequence: Sequence, status: str) -> tuple[QuerySet[Enrollment], int]:
    rows, counts = Enrollment.objects.filter(sequence=sequence), places.by_status([sequence.pk])
    if status in STATUSES:
        return rows.filter(status=status), counts[sequence.pk, status]
    return rows, counts.total()


def _waiting_for(email: SequenceEmail) -> tuple[QuerySet[Enrollment], int]:
    rows = Enrollment.objects.filter(sequence=email.sequence_id, status=Enrollment.Status.ACTIVE, next_email=email)
    return rows, places.waiting_for([email.pk])[email.pk]


def _choices(sequence: Sequence, chosen: str, waited_for: SequenceEmail | None, n_rows: int) -> Iterator[Choice]:
    counts, is_free = places.by_status([sequence.pk]), waited_for is None
    yield Choice("", "Everybody", counts.total(), is_free and chosen not in STATUSES)
    for status, label in STATUSES.items():
        if (n := counts[sequence.pk, status]) or chosen == status:
            yield Choice(f"?status={status}", label, n, is_free and chosen == status)
    if waited_for is not None:
        title = words.title(subjects.readable(waited_for.subject))
        yield Choice(f"?waiting={waited_for.pk}", f"Waiting for {title}", n_rows, is_chosen=True)
