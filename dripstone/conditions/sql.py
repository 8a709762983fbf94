"""A condition as SQL over a person.

Every leaf is true or false and never NULL, so that `not` turns it into its opposite. Most leaves ask whether a person
has a row somewhere. They become EXISTS, whose plan PostgreSQL chooses by how many there are: a probe for each person of
a page, one scan for a count. Under `any` that is a hash of the people of each; beyond a few leaves all their rows are
one EXISTS, since each more would take the planner longer.

Tables of the engine are named in text, since the engine stands to the right (test_tables_and_columns_are_there).
"""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Sequence as Series
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import reduce
from math import asin, cos, degrees, radians, sin
from operator import and_, ge, gt, le, lt, or_
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import BooleanField, Expression, F, FloatField, Q

from dripstone.accounts.models import Account
from dripstone.given import plain_address
from dripstone.grammar import kinds
from dripstone.grammar.kinds import NUMBER

MOST_JOINS = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """Of whom, and when. Days are those of the account's zone."""

    account: Account
    now: datetime
    among: Collection[int] | None = None

    @property
    def is_probed(self) -> bool:
        """A few thousand people are asked one by one, whatever the planner believes."""
        return self.among is not None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.account.time_zone)

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def begin(self, day: date) -> datetime:
        """The first instant of a day."""
        return datetime.combine(day, time.min, self.zone)

    def days_ago(self, n: int) -> datetime:
        """The same time of day on the wall."""
        return self.now.astimezone(self.zone) - timedelta(days=n)


class Rows(NamedTuple):
    """A statement that selects `subscriber_id`: who is among them."""

    select: str
    values: Series[Any]


class Truth(Expression):
    """A truth about a person. `{id}`, `{state}` … in the text are columns of Subscriber, `%s` values."""

    output_field = BooleanField()
    COLUMNS = ("id", "email_address", "state", "fields", "created_at")

    def __init__(self, text: str, values: Iterable[Any] = ()) -> None:
        super().__init__()
        self.text, self.values = text, list(values)
        self.names = [name for name in self.COLUMNS if f"{{{name}}}" in text]
        self.columns: list[Any] = [F(name) for name in self.names]

    def get_source_expressions(self) -> list[Any]:
        return self.columns

    def set_source_expressions(self, exprs: Series[Any]) -> None:
        self.columns = list(exprs)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        text = self.text
        for name, column in zip(self.names, self.columns, strict=True):
            text = text.replace(f"{{{name}}}", compiler.compile(column)[0])
        return text, self.values


# --- All of it ----------------------------------------------------------------------------------------------------


def met(condition: Mapping[str, Any], asked: Asked) -> Q:
    """A condition without segments (people.expanded) that is not broken."""
    if "type" in condition:
        return _all([condition], asked)
    if "not" in condition:
        return ~met(condition["not"], asked)
    return _all(condition["all"], asked) if "all" in condition else _any(condition["any"], asked)


def _all(parts: Iterable[Mapping[str, Any]], asked: Asked) -> Q:
    wanted: list[Rows] = []
    forbidden: list[Rows] = []
    others: list[Q] = []
    for part in _flat("all", parts):
        if (found := _rows(part, asked)) is not None:
            wanted.append(found)
        elif (found := _rows(part.get("not", {}), asked)) is not None:
            forbidden.append(found)
        else:
            others.append(_other(part, asked))
    joined = [Q(_has_row([one], is_probed=asked.is_probed or place >= MOST_JOINS)) for place, one in enumerate(wanted)]
    missing = [~Q(_has_row(rows, is_probed=asked.is_probed)) for rows in _bundled(forbidden)]
    return reduce(and_, [*others, *joined, *missing] or [Q(Truth("true"))])


def _any(parts: Iterable[Mapping[str, Any]], asked: Asked) -> Q:
    wanted: list[Rows] = []
    others: list[Q] = []
    for part in _flat("any", parts):
        if (found := _rows(part, asked)) is not None:
            wanted.append(found)
        else:
            others.append(_other(part, asked))
    return reduce(or_, [*others, *(Q(_has_row(rows, is_probed=asked.is_probed)) for rows in _bundled(wanted))])


def _bundled(rows: Series[Rows]) -> Iterator[Series[Rows]]:
    """Each alone, so that PostgreSQL knows how many people it has; of many, the rest in one."""
    yield from ([one] for one in rows[:MOST_JOINS])
    if rest := rows[MOST_JOINS:]:
        yield rest


def _other(part: Mapping[str, Any], asked: Asked) -> Q:
    return Q(of_leaf(part, asked)) if "type" in part else met(part, asked)


def _flat(joiner: str, parts: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """With the parts of groups of the same kind in their place."""
    for part in parts:
        if joiner in part and "type" not in part:
            yield from _flat(joiner, part[joiner])
        else:
            yield part


def _rows(part: Mapping[str, Any], asked: Asked) -> Rows | None:
    """Of which somebody must have one; None where something else is asked."""
    found = of_leaf(part, asked) if "type" in part else None
    return found if isinstance(found, Rows) else None


def _has_row(rows: Series[Rows], *, is_probed: bool = False) -> Truth:
    """is_probed   each person by themselves: the planner takes a second to think about a hundred joins"""
    together = " UNION ALL ".join(one.select for one in rows)
    values = [value for one in rows for value in one.values]
    alone = " OFFSET 0" if is_probed else ""
    return Truth(f"EXISTS (SELECT FROM ({together}) r WHERE r.subscriber_id = {{id}}{alone})", values)


def _without_row(rows: Rows, asked: Asked) -> Truth:
    return Truth(f"NOT {_has_row([rows], is_probed=asked.is_probed).text}", rows.values)


# --- Leaves -------------------------------------------------------------------------------------------------------


def of_leaf(leaf: Mapping[str, Any], asked: Asked) -> Truth | Rows:
    return _LEAVES[leaf["type"]](leaf, asked)


def _in(column: str, items: Collection[Any]) -> str:
    return f"{column} IN ({', '.join(['%s'] * len(items))})"


_SELECT = "SELECT subscriber_id FROM {table} WHERE {where}"


def _owned(table: str, column: str) -> Callable[[Mapping[str, Any], Asked], Rows]:
    def rows(leaf: Mapping[str, Any], asked: Asked) -> Rows:
        ids = list(dict.fromkeys(leaf["ids"]))
        if leaf.get("has") != "all" or len(ids) == 1:
            return Rows(_SELECT.format(table=table, where=_in(column, ids)), ids)
        where = f"{_in(column, ids)} GROUP BY subscriber_id HAVING count(*) = %s"
        return Rows(_SELECT.format(table=table, where=where), [*ids, len(ids)])

    return rows


_STATUSES = {"inside": ("active", "unconfirmed"), "completed": ("completed",), "left": ("removed",)}


def _sequences(leaf: Mapping[str, Any], asked: Asked) -> Rows:
    text, values = _in("sequence_id", leaf["ids"]), [*leaf["ids"]]
    if statuses := _STATUSES.get(leaf["place"]):
        text, values = f"{text} AND {_in('status', statuses)}", [*values, *statuses]
    if waiting := leaf.get("waiting_for"):
        text, values = f"{text} AND {_in('next_email_id', waiting)}", [*values, *waiting]
    return Rows(_SELECT.format(table="engine_enrollment", where=text), values)


# Of any run of theirs: who went through it twice completed it if they did once. A person's by walk_run; all that are
# inside by walk_at_node, all that were by walk_ended.
_WALKS = "SELECT subscriber_id FROM automations_walk WHERE automation_id IN ({ids}) AND {where}"
_WALKED: Mapping[str, tuple[str, ...]] = {
    "inside": ("left_at IS NULL",),
    "completed": ("left_at IS NOT NULL AND is_completed",),
    "left": ("left_at IS NOT NULL AND NOT is_completed",),
    "ever": ("left_at IS NULL", "left_at IS NOT NULL"),
}


def _automations(leaf: Mapping[str, Any], asked: Asked) -> Rows:
    ids = list(dict.fromkeys(leaf["ids"]))
    marks = ", ".join(["%s"] * len(ids))
    parts = [_WALKS.format(ids=marks, where=where) for where in _WALKED[leaf["place"]]]
    return Rows(" UNION ALL ".join(parts), ids * len(parts))


def _state(leaf: Mapping[str, Any], asked: Asked) -> Truth:
    return Truth(_in("{state}", leaf["states"]), leaf["states"])


def _address(leaf: Mapping[str, Any], asked: Asked) -> Truth:
    """Addresses are kept in small letters (given.plain_address), and so is what they are compared with."""
    value = leaf["value"]
    if leaf["comparison"] == "is":
        return Truth("{email_address} = %s", [plain_address(value)])
    text = unicodedata.normalize("NFC", value.strip().lower())
    if leaf["comparison"] == "contains":
        return Truth("strpos({email_address}, %s) > 0", [text])
    return Truth("right({email_address}, %s) = %s", [len(text), text])


def _subscribed(leaf: Mapping[str, Any], asked: Asked) -> Truth:
    bounds, values = _between("{created_at}", leaf, asked)
    return Truth(" AND ".join(bounds), values)


def _between(column: str, leaf: Mapping[str, Any], asked: Asked) -> tuple[list[str], list[Any]]:
    """`after` a day begins with the next one; the day itself is neither before nor after."""
    bounds, values = [], []
    if leaf.get("after"):
        bounds.append(f"{column} >= %s")
        values.append(asked.begin(date.fromisoformat(leaf["after"]) + timedelta(days=1)))
    if leaf.get("before"):
        bounds.append(f"{column} < %s")
        values.append(asked.begin(date.fromisoformat(leaf["before"])))
    if leaf.get("within_days"):
        bounds.append(f"{column} >= %s")
        values.append(asked.days_ago(leaf["within_days"]))
    return bounds, values


# --- Custom fields ------------------------------------------------------------------------------------------------

TRIMMED = "btrim({}, E' \\t\\r\\n')"
_TRIMMED = TRIMMED.format("{fields} ->> %s")
_NUMBERS = {
    "greater_than": ">",
    "greater_than_or_equal": ">=",
    "less_than": "<",
    "less_than_or_equal": "<=",
}

# A day that there is, and perhaps a time; no other text may reach a cast, which would refuse it with an error.
_LEAP = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)"
_DAY = (
    "(?!0000)([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    f"|02-(0[1-9]|1[0-9]|2[0-8]))|{_LEAP}-02-29)"
)
_TIME = "[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,9})?)?"
_OFFSET = "(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)"
LOCAL = f"^{_DAY}({_TIME})?$"
WITH_OFFSET = f"^{_DAY}{_TIME}{_OFFSET}$"


def _field(leaf: Mapping[str, Any], asked: Asked) -> Truth:
    field_id, comparison = str(leaf["subscriber_custom_field_id"]), leaf["comparison"]
    if comparison == "has_value":
        return Truth("COALESCE({fields} ->> %s <> '', false)", [field_id])
    if comparison == "is":
        return Truth("COALESCE({fields} ->> %s = %s, false)", [field_id, leaf["value"]])
    if comparison == "contains":
        text = "COALESCE(strpos(upper({fields} ->> %s), upper(%s)) > 0, false)"
        return Truth(text, [field_id, leaf["value"]])
    if comparison in _NUMBERS:
        text = f"CASE WHEN {_TRIMMED} ~ %s THEN {_TRIMMED}::numeric {_NUMBERS[comparison]} %s::numeric ELSE false END"
        return Truth(text, [field_id, f"^{NUMBER}$", field_id, leaf["value"].strip()])
    return _date(field_id, comparison, leaf["value"].strip(), asked)


def _date(field_id: str, comparison: str, value: str, asked: Asked) -> Truth:
    """A time without an offset is one of the account's zone, so its day is the one that is written."""
    bounds: tuple[datetime | None, datetime | None]
    if comparison == "days_from_now":
        first = asked.today + timedelta(days=int(value))
        written, bounds = "=", (asked.begin(first), asked.begin(first + timedelta(days=1)))
    elif comparison == "before":
        first = date.fromisoformat(value)
        written, bounds = "<", (None, asked.begin(first))
    else:
        first = date.fromisoformat(value)
        written, bounds = ">", (asked.begin(first + timedelta(days=1)), None)
    instants = [(sign, bound) for sign, bound in zip((">=", "<"), bounds, strict=True) if bound is not None]
    text = (
        f"CASE WHEN {_TRIMMED} ~ %s THEN left({_TRIMMED}, 10)::date {written} %s WHEN {_TRIMMED} ~ %s"
        f" THEN {' AND '.join(f'{_TRIMMED}::timestamptz {sign} %s' for sign, _ in instants)} ELSE false END"
    )
    values = [field_id, LOCAL, field_id, first, field_id, WITH_OFFSET]
    return Truth(text, [*values, *(item for _, bound in instants for item in (field_id, bound))])


# --- Where they came from -----------------------------------------------------------------------------------------

# Of the form that they came by first, which is their attribution (shapes/subscribers.py).
_FIRST_FORM = """
SELECT f.subscriber_id FROM subscribers_formsubscription f JOIN subscribers_form o ON o.id = f.form_id
WHERE o.account_id = %s AND ({parts})
  AND NOT EXISTS (SELECT FROM subscribers_formsubscription b WHERE b.subscriber_id = f.subscriber_id AND b.id < f.id)"""


def _attribution(leaf: Mapping[str, Any], asked: Asked) -> Rows:
    parts = [_origin(part) for part in leaf["any"]]
    text = _FIRST_FORM.format(parts=" OR ".join(text for text, _ in parts))
    return Rows(text, [asked.account.pk, *(value for _, values in parts for value in values)])


def _origin(part: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Case does not matter: people type these, and tools write them in any."""
    if part["type"] == "forms":
        return _in("f.form_id", part["ids"]), part["ids"]
    if part["type"] == "kit_source":
        return _source(part)
    column = f"f.{part['type']}"
    if part["comparison"] == "has_value":
        return f"COALESCE({column} <> '', false)", []
    text, value = _TEXTS[part["comparison"]].format(column=f"upper({column})"), part["value"].strip()
    return f"COALESCE({text}, false)", [value] * text.count("%s")


def _source(part: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """As the API answers it: the source and the mechanism of whoever came by a form are that form. As Kit's names are,
    these are exact."""
    wanted = [
        ("f.form_id", part.get("source_ids")),
        ("f.form_id", part.get("mechanism_ids")),
        ("o.name", part.get("source_names")),
        ("o.type", [kinds.MECHANISMS[part["mechanism"]]] if "mechanism" in part else None),
    ]
    asked = [(column, among) for column, among in wanted if among is not None]
    text = " AND ".join(_in(column, among) for column, among in asked) or "true"
    return f"({text})", [value for _, among in asked for value in among]


_TEXTS = {
    "is": "{column} = upper(%s)",
    "contains": "strpos({column}, upper(%s)) > 0",
    "starts_with": "left({column}, char_length(upper(%s))) = upper(%s)",
    "ends_with": "right({column}, char_length(upper(%s))) = upper(%s)",
}


# --- What was sent to them ----------------------------------------------------------------------------------------

_MAIL = """
SELECT {one}.subscriber_id FROM {mail}{join}
WHERE {one}.sequence_id IN ({sequences}) AND d.status = 'sent'{bounds}"""

# By their places: neither a delivery nor a place has an index by person (docs/decisions/hot-tables.md), and a place is
# found by its sequence and person. What is counted for everybody at once is read without them: half the time, and by
# delivery_by_sending where it is of some days.
_BY_PLACE = {"one": "e", "mail": "engine_enrollment e JOIN engine_delivery d ON d.enrollment_id = e.id"}
_OF_ALL = {"one": "d", "mail": "engine_delivery d"}


class Happened(NamedTuple):
    """What a leaf counts of the mail that was sent to somebody.

    join   to the rows that say of a delivery `d` that it happened; "" for the sending itself
    at     when it did
    n      how often, over the rows of one person
    """

    join: str
    at: str
    n: str


_HAPPENED: Mapping[str, Happened] = {kinds.SENT: Happened("", "d.sent_at", "count(*)")}


def _mail(leaf: Mapping[str, Any], asked: Asked) -> Truth | Rows:
    low, high = _counted(leaf)
    if high is not None and high < low:
        return Truth("false")
    if low == 0 and high is None:
        return Truth("true")
    happened = _HAPPENED[leaf["type"]]
    is_counted = low > 1 or high is not None
    text, values = _mail_rows(leaf, happened, asked, _OF_ALL if is_counted and not asked.is_probed else _BY_PLACE)
    if not is_counted:
        return Rows(text, values)
    n = "count(DISTINCT d.email_id)" if leaf.get("counting_mode") == kinds.UNIQUE_EMAIL else happened.n
    bounds = f"{n} >= %s" if high is None else f"{n} BETWEEN %s AND %s" if low else f"{n} > %s"
    limits = [low] if high is None else [low, high] if low else [high]
    rows = Rows(f"{text} GROUP BY 1 HAVING {bounds}", [*values, *limits])
    return rows if low else _without_row(rows, asked)


def _counted(leaf: Mapping[str, Any]) -> tuple[int, int | None]:
    """At least and at most how many. Where nothing is said, one at least."""
    lows = [leaf.get("count_greater_than_or_equal"), _plus(leaf.get("count_greater_than"), 1)]
    highs = [leaf.get("count_less_than_or_equal"), _plus(leaf.get("count_less_than"), -1)]
    low, high = [one for one in lows if one is not None], [one for one in highs if one is not None]
    return max(low, default=0 if high else 1), min(high, default=None)


def _plus(number: int | None, more: int) -> int | None:
    return None if number is None else number + more


def _mail_rows(
    leaf: Mapping[str, Any], happened: Happened, asked: Asked, mail: Mapping[str, str]
) -> tuple[str, list[Any]]:
    bounds, values = _between(happened.at, leaf, asked)
    emails = [pk for part in leaf.get("any", []) if part["type"] == "emails" for pk in part["ids"]]
    sequences = [pk for part in leaf.get("any", []) if part["type"] == "sequences" for pk in part["ids"]]
    of: list[Any]
    if not leaf.get("any"):
        inside, of = "SELECT id FROM sequences_sequence WHERE account_id = %s", [asked.account.pk]
    else:
        inside = (
            "SELECT sequence_id FROM sequences_sequenceemail WHERE id = ANY(%s) UNION ALL SELECT unnest(%s::bigint[])"
        )
        of = [emails, sequences]
        bounds, values = [*bounds, "(d.email_id = ANY(%s) OR d.sequence_id = ANY(%s))"], [*values, emails, sequences]
    among = "".join(f" AND {one}" for one in bounds)
    return _MAIL.format(**mail, join=happened.join, sequences=inside, bounds=among), [*of, *values]


# --- What they bought ---------------------------------------------------------------------------------------------

# What came to nothing (refunded, pending …) was not bought. By purchases_of_subscriber for a person, by
# purchases_of_account for all.
_PURCHASES = "SELECT p.subscriber_id FROM purchases_purchase p WHERE p.account_id = %s AND p.is_paid{bounds}"
_PURCHASES_OF = """
SELECT p.subscriber_id FROM purchases_purchase p JOIN purchases_lineitem l ON l.purchase_id = p.id
WHERE p.account_id = %s AND p.is_paid{bounds} AND l.product_id = ANY(%s)"""
_COUNTED = {"count": "count(DISTINCT p.id)", "total": "sum(p.total)"}
_COUNTED_OF = {"count": "count(DISTINCT p.id)", "total": "sum(l.quantity * l.unit_price)"}


def _purchases(leaf: Mapping[str, Any], asked: Asked) -> Truth | Rows:
    bounds, values = _between("p.transaction_time", leaf, asked)
    values = [asked.account.pk, *values]
    if leaf.get("currency"):
        bounds.append("p.currency = %s")
        values.append(leaf["currency"])
    text, counted = _PURCHASES, _COUNTED
    if leaf.get("products"):
        text, counted = _PURCHASES_OF, _COUNTED_OF
        values.append(leaf["products"])
    text = text.format(bounds="".join(f" AND {one}" for one in bounds))
    limits = [
        (f"{counted[of]} {sign} %s", leaf[f"{of}_{name}"], _COMPARE[sign](0, leaf[f"{of}_{name}"]))
        for of in counted
        for name, sign in _NUMBERS.items()
        if f"{of}_{name}" in leaf
    ]
    if not limits:
        return Rows(text, values)
    grouped, met = f"{text} GROUP BY p.subscriber_id HAVING", " AND ".join(limit for limit, _, _ in limits)
    values += [number for _, number, _ in limits]
    if all(is_met for _, _, is_met in limits):  # by those who bought nothing, too
        return _without_row(Rows(f"{grouped} NOT ({met})", values), asked)
    return Rows(f"{grouped} {met}", values)


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}


# --- Where they are -----------------------------------------------------------------------------------------------

_LOCATED = "SELECT subscriber_id FROM subscribers_location WHERE account_id = %s AND {where}"
_EARTH = 3958.7613  # miles, the mean radius
# Along the surface of a ball, from a latitude and a longitude.
_DISTANCE = f"""2 * {_EARTH} * asin(sqrt(least(1,
    sind((latitude - %s) / 2) ^ 2 + cosd(latitude) * cosd(%s) * sind((longitude - %s) / 2) ^ 2)))"""
# The band of latitudes around the place spares most rows the arithmetic.
_NEAR = f"latitude BETWEEN %s AND %s AND {_DISTANCE} <= %s"
_IN_BOX = "latitude BETWEEN %s AND %s AND least(abs(longitude - %s), 360 - abs(longitude - %s)) <= %s"


def _location(leaf: Mapping[str, Any], asked: Asked) -> Rows:
    if "countries" in leaf:
        where = _in("country_code", leaf["countries"])
        return Rows(_LOCATED.format(where=where), [asked.account.pk, *leaf["countries"]])
    latitude, longitude, radius = leaf["latitude"], leaf["longitude"], leaf["radius"]
    band = degrees(radius / _EARTH) + 0.001
    south_and_north = [asked.account.pk, latitude - band, latitude + band]
    if leaf.get("is_box"):
        values = [longitude, longitude, _width(latitude, band)]
        return Rows(_LOCATED.format(where=_IN_BOX), [*south_and_north, *values])
    return Rows(_LOCATED.format(where=_NEAR), [*south_and_north, latitude, latitude, longitude, radius])


def _width(latitude: float, band: float) -> float:
    """Half of it, in degrees of longitude: of the box around a circle that reaches so many degrees north and south."""
    if abs(latitude) + band >= 90:
        return 180  # around a pole
    return degrees(asin(sin(radians(band)) / cos(radians(latitude))))


_DISTANCE_OF = "(SELECT {distance} FROM subscribers_location WHERE subscriber_id = {{id}})"


class Distance(Truth):
    """Of a person from a place, in miles; NULL for those of whom it is not known where they are."""

    output_field = FloatField()  # type: ignore[assignment]

    def __init__(self, latitude: float, longitude: float) -> None:
        super().__init__(_DISTANCE_OF.format(distance=_DISTANCE), [latitude, latitude, longitude])


_LEAVES: Mapping[str, Callable[[Mapping[str, Any], Asked], Truth | Rows]] = {
    kinds.TAGS: _owned("subscribers_tagging", "tag_id"),
    kinds.FORMS: _owned("subscribers_formsubscription", "form_id"),
    kinds.SEQUENCES: _sequences,
    kinds.AUTOMATIONS: _automations,
    kinds.STATE: _state,
    kinds.ADDRESS: _address,
    kinds.FIELD: _field,
    kinds.SUBSCRIBED: _subscribed,
    kinds.ATTRIBUTION: _attribution,
    kinds.PURCHASES: _purchases,
    kinds.LOCATION: _location,
    **dict.fromkeys(_HAPPENED, _mail),
}
