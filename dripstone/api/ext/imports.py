"""Ours: people from a CSV file. Its bytes, what its columns are, what is done with whom, what became of each row."""

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from django.http import HttpResponse, StreamingHttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Filters, Flag, Name, YesNo, needs, one_of
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import no_content, reply
from dripstone.given import MAX_ID, Checked
from dripstone.imports import arriving, files, look, text, verbs
from dripstone.imports.columns import KINDS, Target
from dripstone.imports.models import Import
from dripstone.shapes.instants import instant

router = Router(tags=["Imports"])

MOST_TOLD = 2**53  # bytes

_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_COLUMN = {
    "type": "object",
    "description": "`field` names a custom field, `new_field` makes one, `tags` adds those in the cell, with commas.",
    "required": ["target"],
    "properties": {"target": {"type": "string", "enum": list(KINDS)}, "field_id": _ID, "label": {"type": "string"}},
}
_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

Columns = Annotated[Any, WithJsonSchema({"type": "array", "items": _COLUMN, "minItems": 1})]
Ids = Annotated[Any, WithJsonSchema({"type": ["array", "null"], "items": _ID, "uniqueItems": True})]
Bytes = Annotated[Any, WithJsonSchema({"type": ["integer", "null"], "minimum": 0, "maximum": MOST_TOLD})]


class ImportBody(Body):
    """`n_bytes`, if it is known: a file that there is no room for is refused before it is sent."""

    model_config = needs("file_name")
    file_name: Name = MISSING
    n_bytes: Bytes = MISSING


class ImportChoices(Body):
    """`encoding`, `separator` and `has_header` are guessed where they are left out. `consent`: these people have agreed
    to get mail from you."""

    model_config = needs("columns", "consent")
    columns: Columns = MISSING
    encoding: Annotated[Any, one_of(*text.ENCODINGS)] = MISSING
    separator: Annotated[Any, one_of(*text.SEPARATORS)] = MISSING
    has_header: YesNo = MISSING
    tag_ids: Ids = MISSING
    form_ids: Ids = MISSING
    sequence_ids: Ids = MISSING
    existing: Annotated[Any, one_of(*Import.Existing.values)] = MISSING
    blanks: Annotated[Any, one_of(*Import.Blanks.values)] = MISSING
    fire_rules: YesNo = MISSING
    consent: YesNo = MISSING


UNNAMED, UNCHOSEN = ImportBody(), ImportChoices()


class Reading(Filters):
    """Guessed where left out."""

    encoding: str | None = None
    separator: str | None = None
    has_header: Flag | None = None


class TargetShape(TypedDict):
    """field_id   of `field`
    label      of `new_field`
    """

    target: str
    field_id: int | None
    label: str | None


class ColumnShape(TargetShape):
    """title   of the header; "" where there is none, or it is blank"""

    title: str


class LookShape(TypedDict):
    """rows   the first twenty, without the header: a text per column"""

    encoding: str
    separator: str
    has_header: bool
    columns: list[ColumnShape]
    rows: list[list[str]]


class CountsShape(TypedDict):
    """Of the file, while it is read and once it is `ready`: each person once, in `new` or `existing`.

    rows        without its header and empty lines
    unmailable  of both: unsubscribed, bounced, complained; they stay so
    twice       rows about somebody whom an earlier row is about
    """

    rows: int
    new: int
    existing: int
    unmailable: int
    twice: int
    rejected: int


class DoneShape(TypedDict):
    """What it did so far.

    people      that were looked at
    entered     places in sequences
    stayed_out  of them unmailable
    left_alone  that it made and that changed since, so that undoing left them
    """

    people: int
    made: int
    changed: int
    entered: int
    stayed_out: int
    undone: int
    left_alone: int


class ImportShape(TypedDict):
    """why   it failed: a sentence
    n_bytes, n_pieces   that have come
    n_bytes_read   of them, so far
    columns  empty until they were chosen
    """

    id: int
    file_name: str
    state: str
    why: str | None
    n_bytes: int
    n_pieces: int
    n_bytes_read: int
    encoding: str | None
    separator: str | None
    has_header: bool
    columns: list[TargetShape]
    tag_ids: list[int]
    form_ids: list[int]
    sequence_ids: list[int]
    existing: str
    blanks: str
    fire_rules: bool
    consent: str | None
    consent_by: str | None
    counts: CountsShape
    done: DoneShape
    may_be_undone: bool
    asked_by: str
    begun_at: str
    uploaded_at: str | None
    ready_at: str | None
    run_at: str | None
    ended_at: str | None
    undone_at: str | None


ImportAnswer = TypedDict("ImportAnswer", {"import": ImportShape})


class ImportsAnswer(TypedDict):
    imports: list[ImportShape]
    pagination: Pagination


class LookAnswer(TypedDict):
    look: LookShape


class ImportFilters(Paging):
    state: Literal[
        "uploading",
        "uploaded",
        "reading",
        "ready",
        "running",
        "done",
        "undoing",
        "undone",
        "cancelled",
        "failed",
        "all",
    ] = "all"


@router.get("/imports", response=ImportsAnswer, summary="List imports")
def list_imports(request: KitRequest, filters: Query[ImportFilters]) -> HttpResponse:
    rows = verbs.of_account(request.auth.account.pk)
    found = page(rows if filters.state == "all" else rows.filter(state=filters.state), filters, "-id")
    return reply(200, imports=[_import(row) for row in found.rows], pagination=found.pagination)


@router.post("/imports", response={201: ImportAnswer}, summary="Begin an import")
def create_import(request: KitRequest, body: ImportBody = UNNAMED) -> HttpResponse:
    """Then send its file: whole, or in pieces."""
    read = Checked(body.given(), required=("file_name",), labels={"file_name": "File name"})
    read.name("file_name")
    read.drop_nulls("n_bytes")
    read.whole_number("n_bytes", 0, MOST_TOLD)
    given, account = read.sound(), request.auth.account
    arriving.check_room(account.pk, given.get("n_bytes", 0))
    return _reply(files.begin(account, given["file_name"], request.auth.actor, clock.now()), 201)


@router.get("/imports/{int:id}", response=ImportAnswer, summary="Get an import")
def get_import(request: KitRequest, id: int) -> HttpResponse:
    """Its state, how far it is, what it would do, what it did."""
    return _reply(_row(request, id))


@router.delete("/imports/{int:id}", response={204: None}, summary="Delete an import")
def delete_import(request: KitRequest, id: int) -> HttpResponse:
    """Its file and its report; what it did stays. Not while it is being worked on: cancel it first."""
    verbs.delete(_row(request, id))
    return no_content()


# --- Its file -------------------------------------------------------------------------------------------------------


@router.put("/imports/{int:id}/file", response=ImportAnswer, summary="Send the file of an import", openapi_extra=_FILE)
def send_file(request: KitRequest, id: int) -> HttpResponse:
    """Of any size, up to what the account may have under way. What came of it before is dropped. One that breaks off
    can be sent again, or continued in pieces: `n_bytes` and `n_pieces` say where."""
    row = _row(request, id)
    if (whole := arriving.arrived(request.META)) is None:
        arriving.expect(request.META, row)  # the server before us reads it, and asks again: front/files.py
    else:
        row = arriving.finish(row, whole, clock.now())
    return _reply(row)


@router.put(
    "/imports/{int:id}/pieces/{int:number}",
    response=ImportAnswer,
    summary="Send a piece of the file of an import",
    openapi_extra=_FILE,
)
def send_piece(request: KitRequest, id: int, number: int) -> HttpResponse:
    """Up to 16 MB, one after the other; their numbers begin at 0. One that is there already changes nothing."""
    row = _row(request, id)
    files.add(row, number, request.body)
    return _reply(row)


@router.post("/imports/{int:id}/finish", response=ImportAnswer, summary="Say that the file of an import is whole")
def finish_import(request: KitRequest, id: int) -> HttpResponse:
    """After its last piece."""
    return _reply(files.finish(_row(request, id), clock.now()))


@router.get("/imports/{int:id}/look", response=LookAnswer, summary="Look into the file of an import")
def look_into_import(request: KitRequest, id: int, reading: Query[Reading]) -> HttpResponse:
    """How it is read, what each column seems to be, and the first twenty rows. Changes nothing."""
    seen = look.look(
        _row(request, id), encoding=reading.encoding, separator=reading.separator, has_header=reading.has_header
    )
    columns = [ColumnShape(title=one.title, **_target(one.target)) for one in seen.columns]
    shape = LookShape(
        encoding=seen.encoding,
        separator=seen.separator,
        has_header=seen.has_header,
        columns=columns,
        rows=seen.rows,
    )
    return reply(200, look=shape)


# --- What it does ---------------------------------------------------------------------------------------------------


@router.put("/imports/{int:id}", response=ImportAnswer, summary="Say what an import does")
def choose(request: KitRequest, id: int, body: ImportChoices = UNCHOSEN) -> HttpResponse:
    """It is then read and counted; once it is `ready`, `counts` says what it would do. Nobody is touched before it is
    run, and until then it can be said anew."""
    caller = request.auth
    return _reply(verbs.choose(_row(request, id), body.given(), clock.now(), by=caller.actor))


@router.post("/imports/{int:id}/run", response=ImportAnswer, summary="Run an import")
def run_import(request: KitRequest, id: int) -> HttpResponse:
    """One that is `ready`."""
    return _reply(verbs.run(_row(request, id), clock.now()))


@router.post("/imports/{int:id}/cancel", response=ImportAnswer, summary="Cancel an import")
def cancel_import(request: KitRequest, id: int) -> HttpResponse:
    """What it has done stays, and can be undone."""
    return _reply(verbs.cancel(_row(request, id), clock.now()))


@router.post("/imports/{int:id}/undo", response=ImportAnswer, summary="Undo an import")
def undo_import(request: KitRequest, id: int) -> HttpResponse:
    """People it made go, values, tags and forms it gave are taken back, unless they changed since. Refused once
    somebody was mailed because of it."""
    return _reply(verbs.undo(_row(request, id), clock.now()))


@router.get("/imports/{int:id}/rejected", summary="Download the rows that an import could not take")
def rejected_rows(request: KitRequest, id: int) -> HttpResponse:
    """A CSV file in UTF-8: the rows as they were, with what is wrong as the last column."""
    row = _row(request, id)
    response = StreamingHttpResponse(verbs.rejected(row), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="rejected-{row.pk}.csv"'
    response["Cache-Control"] = "no-store"
    return cast("HttpResponse", response)  # Django has no name for both that its stubs know


# --- Shapes ---------------------------------------------------------------------------------------------------------


def _row(request: KitRequest, import_id: int) -> Import:
    return lookup.row(verbs.of_account(request.auth.account.pk), import_id)


def _reply(row: Import, status: int = 200) -> HttpResponse:
    return reply(status, **{"import": _import(row)})


def _target(target: Target) -> TargetShape:
    return TargetShape(target=target.kind, field_id=target.field_id, label=target.label or None)


def _import(row: Import) -> ImportShape:
    return ImportShape(
        id=row.pk,
        file_name=row.file_name,
        state=row.state,
        why=row.why or None,
        n_bytes=row.n_bytes,
        n_pieces=row.n_pieces,
        n_bytes_read=row.read_to,
        encoding=row.encoding or None,
        separator=row.separator or None,
        has_header=row.has_header,
        columns=[_target(Target.of(one)) for one in row.columns],
        tag_ids=row.tag_ids,
        form_ids=row.form_ids,
        sequence_ids=row.sequence_ids,
        existing=row.existing,
        blanks=row.blanks,
        fire_rules=row.fire_rules,
        consent=row.consent or None,
        consent_by=row.consent_by or None,
        counts=CountsShape(
            rows=row.n_rows,
            new=row.n_new,
            existing=row.n_existing,
            unmailable=row.n_unmailable,
            twice=row.n_twice,
            rejected=row.n_rejected,
        ),
        done=DoneShape(
            people=row.n_done,
            made=row.n_made,
            changed=row.n_changed,
            entered=row.n_entered,
            stayed_out=row.n_stayed_out,
            undone=row.n_undone,
            left_alone=row.n_left_alone,
        ),
        may_be_undone=not verbs.why_no_undo(row),
        asked_by=row.asked_by,
        begun_at=instant(row.begun_at),
        uploaded_at=_at(row.uploaded_at),
        ready_at=_at(row.ready_at),
        run_at=_at(row.run_at),
        ended_at=_at(row.ended_at),
        undone_at=_at(row.undone_at),
    )


def _at(at: datetime | None) -> str | None:
    return instant(at) if at else None
