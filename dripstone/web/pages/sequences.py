"""A sequence: its emails as a line, and what is done to it as a whole.

The page is one part, _builder.html. An act that came from it by htmx is answered by that part as it is now, so that
place and focus stay; an act from elsewhere, or without JavaScript, by the page.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import reswap, retarget, trigger_client_event

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.automations import uses as automation_uses
from dripstone.engine.acts import edits
from dripstone.engine.models import Enrollment
from dripstone.errors import Invalid, NotFound
from dripstone.explain import automation_words, rule_words
from dripstone.foresight import impact
from dripstone.given import as_yes_no
from dripstone.rules import uses as rule_uses
from dripstone.sequences.models import Sequence
from dripstone.sequences.verbs import Edit
from dripstone.stats import emails as email_stats
from dripstone.stats import places
from dripstone.web import asking, beside, forms, line
from dripstone.web.frame import actor, member, show

PART = "builder"  # the id of the element that holds _builder.html
COMES_FROM = {"home", "first_run"}  # pages that offer an act and are returned to
Answer = Callable[[Edit], HttpResponse]


@require_safe
@member
def sequence(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    """For htmx, which asks again while people are being moved, its one part."""
    is_part = request.headers.get("HX-Target") == PART
    template = "sequences/_builder.html" if is_part else "sequences/detail.html"
    response = show(request, template, account, shown(sequence_of(account, sequence_id)))
    response["Vary"] = "HX-Target, Cookie"
    return response


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
        **beside.context(found),
    }


def _primary(sequence: Sequence, steps: list[line.Step]) -> str:
    """The next sensible act: the one filled button."""
    if steps and not any(step.email.published for step in steps):
        return "publish"
    return "write" if sequence.active else "resume"


def _next(sequence: Sequence) -> QuerySet[Enrollment]:
    """By enrollment_due."""
    dated = Enrollment.objects.filter(sequence=sequence, due_at__isnull=False)
    return dated.select_related("subscriber").order_by("due_at")[:1]


# --- Acts on the sequence ---------------------------------------------------------------------------------------


@member
@require_POST
def activity(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    """Pause it, or let it run again."""
    found, given = sequence_of(account, sequence_id), forms.given(request)
    resumes = as_yes_no(given.get("active")) is True
    arguments = (account, found.pk, given, clock.now(), actor(request))
    act = asking.Act(
        found.pk,
        partial(edits.update_sequence, *arguments),
        partial(impact.update_sequence, *arguments),
        title=f"{'Resume' if resumes else 'Pause'} {words.title(found.name)}?",
        button="Resume" if resumes else "Pause",
    )
    return done(request, account, act, "It runs again." if resumes else "Paused. Everybody keeps their place.")


@member
@require_POST
def publication(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    """Every draft at once. `from`: the page that offered it, where one goes on."""
    found, came_from = sequence_of(account, sequence_id), request.POST.get("from", "")
    n_drafts = found.emails.filter(published=False, deleted_at=None).count()
    drafts, arguments = words.count(n_drafts, "draft"), (account, found.pk, clock.now(), actor(request))
    back = reverse(came_from) if came_from in COMES_FROM else _address(found.pk, 0)
    act = asking.Act(
        found.pk,
        partial(edits.publish_all, *arguments),
        partial(impact.publish_all, *arguments),
        title=f"Publish {drafts}?",
        button="Publish",
        facts="All of them or none. People get one at a time, each after its delay.",
        back=back,
    )
    said = f"{drafts} {words.agree(n_drafts, 'is', 'are')} published." if n_drafts else "All is published already."
    then = partial(_away, request, said, back) if came_from in COMES_FROM else None
    return done(request, account, act, said, then)


@member
@require_POST
def rescheduling(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    found = sequence_of(account, sequence_id)
    arguments = (account, found.pk, clock.now(), actor(request))
    act = asking.Act(
        found.pk,
        partial(edits.reschedule, *arguments),
        partial(impact.reschedule, *arguments),
        title="Reschedule waiting people?",
        button="Reschedule",
        facts="Everybody who waits gets the date that today's delays and schedule give.",
    )
    return done(request, account, act, "Everybody who waits has a date by today's delays and schedule.")


@member
@require_POST
def copy(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    """Another one with the same settings and emails, all of them drafts, and nobody in it."""
    found = sequence_of(account, sequence_id)
    made = edits.duplicate_sequence(account, found.pk, clock.now(), actor(request)).sequence
    messages.success(request, "This is the copy. All its emails are drafts, and nobody is in it.")
    return asking.leave(request, reverse("sequence", args=[made.pk]))


@member
@require_POST
def deletion(request: HttpRequest, account: Account, sequence_id: int) -> HttpResponse:
    found = sequence_of(account, sequence_id)
    arguments = (account, found.pk, clock.now(), actor(request))
    thing = ("sequence", found.pk)
    of_rules = rule_words.without(rule_uses.of(thing, account.pk))
    of_automations = automation_words.without(automation_uses.of(thing, account.pk))
    facts = "Its emails go with it, for good. What was sent stays in people's histories."
    act = asking.Act(
        found.pk,
        partial(edits.delete_sequence, *arguments),
        partial(impact.delete_sequence, *arguments),
        title=f"Delete {words.title(found.name)}?",
        button="Delete sequence",
        facts=" ".join(filter(None, [facts, of_rules, of_automations])),
        is_grave=True,
    )
    said = f"{words.title(found.name)} is deleted."
    return done(request, account, act, said, partial(_away, request, said, reverse("home")))


def _away(request: HttpRequest, said: str, to: str, _: Edit) -> HttpResponse:
    messages.success(request, said)
    return asking.leave(request, to)


# --- Answers ----------------------------------------------------------------------------------------------------


def done(
    request: HttpRequest, account: Account, act: asking.Act, said: str, then: Answer | None = None, email_id: int = 0
) -> HttpResponse:
    """Does it or asks first; then the sequence as it is now. `email_id`: where one was looking."""
    back = act.back or _address(act.sequence_id, email_id)
    try:
        return asking.first(
            request, account, act, then or (lambda _: changed(request, account, act.sequence_id, said, email_id))
        )
    except Invalid as error:
        return asking.refused(request, error, back)
    except NotFound as gone:
        raise Http404 from gone


def changed(request: HttpRequest, account: Account, sequence_id: int, said: str, email_id: int = 0) -> HttpResponse:
    """The sequence after an act. `said` is said once."""
    if not _is_here(request, sequence_id):
        messages.success(request, said)
        return asking.leave(request, _address(sequence_id, email_id))
    context = shown(sequence_of(account, sequence_id))
    response = retarget(show(request, "sequences/_builder.html", account, context), f"#{PART}")
    trigger_client_event(response, "said", {"text": said})
    trigger_client_event(response, "sequence-changed")
    trigger_client_event(response, "acted", {"email": email_id}, after="settle")
    return reswap(response, "innerHTML")


def _is_here(request: HttpRequest, sequence_id: int) -> bool:
    """Whether it came by htmx from the sequence's own page."""
    url = urlsplit(request.headers.get("HX-Current-URL", ""))
    return url.path == reverse("sequence", args=[sequence_id])


def _address(sequence_id: int, email_id: int) -> str:
    return reverse("sequence", args=[sequence_id]) + (f"#e{email_id}" if email_id else "")
