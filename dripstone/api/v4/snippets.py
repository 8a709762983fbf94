"""Snippets: https://developers.kit.com/api-reference/snippets"""

from typing import Annotated, Any, Literal

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import AfterValidator, Field, ValidationInfo, field_validator
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.api import lookup
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, Flag, Name, Part, Sentence
from dripstone.api.paging import Pagination, Paging, page
from dripstone.api.replies import reply
from dripstone.content import library, liquid
from dripstone.content.models import Snippet
from dripstone.errors import Invalid
from dripstone.shapes import content as shapes

router = Router(tags=["Snippets"])


def sound(source: str) -> str:
    """Liquid that can be rendered, told with the other problems of a body."""
    if problems := liquid.check(source):
        raise Sentence(problems[0])
    return source


Source = Annotated[str, AfterValidator(sound)]


class SnippetDocument(Part):
    value_html: Source


class SnippetBody(Body):
    name: Name
    snippet_type: Literal["inline", "block"]
    content: Annotated[Source | None, Field(validate_default=True)] = None
    document_attributes: Annotated[SnippetDocument | None, Field(validate_default=True)] = None

    @field_validator("content", "document_attributes")
    @classmethod
    def _there_for_the_type(cls, value: Any, info: ValidationInfo) -> Any:
        """An inline snippet is its content, a block its document; what belongs to the other type is ignored."""
        needed = {"inline": "content", "block": "document_attributes"}.get(info.data.get("snippet_type", ""))
        if value is None and info.field_name == needed:
            raise ValueError("can't be blank")
        return value

    @property
    def source(self) -> str:
        source = self.content if self.snippet_type == "inline" else _html(self.document_attributes)
        assert source is not None
        return source


class SnippetChanges(Body):
    name: Name = MISSING
    snippet_type: str = MISSING
    archived: bool = MISSING
    content: Source = MISSING
    document_attributes: SnippetDocument = MISSING

    def source_for(self, snippet_type: str) -> str | None:
        """The new source, None when it stays. Raises Invalid for another type, or the other type's members."""
        others = "document_attributes" if snippet_type == Snippet.Type.INLINE else "content"
        if self.snippet_type not in (None, snippet_type) or getattr(self, others) is not None:
            raise Invalid("snippet_type cannot be changed")
        return self.content if snippet_type == Snippet.Type.INLINE else _html(self.document_attributes)


def _html(document: SnippetDocument | None) -> str | None:
    return document.value_html if document else None


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
def create_snippet(request: KitRequest, body: SnippetBody) -> HttpResponse:
    snippet = library.create_snippet(request.auth.account.pk, body.name, body.snippet_type, body.source, clock.now())
    return reply(201, snippet=shapes.snippet(snippet))


@router.get("/snippets/{int:id}", response=SnippetAnswer, summary="Get a snippet")
def get_snippet(request: KitRequest, id: int) -> HttpResponse:
    return reply(200, snippet=shapes.snippet(_snippet(request, id)))


@router.put("/snippets/{int:id}", response=SnippetAnswer, summary="Update a snippet")
def update_snippet(request: KitRequest, id: int, body: SnippetChanges) -> HttpResponse:
    snippet = _snippet(request, id)
    source = body.source_for(snippet.snippet_type)
    library.update_snippet(snippet, clock.now(), name=body.name, archived=body.archived, source=source)
    return reply(200, snippet=shapes.snippet(snippet))


def _snippet(request: KitRequest, snippet_id: int) -> Snippet:
    return lookup.row(request.auth.account.snippets.all(), snippet_id)
