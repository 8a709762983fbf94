"""/templates: what surrounds the text of emails: written, shown around a letter, used where, the default, deleted."""

from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.content import layout, templates
from dripstone.content.models import EmailTemplate
from dripstone.engine.acts import previews
from dripstone.engine.acts import templates as acts
from dripstone.errors import Conflict, Invalid
from dripstone.given import FromText, as_number
from dripstone.uses import of as uses
from dripstone.web import editing, library, sampling
from dripstone.web.asking import leave
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show
from dripstone.web.paging import page

MEMBERS = {"html": "html", "name": "name"}


@require_safe
@member
def listed(request: HttpRequest, account: Account) -> HttpResponse:
    q = library.typed(request)
    rows = account.email_templates.defer("html")
    found = page(request, rows.filter(name__icontains=q) if q else rows)
    graph = uses.Graph(account.pk)
    context = {
        "section": "library",
        "q": q,
        "templates_page": found,
        "rows": [(row, library.tally(graph.of_template(row.pk))) for row in found.rows],
        "has_default": graph.default_template_id is not None,
        "n_without": sum(email.template_id is None for email in graph.emails.values()),
    }
    return library.show_list(request, account, "templates", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new(request: HttpRequest, account: Account) -> HttpResponse:
    if request.method != "POST":
        return _writing(request, account, EmailTemplate(), Form({"html": layout.DEFAULT_TEMPLATE}))
    try:
        html = library.text_of(request, "html", "") or ""
        made = templates.create(account.pk, _given(request, html), clock.now(), actor(request))
    except Invalid as refused:
        return library.refuse(request, account, refused, MEMBERS, partial(_writing, request, account, EmailTemplate()))
    _say(request, made, "Saved. Choose it for a sequence or an email, or make it the default.")
    return leave(request, reverse("template", args=[made.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@member
def template(request: HttpRequest, account: Account, template_id: int) -> HttpResponse:
    found = _find(account, template_id)
    if request.method != "POST":
        return _writing(request, account, found, Form({"name": found.name, "html": found.html}))
    if request.POST.get("act") == "back":
        return _writing(request, account, found, library.as_typed(request))
    return _save(request, account, found)


def _save(request: HttpRequest, account: Account, found: EmailTemplate) -> HttpResponse:
    """Asks first when the HTML is another one and reaches people; and says so when somebody was faster."""
    html = library.text_of(request, "html", found.html)
    if html is not None and request.POST.get("version") != str(found.version):
        return library.overtaken(request, account, found.name, found.html, found.version)
    save = partial(templates.update, found, _given(request, html), clock.now(), actor(request))
    try:
        if html is not None and library.must_ask(request, reach := uses.of_template(found)):
            library.tried(save)
            return library.ask_about_change(request, account, found.name, reach)
        saved = save()
    except Invalid as refused:
        return library.refuse(request, account, refused, MEMBERS, partial(_writing, request, account, found))
    _say(request, saved, "Saved." if html is None else "Saved. Emails have it from their next sending on.")
    return leave(request, reverse("template", args=[found.pk]))


def _say(request: HttpRequest, saved: EmailTemplate, done: str) -> None:
    messages.success(request, done)
    for warning in templates.warnings(saved):
        messages.warning(request, f"{warning.removeprefix('html: ').capitalize()}.")


def _writing(
    request: HttpRequest, account: Account, found: EmailTemplate, form: Form, status: int = 200
) -> HttpResponse:
    context = {
        "section": "library",
        "current": "true",
        "template": found,
        "form": form,
        "used": library.used(account, uses.of_template(found)) if found.pk else None,
        "preview_url": reverse("template_preview", args=[found.pk]) if found.pk else reverse("new_template_preview"),
        "editor": _editor(account, form),
        "people": sampling.readers(account),
    }
    return editing.allow_images(show(request, "library/template.html", account, context, status))


def _editor(account: Account, form: Form) -> editing.Editor:
    insertables = editing.insertables(account)
    return editing.Editor("html", "HTML", str(form.values.get("html", "")), insertables, form.problem("html"))


@member
@require_POST
def default(request: HttpRequest, account: Account, template_id: int) -> HttpResponse:
    """It is for all emails that have no template of their own; asks first when people are still to get one of them."""
    found, graph = _find(account, template_id), uses.Graph(account.pk)
    wants = request.POST.get("is_default") == "true"
    concerned = graph.of_template(found.pk) if not wants else graph.without_template()
    reach = graph.reach(concerned)
    if wants != found.is_default and library.must_ask(request, reach):
        return library.ask_about_default(request, account, found, reach, wants=wants)
    templates.update(found, {"is_default": wants}, clock.now(), actor(request))
    done = (
        "is the default now." if wants else "is no longer the default: emails without a template get the built-in one."
    )
    messages.success(request, f"{words.title(found.name)} {done}")
    return leave(request, reverse("template", args=[found.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, template_id: int) -> HttpResponse:
    """GET asks, POST does it, unless other emails have it by now."""
    found = _find(account, template_id)
    reach = uses.of_template(found)
    problem = ""
    if request.method == "POST" and request.POST.get("seen") == library.figure(reach):
        try:
            replacement = as_number(request.POST.get("replacement_id", "")) or None
            acts.delete(account, found, replacement, clock.now(), actor(request))
        except (Invalid, Conflict) as refused:
            problem = f"{refused}."
        else:
            messages.success(request, f"{words.title(found.name)} is deleted.")
            return redirect("templates")
    others = account.email_templates.exclude(pk=found.pk).order_by("name").values_list("pk", "name", "is_default")
    context = {
        "template": found,
        "used": library.used(account, reach),
        "seen": library.figure(reach),
        "sequences": acts.sequences_with(found),
        "emails": acts.emails_with(found),
        "replacements": others,
        "has_default": any(is_default for *_, is_default in others),
        "chosen": request.POST.get("replacement_id", ""),
        "problem": problem,
    }
    return library.show_deletion(request, account, "library/template_deletion.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member
@xframe_options_sameorigin
def preview(request: HttpRequest, account: Account, template_id: int) -> HttpResponse:
    found, number = _find(account, template_id), library.version_asked_for(request)
    html = found.html if number is None else get_object_or_404(found.versions, number=number).html
    return _preview(request, account, html)


@require_http_methods(["GET", "HEAD", "POST"])
@member
@xframe_options_sameorigin
def new_preview(request: HttpRequest, account: Account) -> HttpResponse:
    return _preview(request, account, layout.DEFAULT_TEMPLATE)


def _preview(request: HttpRequest, account: Account, saved: str) -> HttpResponse:
    """Of what is typed, or else of what is saved."""
    html = request.POST.get("html", saved)
    return sampling.shown(request, account, partial(previews.of_template, account, html, now=clock.now()))


def _given(request: HttpRequest, html: str | None) -> FromText:
    """html: None to keep what is there"""
    return FromText({"name": request.POST.get("name", "")} | ({} if html is None else {"html": html}))


def _find(account: Account, template_id: int) -> EmailTemplate:
    return get_object_or_404(account.email_templates, pk=template_id)
