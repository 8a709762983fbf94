"""/people/bulk and /bulk_actions: something done to many people: chosen, counted, asked about, watched, undone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.automations.models import Automation
from dripstone.bulk import action_words, actions
from dripstone.bulk.counting import Counted, Whom
from dripstone.bulk.models import BulkAction
from dripstone.conditions.people import EVERYBODY
from dripstone.errors import Invalid, PreconditionFailed, TooLarge
from dripstone.grammar import kinds
from dripstone.subscribers.models import CustomField, Form, Tag
from dripstone.triggers import what
from dripstone.web import asking, forms, paging
from dripstone.web.asking import Line, Question, Told
from dripstone.web.frame import actor, member, show
from dripstone.web.pages.people import LOOKED_AT, asked
from dripstone.web.paging import number

MOST_TICKED = 1_000  # in an address
LASTS = [("", "Nothing more"), (what.UNSUBSCRIBE, "Unsubscribe them from everything"), (what.DELETE, "Delete them")]
NOTHING_CHOSEN = "Choose at least one thing to do"

# Fields of the form, in the order in which it is done: the action's kind, the member that it names a thing by.
CHOICES = (
    ("add_tag", what.TAG, "tag_id"),
    ("take_tag", what.UNTAG, "tag_id"),
    ("set_field", what.FIELD, "custom_field_id"),
    ("join_form", what.FORM, "form_id"),
    ("leave_form", what.LEAVE_FORM, "form_id"),
    ("enter_sequence", what.ENTER_SEQUENCE, "sequence_id"),
    ("leave_sequence", what.LEAVE_SEQUENCE, "sequence_id"),
    ("move_in", what.MOVE, "automation_id"),
    ("move_out", what.MOVE, "automation_id"),
)


@dataclass(frozen=True, slots=True)
class _Meant:
    """back   the list that they were chosen from"""

    whom: Whom
    in_words: str
    back: str


@require_http_methods(["GET", "HEAD", "POST"])
@member
def new_bulk_action(request: HttpRequest, account: Account) -> HttpResponse:
    """With the people that the address names, as the list of people does, or those who were ticked there."""
    meant = _meant(request, account)
    if request.method != "POST":
        return _form(request, account, meant, forms.Form())
    try:
        chosen = actions.read({**meant.whom, "actions": _chosen(request)}, account.pk)
    except Invalid as refused:
        return _form(request, account, meant, _refused(request, refused), 422)
    question = Question(
        title=f"Do this with {meant.in_words}?",
        back=f"{request.get_full_path()}",
        is_grave=actions.is_destructive(chosen.actions),
        section="people",
    )
    tell = partial(_tell, account, chosen.whom, chosen.actions)
    do = partial(_begin, request, account, chosen)
    try:
        return asking.ask(request, account, question, tell, do, lambda row: redirect("bulk_action", row.pk))
    except (Invalid, TooLarge) as refused:
        messages.error(request, f"{refused}.")
        return redirect(meant.back)


def _meant(request: HttpRequest, account: Account) -> _Meant:
    """Raises Http404 for people that are not there."""
    this = asked(request, account, reverse("people"))
    back = f"{reverse('people')}{this.query()}"
    ticked = [pk for text in request.GET.getlist("ids")[:MOST_TICKED] if (pk := number(text)) is not None]
    if "ids" in request.GET:
        ids = sorted(account.subscribers.filter(pk__in=ticked).values_list("pk", flat=True))
        if not ids:
            raise Http404
        return _Meant({"ids": ids}, words.people(len(ids)), back)
    if this.editor.problem:
        raise Http404
    if this.typed:
        ids = sorted(this.rows().values_list("pk", flat=True)[:LOOKED_AT])
        return _Meant({"ids": ids}, f"{words.people(len(ids))} found by “{this.typed}”", back)
    parts = [this.editor.condition] if this.editor.condition else []
    if this.state:
        parts.append({"type": kinds.STATE, "states": [this.state]})
    condition = parts[0] if len(parts) == 1 else {"all": parts} if parts else EVERYBODY
    whom = {"filter": condition}
    return _Meant(whom, action_words.whom(whom, account.pk), back)


def _chosen(request: HttpRequest) -> list[dict[str, Any]]:
    """As the API takes them, in the order of the form."""
    found: list[dict[str, Any]] = []
    for name, kind, member_of_it in CHOICES:
        if (thing := number(request.POST.get(name, ""))) is not None:
            action: dict[str, Any] = {"kind": kind, member_of_it: thing}
            found.append(action | _more(name, request))
    if (last := request.POST.get("last", "")) in actions.DESTRUCTIVE:
        found.append({"kind": last})
    return found


def _more(name: str, request: HttpRequest) -> dict[str, Any]:
    """What an action says beside the thing that it names."""
    if name == "set_field":
        return {"value": request.POST.get("value", "")}
    return {"way": name.removeprefix("move_")} if name.startswith("move_") else {}


def _refused(request: HttpRequest, refused: Invalid) -> forms.Form:
    if not _chosen(request):
        return forms.Form(forms.given(request), [(None, NOTHING_CHOSEN)])
    return forms.refused(request, refused)


def _form(request: HttpRequest, account: Account, meant: _Meant, form: forms.Form, status: int = 200) -> HttpResponse:
    none = [("", "–")]
    sequences = account.sequences.filter(deleted_at=None).order_by("name").values_list("pk", "name")
    all_forms = (
        Form.objects.filter(account=account, status=Form.Status.ACTIVE).order_by("name").values_list("pk", "name")
    )
    automations = Automation.objects.filter(account=account).order_by("name").values_list("pk", "name")
    context = {
        "section": "people",
        "current": "true",
        "meant": meant,
        "form": form,
        "counted": actions.count(account, meant.whom, [], clock.now()),
        "tags": none + list(Tag.objects.filter(account=account).order_by("name").values_list("pk", "name")),
        "fields": none + list(CustomField.objects.filter(account=account).order_by("label").values_list("pk", "label")),
        "all_forms": none + list(all_forms),
        "sequences": none + list(sequences),
        "automations": none + list(automations) if automations else [],
        "lasts": LASTS,
        "action": request.get_full_path(),
    }
    return show(request, "bulk_actions/new.html", account, context, status)


def _tell(account: Account, whom: Whom, acts: list[what.Action], now: datetime) -> Told:
    counted = actions.count(account, whom, acts, now)
    names = action_words.names_in(acts, account.pk)
    said = list(action_words.effects(counted, account.time_zone, names, now))
    return Told(
        counted.token,
        is_silent=False,
        button=f"Do it with {words.people(counted.n_people)}",
        lines=[Line(one.n, one.phrase) for one in said] or [Line(0, _nobody(counted))],
        rest=_rest(acts),
    )


def _nobody(counted: Counted) -> str:
    return counted.why_nobody or "Nobody is meant by this, so nothing would happen"


def _rest(acts: list[what.Action]) -> str:
    """Whether there is a way back."""
    left = [act for act in acts if act["kind"] not in actions.UNDOABLE]
    if not left:
        return "It can be undone for a day. It is done in the background, and can be cancelled under way."
    if len(left) == len(acts):
        return "It cannot be undone. It is done in the background, and can be cancelled under way."
    return "Of this only tags and fields can be undone, for a day. It is done in the background, and can be cancelled."


def _begin(request: HttpRequest, account: Account, chosen: actions.Asked, seen: str) -> BulkAction | None:
    """None: it would do something else by now."""
    fire_rules = request.POST.get("quiet") != "on"
    try:
        return actions.begin(
            account, chosen.whom, chosen.actions, actor(request), clock.now(), fire_rules=fire_rules, seen=seen
        )
    except PreconditionFailed:
        return None


# --- Those there are ----------------------------------------------------------------------------------------------


@require_safe
@member
def bulk_actions(request: HttpRequest, account: Account) -> HttpResponse:
    page = paging.page(request, actions.of_account(account.pk).defer("ids"))
    context = {"section": "people", "current": "true", "page": page, "rows": list(_rows(page.rows, account))}
    return show(request, "bulk_actions/list.html", account, context)


def _rows(rows: list[BulkAction], account: Account) -> Iterator[dict[str, Any]]:
    names = action_words.names_in([action for row in rows for action in row.actions], account.pk)
    for row in rows:
        yield {"row": row, "what": what.sentence(row.actions, names), "state": action_words.STATES[row.state]}


@require_safe
@member
def bulk_action(request: HttpRequest, account: Account, action_id: int) -> HttpResponse:
    """How far it is, and what was done: a part of it is asked for again while it goes on."""
    row = _row(account, action_id)
    names = action_words.names_in(row.actions, account.pk)
    is_part = request.headers.get("HX-Target") == "bulk-action"
    may_be_undone = actions.why_no_undo(row, clock.now()) is None
    context = {
        "section": "people",
        "current": "true",
        "row": row,
        "what": what.sentence(row.actions, names),
        "whom": action_words.whom_of(row),
        "state": action_words.STATES[row.state],
        "why": action_words.WHY.get(row.why, ""),
        "report": action_words.report(row, names),
        "undone": action_words.undone(row) if row.undo_asked_by else "",
        "is_going": row.waits,
        "may_be_undone": may_be_undone,
        "until": row.ended_at + actions.MAY_BE_UNDONE if may_be_undone and row.ended_at else None,
    }
    response = show(request, "bulk_actions/_action.html" if is_part else "bulk_actions/page.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


@member
@require_POST
def cancellation(request: HttpRequest, account: Account, action_id: int) -> HttpResponse:
    row = _row(account, action_id)
    try:
        row = actions.cancel(account, row.pk, clock.now())
    except Invalid as refused:
        messages.error(request, f"{refused}.")
    else:
        messages.success(request, f"Cancelled. What was done with {words.people(row.n_met)} until then stays.")
    return redirect("bulk_action", row.pk)


@member
@require_POST
def undoing(request: HttpRequest, account: Account, action_id: int) -> HttpResponse:
    """Asks first."""
    row = _row(account, action_id)
    url = reverse("bulk_action", args=[row.pk])
    question = Question(title="Undo this?", back=url, is_grave=True, section="people")

    def tell(now: datetime) -> Told:
        names = action_words.names_in(row.actions, account.pk)
        changes = words.count(row.n_changes, "change")
        lines = [Line(0, f"{changes} of tags and fields are taken back, where they still are as this left them")]
        lines += [Line(0, f"Not taken back: {one}") for one in action_words.beyond_undo(row, names)]
        rules = "Rules fire on it." if row.fires_rules else "No rule fires on it."
        return Told("undo", is_silent=False, button=f"Undo {changes}", lines=lines, rest=rules)

    def do(seen: str) -> BulkAction:
        return actions.undo(account, row.pk, actor(request), clock.now())

    try:
        return asking.ask(request, account, question, tell, do, lambda _: asking.leave(request, url))
    except (Invalid, TooLarge) as refused:
        messages.error(request, f"{refused}.")
        return asking.leave(request, url)


def _row(account: Account, action_id: int) -> BulkAction:
    return get_object_or_404(actions.of_account(account.pk), pk=action_id)
