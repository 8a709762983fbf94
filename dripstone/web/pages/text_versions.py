"""/snippets/…/versions, /templates/…/versions: every text they had, when and by whom; what differs; restored."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.content import snippets, templates, versions
from dripstone.content.models import EmailTemplate, Snippet, SnippetVersion, TemplateVersion
from dripstone.errors import Invalid
from dripstone.given import as_number
from dripstone.uses import of as uses
from dripstone.uses.of import Reach
from dripstone.web import comparing, library
from dripstone.web.asking import leave
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show

Version = SnippetVersion | TemplateVersion


@dataclass(frozen=True, slots=True)
class Text:
    """A snippet or a template, as these pages see it. restore: of a number, by somebody"""

    noun: str
    name: str
    pk: int
    versions: Sequence[Version]
    restore: Callable[[int, str], object]
    reach: Callable[[], Reach]

    @property
    def url(self) -> str:
        return reverse(self.noun, args=[self.pk])


@require_safe
@member
def of_snippet(request: HttpRequest, account: Account, snippet_id: int) -> HttpResponse:
    return _listed(request, account, _snippet(account, snippet_id))


@require_safe
@member
def of_template(request: HttpRequest, account: Account, template_id: int) -> HttpResponse:
    return _listed(request, account, _template(account, template_id))


@member
@require_POST
def snippet_restoration(request: HttpRequest, account: Account, snippet_id: int, number: int) -> HttpResponse:
    return _restore(request, account, _snippet(account, snippet_id), number)


@member
@require_POST
def template_restoration(request: HttpRequest, account: Account, template_id: int, number: int) -> HttpResponse:
    return _restore(request, account, _template(account, template_id), number)


def _snippet(account: Account, snippet_id: int) -> Text:
    found = get_object_or_404(Snippet, account=account, pk=snippet_id)
    kept = versions.of_snippet(found)
    restore = partial(_restored, snippets.restore, found)
    return Text("snippet", found.name, found.pk, kept, restore, partial(uses.of_snippet, found))


def _template(account: Account, template_id: int) -> Text:
    found = get_object_or_404(EmailTemplate, account=account, pk=template_id)
    kept = versions.of_template(found)
    restore = partial(_restored, templates.restore, found)
    return Text("template", found.name, found.pk, kept, restore, partial(uses.of_template, found))


def _restored(verb: Callable[..., object], row: Snippet | EmailTemplate, number: int, by: str) -> object:
    return verb(row, number, clock.now(), by)


def _listed(
    request: HttpRequest, account: Account, text: Text, form: Form | None = None, status: int = 200
) -> HttpResponse:
    """The newest beside the one before it, unless others are chosen."""
    newest, shown = text.versions[0], _chosen(request, text)
    context = {
        "section": "library",
        "current": "true",
        "text": text,
        "newest": newest,
        "shown": shown,
        "changes": list(_differences(shown, newest)),
        "form": form or Form(),
        "restoration": reverse(f"{text.noun}_restoration", args=[text.pk, shown.number]),
        "preview_url": f"{reverse(f'{text.noun}_preview', args=[text.pk])}?version={shown.number}",
    }
    return show(request, "library/versions.html", account, context, status)


def _chosen(request: HttpRequest, text: Text) -> Version:
    number = as_number(request.GET.get("version", "")) or text.versions[min(1, len(text.versions) - 1)].number
    return _numbered(text, number)


def _numbered(text: Text, number: object) -> Version:
    found = next((one for one in text.versions if one.number == number), None)
    if found is None:
        raise Http404
    return found


def _differences(old: Version, new: Version) -> Iterator[comparing.Piece]:
    if _says(old) != _says(new):
        yield from comparing.words(_says(old), _says(new))


def _says(version: Version) -> str:
    return version.source if isinstance(version, SnippetVersion) else version.html


def _restore(request: HttpRequest, account: Account, text: Text, number: int) -> HttpResponse:
    """Asks first when people are still to get it, as for any other change."""
    is_change = _says(_numbered(text, number)) != _says(text.versions[0])
    restore = partial(text.restore, number, actor(request))
    try:
        if is_change and library.must_ask(request, reach := text.reach()):
            library.tried(restore)
            button = f"Restore version {number}"
            return library.ask_about_change(request, account, text.name, reach, back=text.url, button=button)
        restore()
    except Invalid as refused:
        return library.refuse(request, account, refused, {}, partial(_listed, request, account, text))
    messages.success(request, f"Version {number} is there again. Emails have it from their next sending on.")
    return leave(request, text.url)
