"""The leaves of a condition: which members each has, and what each names."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final

from dripstone.given import ABSENT, Checked, is_whole, unstorable

TAGS: Final = "tags"
FORMS: Final = "forms"
SEGMENTS: Final = "segments"
SEQUENCES: Final = "sequences"
AUTOMATIONS: Final = "automations"
STATE: Final = "subscriber_state"
ADDRESS: Final = "email_address"
FIELD: Final = "custom_field"
SUBSCRIBED: Final = "subscribed"
ATTRIBUTION: Final = "attribution"
LOCATION: Final = "location"
PURCHASES: Final = "purchases"
OPENS: Final = "opens"
CLICKS: Final = "clicks"
SENT: Final = "sent"
DELIVERED: Final = "delivered"

_UNRECORDED: Final = (OPENS, CLICKS, DELIVERED)

HAS = ("any", "all")
PLACES = ("inside", "completed", "left", "ever")
STATES = ("active", "inactive", "cancelled", "bounced", "complained")
ADDRESS_COMPARISONS = ("is", "contains", "ends_with")
TEXT_COMPARISONS = ("is", "contains")
NUMBER_COMPARISONS = ("greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal")
DATE_COMPARISONS = ("before", "after")
FIELD_COMPARISONS = (*TEXT_COMPARISONS, "has_value", *NUMBER_COMPARISONS, *DATE_COMPARISONS, "days_from_now")
SOURCE = "form_subscription"  # Kit's source_type of whoever came by a form: the one we know
MECHANISMS = {"form": "embed", "landing_page": "hosted"}  # Kit's mechanism of such a source → the form's type
ORIGINS = ("referrer", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
ORIGIN_COMPARISONS = ("is", "contains", "starts_with", "ends_with", "has_value")
URL_MATCHINGS = ("exact", "contains", "starts_with", "ends_with")
TIMES = ("after", "before", "within_days")
UNIQUE_EMAIL: Final = "unique_email"  # counting_mode of Kit's filter: how many emails, not how often
COUNTS = ("greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal")

MAX_VALUE = 65_536  # characters; a person's values are no longer
MAX_DAYS = 36_500
MAX_COUNT = 1_000_000_000
MAX_ITEMS = 100  # in `any`, and names or addresses in a list
EARLIEST, LATEST = date(1900, 1, 1), date(2999, 12, 31)

NUMBER = r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})"

_NOUNS = {"custom_field": "custom field"}


def noun(kind: str) -> str:
    """`custom field` for a kind of thing, in sentences."""
    return _NOUNS.get(kind, kind)


# --- Members ------------------------------------------------------------------------------------------------------


def ids(read: Checked, name: str = "ids") -> list[int]:
    """At least one, each once, in the order given."""
    read.ids_or_null(name)
    found = list(dict.fromkeys(read.values.get(name) or []))
    if not found and is_sound(read, name):
        read.blank(name)
    return found


def is_sound(read: Checked, name: str) -> bool:
    """No problem has been found with the member so far. It may have been left out."""
    return name in read.values or name not in read.given


def _chosen(read: Checked, name: str, options: Iterable[str]) -> str | None:
    read.choice(name, options)
    if name not in read.given:
        read.blank(name)
    chosen: str | None = read.values.get(name)
    return chosen


def _texts(read: Checked, name: str, options: Iterable[str] | None = None) -> list[str]:
    """A list of texts that is not empty; of `options` if there are any."""
    value = read.given.get(name)
    if value is None or value == []:
        read.blank(name)
    elif not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        read.wrong(name, "must be an array of strings")
    elif len(value) > MAX_ITEMS:
        read.wrong(name, f"can't have more than {MAX_ITEMS} entries")
    elif options is not None and not set(value) <= set(options):
        read.wrong(name, f"must be one or more of: {', '.join(options)}")
    elif complaint := next(filter(None, map(_complaint, value)), ""):
        read.wrong(name, complaint)
    else:
        return list(dict.fromkeys(value))
    return []


def _complaint(text: str) -> str:
    return "can't have blank entries" if not text.strip() else unstorable(text)


def _value(read: Checked) -> str | None:
    """A number that stands there as one is taken for its text."""
    value = read.given.get("value")
    if is_whole(value) or isinstance(value, float):
        return str(value)
    read.words("value", MAX_VALUE)
    if "value" not in read.given:
        read.blank("value")
    text: str | None = read.values.get("value")
    return text


def _date(read: Checked, name: str, value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    try:
        found = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        found = None
    if found is None:
        read.wrong(name, "must be a date (yyyy-mm-dd)")
    elif not EARLIEST <= found <= LATEST:
        read.wrong(name, f"must be a date between {EARLIEST} and {LATEST}")
    else:
        return text
    return None


def day(read: Checked, name: str) -> date | None:
    """None for null, too, and for what is no date."""
    value = read.given.get(name)
    found = None if value is None else _date(read, name, value)
    return None if found is None else date.fromisoformat(found)


def _time(read: Checked) -> dict[str, Any]:
    """`after`, `before` and `within_days`, whichever are given. Null says the same as leaving one out."""
    found: dict[str, Any] = {}
    for name in TIMES[:2]:
        value = read.take(name)
        if value is not ABSENT and value is not None:
            found[name] = _date(read, name, value)
    read.drop_nulls("within_days")
    read.whole_number("within_days", 1, MAX_DAYS)
    if "within_days" in read.values:
        found["within_days"] = read.values["within_days"]
    return found


def _counts(read: Checked, of: str = "count") -> dict[str, int]:
    """`count_greater_than` and its like."""
    names = [f"{of}_{comparison}" for comparison in COUNTS]
    read.drop_nulls(*names)
    for name in names:
        read.whole_number(name, 0, MAX_COUNT)
    return {name: read.values[name] for name in names if name in read.values}


def alternatives(read: Checked, readers: Mapping[str, Callable[[Checked], dict[str, Any]]]) -> list[dict[str, Any]]:
    """Objects with a `type` each, of which one must fit; [] where there is none."""
    value = read.given.get("any")
    if value is None:
        return []
    if not isinstance(value, list):
        read.wrong("any", "must be an array")
        return []
    if len(value) > MAX_ITEMS:
        read.wrong("any", f"can't have more than {MAX_ITEMS} entries")
        return []
    if not value:
        read.wrong("any", "can't be empty")
    found = []
    for place, item in enumerate(value):
        one = read.inside(f"any[{place}]", item)
        if one is not None and (kind := _chosen(one, "type", tuple(readers))):
            found.append({"type": kind, **readers[kind](one)})
    return found


# --- Leaves -------------------------------------------------------------------------------------------------------


def _things(read: Checked) -> dict[str, Any]:
    found: dict[str, Any] = {"ids": ids(read)}
    read.drop_nulls("has")
    read.choice("has", HAS)
    return found | ({"has": read.values["has"]} if "has" in read.values else {})


def _places(read: Checked) -> dict[str, Any]:
    return {"ids": ids(read), "place": _chosen(read, "place", PLACES)}


def _places_in_sequences(read: Checked) -> dict[str, Any]:
    found = _places(read)
    if read.given.get("waiting_for") is None:
        return found
    if found["place"] not in (None, "inside"):
        read.wrong("waiting_for", "needs the place inside: nobody else waits for an email")
    return found | {"waiting_for": ids(read, "waiting_for")}


def _states(read: Checked) -> dict[str, Any]:
    return {"states": _texts(read, "states", STATES)}


def _address(read: Checked) -> dict[str, Any]:
    return {"comparison": _chosen(read, "comparison", ADDRESS_COMPARISONS), "value": _value(read)}


def _field(read: Checked) -> dict[str, Any]:
    read.id("subscriber_custom_field_id")
    if "subscriber_custom_field_id" not in read.given:
        read.blank("subscriber_custom_field_id")
    comparison = _chosen(read, "comparison", FIELD_COMPARISONS)
    found = {
        "subscriber_custom_field_id": read.values.get("subscriber_custom_field_id"),
        "comparison": comparison,
    }
    return found if comparison in (None, "has_value") else found | {"value": _compared(read, str(comparison))}


def _compared(read: Checked, comparison: str) -> str | None:
    """The value that a field is compared with."""
    value = _value(read)
    if value is None or comparison in TEXT_COMPARISONS:
        return value
    if comparison in DATE_COMPARISONS:
        return _date(read, "value", value)
    value = value.strip()
    if comparison == "days_from_now":
        if re.fullmatch(r"[+-]?[0-9]{1,6}", value) and abs(int(value)) <= MAX_DAYS:
            return value
        read.wrong("value", f"must be a number of days, at most {MAX_DAYS}")
    elif re.fullmatch(NUMBER, value):
        return value
    else:
        read.wrong("value", "must be a number, such as 3 or -1.5")
    return None


def _subscribed(read: Checked) -> dict[str, Any]:
    if all(read.given.get(name) is None for name in TIMES):
        read.wrong("after", "or before or within_days must be given")
    return _time(read)


def _origin(read: Checked) -> dict[str, Any]:
    comparison = _chosen(read, "comparison", ORIGIN_COMPARISONS)
    found = {"comparison": comparison}
    return found if comparison in (None, "has_value") else found | {"value": _value(read)}


def _kit_source(read: Checked) -> dict[str, Any]:
    """Where Kit says somebody came from: all of what is given must be so."""
    read.drop_nulls("source_type", "mechanism")
    for name in ("source_type", "mechanism"):
        read.words(name, MAX_VALUE)
    found: dict[str, Any] = {name: read.values[name] for name in ("source_type", "mechanism") if name in read.values}
    for name in ("source_ids", "mechanism_ids"):
        if read.given.get(name) is not None:
            found[name] = ids(read, name)
    if read.given.get("source_names") is not None:
        found["source_names"] = _texts(read, "source_names")
    if all(read.given.get(name) is None for name in _SOURCE_MEMBERS):
        read.wrong(_SOURCE_MEMBERS[0], f"or {', '.join(_SOURCE_MEMBERS[1:-1])} or {_SOURCE_MEMBERS[-1]} must be given")
    return found


_SOURCE_MEMBERS = ("source_type", "source_ids", "source_names", "mechanism", "mechanism_ids")


def _attribution(read: Checked) -> dict[str, Any]:
    found = alternatives(read, {"forms": _only_ids, "kit_source": _kit_source, **dict.fromkeys(ORIGINS, _origin)})
    if read.given.get("any") is None:
        read.blank("any")
    return {"any": found}


def _only_ids(read: Checked) -> dict[str, Any]:
    return {"ids": ids(read)}


def _location(read: Checked) -> dict[str, Any]:
    if read.given.get("countries") is not None:
        countries = _texts(read, "countries")
        if not all(re.fullmatch(r"[A-Z]{2}", country) for country in countries):
            read.wrong("countries", "must be codes of two capital letters, such as DE")
        return {"countries": countries}
    bounds = {"latitude": (-90, 90), "longitude": (-180, 180), "radius": (0, 13_000)}
    return {name: _decimal(read, name, *bound) for name, bound in bounds.items()}


def _decimal(read: Checked, name: str, low: int, high: int) -> float | None:
    value = read.given.get(name)
    if value is None:
        read.blank(name)
    elif not (is_whole(value) or isinstance(value, float)) or not low <= value <= high:
        read.wrong(name, f"must be a number between {low} and {high}")
    else:
        return float(value)
    return None


def _purchases(read: Checked) -> dict[str, Any]:
    found: dict[str, Any] = {"products": ids(read, "products")} if read.given.get("products") is not None else {}
    if (currency := read.given.get("currency")) is not None:
        if not isinstance(currency, str) or not re.fullmatch(r"[A-Z]{3}", currency):
            read.wrong("currency", "must be a code of three capital letters, such as USD")
        found["currency"] = currency
    return found | _counts(read) | _counts(read, "total") | _time(read)


def _urls(read: Checked) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if read.given.get("ids") is not None:
        found["ids"] = ids(read)
    if read.given.get("urls") is not None or not found:
        found["urls"] = _texts(read, "urls")
    read.drop_nulls("matching")
    read.choice("matching", URL_MATCHINGS)
    return found | ({"matching": read.values["matching"]} if "matching" in read.values else {})


_MAIL = {"broadcasts": _only_ids, "emails": _only_ids, "sequences": _only_ids}


def _mail(read: Checked) -> dict[str, Any]:
    return _of_mail(read, _MAIL)


def _clicks(read: Checked) -> dict[str, Any]:
    return _of_mail(read, _MAIL | {"urls": _urls})


def _of_mail(read: Checked, parts: Mapping[str, Callable[[Checked], dict[str, Any]]]) -> dict[str, Any]:
    found = _counts(read) | _time(read)
    return found | ({"any": alternatives(read, parts)} if read.given.get("any") is not None else {})


READERS: Mapping[str, Callable[[Checked], dict[str, Any]]] = {
    TAGS: _things,
    FORMS: _things,
    SEGMENTS: _things,
    SEQUENCES: _places_in_sequences,
    AUTOMATIONS: _places,
    STATE: _states,
    ADDRESS: _address,
    FIELD: _field,
    SUBSCRIBED: _subscribed,
    ATTRIBUTION: _attribution,
    LOCATION: _location,
    PURCHASES: _purchases,
    OPENS: _mail,
    CLICKS: _clicks,
    SENT: _mail,
    DELIVERED: _mail,
}

# --- What they name -----------------------------------------------------------------------------------------------

_KINDS = {TAGS: "tag", FORMS: "form", SEGMENTS: "segment", SEQUENCES: "sequence", AUTOMATIONS: "automation"}
_PARTS = {"forms": "form", "broadcasts": "broadcast", "emails": "email", "sequences": "sequence"}


def named(leaf: Mapping[str, Any]) -> Iterator[tuple[str, str, list[int]]]:
    """Member, kind of thing and ids: ("ids", "tag", [3]), ("any[0].ids", "email", [12])."""
    if kind := _KINDS.get(leaf["type"]):
        yield "ids", kind, leaf["ids"]
    if leaf.get("waiting_for"):
        yield "waiting_for", "email", leaf["waiting_for"]
    if leaf.get("products"):
        yield "products", "product", leaf["products"]
    if (field_id := leaf.get("subscriber_custom_field_id")) is not None:
        yield "subscriber_custom_field_id", "custom_field", [field_id]
    for place, part in enumerate(leaf.get("any", [])):
        if kind := _PARTS.get(part["type"]):
            yield f"any[{place}].ids", kind, part["ids"]


def unrecorded(leaf: Mapping[str, Any]) -> set[str]:
    """Of what it asks for, that about which nothing is recorded yet: its own type, or one of its parts."""
    if leaf["type"] in _UNRECORDED:
        return {leaf["type"]}
    return {part["type"] for part in leaf.get("any", []) if not is_recorded(part)}


def is_recorded(part: Mapping[str, Any]) -> bool:
    """Of a source of Kit's we know the form that somebody came by first, and nothing about those who came otherwise."""
    if part["type"] == "kit_source":
        return part.get("source_type", SOURCE) == SOURCE and part.get("mechanism", "form") in MECHANISMS
    return str(part["type"]) != "broadcasts"
