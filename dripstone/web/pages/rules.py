"""/rules: when something happens to somebody, then do this. Each reads as a sentence; its log says what it did."""

from collections.abc import Collection
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dripstone import clock, grammar, words
from dripstone.accounts.models import Account
from dripstone.bulk import action_words, actions, of_rule
from dripstone.conditions import words as condition_words
from dripstone.errors import Invalid, PreconditionFailed, TooLarge
from dripstone.explain import rule_checks, rule_words
from dripstone.explain.findings import NOTICE, Finding
from dripstone.rules import already, log, verbs
from dripstone.rules.models import Firing, Rule
from dripstone.subscribers.models import Subscriber
from dripstone.triggers import when
from dripstone.web import forms, library, paging, rule_form, sorting
from dripstone.web.conditions import Editor
from dripstone.web.forms import Form
from dripstone.web.frame import actor, member, show
from dripstone.web.pages.person import about, person_at, person_of
from dripstone.web.rule_form import Draft

OUTCOMES = {"fired": Firing.Outcome.FIRED, "not-fired": Firing.Outcome.NOT_FIRED}
LATEST = 5  # on a person's page
FORM = "rule-form"  # the id of the form, which htmx swaps


@require_safe
@member
def listed(request: HttpRequest, account: Account) -> HttpResponse:
    q, on = library.typed(request), request.GET.get("on", "")
    rows = verbs.of(account).select_related("account")
    if q:
        rows = rows.filter(name__icontains=q)
    if on in ("yes", "no"):
        rows = rows.filter(is_on=on == "yes")
    found = paging.page(request, rows)
    names = rule_words.names_of(found.rows, account.pk)
    checks = rule_checks.of(found.rows, account, clock.now())
    context = {
        "section": "rules",
        "q": q,
        "on": on,
        "has_any": bool(found.rows or q or on or "before" in request.GET),
        "found": found,
        "rows": [(row, rule_words.sentence(row, names), _to_mend(checks[row.pk])) for row in found.rows],
    }
    return show(request, "rules/list.html", account, context)


def _to_mend(findings: Collection[Finding]) -> int:
    return sum(one.severity != NOTICE for one in findings)


# --- One rule -----------------------------------------------------------------------------------------------------


@require_safe
@member
def rule(request: HttpRequest, account: Account, rule_id: int) -> HttpResponse:
    """With its log: all of it, what fired or what did not; of everybody or of one person."""
    row = _find(account, rule_id)
    outcome, address = OUTCOMES.get(request.GET.get("show", "")), request.GET.get("person", "").strip()
    person = person_at(account, address) if address else None
    rows, n_rows = _log(row, person, address), None
    if outcome:
        rows = rows.filter(outcome=outcome)
        n_rows = row.n_fired if outcome == Firing.Outcome.FIRED else row.n_not_fired
    page = paging.page(request, rows, n_rows=n_rows)
    context = {
        "section": "rules",
        "current": "true",
        "rule": row,
        "sentence": rule_words.sentence(row, rule_words.names_of([row], account.pk)),
        "findings": rule_checks.of([row], account, clock.now())[row.pk],
        "page": page,
        "told": rule_words.told(page.rows, {row.pk: row}, account.pk),
        "shown": request.GET.get("show", "") if outcome else "",
        "address": address,
        "person": person,
        "kept_days": log.KEPT_DAYS,
    }
    return show(request, "rules/detail.html", account, context)


def _log(row: Rule, person: Subscriber | None, address: str) -> QuerySet[Firing]:
    if person is not None:
        return log.of_person(row.account_id, person.pk).filter(rule=row.pk)
    return Firing.objects.none() if address else log.of_rule(row)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new(request: HttpRequest, account: Account) -> HttpResponse:
    """A POST saves it, or changes the form: rows are added, removed and moved."""
    if request.method != "POST":
        return _form(request, account, None, Draft())
    draft = Draft.typed(request.POST)
    if rule_form.is_edit(request.POST):
        return _form(request, account, None, draft)
    try:
        row = verbs.create(account, draft.given(), clock.now(), actor(request))
    except Invalid as refused:
        return _form(request, account, None, draft, refused)
    messages.success(request, "The rule is there, and off. Switch it on when it says what you mean.")
    return _after_saving(request, row)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def editing(request: HttpRequest, account: Account, rule_id: int) -> HttpResponse:
    row = _find(account, rule_id)
    if request.method != "POST":
        return _form(request, account, row, Draft.of(row))
    draft = Draft.typed(request.POST)
    if rule_form.is_edit(request.POST):
        return _form(request, account, row, draft)
    try:
        row = verbs.update(row, draft.given(), clock.now(), actor(request))
    except Invalid as refused:
        return _form(request, account, row, draft, refused)
    messages.success(request, "Saved. It holds for what happens from now on.")
    return _after_saving(request, row)


def _after_saving(request: HttpRequest, row: Rule) -> HttpResponse:
    return redirect("rule_condition" if request.POST.get("do") == "condition" else "rule", row.pk)


def _form(
    request: HttpRequest, account: Account, row: Rule | None, draft: Draft, refused: Invalid | None = None
) -> HttpResponse:
    context = {
        "section": "rules",
        "current": "true",
        "rule": row,
        "page": rule_form.page(account, draft, refused),
        "condition": condition_words.sentence(row.condition, account.pk) if row and row.condition else "",
        "action": reverse("rule_editing", args=[row.pk]) if row else reverse("new_rule"),
    }
    is_part = request.headers.get("HX-Target") == FORM
    template = "rules/_form.html" if is_part else "rules/editing.html"
    response = show(request, template, account, context, 422 if refused else 200)
    response["Vary"] = "HX-Target, Cookie"
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@member
def condition(request: HttpRequest, account: Account, rule_id: int) -> HttpResponse:
    """Whom it is for, as a sentence with blanks. What is not saved yet stands in the address of the page."""
    row = _find(account, rule_id)
    here = reverse("rule_condition", args=[row.pk])
    form = Form()
    if request.method == "POST":
        text = request.POST.get("filter", "")
        try:
            given = grammar.from_json(text)
            verbs.update(row, {"condition": given}, clock.now(), actor(request))
        except Invalid as refused:
            form = forms.refused(request, refused)
            editor = Editor.of_text(request, account, here, text)
        else:
            messages.success(request, "Saved. It is looked at when something happens to somebody.")
            return redirect("rule", row.pk)
    else:
        saved = None if row.condition is None else grammar.plain(row.condition)
        editor = Editor.of(request, account, here, saved)
        if (answer := editor.answer()) is not None:
            return answer
    context = {
        "section": "rules",
        "current": "true",
        "rule": row,
        "editor": editor,
        "form": form,
        "people_url": sorting.people_with(editor.condition) if editor.condition else reverse("people"),
    }
    return show(request, "rules/condition.html", account, context, 422 if form.problems else 200)


# --- Acts ---------------------------------------------------------------------------------------------------------


@member
@require_POST
def switching(request: HttpRequest, account: Account, rule_id: int) -> HttpResponse:
    """On or off, by `active`."""
    row = _find(account, rule_id)
    is_on = forms.given(request).get("active") == "true"
    verbs.switch(row, is_on, clock.now(), actor(request))
    said = "is on: it hears of what happens from now on" if is_on else "is off: it hears of nothing"
    messages.success(request, f"The rule {words.title(row.name)} {said}.")
    return redirect("rule", row.pk)


@member
@require_POST
def copy(request: HttpRequest, account: Account, rule_id: int) -> HttpResponse:
    try:
        made = verbs.duplicate(_find(account, rule_id), clock.now(), actor(request))
    except Invalid as refused:
        messages.error(request, f"{refused}.")
        return redirect("rule", rule_id)
    messages.success(request, "This is the copy. It is off.")
    return redirect("rule", made.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def applying(request: HttpRequest, account: Account, rule_id: int) -> HttpResponse:
    """To people who are there already. GET says what it would do, POST begins it as a bulk action, if the world is
    still the one that was told about."""
    row, now = _find(account, rule_id), clock.now()
    is_quiet = forms.given(request).get("is_quiet") == "on"
    counted, why_not = None, ""
    try:
        if request.method == "POST" and (seen := request.POST.get("seen")):
            with suppress(PreconditionFailed):
                begun = of_rule.begin(row, actor(request), now, fire_rules=not is_quiet, seen=seen)
                return redirect("bulk_action", begun.pk)
        counted = of_rule.count(row, now)
    except (Invalid, TooLarge) as refused:
        why_not = f"{refused}."
    names = rule_words.names_of([row], account.pk)
    is_again = request.method == "POST" and counted is not None
    context = {
        "section": "rules",
        "current": "true",
        "rule": row,
        "whom": action_words.whom(of_rule.whom(row, now), account.pk) if counted else "",
        "counted": counted,
        "lines": list(action_words.effects(counted, account.time_zone, names, now)) if counted else [],
        "why_not": why_not,
        "is_again": is_again,
        "form": Form({"is_quiet": is_quiet}),
        "is_grave": actions.is_destructive(row.actions),
        "traceless": [when.words(one, names) for one in already.traceless(row, now)],
    }
    return show(request, "rules/applying.html", account, context, 409 if is_again else 422 if why_not else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@member
def deletion(request: HttpRequest, account: Account, rule_id: int) -> HttpResponse:
    """GET asks."""
    row = _find(account, rule_id)
    if request.method != "POST":
        return show(request, "rules/deletion.html", account, {"section": "rules", "current": "true", "rule": row})
    verbs.delete(row, clock.now())
    messages.success(request, f"The rule {words.title(row.name)} is deleted. What it did stays done.")
    return redirect("rules")


def _find(account: Account, rule_id: int) -> Rule:
    return get_object_or_404(verbs.of(account).select_related("account"), pk=rule_id)


# --- One person ---------------------------------------------------------------------------------------------------


@require_safe
@member
def of_person(request: HttpRequest, account: Account, subscriber_id: int) -> HttpResponse:
    """What rules did to them, and why others did not: all of it, or for htmx the latest as a part of their page."""
    person = person_of(account, subscriber_id)
    rows = log.of_person(account.pk, person.pk)
    is_part = request.headers.get("HX-Target") == "rules-of-person"
    page = paging.page(request, rows, LATEST if is_part else paging.PER_PAGE)
    rules = {row.rule_id: row.rule for row in page.rows}
    context: dict[str, Any] = about(person) | {
        "page": page,
        "told": rule_words.told(page.rows, rules, account.pk),
        "kept_days": log.KEPT_DAYS,
    }
    template = "rules/_of_person.html" if is_part else "rules/of_person.html"
    response = show(request, template, account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response
