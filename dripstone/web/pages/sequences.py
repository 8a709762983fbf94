"""A sequence: its emails as a line, what is done to it as a whole."""

from functools import partial
from typing import Any

from django.db.models import QuerySet
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
from dripstone.sequences.models import Sequence
from dripstone.stats import emails as email_stats
from dripstone.stats import places
from dripstone.web import asking, forms, line
from dripstone.web.frame import actor, member, show


@require_safe
@member
def sequence(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    return show(request, "sequences/detail.html", account, shown(sequence_of(account, sequence_id)))


def sequence_of(account: Account, sequence_id: int) -> Sequence:
    rows = Sequence.objects.filter(account=account, deleted_at=None)
    return get_object_or_404(rows.select_related("sending_address", "email_template"), pk=sequence_id)


def shown(found: Sequence) -> dict[str, Any]:
    """What _builder.html shows."""
    steps, counts = line.steps(found), places.by_status([found.pk])
    return {
        "section": "sequences",
        "current": "true",  # aria-current: we are inside the section, not on its own page
        "sequence": found,
        "schedule": words.schedule(found.send_days, found.send_hour, found.time_zone),
        "steps": steps,
        "counts": {status: counts[found.pk, status] for status in Enrollment.Status.values},
        "n_people": counts.total(),
        "n_sent": email_stats.sent_of_sequences([found.pk])[found.pk],
        "n_drafts": sum(not step.email.published for step in steps),
        "primary": _primary(found, steps),
        "next_place": _next(found).first() if found.active else None,
    }


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


def _primary(sequence: Sequence, steps: list[line.Step]) -> str:
    """The next sensible act: the one filled button."""
    if steps and not any(step.email.published for step in steps):
        return "publish"
    return "write" if sequence.active else "resume"


def _next(sequence: Sequence) -> QuerySet[Enrollment]:
    """By enrollment_due."""
    dated = Enrollment.objects.filter(sequence=sequence, due_at__isnull=False)
    return dated.select_related("subscriber").order_by("due_at")[:1]
