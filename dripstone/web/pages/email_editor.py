"""/sequences/…/emails/…: one email, written on the left, seen on the right as somebody would get it.

What is written is a draft (sequences/drafts.py): saved as one types, published by a button. Two pages on the same email
never overwrite each other: who comes second sees both texts and chooses.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts import members
from dripstone.accounts.models import Account
from dripstone.content import subjects
from dripstone.content.models import EmailTemplate, Snippet
from dripstone.engine import filters
from dripstone.engine.acts import edits, previews
from dripstone.engine.acts.previews import Preview
from dripstone.errors import Invalid
from dripstone.explain import proof
from dripstone.foresight import impact
from dripstone.sequences import drafts
from dripstone.sequences.drafts import Draft, Overtaken
from dripstone.sequences.models import SequenceEmail
from dripstone.web import asking, comparing, editing, forms, line, previewing
from dripstone.web.frame import actor, member, show
from dripstone.web.previewing import Reader, Ways

LABELS = {"subject": "Subject", "preview_text": "Preview text", "content": "Content", "email_template_id": "Template"}


@require_http_methods(["GET", "HEAD", "POST"])
@member
def email(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """GET shows it. POST keeps what was written: as JSON for the page's script, else by coming back."""
    found = found_email(account, sequence_id, email_id)
    if request.method != "POST":
        return _page(request, account, found)
    try:
        draft = _save(request, account, found)
    except Overtaken as overtaken:
        return overtaken_page(request, account, found, overtaken)
    if _wants_json(request):
        return JsonResponse(_state(request, account, found, draft))
    messages.success(request, "Saved. " + _not_yet(draft))
    return redirect("sequence_email", sequence_id, email_id)


@member
@require_POST
def publication(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """Keeps what was written, then publishes it: at once, or after the question whom that touches."""
    found = found_email(account, sequence_id, email_id)
    back = address("sequence_email", found)
    try:
        _keep_what_came_along(request, account, found)
        arguments = (account, sequence_id, email_id, request.POST.get("revision", ""), clock.now(), actor(request))
        act = asking.Act(
            sequence_id,
            partial(edits.publish_email, *arguments),
            partial(impact.publish_email, *arguments),
            title=f"Publish {words.title(subjects.readable(found.subject))}?",
            button="Publish",
            back=back,
        )
        return asking.first(request, account, act, lambda _: _published(request, back))
    except Overtaken as overtaken:
        return overtaken_page(request, account, found, overtaken)
    except Invalid as error:
        return asking.refused(request, error, back)


@member
@require_POST
def discarding(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """Throws away what is not published."""
    found = found_email(account, sequence_id, email_id)
    try:
        drafts.discard(account, sequence_id, email_id, request.POST.get("revision", ""), clock.now(), actor(request))
    except Overtaken as overtaken:
        return overtaken_page(request, account, found, overtaken)
    messages.success(request, "The changes are gone. This is what is published.")
    return redirect("sequence_email", sequence_id, email_id)


@member
@require_POST
def test(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """Sends it as it stands here to members of the account, as the reader of the preview would get it."""
    found = found_email(account, sequence_id, email_id)
    to = request.POST.getlist("to") or [actor(request)]
    given = {**drafts.of(found).values, "to": to}
    if (reader := request.POST.get("as", "")).isdigit():
        given["subscriber_id"] = int(reader)
    back = f"{address('sequence_email', found)}?{request.POST.get('query', '')}".rstrip("?")
    try:
        previews.send_test(found.sequence, email_id, given, clock.now())
    except Invalid as error:
        return asking.refused(request, error, back)
    messages.success(request, f"A test is on its way to {words.listed(to)}.")
    return asking.leave(request, back)


# --- Beside it ----------------------------------------------------------------------------------------------------


@require_safe
@member
def preview(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    """The panel alone: asked again after each save, and for another person or width."""
    found = found_email(account, sequence_id, email_id)
    reader = previewing.reader(request, account, sequence_id)
    return show(request, "editor/_preview.html", account, _previewed(request, found, drafts.of(found), reader))


@require_safe
@member
def preview_body(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    found = found_email(account, sequence_id, email_id)
    reader = previewing.reader(request, account, sequence_id)
    return previewing.body(request, _made(found, drafts.of(found), reader))


@require_safe
@member
def preview_people(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    return previewing.people(request, account, _ways(found_email(account, sequence_id, email_id)))


@require_safe
@member
def checks(request: HttpRequest, account: Account, sequence_id: int, email_id: int) -> HttpResponse:
    found = found_email(account, sequence_id, email_id)
    draft, reader = drafts.of(found), previewing.reader(request, account, sequence_id)
    return show(request, "editor/_checks.html", account, _checked(found, draft, _made(found, draft, reader)))


# --- The page -----------------------------------------------------------------------------------------------------


def _page(request: HttpRequest, account: Account, email: SequenceEmail) -> HttpResponse:
    draft = drafts.of(email)
    reader = previewing.reader(request, account, email.sequence_id)
    shown = _previewed(request, email, draft, reader)
    context = shown | _checked(email, draft, shown["made"]) | _standing(email, draft)
    context |= {
        "section": "sequences",
        "current": "true",
        "sequence": email.sequence,
        "email": email,
        "draft": draft,
        "values": {name: draft.values[name] or "" for name in drafts.MEMBERS},
        "problems": dict(reversed(draft.problems)),  # the first of each member
        "editor": editing.Editor("content", "Content", draft.values["content"] or "", editing.insertables(account)),
        "templates": EmailTemplate.objects.filter(account=account).order_by("name").only("name"),
        "members": members.users_of(account),
        "me": actor(request),
        "wait": _wait(email),
    }
    return editing.allow_images(show(request, "editor/email.html", account, context))


def found_email(account: Account, sequence_id: int, email_id: int) -> SequenceEmail:
    around = ("sequence__account", "sequence__sending_address", "sequence__email_template", "email_template", "account")
    rows = SequenceEmail.objects.filter(
        account=account, sequence=sequence_id, sequence__deleted_at=None, deleted_at=None
    )
    return get_object_or_404(rows.select_related(*around), pk=email_id)


def _wait(email: SequenceEmail) -> str:
    """Within a sentence: "2 days later, at 11:00, Monday to Friday, only to people who have the tag “VIP”"."""
    readers = filters.readers(filters.of([email]), email.account_id).get(email.pk)
    gap = line.gap(email.sequence, email, is_first=_is_first(email))
    text = ", ".join(part for part in (*gap, f"only to {readers}" if readers else "") if part)
    return text[:1].lower() + text[1:]


def _is_first(email: SequenceEmail) -> bool:
    """As on the page of the sequence: a draft counts from the email before it, published or not."""
    before = SequenceEmail.objects.filter(sequence=email.sequence_id, deleted_at=None, position__lt=email.position)
    return not (before.filter(published=True) if email.published else before).exists()


def _standing(email: SequenceEmail, draft: Draft) -> dict[str, Any]:
    """For the line that says what is saved, what is changed, and what people get."""
    return {"draft": draft, "email": email, "versions_url": address("email_versions", email)}


def address(name: str, email: SequenceEmail, *more: object) -> str:
    return reverse(name, args=[email.sequence_id, email.pk, *more])


# --- Keeping what is written --------------------------------------------------------------------------------------


def _save(request: HttpRequest, account: Account, email: SequenceEmail) -> Draft:
    """Raises Overtaken."""
    return drafts.save(
        account,
        email.sequence_id,
        email.pk,
        forms.given(request),
        request.POST.get("revision", ""),
        clock.now(),
        actor(request),
        request.POST.get("tab", ""),
    )


def _keep_what_came_along(request: HttpRequest, account: Account, email: SequenceEmail) -> None:
    """Without a script the button sends the text as well. The question that may follow repeats only what it needs."""
    if not any(name in request.POST for name in drafts.MEMBERS):
        return
    draft = _save(request, account, email)
    kept = request.POST.copy()
    for name in (*drafts.MEMBERS, "tab"):
        kept.pop(name, None)
    kept["revision"] = draft.revision
    request.POST = kept  # type: ignore[assignment]


def _published(request: HttpRequest, back: str) -> HttpResponse:
    messages.success(request, "Published. People get this from now on.")
    return asking.leave(request, back)


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "") == "application/json"


def _state(request: HttpRequest, account: Account, email: SequenceEmail, draft: Draft) -> dict[str, Any]:
    """What the page's script needs after a save."""
    email.refresh_from_db()
    standing = show(request, "editor/_standing.html", account, _standing(email, draft))
    return {
        "revision": draft.revision,
        "is_changed": draft.is_changed,
        "is_sound": not draft.problems,
        "standing": standing.content.decode(),
    }


def _not_yet(draft: Draft) -> str:
    if draft.problems:
        return f"It can't be published yet: {draft.problems[0][1].rstrip('.')}."
    return (
        "People get it when you publish." if draft.is_changed or draft.published is None else "It is what people get."
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """One member that two people wrote, each in their way."""

    member: str
    value: Any
    label: str
    mine: str
    theirs: str
    pieces: list[comparing.Piece]


def overtaken_page(request: HttpRequest, account: Account, email: SequenceEmail, overtaken: Overtaken) -> HttpResponse:
    """Both texts; whoever came second chooses. Nothing was written."""
    theirs = overtaken.theirs
    differences = list(_differences(overtaken.yours, theirs.values))
    context = {
        "section": "sequences",
        "current": "true",
        "email": email,
        "sequence": email.sequence,
        "theirs": theirs,
        "who": "You, in another tab," if theirs.saved_by == actor(request) else theirs.saved_by or "Somebody else",
        "differences": differences,
        "tab": request.POST.get("tab", ""),
    }
    if request.headers.get("HX-Request"):
        messages.error(request, "Somebody else has changed this email meanwhile. Nothing was published: look first.")
        return asking.leave(request, address("sequence_email", email))
    if not _wants_json(request):
        return show(request, "editor/overtaken.html", account, context, status=409)
    part = show(request, "editor/_overtaken.html", account, context)
    values = {name: theirs.values[name] or "" for name in drafts.MEMBERS}
    answer = {"revision": theirs.revision, "theirs": values, "html": part.content.decode()}
    return JsonResponse(answer, status=409)


def _differences(yours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Difference]:
    for name in drafts.MEMBERS:
        mine, other = (readable(name, values.get(name)) for values in (yours, theirs))
        if name in yours and mine != other:
            pieces = comparing.words(in_lines(name, other), in_lines(name, mine))
            yield Difference(name, yours[name] or "", LABELS[name], mine, other, pieces)


def readable(name: str, value: Any) -> str:
    return str(value or "") if name != "email_template_id" else (f"template {value}" if value else "the sequence’s")


def in_lines(member: str, text: str) -> str:
    """To be compared: HTML may be broken into lines anywhere, which nobody sees."""
    return comparing.in_lines(text) if member == "content" else text


# --- Preview and checks -------------------------------------------------------------------------------------------


def _made(email: SequenceEmail, draft: Draft, reader: Reader) -> Preview | Invalid:
    given = dict(draft.values) | ({} if reader.id is None else {"subscriber_id": reader.id})
    return previewing.made(partial(previews.of, email.sequence, email.pk, given, clock.now(), shows_gaps=True))


def _previewed(request: HttpRequest, email: SequenceEmail, draft: Draft, reader: Reader) -> dict[str, Any]:
    made, sending = _made(email, draft, reader), email.sequence.sending_address
    sender = sending.from_name or sending.email_address
    return previewing.context(request, _ways(email), made, reader, sender) | {"made": made}


def _ways(email: SequenceEmail) -> Ways:
    names = ("sequence_email", "email_preview", "email_preview_body", "email_preview_people")
    return Ways(*(address(name, email) for name in names))


def _checked(email: SequenceEmail, draft: Draft, made: Preview | Invalid) -> dict[str, Any]:
    written = _as_written(email, draft)
    size = None if isinstance(made, Invalid) else len(made.rendered.html.encode())
    read = proof.read(written, draft.problems, size)
    links = _places(email, {check.place for check in read.checks})
    return {
        "checks_url": f"{address('email_checks', email)}",
        "checks": [(check, links.get(check.place, "")) for check in read.checks],
        "passed": words.listed(read.passed),
    }


def _as_written(email: SequenceEmail, draft: Draft) -> SequenceEmail:
    """Never saved."""
    written = SequenceEmail(pk=email.pk, account=email.sequence.account, sequence=email.sequence)
    for name, value in draft.values.items():
        setattr(written, name, value)
    return written


def _places(email: SequenceEmail, places: set[str]) -> dict[str, str]:
    """Where to mend: a part of this page, or the page of a snippet, a template, the account."""
    links = {place: f"#f-{place}" for place in places if place in drafts.MEMBERS}
    keys = {place.removeprefix("snippet "): place for place in places if place.startswith("snippet ")}
    for row in Snippet.objects.filter(account=email.account_id, key__in=keys) if keys else ():
        links[keys[row.key]] = _page_of("snippet", row.pk)
    template_id = email.email_template_id or email.sequence.email_template_id
    if "template" in places:
        links["template"] = _page_of("template", template_id) if template_id else _page_of("templates")
    if "account" in places:
        links["account"] = _page_of("settings")
    return links


def _page_of(name: str, *arguments: object) -> str:
    try:
        return reverse(name, args=list(arguments))
    except NoReverseMatch:
        return ""
