"""Snippets: https://developers.kit.com/api-reference/snippets"""

from typing import Annotated, Any, Literal

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Flag, Name, Text, TextOrNull, YesNo, needs, one_of
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.content import snippets
from dripstone.content.models import Snippet
from dripstone.shapes import snippets as shapes

router = Router(tags=["Snippets"])


_DOCUMENT = {"type": "object", "required": ["value_html"], "properties": {"value_html": {"type": "string"}}}
Document = Annotated[Any, WithJsonSchema(_DOCUMENT)]


class SnippetBody(Body):
    """An inline snippet is its `content`, a block its document; what belongs to the other type is ignored."""

    model_config = needs("name", "snippet_type")
    name: Name = MISSING
    snippet_type: Annotated[Any, one_of(*Snippet.Type.values)] = MISSING
    content: TextOrNull = MISSING
    document_attributes: Annotated[Any, WithJsonSchema({**_DOCUMENT, "type": ["object", "null"]})] = MISSING


EMPTY = SnippetBody()


class SnippetChanges(Body):
    name: Name = MISSING
    snippet_type: Annotated[Any, one_of(*Snippet.Type.values)] = MISSING
    archived: YesNo = MISSING
    content: Text = MISSING
    document_attributes: Document = MISSING


class SnippetFilters(Paging):
    archived: Flag = False
    include_content: Flag = False
    snippet_type: Literal["inline", "block"] | None = None


class SnippetAnswer(TypedDict):
    snippet: shapes.SnippetShape


class SnippetsAnswer(TypedDict):
    snippets: list[shapes.SnippetShape]
    pagination: Pagination


@router.get("/snippets", response=SnippetsAnswer, summary="List snippets")
def list_snippets(request: KitRequest, filters: Query[SnippetFilters]) -> HttpResponse:
    rows = request.auth.account.snippets.filter(archived=filters.archived)
    if filters.snippet_type:
        rows = rows.filter(snippet_type=filters.snippet_type)
    found = page(rows, filters, "-id")
    shaped = [shapes.snippet(row, with_content=filters.include_content) for row in found.rows]
    return reply(200, snippets=shaped, pagination=found.pagination)


@router.post("/snippets", response={201: SnippetAnswer}, summary="Create a snippet")
def create_snippet(request: KitRequest, body: SnippetBody = EMPTY) -> HttpResponse:
    snippet = snippets.create(request.auth.account.pk, body.given(), clock.now(), request.auth.actor)
    return reply(201, snippet=shapes.snippet(snippet))


@router.get("/snippets/{int:id}", response=SnippetAnswer, summary="Get a snippet")
def get_snippet(request: KitRequest, id: int) -> HttpResponse:
    return reply(200, snippet=shapes.snippet(_snippet(request, id)))


@router.put("/snippets/{int:id}", response=SnippetAnswer, summary="Update a snippet")
def update_snippet(request: KitRequest, id: int, body: SnippetChanges) -> HttpResponse:
    snippet = snippets.update(_snippet(request, id), body.given(), clock.now(), request.auth.actor)
    return reply(200, snippet=shapes.snippet(snippet))


def _snippet(request: KitRequest, snippet_id: int) -> Snippet:
    return lookup.row(request.auth.account.snippets.all(), snippet_id)
