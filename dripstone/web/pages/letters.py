"""One mail: as somebody was sent it, or as they would get it now."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_safe

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.content.compile import Rendered
from dripstone.content.liquid_cost import OverBudget
from dripstone.engine.acts import previews
from dripstone.engine.acts.previews import Sent
from dripstone.engine.models import Delivery
from dripstone.errors import Invalid, NotFound
from dripstone.given import FromText
from dripstone.senders import inbox_reading
from dripstone.sequences.models import SequenceEmail
from dripstone.web.frame import member, show
from dripstone.web.pages.inbox import framed
from dripstone.web.pages.person import about, outcomes, person_of

VIEWS = {"html": "Message", "text": "Plain text", "headers": "Headers"}


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    headers: list[tuple[str, str]]
    text: str


def _letter(rendered: Rendered) -> Letter:
    read = inbox_reading.contents(rendered.data)
    lines = [(name, line) for name, text in read.headers.items() for line in text.split("\n")]
    return Letter(rendered.subject, lines, rendered.text)


# --- As it was sent -----------------------------------------------------------------------------------------------


@require_safe
@member
def delivery(request: HttpRequest, account: Account, delivery_id: int) -> HttpResponse:
    row = _delivery(account, delivery_id)
    sent = _as_sent(row)
    context: dict[str, Any] = about(row.subscriber) if row.subscriber is not None else {"section": "sequences"}
    context |= _viewed(request) | {
        "delivery": row,
        "sent": sent,
        "letter": _letter(sent.rendered) if sent is not None else None,
        "body": reverse("delivery_body", args=[row.pk]),
        "outcome": outcomes([row], account)[0],
    }
    return show(request, "people/delivery.html", account, context)


@require_safe
@member
def delivery_body(request: HttpRequest, account: Account, delivery_id: int) -> HttpResponse:
    """Its HTML alone, for the frame."""
    sent = _as_sent(_delivery(account, delivery_id))
    if sent is None:
        raise Http404
    return framed(sent.rendered.html)


def _delivery(account: Account, delivery_id: int) -> Delivery:
    rows = Delivery.objects.select_related("account", "subscriber", "sequence", "email", "enrollment", "notice")
    return get_object_or_404(rows.defer("notice__message", "email__content"), pk=delivery_id, account=account)


def _as_sent(row: Delivery) -> Sent | None:
    """None: it is not known what it was made of, or it can't be made."""
    try:
        return previews.as_sent(row)
    except (NotFound, OverBudget):
        return None


# --- As it would be -----------------------------------------------------------------------------------------------


@require_safe
@member
def preview(request: HttpRequest, account: Account, subscriber_id: int, email_id: int) -> HttpResponse:
    """An email that is to come, as this person would get it if it went now."""
    found, email = person_of(account, subscriber_id), _email(account, email_id)
    made, broken = _made(lambda: _preview(email, found.pk))
    context = (
        about(found)
        | _viewed(request)
        | {
            "email": email,
            "letter": _letter(made) if made is not None else None,
            "broken": broken,
            "body": reverse("person_preview_body", args=[found.pk, email.pk]),
        }
    )
    return show(request, "people/preview.html", account, context)


@require_safe
@member
def preview_body(request: HttpRequest, account: Account, subscriber_id: int, email_id: int) -> HttpResponse:
    found, email = person_of(account, subscriber_id), _email(account, email_id)
    made, _ = _made(lambda: _preview(email, found.pk))
    return framed(made.html if made is not None else "")


def _email(account: Account, email_id: int) -> SequenceEmail:
    rows = SequenceEmail.objects.select_related("sequence", "sequence__account")
    return get_object_or_404(rows, pk=email_id, sequence__account=account, sequence__deleted_at=None, deleted_at=None)


def _preview(email: SequenceEmail, subscriber_id: int) -> Rendered:
    given = FromText({"subscriber_id": str(subscriber_id)})
    return previews.of(email.sequence, email.pk, given, clock.now(), shows_gaps=True).rendered


def _made(make: Callable[[], Rendered]) -> tuple[Rendered | None, list[str]]:
    try:
        return make(), []
    except Invalid as broken:
        return None, broken.messages


def _viewed(request: HttpRequest) -> dict[str, Any]:
    wanted = request.GET.get("view", "")
    return {"view": wanted if wanted in VIEWS else "html", "views": VIEWS}
