"""/imports: people from a CSV file, in three steps: the file, what its columns are, what happens; then a question.

The script of the first step (static/web/imports.js) sends the file in pieces; without it the form sends it in one go,
past every limit of a body (front/files.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dripstone import clock, words
from dripstone.accounts.models import Account
from dripstone.errors import Conflict, DripstoneError, Invalid, TooLarge
from dripstone.given import FromText
from dripstone.imports import arriving, columns, files, import_words, look, verbs
from dripstone.imports.columns import Target
from dripstone.imports.models import Import
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import CustomField, Form, Tag
from dripstone.web import asking, forms, paging
from dripstone.web.asking import Line, Question, Told
from dripstone.web.frame import actor, member, show
from dripstone.web.paging import number
from dripstone.web.picking import picker

State = Import.State
PART = "import"  # the id of what is loaded again while it goes on
LISTS = ("tag_ids", "form_ids", "sequence_ids")
OFFERED_COLUMNS = 450  # a form may have a thousand members
MOST_OPTIONS = 30_000  # in all lists of targets together
FIELD = "field-"  # and the field's id: a target
USUAL = [
    ("skip", "Leave out"),
    ("email", "Email address"),
    ("first_name", "First name"),
    ("tags", "Tags, with commas"),
    ("created_at", "On the list since"),
    ("new_field", "New field…"),
]
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
COLOURS = {
    State.DONE: "good",
    State.UNDONE: "",
    State.CANCELLED: "",
    State.FAILED: "bad",
}
REFUSALS = {Conflict: 409, TooLarge: 413}


@dataclass(frozen=True, slots=True)
class Offered:
    """A column of the file, and what it may become.

    examples  the first cells that have something in them
    """

    number: int
    title: str
    examples: list[str]
    chosen: str
    label: str
    choices: list[tuple[str, str]]
    problem: str


# --- The file -------------------------------------------------------------------------------------------------------


@member
@require_http_methods(["GET", "HEAD", "POST"])
def imports(request: HttpRequest, account: Account) -> HttpResponse:
    """A POST, by the script, begins one."""
    if request.method == "POST":
        return _begin(request, account)
    page = paging.page(request, verbs.of_account(account.pk))
    rows = [{"import": row, "state": _state(row), "words": import_words.in_short(row)} for row in page.rows]
    context = {"section": "people", "current": "true", "page": page, "rows": rows}
    return show(request, "imports/list.html", account, context)


def _begin(request: HttpRequest, account: Account) -> HttpResponse:
    try:
        arriving.check_room(account.pk, number(request.POST.get("n_bytes", "")) or 0)
        row = files.begin(account, request.POST.get("file_name", ""), actor(request), clock.now())
    except TooLarge as refused:
        return _told(refused)
    return JsonResponse({"url": _url(row)}, status=201)


def _told(refused: DripstoneError) -> HttpResponse:
    """For the script."""
    return JsonResponse({"errors": refused.messages}, status=REFUSALS.get(type(refused), 422))


@require_safe
@member
def new_import(request: HttpRequest, account: Account) -> HttpResponse:
    return _choosing(request, account)


def _choosing(request: HttpRequest, account: Account, problem: str = "", status: int = 200) -> HttpResponse:
    context = {"section": "people", "current": "true", "problem": problem}
    return show(request, "imports/new.html", account, context, status)


@member
@require_POST
def new_file(request: HttpRequest, account: Account) -> HttpResponse:
    """From the form, in one go. The server before us asks twice (imports/arriving.py)."""
    whole = arriving.arrived(request.META)
    if whole is not None:
        return _arrived(request, account, _row(account, whole.import_id), whole)
    coming = arriving.announced(request.META)
    if coming is None:
        return _choosing(request, account, "Choose a file first.", 422)
    try:
        arriving.check_room(account.pk, coming.n_bytes or 0)
        row = files.begin(account, coming.file_name, actor(request), clock.now())
        arriving.expect(request.META, row)
    except TooLarge as refused:
        return _choosing(request, account, str(refused), 413)
    return redirect("import", row.pk)


@member
@require_POST
def file(request: HttpRequest, account: Account, import_id: int) -> HttpResponse:
    """The file of one that broke off, again from its beginning."""
    row = _row(account, import_id)
    if (whole := arriving.arrived(request.META)) is not None:
        return _arrived(request, account, row, whole)
    if arriving.announced(request.META) is None:
        messages.error(request, "Choose a file first.")
        return redirect("import", row.pk)
    try:
        arriving.expect(request.META, row)
    except (Conflict, TooLarge) as refused:
        messages.error(request, f"{refused}.")
    return redirect("import", row.pk)


def _arrived(request: HttpRequest, account: Account, row: Import, whole: arriving.Arrived) -> HttpResponse:
    try:
        arriving.finish(row, whole, clock.now())
    except (Conflict, Invalid) as refused:
        messages.error(request, f"{refused}.")
    return redirect("import", row.pk)


@member
@require_POST
def piece(request: HttpRequest, account: Account, import_id: int, piece_number: int) -> HttpResponse:
    """By the script."""
    try:
        files.add(_row(account, import_id), piece_number, request.body)
    except (Conflict, TooLarge) as refused:
        return _told(refused)
    return HttpResponse(status=204)


@member
@require_POST
def arrival(request: HttpRequest, account: Account, import_id: int) -> HttpResponse:
    """By the script, after the last piece."""
    try:
        row = files.finish(_row(account, import_id), clock.now())
    except (Conflict, Invalid) as refused:
        return _told(refused)
    return JsonResponse({"url": _url(row)})


# --- Its columns, and what happens ----------------------------------------------------------------------------------


@member
@require_http_methods(["GET", "HEAD", "POST"])
def choices(request: HttpRequest, account: Account, import_id: int) -> HttpResponse:
    """GET reads the file as it is guessed, or as the address says; POST has it counted."""
    row = _row(account, import_id)
    if row.state not in (State.UPLOADED, State.READY, State.READING):
        return redirect("import", row.pk)
    if request.method != "POST":
        return _form(request, account, row, forms.Form(_values(row)))
    try:
        verbs.choose(row, _given(request, account), clock.now(), by=actor(request))
    except Invalid as refused:
        return _form(request, account, row, forms.refused(request, refused, LISTS), 422)
    except Conflict as refused:
        messages.error(request, f"{refused}.")
    return redirect("import", row.pk)


def _values(row: Import) -> dict[str, Any]:
    names = ("tag_ids", "form_ids", "sequence_ids", "existing", "blanks", "fire_rules")
    return {name: getattr(row, name) for name in names}


def _given(request: HttpRequest, account: Account) -> FromText:
    """As the API takes it."""
    given = forms.given(request, LISTS)
    given["separator"] = SEPARATORS.get(given.get("separator", ""), "")
    n_columns = number(given.get("n_columns", "")) or 0
    given["columns"] = [_column(given, n) for n in range(min(n_columns, columns.MOST))]
    return given


def _column(given: FromText, n: int) -> dict[str, Any]:
    chosen = given.get(f"column-{n}", "skip")
    if chosen.startswith(FIELD):
        return {"target": "field", "field_id": number(chosen.removeprefix(FIELD))}
    label = {"label": given.get(f"label-{n}", "")} if chosen == "new_field" else {}
    return {"target": chosen, **label}


def _form(request: HttpRequest, account: Account, row: Import, form: forms.Form, status: int = 200) -> HttpResponse:
    asked = request.POST or request.GET
    separator = SEPARATORS.get(asked.get("separator", ""))
    has_header = {"yes": True, "true": True, "no": False, "false": False}.get(asked.get("has_header", ""))
    problem = ""
    try:
        seen = look.look(row, encoding=asked.get("encoding") or None, separator=separator, has_header=has_header)
    except Conflict:
        return redirect("import", row.pk)
    except Invalid as refused:
        problem, seen = f"{refused}.", look.Look("", "", True, [], [])
    names = {text: name for name, text in SEPARATORS.items()}
    context = {
        "section": "people",
        "current": "true",
        "import": row,
        "form": form,
        "problem": problem,
        "seen": seen,
        "reading": forms.Form(
            {
                "encoding": seen.encoding or asked.get("encoding", ""),
                "separator": names.get(seen.separator, asked.get("separator", "")),
                "has_header": "yes" if seen.has_header else "no",
            }
        ),
        "encodings": list(import_words.ENCODINGS.items()),
        "separators": [(name, import_words.SEPARATORS[text]) for name, text in SEPARATORS.items()],
        "headers": [("yes", "Names of the columns"), ("no", "A person like the others")],
        "columns": list(_columns(account, seen, form)),
        "n_left_out": max(0, len(seen.columns) - OFFERED_COLUMNS),
        "gets": [
            picker("tag_ids", "Tags", Tag.objects.filter(account=account), form),
            picker("form_ids", "Forms", Form.objects.filter(account=account, status=Form.Status.ACTIVE), form),
            picker("sequence_ids", "Sequences", account.sequences.filter(deleted_at=None), form),
        ],
        "existing": list(import_words.EXISTING.items()),
        "blanks": list(import_words.BLANKS.items()),
        "consent": verbs.CONSENT,
        "members": [name for name, _ in form.problems if name and not name.startswith("columns")],
    }
    return show(request, "imports/choices.html", account, context, status)


def _columns(account: Account, seen: look.Look, form: forms.Form) -> Iterator[Offered]:
    """As they were chosen in a form that was refused, else as they are guessed."""
    fields = list(CustomField.objects.filter(account=account).order_by("label").values_list("pk", "label"))
    labels = dict(fields)
    every = [(f"{FIELD}{pk}", label) for pk, label in fields]
    is_short = len(every) * min(len(seen.columns), OFFERED_COLUMNS) <= MOST_OPTIONS
    for n, column in enumerate(seen.columns[:OFFERED_COLUMNS]):
        guess = _option(column.target)
        own = [(guess, labels.get(column.target.field_id or 0, "a field that is gone"))] if FIELD in guess else []
        yield Offered(
            number=n,
            title=column.title,
            examples=[text for one in seen.rows if (text := one[n].strip())][:3],
            chosen=str(form.values.get(f"column-{n}", guess)),
            label=str(form.values.get(f"label-{n}", column.target.label or column.title)),
            choices=[*USUAL, *(every if is_short else own)],
            problem="; ".join(text for name, text in form.problems if (name or "").startswith(f"columns[{n}]")),
        )


def _option(target: Target) -> str:
    return f"{FIELD}{target.field_id}" if target.kind == "field" else target.kind


# --- One import -----------------------------------------------------------------------------------------------------


@require_safe
@member
def one(request: HttpRequest, account: Account, import_id: int) -> HttpResponse:
    """Where it is: waiting for its file or for somebody, counted, under way, over."""
    row = _row(account, import_id)
    if row.state == State.UPLOADED and request.method == "GET":
        return redirect("import_choices", row.pk)
    is_part = request.headers.get("HX-Target") == PART
    context = {
        "section": "people",
        "current": "true",
        "import": row,
        "state": _state(row),
        "is_going": row.state in Import.WORKING,
        "effects": list(import_words.effects(row)),
        "report": list(import_words.report(row)) if row.run_at else [],
        "targets": words.listed(import_words.targets(row)),
        "n_people": row.n_new + row.n_existing,
        "undone": import_words.undone(row),
        "why_no_undo": verbs.why_no_undo(row),
        "existing": import_words.EXISTING[row.existing],
        "may_be_cancelled": row.state in ("uploading", "uploaded", "reading", "ready", "running"),
        "may_be_deleted": row.run_at is None and row.ended_at is not None,
    }
    response = show(request, "imports/_import.html" if is_part else "imports/page.html", account, context)
    response["Vary"] = "HX-Target, Cookie"
    return response


@member
@require_POST
def start(request: HttpRequest, account: Account, import_id: int) -> HttpResponse:
    return _do(request, account, import_id, verbs.run)


@member
@require_POST
def cancellation(request: HttpRequest, account: Account, import_id: int) -> HttpResponse:
    return _do(request, account, import_id, verbs.cancel)


def _do(request: HttpRequest, account: Account, import_id: int, verb: Any) -> HttpResponse:
    row = _row(account, import_id)
    try:
        verb(row, clock.now())
    except (Conflict, Invalid) as refused:
        messages.error(request, f"{refused}.")
    return redirect("import", row.pk)


@member
@require_POST
def undoing(request: HttpRequest, account: Account, import_id: int) -> HttpResponse:
    """Asks first."""
    row, url = _row(account, import_id), reverse("import", args=[import_id])
    question = Question(title=f"Undo the import of {row.file_name}?", back=url, is_grave=True, section="people")

    def tell(now: datetime) -> Told:
        lines = [Line(row.n_made, "made by it, who are deleted unless they changed since")] if row.n_made else []
        if row.n_changed:
            lines.append(Line(row.n_changed, "on file before: what they got by it is taken back"))
        if not lines:
            lines.append(Line(0, "It changed nobody"))
        rest = "Whoever was changed by anything else meanwhile stays as they are."
        if Sequence.objects.filter(pk__in=row.sequence_ids, repeat=True).exists():
            rest += " Whoever was on the way in a sequence, and was started again by it, stays at its beginning."
        return Told("undo", is_silent=False, button="Undo the import", lines=lines, rest=rest)

    try:
        if why := verbs.why_no_undo(row):
            raise Conflict(why)
        return asking.ask(
            request,
            account,
            question,
            tell,
            lambda _: verbs.undo(row, clock.now()),
            lambda _: asking.leave(request, url),
        )
    except Conflict as refused:
        messages.error(request, f"It can’t be undone: {str(refused)[0].lower()}{str(refused)[1:]}.")
        return asking.leave(request, url)


@member
@require_POST
def rejected(request: HttpRequest, account: Account, import_id: int) -> HttpResponse:
    """A file with addresses, so a POST as that of all people is."""
    row = _row(account, import_id)
    response = StreamingHttpResponse(verbs.rejected(row), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="rejected-{row.pk}.csv"'
    response["Cache-Control"] = "no-store"
    return cast("HttpResponse", response)  # Django has no name for both that its stubs know


@member
@require_POST
def deletion(request: HttpRequest, account: Account, import_id: int) -> HttpResponse:
    """Of one that touched nobody."""
    row = _row(account, import_id)
    try:
        verbs.delete(row)
    except Conflict as refused:
        messages.error(request, f"{refused}.")
        return redirect("import", row.pk)
    messages.success(request, f"The import of {row.file_name} is deleted. It had touched nobody.")
    return redirect("imports")


def _row(account: Account, import_id: int) -> Import:
    return get_object_or_404(verbs.of_account(account.pk), pk=import_id)


def _url(row: Import) -> str:
    return reverse("import", args=[row.pk])


def _state(row: Import) -> dict[str, str]:
    return {"label": import_words.STATES[row.state], "colour": COLOURS.get(State(row.state), "wait")}
