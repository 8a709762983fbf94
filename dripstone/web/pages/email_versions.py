"""/sequences/…/emails/…/versions: what was published of an email, when and by whom; two of them side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.engine.acts import previews
from dripstone.given import as_number
from dripstone.sequences import drafts, versions
from dripstone.sequences.drafts import Overtaken
from dripstone.sequences.models import EmailVersion, SequenceEmail
from dripstone.web import comparing, editing, previewing
from dripstone.web.frame import actor, member, show
from dripstone.web.pages.email_editor import LABELS, address, found_email, in_lines, overtaken_page, readable

DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared: a version, or what is written and not published."""

    name: str  # as in the URL: "3", "draft"
    values: Mapping[str, Any]
    version: EmailVersion | None
    body_url: str


@require_safe
@member
def email_versions(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    email = found_email(account, sequence_id, email_id)
    draft, rows = drafts.of(email), versions.of(email)
    names = [DRAFT] * draft.is_changed + [str(row.number) for row in rows]
    context = {
        "section": "sequences",
        "current": "true",
        "sequence": email.sequence,
        "email": email,
        "draft": draft,
        "versions": rows,
        "names": names,
        "reader": previewing.reader(request, account, sequence_id),
    }
    if names:
        right = _side(email, request.GET.get("right") or names[0], rows, draft.values)
        left = _side(email, request.GET.get("left") or _before(right.name, names), rows, draft.values)
        sides = [left, right] if left.name != right.name else [right]
        context |= {"left": left, "right": right, "sides": sides, "changes": list(_changes(left, right))}
    return editing.allow_images(show(request, "editor/versions.html", account, context))


@require_safe
@member
def version_body(request: HttpRequest, account: Account, sequence_id: int, email_id: int, number: int) -> HttpResponse:
    """The HTML of a version, made today for today's person. For a frame."""
    email = found_email(account, sequence_id, email_id)
    version = next((row for row in versions.of(email) if row.number == number), None)
    if version is None:
        raise Http404
    reader = previewing.reader(request, account, sequence_id)
    given = dict(versions.values(version)) | ({} if reader.id is None else {"subscriber_id": reader.id})
    make = partial(previews.of, email.sequence, email.pk, given, clock.now(), shows_gaps=True)
    return previewing.body(request, previewing.made(make))


@member
@require_POST
def restoration(request: HttpRequest, account: Account, sequence_id: int, email_id: int, number: int) -> HttpResponse:
    """A version into the draft. Nobody gets it before it is published."""
    email = found_email(account, sequence_id, email_id)
    if all(row.number != number for row in versions.of(email)):
        raise Http404
    revision = request.POST.get("revision", "")
    try:
        drafts.restore(account, sequence_id, email_id, number, revision, clock.now(), actor(request))
    except Overtaken as overtaken:
        return overtaken_page(request, account, email, overtaken)
    messages.success(request, f"Version {number} is in the draft. People get it when you publish.")
    return redirect("sequence_email", sequence_id, email_id)


def _side(email: SequenceEmail, name: str, rows: list[EmailVersion], written: Mapping[str, Any]) -> Side:
    if name == DRAFT:
        return Side(name, written, None, address("email_preview_body", email))
    number = as_number(name)
    version = next((row for row in rows if row.number == number), None)
    if version is None:
        raise Http404
    return Side(str(number), versions.values(version), version, address("email_version_body", email, number))


def _before(name: str, names: list[str]) -> str:
    """The next older one; of the oldest, itself."""
    at = names.index(name) if name in names else 0
    return names[min(at + 1, len(names) - 1)]


@dataclass(frozen=True, slots=True)
class Change:
    label: str
    pieces: list[comparing.Piece]


def _changes(left: Side, right: Side) -> list[Change]:
    pairs = [(name, _shown(name, left), _shown(name, right)) for name in drafts.MEMBERS]
    return [Change(LABELS[name], comparing.words(old, new)) for name, old, new in pairs if old != new]


def _shown(member: str, side: Side) -> str:
    return in_lines(member, readable(member, side.values[member]))
