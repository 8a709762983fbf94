"""Who alone gets an email (R21): a condition, as a sentence with blanks.

What is not saved yet stands in the address of the page. It holds as soon as it is saved; drafts know nothing of it.
"""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from dripstone import clock, conditions
from dripstone.accounts.models import Account
from dripstone.engine.acts import edits
from dripstone.engine.models import Enrollment
from dripstone.foresight import impact
from dripstone.given import FromText
from dripstone.sequences.models import SequenceEmail
from dripstone.stats import places
from dripstone.web import asking
from dripstone.web.conditions import Editor
from dripstone.web.frame import actor, member, show
from dripstone.web.pages.sequence_emails import email_of, title
from dripstone.web.pages.sequences import done


@member
@require_http_methods(["GET", "HEAD", "POST"])
def email_filter(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    email = email_of(account, sequence_id, email_id)
    if request.method == "POST":
        return _save(request, account, email)
    editor = _editor(request, account, email)
    return editor.answer() or show(request, "sequences/filter.html", account, _context(email, editor))


def _save(request: HttpRequest, account: Account, email: SequenceEmail) -> HttpResponse:
    """No condition: everybody gets it."""
    condition = request.POST.get("filter", "")
    arguments = (account, email.sequence_id, email.pk, FromText(filter=condition), clock.now(), actor(request))
    act = asking.Act(
        email.sequence_id,
        partial(edits.filter_email, *arguments),
        partial(impact.filter_email, *arguments),
        title=f"Send {title(email)} {'only to these people' if condition else 'to everybody'}?",
        button="Save",
        back=f"{_address(email)}?{urlencode({'filter': condition})}" if condition else _address(email),
    )
    said = f"{title(email)} goes only to some people now." if condition else f"{title(email)} goes to everybody."
    return done(request, account, act, said, email_id=email.pk)


@require_safe
@member
def count(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """How many of those inside would be meant today: read after the page, or asked for."""
    email = email_of(account, sequence_id, email_id)
    editor = _editor(request, account, email)
    inside = Enrollment.objects.filter(sequence=sequence_id, status=Enrollment.Status.ACTIVE)
    meant = conditions.matching(editor.condition, account, clock.now()).filter(pk__in=inside.values("subscriber_id"))
    context = _context(email, editor) | {
        "n_meant": 0 if editor.problem else meant.count(),
        "n_inside": places.by_status([sequence_id])[sequence_id, Enrollment.Status.ACTIVE],
        "back": _address(email) + editor.query,
    }
    is_part = request.headers.get("HX-Target") == "count"
    template = "sequences/_filter_count.html" if is_part else "sequences/filter_count.html"
    response = show(request, template, account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


def _editor(request: HttpRequest, account: Account, email: SequenceEmail) -> Editor:
    return Editor.of(request, account, _address(email), email.filter)


def _context(email: SequenceEmail, editor: Editor) -> dict[str, Any]:
    return {
        "section": "sequences",
        "current": "true",
        "sequence": email.sequence,
        "email": email,
        "editor": editor,
        "query": editor.query,
    }


def _address(email: SequenceEmail) -> str:
    return reverse("email_filter", args=[email.sequence_id, email.pk])
