"""A snippet."""

from typing import NotRequired

from typing_extensions import TypedDict

from dripstone.content.models import Snippet
from dripstone.shapes.instants import instant


class Document(TypedDict):
    id: int
    value: None
    value_html: str | None
    value_plain: None
    version: int


class SnippetShape(TypedDict):
    id: int
    name: str
    snippet_type: str
    archived: bool
    key: str
    created_at: str
    updated_at: str
    content: NotRequired[str]
    document: NotRequired[Document]


def snippet(snippet: Snippet, *, with_content: bool = True) -> SnippetShape:
    shape = SnippetShape(
        id=snippet.pk,
        name=snippet.name,
        snippet_type=snippet.snippet_type,
        archived=snippet.archived,
        key=snippet.key,
        created_at=instant(snippet.created_at),
        updated_at=instant(snippet.updated_at),
    )
    if with_content:
        shape["content"] = snippet.content
        shape["document"] = Document(
            id=snippet.pk, value=None, value_html=snippet.value_html, value_plain=None, version=snippet.version
        )
    return shape
