"""/inbox: the mail inbox:// caught, shown as a mail program would, without trusting it."""

import re

from django.conf import settings
from django.contrib import messages as notices
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_safe

from dripstone.accounts.models import Account
from dripstone.senders import inbox as captured
from dripstone.senders import ways
from dripstone.senders.inbox_reading import contents
from dripstone.senders.models import CapturedMessage
from dripstone.web import headers
from dripstone.web.frame import member, show
from dripstone.web.paging import page

VIEWS = {"html": "Message", "text": "Plain text", "headers": "Headers"}

# No scripts, no forms, nothing fetched but images, ours and over https. Links open in a tab of their own, outside the
# sandbox.
BODY_POLICY = (
    "default-src 'none'; img-src https: data: {images}; style-src 'unsafe-inline'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)
BEFORE_HEAD = re.compile(r"\s*(<!doctype[^>]*>\s*)?(<html[^>]*>\s*)?(<head[^>]*>)?", re.IGNORECASE)


@require_safe
@member
def inbox(request: HttpRequest, account: Account) -> HttpResponse:
    to = request.GET.get("to", "").replace("\0", "").strip()
    found = CapturedMessage.objects.filter(account=account).defer("raw")
    shown = found.filter(to__icontains=to) if to else found
    context = {
        "section": "inbox",
        "to": to,
        "count": shown.count(),
        "is_empty": not to and not found.exists(),
        "messages_page": page(request, shown),
        "is_capturing": ways.is_local(settings.DRIPSTONE_MAIL_URL),
    }
    is_part = request.headers.get("HX-Target") == "messages"
    response = show(request, "inbox/_messages.html" if is_part else "inbox/list.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


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
    read = contents(_source(found))
    wanted = request.GET.get("view", "")
    view = wanted if wanted in VIEWS else ("html" if read.html is not None else "text")
    context = {
        "section": "inbox",
        "current": "true",
        "message": found,
        "sender": read.headers.get("From", found.from_address),
        "headers": [(name, line) for name, text in read.headers.items() for line in text.split("\n")],
        "text": read.text,
        "has_html": read.html is not None,
        "view": view,
        "views": VIEWS,
    }
    return show(request, "inbox/message.html", account, context)


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
