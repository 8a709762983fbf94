"""Ours: people from a CSV file. Its bytes, what its columns are, what is done with whom, what became of each row."""

from typing import Any

from django.http import HttpResponse
from ninja import Query, Router
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Text, needs
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.errors import BadRequest
from dripstone.imports import arriving, files
from dripstone.imports.models import Import

router = Router(tags=["Imports"])

def _shape(row):
    return {"id": row.pk, "state": row.state, "file_name": row.file_name, "n_bytes": row.n_bytes, "n_pieces": row.n_pieces}


class ImportBody(Body):
    model_config = needs("file_name")

    file_name: Text = MISSING

@router.get("/imports")
def list_imports(request: KitRequest, filters: Query[Paging]) -> HttpResponse:
    found = page(request.auth.account.imports.all(), filters, "-id")
    return reply(200, imports=[_shape(row) for row in found.rows], pagination=found.pagination)


@router.post("/imports")
def create_import(request: KitRequest, body: ImportBody) -> HttpResponse:
    row = files.begin(request.auth.account, body.file_name, request.auth.actor, clock.now())
    return reply(201, **{"import": _shape(row)})

@router.get("/imports/{int:id}")
def get_import(request: KitRequest, id: int) -> HttpResponse:
    return reply(200, **{"import": _shape(_import(request, id))})


@router.put("/imports/{int:id}/file", summary="Send the file of an import")
def send_file(request: KitRequest, id: int) -> HttpResponse:
    """The server before us reads it (front/files.py), and asks twice."""
    row = _import(request, id)
    if (what := arriving.arrived(request.META)) is None:
        arriving.expect(request.META, row)
    else:
        row = arriving.finish(row, what, clock.now())
    return reply(200, **{"import": _shape(_import(request, id))})


@router.put("/imports/{int:id}/pieces/{int:number}")
def send_piece(request: KitRequest, id: int, number: int) -> HttpResponse:
    files.add(_import(request, id), number, request.body)
    return reply(200, **{"import": _shape(_import(request, id))})


@router.post("/imports/{int:id}/finish")
def finish(request: KitRequest, id: int) -> HttpResponse:
    files.finish(_import(request, id), clock.now())
    return reply(200, **{"import": _shape(_import(request, id))})


def _import(request: KitRequest, import_id: int) -> Import:
    return lookup.row(request.auth.account.imports.all(), import_id)
