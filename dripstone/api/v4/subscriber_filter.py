"""Finding subscribers by conditions: https://developers.kit.com/api-reference/subscribers (filter)"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Annotated, Any, Final, NotRequired
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from ninja import Query, Router
from pydantic import WithJsonSchema
from typing_extensions import TypedDict

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.api import extras, kit_filter
from dripstone.api.auth import KitRequest
from dripstone.api.body import MISSING, Body, TextOrNull, YesNoOrNull, needs, one_of_or_null
from dripstone.api.paging import MAX_PER_PAGE, Pagination, Paging, page
from dripstone.api.people import Order, in_order
from dripstone.api.replies import reply
from dripstone.conditions import kit
from dripstone.errors import BadRequest
from dripstone.given import ABSENT, Checked, Given, is_whole
from dripstone.grammar import kinds
from dripstone.shapes import filtered as shapes
from dripstone.shapes import subscribers
from dripstone.stats import engagement, people
from dripstone.subscribers import fields
from dripstone.subscribers.models import Subscriber

router = Router(tags=["Subscribers"])

SORT_FIELDS: Final = (
    *("id", "first_name", "email_address", "created_at"),
    *("engagement__sent", "engagement__opens", "engagement__clicks"),
    *("engagement__open_rate", "engagement__click_rate", "location__distance"),
)
BY_DISTANCE: Final = SORT_FIELDS[-1]
INCLUDES: Final = (*extras.PERSON, "stats", "custom_fields")
MAX_INCLUDES = 20
YEARS_KEPT = 5  # Kit's stats of email, since October 2026
KEPT_DAYS = YEARS_KEPT * 365 + 1  # one of them is a leap year, or two


# --- The body -----------------------------------------------------------------------------------------------------

_DATE = {"type": ["string", "null"], "format": "date"}
_RANGE = {"type": ["object", "null"], "properties": {"start": _DATE, "end": _DATE}}
_INCLUDE = {
    "type": ["array", "null"],
    "items": {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "enum": [*INCLUDES]},
            "range": _RANGE | {"description": "Of stats: days of the account's zone, both included; the last 90."},
        },
    },
    "maxItems": MAX_INCLUDES,
}
_PER_PAGE = {
    "type": ["integer", "null"],
    "minimum": 1,
    "description": f"More than {MAX_PER_PAGE} gives {MAX_PER_PAGE}.",
}


class FilterBody(Body):
    """Pages are asked for here or in the query, as for every list; here, if in both."""

    model_config = needs("all")
    all: Annotated[Any, WithJsonSchema(kit_filter.ALL)] = MISSING
    counting_mode: Annotated[Any, WithJsonSchema(kit_filter.COUNTING_MODE)] = MISSING
    include: Annotated[Any, WithJsonSchema(_INCLUDE)] = MISSING
    sort_field: Annotated[Any, one_of_or_null(*SORT_FIELDS)] = MISSING
    sort_order: Annotated[Any, one_of_or_null("asc", "desc")] = MISSING
    after: TextOrNull = MISSING
    before: TextOrNull = MISSING
    per_page: Annotated[Any, WithJsonSchema(_PER_PAGE)] = MISSING
    include_total_count: YesNoOrNull = MISSING


NOTHING = FilterBody()


class FilteredAnswer(TypedDict):
    """`warnings` say why people may be missing: something that does not exist, or is not recorded."""

    subscribers: list[shapes.FilteredShape]
    pagination: Pagination
    warnings: NotRequired[list[str]]


@router.post(
    "/subscribers/filter",
    response=FilteredAnswer,
    summary="Filter subscribers by engagement, sign-up date, state, and tags",
)
def filter_subscribers(request: KitRequest, paging: Query[Paging], body: FilterBody = NOTHING) -> HttpResponse:
    """Of every state, unless `all` names some. It changes nothing."""
    account, now = request.auth.account, clock.now()
    asked = _asked(body.given(), account, now)
    order = _ordered(asked, account, now)
    count = None if asked.filter.leaves else partial(_n_without_conditions, asked.filter, account.pk)
    paging = paging.model_copy(update=asked.paging)
    found = page(order.rows, paging, *order.keys, count=count, beyond=order.beyond)
    members: dict[str, Any] = {
        "subscribers": _shaped(found.rows, asked, account.pk),
        "pagination": found.pagination,
    }
    if asked.filter.warnings:
        members["warnings"] = asked.filter.warnings
    return reply(200, **members)


# --- Reading ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """paging    what the body says about pages
    include   of INCLUDES
    span      of `stats`: from the first of these instants until before the second
    """

    filter: kit.Filter
    sort_field: str
    sort_order: str
    paging: Mapping[str, Any]
    include: frozenset[str]
    span: tuple[datetime, datetime]


def _asked(given: Given, account: Account, now: datetime) -> Asked:
    """Raises Invalid with every problem, and BadRequest for stats of a time before those that Kit keeps."""
    read = Checked(given)
    read.drop_nulls(*(name for name in FilterBody.model_fields if name != "all"))
    filter = kit.read(read, account.pk)
    included = dict(_included(read))
    sort_field, sort_order = _sorting(read)
    paging = _paging(read)
    read.raise_problems()
    span = _span(*included.get("stats", (None, None)), account, now)
    return Asked(filter, sort_field, sort_order, paging, frozenset(included), span)


def _paging(read: Checked) -> dict[str, Any]:
    """What is said about pages; null and an empty cursor say nothing."""
    read.text_or_null("after")
    read.text_or_null("before")
    read.flag("include_total_count")
    per_page = read.take("per_page")
    if is_whole(per_page) and per_page > 0:
        read.values["per_page"] = min(per_page, MAX_PER_PAGE)
    elif per_page is not ABSENT:
        read.wrong("per_page", f"must be an integer between 1 and {MAX_PER_PAGE}")
    return {name: read.values[name] for name in Paging.model_fields if read.values.get(name) not in (None, "")}


def _sorting(read: Checked) -> tuple[str, str]:
    read.choice("sort_field", SORT_FIELDS)
    read.choice("sort_order", ("asc", "desc"))
    field = read.values.get("sort_field", "created_at")
    if field == BY_DISTANCE and not _names_a_place(read.given.get("all")):
        read.wrong("sort_field", f"can only be {BY_DISTANCE} with a condition of the type {kinds.LOCATION}")
    return field, read.values.get("sort_order", "asc" if field == BY_DISTANCE else "desc")


def _names_a_place(conditions: Any) -> bool:
    return isinstance(conditions, list) and any(
        isinstance(one, Mapping) and one.get("type") == kinds.LOCATION and one.get("countries") is None
        for one in conditions
    )


Days = tuple[date | None, date | None]


def _included(read: Checked) -> Iterator[tuple[str, Days]]:
    """Each with the days that it is asked for."""
    value = read.take("include")
    if value is ABSENT:
        return
    if not isinstance(value, list):
        read.wrong("include", "must be an array")
        return
    if len(value) > MAX_INCLUDES:
        read.wrong("include", f"can't have more than {MAX_INCLUDES} entries")
        return
    for place, item in enumerate(value):
        one = read.inside(f"include[{place}]", item, required=("type",))
        if one is not None:
            one.choice("type", INCLUDES)
            yield one.values.get("type", ""), _range(one)


def _range(one: Checked) -> Days:
    one.drop_nulls("range")
    range = one.part("range")
    if range is None:
        return None, None
    start, end = kinds.day(range, "start"), kinds.day(range, "end")
    if start and end and start > end:
        range.wrong("start", "must not be after end")
    return start, end


def _span(start: date | None, end: date | None, account: Account, now: datetime) -> tuple[datetime, datetime]:
    """Whole days of the account's zone, both included, as far as Kit keeps stats of them."""
    zone = ZoneInfo(account.time_zone)
    today = now.astimezone(zone).date()
    last = end or today
    kept_since = today - timedelta(days=KEPT_DAYS)
    if last < kept_since:
        raise BadRequest(f"Stats are kept for {YEARS_KEPT} years: range.end can't be before {kept_since}")
    first = max(start or last - timedelta(days=engagement.DAYS), kept_since)
    return tuple(datetime.combine(day, time.min, zone) for day in (first, last + timedelta(days=1)))  # type: ignore[return-value]


# --- Answering ----------------------------------------------------------------------------------------------------


def _ordered(asked: Asked, account: Account, now: datetime) -> Order:
    rows = asked.filter.people(account, now)
    if asked.sort_field != BY_DISTANCE:
        return in_order(rows, account.pk, asked.sort_field, asked.sort_order, now)
    if (distance := asked.filter.distance) is None:
        return Order(rows, ["id"])  # of nobody: another condition can't be met
    sign = "-" if asked.sort_order == "desc" else ""
    return Order(rows.annotate(distance=distance), [f"{sign}distance", f"{sign}id"])


def _n_without_conditions(filter: kit.Filter, account_id: int) -> int:
    return 0 if filter.leaves is None else people.of_account(account_id)


def _shaped(found: Sequence[Subscriber], asked: Asked, account_id: int) -> list[shapes.FilteredShape]:
    ids = [person.pk for person in found]
    tags = extras.tags_of(ids)
    shaped = [shapes.filtered(person, tags.get(person.pk, [])) for person in found]
    for shape, more in zip(shaped, extras.of_people(found, asked.include), strict=True):
        shape.update(more)  # type: ignore[typeddict-item]
    if "stats" in asked.include:
        stats = engagement.of_people(account_id, ids, *asked.span)
        for shape, pk in zip(shaped, ids, strict=True):
            shape["stats"] = shapes.engagement(stats.get(pk, engagement.NOTHING))
    if "custom_fields" in asked.include:
        keys = fields.keys_of(account_id)
        for shape, person in zip(shaped, found, strict=True):
            shape["fields"] = subscribers.fields(person, keys)
    return shaped
