"""Pages of a list, newest first, by id: page 4,000 costs what page 1 does, and new rows shift nothing."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import OperationalError, connection, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from psycopg.errors import QueryCanceled

M = TypeVar("M", bound=Model)

PER_PAGE = 50
PATIENCE_MS = 40  # what finding a page of rows may take within a page


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    rows: list[M]
    newer: str  # query string of the page with newer rows, "" when this is the newest
    older: str


def page(request: HttpRequest, rows: QuerySet[M], per_page: int = PER_PAGE, *, n_rows: int | None = None) -> Page[M]:
    """The page that ?before=<id> or ?after=<id> asks for; the newest for neither, or for nonsense.

    n_rows   how many there are, where a count is kept: no more are looked for. Three people among a million are found
             without reading on to the end for a fourth.
    """
    before, after = (number(request.GET.get(name, "")) for name in ("before", "after"))
    if after is not None:
        found = list(rows.filter(pk__gt=after).order_by("pk")[: per_page + 1])
        has_newer, has_older = len(found) > per_page, True
        found = found[:per_page][::-1]
    else:
        older = rows if before is None else rows.filter(pk__lt=before)
        most = per_page + 1 if n_rows is None else min(per_page + 1, n_rows)
        found = list(older.order_by("-pk")[:most])
        has_newer, has_older = before is not None, len(found) > per_page
        found = found[:per_page]
    if not found:
        return Page([], "" if before is None else _query(request), "")
    return Page(
        found,
        _query(request, after=found[0].pk) if has_newer else "",
        _query(request, before=found[-1].pk) if has_older else "",
    )


def page_within(
    request: HttpRequest, rows: QuerySet[M], patience_ms: int, *, n_rows: int | None = None
) -> Page[M] | None:
    """The same, if it is found within that time; else None, and the page loads the list after itself."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{patience_ms}ms"])
            return page(request, rows, n_rows=n_rows)
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            return None
        raise


def number(text: str) -> int | None:
    """Of a query string; None for nonsense."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _query(request: HttpRequest, **place: int) -> str:
    """The request's own filters, at another place in the list."""
    query = request.GET.copy()
    for name in ("before", "after"):
        query.pop(name, None)
    for name, value in place.items():
        query[name] = str(value)
    return "?" + query.urlencode()
