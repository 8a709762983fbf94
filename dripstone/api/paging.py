"""Cursor paging as Kit's: `after`, `before`, `per_page`, `include_total_count`.

A cursor is base64 of a JSON array with the sort key of a row: `[42]`, or `[0, 6]` for (position, id). Pages are found
by comparing keys, never by OFFSET. So a page costs the same anywhere in a list, and rows added or deleted between two
calls neither repeat nor hide others.

The keys of a page are found first, and then its rows are read. A list that must skip many rows to fill a page (a filter
on dates, a rare state) skips entries of an index, not whole rows: four times as quick, measured with a million people.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, reduce
from math import isfinite
from typing import Annotated, Any, Generic, NotRequired, Protocol, TypeVar

from django.core.exceptions import FieldDoesNotExist
from django.db.models import CharField, DateTimeField, F, FloatField, IntegerField, Model, QuerySet, TextField
from django.db.models.fields import tuple_lookups
from pydantic import BeforeValidator, WithJsonSchema
from typing_extensions import TypedDict

from dripstone.api.body import Filters, Flag
from dripstone.errors import Invalid
from dripstone.given import unstorable
from dripstone.postgresql import alike

MAX_PER_PAGE = 1000
MAX_BIGINT = 2**63 - 1

M = TypeVar("M", bound=Model)


_PER_PAGE = {"type": "integer", "minimum": 1, "description": f"More than {MAX_PER_PAGE} gives {MAX_PER_PAGE}."}


def _per_page(value: Any) -> Any:
    """More than Kit's maximum gives the maximum."""
    text = str(value)
    if not (text.isascii() and text.isdigit()) or not text.strip("0"):
        raise ValueError(f"must be an integer between 1 and {MAX_PER_PAGE}")
    return min(int(text), MAX_PER_PAGE) if len(text) < 10 else MAX_PER_PAGE


class Paging(Filters):
    """The parameters of every list; lists with filters inherit from it."""

    after: str | None = None
    before: str | None = None
    per_page: Annotated[int, BeforeValidator(_per_page), WithJsonSchema(_PER_PAGE)] = 500
    include_total_count: Flag = False


class Pagination(TypedDict):
    has_previous_page: bool
    has_next_page: bool
    start_cursor: str | None
    end_cursor: str | None
    per_page: int
    total_count: NotRequired[int]


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    rows: list[M]
    pagination: Pagination


class Beyond(Protocol[M]):
    """Finds the first n rows of a list behind an edge, [] being its beginning; or those at the edge, too.

    walk   the sort key, turned round when it goes backwards
    """

    def __call__(self, edge: Sequence[Any], walk: Sequence[str], n: int, *, or_at: bool = False) -> list[M]: ...


def page(
    found: QuerySet[M],
    paging: Paging,
    *order: str,
    count: Callable[[], int] | None = None,
    beyond: Beyond[M] | None = None,
) -> Page[M]:
    """One page of a list.

    found    unordered and unsliced
    order    the sort key as in order_by, all in one direction, the last one unique: ("-id",), ("position", "id").
             Fields, of related rows too, or annotations; never null.
    count    returns the total if it is known without counting the rows
    beyond   for a list whose order no queryset can give quickly. Keys that are no fields are whole numbers then,
             attributes of the rows that it returns.
    Raises Invalid for a cursor that is not from this list.
    """
    beyond = beyond or partial(_by_queryset, found)
    if paging.after and paging.before:
        raise Invalid("Only one of after and before may be given")
    backwards = paging.before is not None
    edge = _read_cursor(found, order, "before" if backwards else "after", paging.before or paging.after)
    walk = [_flip(key) for key in order] if backwards else list(order)
    rows = beyond(edge, walk, paging.per_page + 1)
    has_more = len(rows) > paging.per_page
    rows = rows[: paging.per_page]
    has_behind = bool(edge) and bool(beyond(edge, [_flip(key) for key in walk], 1, or_at=True))
    if backwards:
        rows.reverse()
    pagination = Pagination(
        has_previous_page=has_more if backwards else has_behind,
        has_next_page=has_behind if backwards else has_more,
        start_cursor=_cursor(rows[0], order) if rows else None,
        end_cursor=_cursor(rows[-1], order) if rows else None,
        per_page=paging.per_page,
    )
    if paging.include_total_count:
        pagination["total_count"] = count() if count else found.count()
    return Page(rows, pagination)


def _flip(key: str) -> str:
    return key.removeprefix("-") if key.startswith("-") else f"-{key}"


def _by_queryset(
    found: QuerySet[M], edge: Sequence[Any], walk: Sequence[str], n: int, *, or_at: bool = False
) -> list[M]:
    return _rows(found, ahead(found, edge, walk, or_at=or_at).order_by(*walk)[:n], walk)


def ahead(found: QuerySet[M], edge: Sequence[Any], walk: Sequence[str], *, or_at: bool = False) -> QuerySet[M]:
    """Those behind the edge of a page, as Beyond has it, in no order yet."""
    return found.filter(_beyond(walk, edge, or_at=or_at)) if edge else found


def _rows(found: QuerySet[M], on_page: QuerySet[M], walk: Sequence[str]) -> list[M]:
    """Finds `on_page` without reading the rows, unless they are ordered by a value computed for each."""
    if found.query.annotations:
        return list(on_page)

    def whole() -> QuerySet[M]:
        rows: QuerySet[M] = found.model._default_manager.all()
        loading = found.query.select_related, found.query.deferred_loading
        rows.query.select_related, rows.query.deferred_loading = loading
        return rows.filter(pk__in=on_page.values("pk")).order_by(*walk)

    return alike.rows(on_page, whole)


_COMPARED = {
    (False, False): tuple_lookups.TupleGreaterThan,
    (False, True): tuple_lookups.TupleGreaterThanOrEqual,
    (True, False): tuple_lookups.TupleLessThan,
    (True, True): tuple_lookups.TupleLessThanOrEqual,
}


def _beyond(walk: Sequence[str], edge: Sequence[Any], *, or_at: bool = False) -> Any:
    """Rows after `edge` in the direction of the walk: `(k1, k2) > (x, y)`, which PostgreSQL can look up in an index.
    Written with OR, it reads everything in front of the edge."""
    descending = walk[0].startswith("-")
    assert all(key.startswith("-") == descending for key in walk)
    keys = tuple_lookups.Tuple(*(F(key.removeprefix("-")) for key in walk))
    return _COMPARED[descending, or_at](keys, tuple(edge))


def _cursor(row: Model, order: Sequence[str]) -> str:
    values = [reduce(getattr, key.removeprefix("-").split("__"), row) for key in order]
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode()


def _read_cursor(found: QuerySet[M], order: Sequence[str], parameter: str, cursor: str | None) -> list[Any]:
    """The values of a cursor, [] without one."""
    if cursor is None:
        return []
    try:
        values = json.loads(base64.b64decode(cursor.replace(" ", "+"), validate=True))
        if not isinstance(values, list) or len(values) != len(order):
            raise ValueError("not a cursor of this list")
        return [_key_value(found, key.removeprefix("-"), value) for key, value in zip(order, values, strict=True)]
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        raise Invalid(f"{parameter} is not a cursor of this list") from None


def _key_value(found: QuerySet[M], name: str, value: Any) -> Any:
    kind = _kind(found, name)
    if isinstance(kind, DateTimeField):
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError("a cursor's instants are aware")
        return instant.astimezone(UTC)
    if isinstance(kind, (CharField, TextField)):
        if not isinstance(value, str) or unstorable(value):
            raise ValueError("a cursor's texts are texts")
    elif isinstance(kind, FloatField):
        if type(value) not in (int, float) or not isfinite(value):
            raise ValueError("a cursor's numbers are numbers")
    elif type(value) is not int or abs(value) > MAX_BIGINT:
        raise ValueError("a cursor's numbers are integers")
    return value


def _kind(found: QuerySet[M], name: str) -> Any:
    """The field that a key is, or would be stored in."""
    if name in found.query.annotations:
        return found.query.annotations[name].output_field
    try:
        return _field(found.model, name)
    except FieldDoesNotExist:
        return IntegerField()


def _field(model: type[Model], name: str) -> Any:
    """ "subscriber__created_at" of a tagging is the subscriber's field."""
    *path, last = name.split("__")
    owner: Any = model
    for part in path:
        owner = owner._meta.get_field(part).related_model
    return owner._meta.get_field(last)
