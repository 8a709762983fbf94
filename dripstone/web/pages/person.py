"""One person: who they are, their way through each sequence, what happened to them, and every mail they were sent."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_safe

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.engine import audience, reasons
from dripstone.engine.models import Delivery, Enrollment, deliveries_of, places_of
from dripstone.events.models import Event
from dripstone.explain import event_words
from dripstone.given import plain_address
from dripstone.subscribers import forms, locations
from dripstone.subscribers.models import CustomField, FormSubscription, State, Subscriber, Tag
from dripstone.tracking.models import Response
from dripstone.web import bought, journeys, paging
from dripstone.web.asking_places import name_of
from dripstone.web.frame import member, show
from dripstone.web.journeys import Way
from dripstone.web.paging import Page, page

STATES = {
    State.ACTIVE: ("Active", "good"),
    State.INACTIVE: ("To confirm", "wait"),
    State.CANCELLED: ("Unsubscribed", ""),
    State.BOUNCED: ("Bounced", "bad"),
    State.COMPLAINED: ("Complained", "bad"),
}
STANDING = {
    State.INACTIVE: "They have not confirmed their address, so nothing but the confirmation is sent to them.",
    State.CANCELLED: "They unsubscribed, so nothing is sent to them. Only their own click brings them back.",
    State.BOUNCED: "A mail server said that their address does not exist, so nothing is sent to them.",
    State.COMPLAINED: "They reported an email as spam, so nothing is sent to them.",
}
INSIDE = (Enrollment.Status.ACTIVE, Enrollment.Status.UNCONFIRMED)
IN_FULL = 3  # sequences whose whole way is on the page: some 15 ms each
MOST_INSIDE = 200  # more than three are one line each
PER_PAGE = 20
LATEST = 8  # events on the page
BOUGHT = 3  # purchases on the page
TAGS_OFFERED = 200
MOST_SHOWN = 200  # characters of a page or campaign


@dataclass(frozen=True, slots=True)
class Ended:
    """A place that is shown as one line; its way is loaded when it is opened."""

    place: Enrollment
    n_sent: int
    because: str


@dataclass(frozen=True, slots=True)
class OfForm:
    """By which form they signed up, on which page, sent there by what."""

    name: str
    page: str
    campaign: str
    is_unconfirmed: bool


@dataclass(frozen=True, slots=True)
class Happened:
    at: datetime
    what: str


def person_of(account: Account, subscriber_id: int) -> Subscriber:
    return get_object_or_404(Subscriber, pk=subscriber_id, account=account)


def person_at(account: Account, email_address: str) -> Subscriber | None:
    """As somebody typed it."""
    return Subscriber.objects.filter(account=account, email_address=plain_address(email_address)).first()


def place_of(account: Account, enrollment_id: int) -> Enrollment:
    rows = Enrollment.objects.select_related("sequence", "subscriber", "next_email").defer("next_email__content")
    return get_object_or_404(rows, pk=enrollment_id, account=account)


def address(subscriber_id: int, enrollment_id: int = 0) -> str:
    """Of the page, at one of their places."""
    return reverse("person", args=[subscriber_id]) + (f"#place-{enrollment_id}" if enrollment_id else "")


@require_safe
@member
def person(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    found, now = person_of(account, subscriber_id), clock.now()
    places = places_of(account.pk, found.pk).select_related("sequence", "subscriber").order_by("-pk")
    inside = list(places.filter(status__in=INSIDE)[:MOST_INSIDE])
    over = page(request, places.exclude(status__in=INSIDE), PER_PAGE)
    newest = list(_events(found).order_by("-pk")[: LATEST + 1])
    context = about(found) | {
        "came_by": event_words.came_by(found),
        "standing": STANDING.get(State(found.state), ""),
        "ways": [journeys.of(place, now, account.time_zone) for place in inside[:IN_FULL]],
        "folded": _ended(inside[IN_FULL:], account),
        "over": over,
        "ended": _ended(over.rows, account),
        "n_sent": _sent(found),
        "details": details(found),
        "bought": bought.shown(bought.of_person(found).order_by("-pk")[:BOUGHT]),
        "bought_in_all": bought.in_all(found),
        "happened": _happened(newest[:LATEST], account),
        "has_more": len(newest) > LATEST,
        "keeps_days": settings.DRIPSTONE_KEEP_EVENTS_DAYS,
    }
    return show(request, "people/person.html", account, context)


def about(found: Subscriber) -> dict[str, Any]:
    """What every page about one person shows."""
    label, kind = STATES[State(found.state)]
    return {
        "section": "people",
        "current": "true",
        "person": found,
        "name": name_of(found),
        "state_label": label,
        "state_kind": kind,
    }


def _sent(found: Subscriber) -> dict[str, Any]:
    """How many emails, and when the last one went."""
    sent = deliveries_of(found.account_id, found.pk).filter(status=Delivery.Status.SENT)
    return sent.aggregate(count=Count("pk"), last=Max("sent_at"))


def _ended(places: Collection[Enrollment], account: Account) -> list[Ended]:
    sent = Delivery.objects.filter(enrollment__in=places, status=Delivery.Status.SENT)
    counts = dict(sent.values_list("enrollment").annotate(n=Count("pk"))) if places else {}
    names = audience.names_of((place.removed_reason for place in places), account.pk)
    return [
        Ended(
            place, counts.get(place.pk, 0), reasons.because(place.removed_reason, names) if place.removed_reason else ""
        )
        for place in places
    ]


def details(found: Subscriber) -> dict[str, Any]:
    """Fields by label, also those that are empty; tags by name; forms by time."""
    fields = CustomField.objects.filter(account=found.account_id).order_by("label")
    set_by, tagged_by = (event_words.since(found, kind) for kind in ("field", "tag"))
    tags = list(Tag.objects.filter(taggings__subscriber=found).order_by("name"))
    rows = FormSubscription.objects.filter(subscriber=found)
    offered = Tag.objects.filter(account=found.account_id).exclude(pk__in=[tag.pk for tag in tags])
    return {
        "fields": [(field.label, found.fields.get(str(field.pk), ""), set_by.get(field.pk)) for field in fields],
        "tags": [(tag, tagged_by.get(tag.pk)) for tag in tags],
        "offered": list(offered.order_by("name").values_list("name", flat=True)[:TAGS_OFFERED]),
        "location": locations.of([found.pk]).get(found.pk),
        "forms": [_of_form(row) for row in rows.select_related("form").order_by("added_at")],
    }


def _of_form(row: FormSubscription) -> OfForm:
    origin = forms.origin_of(row)
    page = (origin.referrer or "").partition("?")[0].removeprefix("https://").removeprefix("http://").rstrip("/")
    campaign = ", ".join(f"utm_{name}={value}" for name, value in origin.utm.items())
    return OfForm(row.form.name, page[:MOST_SHOWN], campaign[:MOST_SHOWN], row.is_unconfirmed)


# --- One place ----------------------------------------------------------------------------------------------------


@require_safe
@member
def place(request: HttpRequest, account: Account, enrollment_id: int) -> HttpResponse:
    """The whole way through one sequence: as a page, or for htmx the part alone."""
    found = place_of(account, enrollment_id)
    way: Way = journeys.of(found, clock.now(), account.time_zone, most=10_000)
    is_part = request.headers.get("HX-Target", "").startswith("way-")
    template = "people/_way.html" if is_part else "people/place.html"
    response = show(request, template, account, about(found.subscriber) | {"way": way, "is_part": is_part})
    response["Vary"] = "HX-Target, Cookie"
    return response


# --- What happened ------------------------------------------------------------------------------------------------


def _events(found: Subscriber) -> QuerySet[Event]:
    return Event.objects.filter(subscriber_id=found.pk, account_id=found.account_id)


def _happened(rows: Collection[Event], account: Account) -> list[Happened]:
    names = event_words.names_of(rows, account.pk)
    return [Happened(row.occurred_at, event_words.sentence(row, names)) for row in rows]


@require_safe
@member
def history(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    found = person_of(account, subscriber_id)
    rows: Page[Event] = page(request, _events(found))
    context = about(found) | {
        "page": rows,
        "happened": _happened(rows.rows, account),
        "keeps_days": settings.DRIPSTONE_KEEP_EVENTS_DAYS,
    }
    return show(request, "people/history.html", account, context)


# --- Mail ---------------------------------------------------------------------------------------------------------


@require_safe
@member
def mails(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    """All mail to them, the newest first, with what became of it."""
    found = person_of(account, subscriber_id)
    shown = page(request, _mails(request, found))
    context = about(found) | {
        "page": shown,
        "mails": list(zip(shown.rows, outcomes(shown.rows, account), strict=True)),
    }
    return show(request, "people/mails.html", account, context)


def _mails(request: HttpRequest, found: Subscriber) -> QuerySet[Delivery]:
    """Around the page that is asked for. The ids come first: asked to sort and to limit at once, the database may walk
    through everybody's mail."""
    ids = sorted(deliveries_of(found.account_id, found.pk).values_list("pk", flat=True), reverse=True)
    before, after = (paging.number(request.GET.get(name, "")) for name in ("before", "after"))
    if after is not None:
        near = [pk for pk in ids if pk > after][-paging.PER_PAGE - 1 :]
    else:
        near = [pk for pk in ids if before is None or pk < before][: paging.PER_PAGE + 1]
    return (
        Delivery.objects.filter(pk__in=near)
        .select_related("email", "sequence", "notice")
        .defer("notice__message", "email__content")
    )


def outcomes(rows: Collection[Delivery], account: Account) -> list[str]:
    names = audience.names_of((row.reason for row in rows), account.pk)
    came_back = Response.objects.in_bulk([row.pk for row in rows])
    return [_outcome(row, names, came_back.get(row.pk)) for row in rows]


def _outcome(row: Delivery, names: reasons.Named, came_back: Response | None) -> str:
    """Why it did not go, or what came back; "" of one that was just sent."""
    if row.reply and row.status != Delivery.Status.SENT:
        return row.reply
    if row.reason and row.status != Delivery.Status.SENT:
        return reasons.sentence(row.reason, names).rstrip(".")
    if came_back is None:
        return ""
    return "; ".join(said for stamp, said in _CAME_BACK.items() if getattr(came_back, stamp) is not None)


_CAME_BACK = {
    "unsubscribed_at": "They unsubscribed by its link",
    "bounced_at": "Refused at delivery: the address does not take mail any more",
    "complained_at": "They reported it as spam",
}
