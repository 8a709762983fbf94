"""/inbox: the mail inbox:// caught, shown as a mail program would, without trusting it: a list, and one message beside
it; on a phone one after the other. Nobody marks messages as read: several people look into one inbox."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages as notices
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dripstone.accounts.models import Account
from dripstone.engine import identity
from dripstone.engine.models import Delivery
from dripstone.given import plain_address
from dripstone.senders import inbox as captured
from dripstone.senders import inbox_finding as finding
from dripstone.senders import ways
from dripstone.senders.inbox_reading import Contents, contents
from dripstone.senders.models import CapturedMessage
from dripstone.subscribers.models import Subscriber
from dripstone.web import headers, paging
from dripstone.web.frame import member, show
from dripstone.web.paging import Page

VIEWS = {"html": "Message", "text": "Plain text", "headers": "Headers", "source": "Source"}
PER_PAGE = 50
COUNTED = 1_000  # more are not told apart
SOURCE_CHARACTERS = 200_000  # that are shown; a download has all
PATIENTLY = 1.0  # seconds in which texts are read for a list that is there already
LIST, READING = "messages", "reading"  # ids of the elements that htmx fills
OF_THE_LIST = ("q", "to", "before", "after")  # of a query string: which part of the list one looks at

# No scripts, no forms, nothing fetched but images, ours and over https. Links open in a tab of their own, outside the
# sandbox.
BODY_POLICY = (
    "default-src 'none'; img-src https: data: {images}; style-src 'unsafe-inline'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
BEFORE_HEAD = re.compile(r"\s*(<!doctype[^>]*>\s*)?(<html[^>]*>\s*)?(<head[^>]*>)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Listed:
    """The part of the list that is looked at.

    in_texts  False: `typed` is looked for in recipients and subjects alone
    query     of its own address, for whatever leads back to it: `?q=bob&before=17`, or ""
    beyond    of the address where texts that were not looked through come first, or ""
    """

    typed: str
    in_texts: bool
    page: Page[CapturedMessage]
    query: str
    has_read_all: bool = True
    beyond: str = ""


@require_safe
@member
def inbox(request: HttpRequest, account: Account) -> HttpResponse:
    """The list, with the newest message beside it where there is room."""
    listed = _listed(request, account)
    n_messages = CapturedMessage.objects.filter(account=account).values("pk")[: COUNTED + 1].count()
    context = {
        "section": "inbox",
        "listed": listed,
        "n_messages": min(n_messages, COUNTED),
        "has_more": n_messages > COUNTED,
        "is_empty": not n_messages,
        "is_capturing": ways.is_local(settings.DRIPSTONE_MAIL_URL),
    }
    is_part = request.headers.get("HX-Target") == LIST
    if not is_part and listed.page.rows:
        context |= _read(request, account, listed.page.rows[0], listed)
    return _varied(show(request, "inbox/_messages.html" if is_part else "inbox/page.html", account, context))


def _varied(response: HttpResponse) -> HttpResponse:
    response["Vary"] = "HX-Target, Cookie"
    return response


def _listed(request: HttpRequest, account: Account, around: CapturedMessage | None = None) -> Listed:
    """around  a message that must be on it, if nobody asks for another part"""
    listed = _place(request.GET)
    if listed.typed:
        return _found(request, account, listed)
    rows = CapturedMessage.objects.filter(account=account).defer("raw")
    page = paging.page(request, rows, PER_PAGE)
    if around is not None and not listed.query and around not in page.rows:
        page = replace(paging.page(request, rows.filter(pk__lte=around.pk), PER_PAGE), newer=f"?after={around.pk}")
    return replace(listed, page=page)


def _place(given: Mapping[str, str], names: Collection[str] = OF_THE_LIST) -> Listed:
    """What is looked for, and where in the list; without its rows."""
    place = {name: given[name] for name in names if given.get(name)}
    typed = (place.get("q") or place.get("to") or "").replace("\0", "").strip()
    query = f"?{urlencode(place)}" if place else ""
    return Listed(typed, bool(place.get("q")), Page([], "", ""), query)


def _found(request: HttpRequest, account: Account, listed: Listed) -> Listed:
    before, after = (paging.number(request.GET.get(name, "")) for name in ("before", "after"))
    patience = PATIENTLY if request.GET.get("patiently") else finding.PATIENCE
    found = _search(account, listed, PER_PAGE + 1, before=before, after=after, patience=patience)
    ids = sorted(found.ids[:PER_PAGE], reverse=True)
    rows = CapturedMessage.objects.defer("raw").in_bulk(ids)
    shown = [rows[pk] for pk in ids if pk in rows]
    has_more = len(found.ids) > PER_PAGE
    has_newer, has_older = (has_more, True) if after is not None else (before is not None, has_more)
    page = Page(
        shown,
        _at(listed, after=shown[0].pk) if shown and has_newer else "",
        _at(listed, before=shown[-1].pk) if shown and has_older else "",
    )
    is_older = found.edge is not None and after is None
    beyond = _at(listed, before=found.edge + 1) if is_older and found.edge is not None else ""
    return replace(listed, page=page, has_read_all=found.has_read_all, beyond=beyond)


def _search(account: Account, listed: Listed, most: int, **place: Any) -> finding.Found:
    return finding.messages(account.pk, listed.typed, most, in_texts=listed.in_texts, **place)


def _at(listed: Listed, **place: int) -> str:
    return "?" + urlencode({"q" if listed.in_texts else "to": listed.typed, **place})


@require_http_methods(["GET", "HEAD", "POST"])
@member
def emptying(request: HttpRequest, account: Account) -> HttpResponse:
    """GET asks, POST does it."""
    found = CapturedMessage.objects.filter(account=account)
    if request.method != "POST":
        return show(request, "inbox/emptying.html", account, {"section": "inbox", "count": found.count()})
    found.delete()
    notices.success(request, "The inbox is empty.")
    return redirect("inbox")


@require_safe
@member
def message(request: HttpRequest, account: Account, message_id: int) -> HttpResponse:
    found = _find(account, message_id)
    if request.headers.get("HX-Target") == READING:
        context = _read(request, account, found, _place(request.GET))
        return _varied(show(request, "inbox/_reading.html", account, context))
    listed = _listed(request, account, around=found)
    context = {"section": "inbox", "current": "true", "listed": listed, "is_reading": True}
    return _varied(show(request, "inbox/page.html", account, context | _read(request, account, found, listed)))


def _read(request: HttpRequest, account: Account, found: CapturedMessage, listed: Listed) -> dict[str, object]:
    """What stands in the message's own part of the page."""
    source = _source(found)
    read = contents(source)
    wanted = request.GET.get("view", "")
    view = wanted if wanted in VIEWS else ("html" if read.html is not None else "text")
    newer, older = _neighbours(account, found, listed)
    return {
        "listed": listed,
        "message": found,
        "sender": read.headers.get("From", found.from_address),
        "read": read,
        "headers": _headers(read),
        "source": source[:SOURCE_CHARACTERS].decode("utf-8", "replace") if view == "source" else "",
        "is_cut": len(source) > SOURCE_CHARACTERS,
        "view": view,
        "views": VIEWS,
        "newer": newer,
        "older": older,
        "reader": Subscriber.objects.filter(account=account, email_address=plain_address(found.to)).first(),
        "delivery": _delivery(account, found),
    }


def _headers(read: Contents) -> list[tuple[str, str]]:
    return [(name, line) for name, text in read.headers.items() for line in text.split("\n")]


def _neighbours(account: Account, found: CapturedMessage, listed: Listed) -> tuple[int | None, int | None]:
    """The next newer and the next older one, of those that were looked for."""
    return _next(account, found, listed, is_newer=True), _next(account, found, listed, is_newer=False)


def _next(account: Account, found: CapturedMessage, listed: Listed, *, is_newer: bool) -> int | None:
    """From the list, if it says; else it is looked for."""
    ids = [row.pk for row in listed.page.rows]
    if found.pk in ids:
        at = ids.index(found.pk) + (-1 if is_newer else 1)
        if 0 <= at < len(ids):
            return ids[at]
        if not (listed.page.newer if is_newer else listed.page.older):
            return None
    beside = {"after": found.pk} if is_newer else {"before": found.pk}
    if listed.typed:
        return next(iter(_search(account, listed, 1, **beside, patience=0).ids), None)
    rows = CapturedMessage.objects.filter(account=account).values_list("pk", flat=True)
    return (
        rows.filter(pk__gt=found.pk).order_by("pk").first()
        if is_newer
        else rows.filter(pk__lt=found.pk).order_by("-pk").first()
    )


def _delivery(account: Account, found: CapturedMessage) -> Delivery | None:
    """What it was sent for; None for mail that came through the inbox's own door, and what was pruned."""
    if (delivery_id := identity.delivery_of(found.message_id)) is None:
        return None
    rows = Delivery.objects.filter(account=account, pk=delivery_id)
    return rows.select_related("email", "sequence").first()


@member
@require_POST
def deletion(request: HttpRequest, account: Account, message_id: int) -> HttpResponse:
    """Touches nobody, so it is done at once; the next older message follows."""
    found = _find(account, message_id)
    listed = _place(request.POST, ("q", "to"))
    newer, older = _neighbours(account, found, listed)
    captured.delete(found)
    notices.success(request, "The message is deleted.")
    following = older or newer
    return redirect((reverse("message", args=[following]) if following else reverse("inbox")) + listed.query)


@require_safe
@member
def body(request: HttpRequest, account: Account, message_id: int) -> HttpResponse:
    """The HTML part alone, for the frame of the message page. It is unchanged: as the person would get it."""
    return framed(contents(_source(_find(account, message_id))).html or "")


def framed(html: str) -> HttpResponse:
    """Somebody's HTML, for a sandboxed frame of ours: it runs nothing, wherever it is opened."""
    response = HttpResponse(_with_links_outside(html))
    response["Content-Security-Policy"] = BODY_POLICY.format(images=headers.images())
    response["Referrer-Policy"] = "no-referrer"
    response["X-Frame-Options"] = "SAMEORIGIN"
    return response


@require_safe
@member
def raw(request: HttpRequest, account: Account, message_id: int) -> HttpResponse:
    found = _find(account, message_id)
    response = HttpResponse(_source(found), content_type="message/rfc822")
    response["Content-Disposition"] = f'attachment; filename="message-{found.pk}.eml"'
    response["Cache-Control"] = "no-store"
    return response


def _find(account: Account, message_id: int) -> CapturedMessage:
    return get_object_or_404(CapturedMessage.objects.defer("raw"), pk=message_id, account=account)


def _source(message: CapturedMessage) -> bytes:
    return next(captured.sources([message]))


def _with_links_outside(html: str) -> str:
    """`<base target>` in the head: a page behind a link refuses to be framed, so it gets its own tab."""
    found = BEFORE_HEAD.match(html)
    end = found.end() if found else 0
    return f'{html[:end]}<base target="_blank">{html[end:]}'
