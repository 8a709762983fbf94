"""/automations/new: an empty automation, or one from a template that asks what it needs."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.automations import beginnings, templates, verbs
from dripstone.automations.beginnings import HOUR, Made
from dripstone.automations.templates import Template
from dripstone.errors import Invalid, Problem
from dripstone.grammar import kinds
from dripstone.purchases.models import Product
from dripstone.web import forms
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show

BLANK: dict[str, Any] = {"entries": [], "start": None, "nodes": []}
OFFERED = 1_000  # products in a list


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new_automation(request: HttpRequest, account: Account) -> HttpResponse:
    """Which template, the address says: `?template=birthday`. Without one it is empty."""
    template = _template(request)
    if request.method != "POST":
        form = Form(_usual(template, account)) if template else Form()
        return _page(request, account, template, form)
    given = forms.given(request)
    try:
        if template is None:
            row = verbs.create(account, {"name": given.get("name"), **BLANK}, clock.now(), actor(request))
            return redirect("automation_edit", row.pk)
        made = beginnings.create(account, template.key, given, clock.now(), actor(request))
    except Invalid as refused:
        form = Form(given, [_problem(one, template) for one in refused.problems])
        return _page(request, account, template, form, 422)
    messages.success(request, _told(made))
    return redirect("automation", made.automation.pk)


def _template(request: HttpRequest) -> Template | None:
    key = request.GET.get("template", "")
    if key and key not in templates.BY_KEY:
        raise Http404
    return templates.BY_KEY.get(key)


def _usual(template: Template, account: Account) -> dict[str, Any]:
    values: dict[str, Any] = {"name": template.name, **{one.name: one.usual for one in template.questions}}
    in_two_weeks = clock.now().astimezone(ZoneInfo(account.time_zone)).date() + timedelta(weeks=2)
    for one in template.questions:
        if one.kind == "instant":
            values |= {one.name: in_two_weeks.isoformat(), f"{one.name}{HOUR}": account.send_hour}
    return values


def _problem(problem: Problem, template: Template | None) -> Problem:
    """A member is called as its question is."""
    member, sentence = forms.for_a_page(problem)
    asked = {one.name: one for one in template.questions} if template else {}
    one = asked.get(member or "")
    if one is None:
        return member, sentence
    if sentence.endswith("can't be blank"):
        return (
            member,
            "Say which" if one.kind in templates.MADE else "Say when" if one.kind == "instant" else "Choose one",
        )
    return member, sentence


def _told(made: Made) -> str:
    """`It is there, and switched off. Made for it: the sequence “Last chance”, which has no emails yet.`"""
    said = "It is there, and switched off."
    if made.things:
        things = [f"the {kinds.noun(kind)} {words.title(name)}" for kind, name in made.things]
        said += f" Made for it: {words.listed(things)}."
    n_empty = sum(kind == "sequence" for kind, _ in made.things)
    if n_empty:
        said += f" {'Its emails are' if n_empty == 1 else 'The emails of these sequences are'} for you to write."
    return said


def _page(
    request: HttpRequest, account: Account, template: Template | None, form: Form, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "section": "automations",
        "current": "true",
        "form": form,
        "template": template,
        "templates": templates.ALL,
    }
    if template is not None:
        products = Product.objects.filter(account=account).order_by("name").values_list("pk", "name")[:OFFERED]
        context |= {
            "there": beginnings.names_there(account),
            "products": [("", "Anything"), *products],
            "hours": [(hour, f"{hour}:00") for hour in range(24)],
        }
    return show(request, "automations/new.html", account, context, status)
