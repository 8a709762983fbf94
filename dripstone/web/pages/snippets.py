"""/snippets: pieces of text that emails share: written, shown as they will look, used where, archived, deleted."""

from functools import partial

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.content import snippets
from dripstone.content.models import Snippet
from dripstone.engine.acts import previews
from dripstone.errors import Invalid
from dripstone.given import FromText
from dripstone.uses import of as uses
from dripstone.web import editing, library, sampling
from dripstone.web.asking import leave
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show
from dripstone.web.paging import page

KINDS = {"block": "Block", "inline": "Inline"}
MEMBERS = {"document_attributes.value_html": "text", "document_attributes": "text", "content": "text", "name": "name"}


@require_safe
@member
def listed(request: HttpRequest, account: Account) -> HttpResponse:
    q, is_archived = library.typed(request), request.GET.get("archived") == "1"
    rows = account.snippets.filter(archived=is_archived).defer("content", "value_html")
    found = page(request, rows.filter(Q(name__icontains=q) | Q(key__icontains=q)) if q else rows)
    graph = uses.Graph(account.pk)
    context = {
        "section": "library",
        "q": q,
        "is_archived": is_archived,
        "has_archived": is_archived or account.snippets.filter(archived=True).exists(),
        "snippets_page": found,
        "rows": [(row, library.tally(graph.of_snippet(row.key))) for row in found.rows],
    }
    return library.show_list(request, account, "snippets", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new(request: HttpRequest, account: Account) -> HttpResponse:
    empty = Snippet(snippet_type=_kind(request))
    if request.method != "POST":
        return _writing(request, account, empty, Form())
    try:
        text = library.text_of(request, "text", "") or ""
        made = snippets.create(account.pk, _given(request, empty, text), clock.now(), actor(request))
    except Invalid as refused:
        return library.refuse(request, account, refused, MEMBERS, partial(_writing, request, account, empty))
    messages.success(request, f"{words.title(made.name)} is saved. Emails insert it by its tag.")
    return leave(request, reverse("snippet", args=[made.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@member
def snippet(request: HttpRequest, account: Account, snippet_id: int) -> HttpResponse:
    found = _find(account, snippet_id)
    if request.method != "POST":
        return _writing(request, account, found, Form({"name": found.name, "text": found.source}))
    if request.POST.get("act") == "back":
        return _writing(request, account, found, library.as_typed(request))
    return _save(request, account, found)


def _save(request: HttpRequest, account: Account, found: Snippet) -> HttpResponse:
    """Asks first when the text is another one and reaches people; and says so when somebody was faster."""
    text = library.text_of(request, "text", found.source)
    if text is not None and request.POST.get("version") != str(found.version):
        return library.overtaken(request, account, found.name, found.source, found.version)
    save = partial(snippets.update, found, _given(request, found, text), clock.now(), actor(request))
    try:
        if text is not None and library.must_ask(request, reach := uses.of_snippet(found)):
            library.tried(save)
            return library.ask_about_change(request, account, found.name, reach)
        save()
    except Invalid as refused:
        return library.refuse(request, account, refused, MEMBERS, partial(_writing, request, account, found))
    messages.success(request, "Saved." if text is None else "Saved. Emails have it from their next sending on.")
    return leave(request, reverse("snippet", args=[found.pk]))


def _writing(request: HttpRequest, account: Account, found: Snippet, form: Form, status: int = 200) -> HttpResponse:
    context = {
        "section": "library",
        "current": "true",
        "snippet": found,
        "form": form,
        "kind": KINDS[found.snippet_type],
        "kinds": KINDS,
        "tag": f"{{{{ snippet.{found.key} }}}}",
        "used": library.used(account, uses.of_snippet(found)) if found.pk else None,
        "preview_url": _preview_url(found),
        "editor": _editor(account, found, form),
        "people": sampling.readers(account),
    }
    return editing.allow_images(show(request, "library/snippet.html", account, context, status))


def _editor(account: Account, found: Snippet, form: Form) -> editing.Editor:
    """Of a block; inline text is written as it is."""
    insertables = editing.insertables(account, but=found.key)
    return editing.Editor("text", "Text", str(form.values.get("text", "")), insertables, form.problem("text"))


@member
@require_POST
def archiving(request: HttpRequest, account: Account, snippet_id: int) -> HttpResponse:
    """Nothing changes for emails."""
    is_archived = request.POST.get("archived") == "true"
    found = snippets.update(_find(account, snippet_id), {"archived": is_archived}, clock.now(), actor(request))
    done = "archived: menus no longer offer it, and emails that have it keep it" if found.archived else "in use again"
    messages.success(request, f"{words.title(found.name)} is {done}.")
    return redirect("snippet", found.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, snippet_id: int) -> HttpResponse:
    """GET asks, POST does it, unless other emails have it by now."""
    found = _find(account, snippet_id)
    reach = uses.of_snippet(found)
    if request.method != "POST" or request.POST.get("seen") != library.figure(reach):
        context = {"snippet": found, "used": library.used(account, reach), "seen": library.figure(reach)}
        return library.show_deletion(request, account, "library/snippet_deletion.html", context)
    snippets.delete(found)
    messages.success(request, f"{words.title(found.name)} is deleted.")
    return redirect("snippets")


@require_http_methods(["GET", "HEAD", "POST"])
@member
@xframe_options_sameorigin
def preview(request: HttpRequest, account: Account, snippet_id: int) -> HttpResponse:
    return _preview(request, account, _find(account, snippet_id))


@require_http_methods(["GET", "HEAD", "POST"])
@member
@xframe_options_sameorigin
def new_preview(request: HttpRequest, account: Account) -> HttpResponse:
    key = snippets.key_for(request.POST.get("name", ""))
    return _preview(request, account, Snippet(account=account, key=key, snippet_type=_kind(request)))


def _preview(request: HttpRequest, account: Account, found: Snippet) -> HttpResponse:
    """Of what is typed, or else of a version (`?version=`), or of what is saved."""
    text = request.POST.get("text", _text_of_version(request, found))
    found.content, found.value_html = (text, None) if found.snippet_type == Snippet.Type.INLINE else ("", text)
    return sampling.shown(request, account, partial(previews.of_snippet, account, found, now=clock.now()))


def _text_of_version(request: HttpRequest, found: Snippet) -> str:
    number = library.version_asked_for(request)
    return found.source if number is None else get_object_or_404(found.versions, number=number).source


def _preview_url(found: Snippet) -> str:
    if found.pk:
        return reverse("snippet_preview", args=[found.pk])
    return f"{reverse('new_snippet_preview')}?type={found.snippet_type}"


def _kind(request: HttpRequest) -> str:
    """Of a new one."""
    kind = request.POST.get("snippet_type") or request.GET.get("type") or "block"
    if kind not in KINDS:
        raise Http404
    return kind


def _given(request: HttpRequest, found: Snippet, text: str | None) -> FromText:
    """As the API takes it. text: None to keep what is there"""
    given = FromText(name=request.POST.get("name", ""), snippet_type=found.snippet_type)
    if text is not None:
        is_inline = found.snippet_type == Snippet.Type.INLINE
        given |= {"content": text} if is_inline else {"document_attributes": {"value_html": text}}
    return FromText(given)


def _find(account: Account, snippet_id: int) -> Snippet:
    return get_object_or_404(account.snippets, pk=snippet_id)
