"""What was sent, one by one; and the owner's decision about an email that no mail server answered for: send it again,
or treat it as sent."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.content import subjects
from dripstone.engine import audience, notes, reasons
from dripstone.engine.acts import undecided
from dripstone.engine.models import Delivery
from dripstone.errors import Invalid
from dripstone.given import FromText
from dripstone.web import asking, asking_places
from dripstone.web.frame import actor, came_from, member, show
from dripstone.web.pages.person import address
from dripstone.web.paging import page

SHOWN = ("email", "sequence", "subscriber", "notice")
CHOICES = {"": "All", "failed": "Failed", "unknown": "Unknown", "skipped": "Skipped"}
HEADINGS = {"": "What was sent", "failed": "What failed", "unknown": "What nobody answered for", "skipped": "Skipped"}
MEANINGS = {
    "failed": "could not be delivered",
    "unknown": "went out, and the mail server never said whether it took them,",
    "skipped": "somebody was not sent, with the reason,",
}


@require_safe
@member
def sendings(request: HttpRequest, account: Account) -> HttpResponse:
    """The newest first. Kinds that are asked for are few, and each has its index; there are no others to ask for."""
    status = request.GET.get("status", "")
    rows = Delivery.objects.filter(account=account).select_related(*SHOWN).defer("notice__message")
    if status in MEANINGS:
        rows = rows.filter(status=status)
    else:
        status = ""
    found = page(request, rows)
    context = {
        "section": "engine",
        "current": "true",
        "heading": HEADINGS[status],
        "choices": CHOICES,
        "status": status,
        "is_unknown": status == Delivery.Status.UNKNOWN,
        "meaning": MEANINGS.get(status, ""),
        "page": found,
        "names": names_in(found.rows, account),
    }
    return show(request, "deliveries/page.html", account, context)


def names_in(rows: Iterable[Delivery], account: Account) -> reasons.Named:
    """What deliveries/_list.html says in the reasons."""
    return audience.names_of((row.reason for row in rows), account.pk)


@member
@require_POST
def resending(request: HttpRequest, account: Account, delivery_id: int) -> HttpResponse:
    facts = "If it did arrive, they get it twice; their mail program can tell by its Message-ID, which stays the same."
    made = Decision(undecided.send_again, "Send {} again?", "Send it again", "The email is being sent again.", facts)
    return _decide(request, account, delivery_id, made)


@member
@require_POST
def acceptance(request: HttpRequest, account: Account, delivery_id: int) -> HttpResponse:
    facts = "At the moment at which it was handed over. Nothing is sent."
    made = Decision(
        undecided.treat_as_sent, "Treat {} as sent?", "Treat it as sent", "The email counts as sent.", facts
    )
    return _decide(request, account, delivery_id, made)


@dataclass(frozen=True, slots=True)
class Decision:
    """verb and what is said of it: the question (with the email's title), the button, afterwards, and a fact."""

    verb: Callable[[int, str, str, datetime], Delivery]
    title: str
    button: str
    said: str
    facts: str


def _decide(request: HttpRequest, account: Account, delivery_id: int, made: Decision) -> HttpResponse:
    """An email of a sequence asks first what it does to the person's place. `from`: the page that offered it."""
    rows = Delivery.objects.select_related("email", "subscriber", "sequence", "enrollment")
    row = get_object_or_404(rows, pk=delivery_id, account=account)
    back = _back(request, row)
    try:
        reason = notes.reason_of(FromText({"reason": request.POST.get("reason", "")}))
        verb = partial(made.verb, row.pk, actor(request), reason, clock.now())
        if row.sequence is None or row.subscriber is None or row.email is None:
            verb()
            messages.success(request, made.said)
            return asking.leave(request, back)
    except Invalid as error:
        return asking.refused(request, error, back)
    title = made.title.format(subjects.title(row.email.subject))
    act = asking_places.Act(
        row.sequence, row.subscriber, verb, title, made.button, made.said, back, made.facts, section="sequences"
    )
    return asking_places.ask(request, account, act)


def _back(request: HttpRequest, row: Delivery) -> str:
    if request.POST.get("from") == "person" and row.subscriber_id is not None:
        return address(row.subscriber_id, row.enrollment_id or 0)
    return came_from(request, reverse("home"))
