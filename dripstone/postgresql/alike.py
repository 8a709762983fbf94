"""Querysets of the same form share their SQL: Django makes it once per form and process, and only values differ.

For lists whose filters come from a request: there are a handful of forms of them, and for a page of 50 people making
the SQL takes a fifth of the call. Where querysets are the same but for their values, postgresql/compiled.py is simpler.

A form is the model, what is filtered by (which lookup of which column), the order and the slice. A queryset in which
something else is asked has none, and runs as usual.
"""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Model, QuerySet, lookups
from django.db.models.expressions import Col
from django.db.models.fields import related_lookups, tuple_lookups
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from dripstone.postgresql.compiled import Plan, as_models, planned

M = TypeVar("M", bound=Model)

MOST_FORMS = 1_000
_PLAIN = (bool, int, str, datetime)  # values that the database gets as they are
_COMPARED = {
    lookups.Exact,
    lookups.GreaterThan,
    lookups.GreaterThanOrEqual,
    lookups.LessThan,
    lookups.LessThanOrEqual,
    related_lookups.RelatedExact,
}
_PAIRS_COMPARED = {
    tuple_lookups.TupleGreaterThan,
    tuple_lookups.TupleGreaterThanOrEqual,
    tuple_lookups.TupleLessThan,
    tuple_lookups.TupleLessThanOrEqual,
}

_plans: dict[Hashable, Plan[Any] | None] = {}  # by form; None: its parameters are not the values alone


class _Formless(Exception):
    """It asks for something that a form does not tell."""


def rows(asked: QuerySet[M], make: Callable[[], QuerySet[M]], *more: Hashable) -> list[M]:
    """What `list(make())` gives.

    make   makes a queryset of `asked`, always in the same way for the same `more`, and adds no values of its own
    """
    values: list[Any] = []
    try:
        form = (asked.model, _form(asked.query, values), *more)
    except _Formless:
        return list(make())
    if form not in _plans:
        _plans[form] = _plan(make(), values)
    plan = _plans[form]
    if plan is None:
        return list(make())
    with connection.cursor() as cursor:
        cursor.execute(plan.sql, values)
        return as_models(plan, cursor.fetchall())


def _plan(queryset: QuerySet[M], values: Sequence[Any]) -> Plan[M] | None:
    if len(_plans) >= MOST_FORMS:
        _plans.clear()
    try:
        plan = planned(queryset)
    except EmptyResultSet:
        return None
    return plan if list(plan.parameters) == list(values) else None


def _form(query: Query, values: list[Any]) -> Hashable:
    """Appends the values that are compared with, in the order in which they stand in the SQL."""
    others = (query.annotations, query.extra, query.combinator, query.distinct, query.select_for_update, query.group_by)
    if type(query) is not Query or any(others):
        raise _Formless
    tables = tuple(
        (alias, table.table_name, table.parent_alias, table.join_type, getattr(table, "join_cols", None))
        for alias, table in query.alias_map.items()
        if query.alias_refcount[alias]
    )
    deferred, is_deferring = query.deferred_loading
    ordered = (query.order_by, query.standard_ordering, query.default_ordering, query.low_mark, query.high_mark)
    selected = (repr(query.select_related), frozenset(deferred), is_deferring)
    return (tables, *ordered, *selected, _where(query.where, values))


def _where(node: WhereNode, values: list[Any]) -> Hashable:
    parts = (
        _where(child, values) if isinstance(child, WhereNode) else _lookup(child, values) for child in node.children
    )
    return (node.connector, node.negated, *parts)


def _lookup(lookup: Any, values: list[Any]) -> Hashable:
    kind = type(lookup)
    if kind in _COMPARED:
        columns, compared = [lookup.lhs], [lookup.rhs]
    elif kind in _PAIRS_COMPARED:
        columns, compared = lookup.lhs.get_source_expressions(), lookup.rhs
    else:
        raise _Formless
    if any(type(column) is not Col for column in columns) or any(type(value) not in _PLAIN for value in compared):
        raise _Formless
    values.extend(compared)
    return (kind, *((column.alias, column.target.column) for column in columns))
