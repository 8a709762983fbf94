"""A condition in plain English: what follows "people who …".

names = words.names([condition], account_id)
words.sentence(condition, account_id, names)   "have the tag “Course” and are inside “Write better emails”"
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as Series
from datetime import date
from enum import Enum
from typing import Any

from dripstone import grammar, words
from dripstone.conditions.people import EVERYBODY, MAX_EXPANDED, Expanded, expanded
from dripstone.grammar import Condition, Thing, kinds
from dripstone.sequences import known

Names = Mapping[Thing, str]
"""Of what is there; what is missing in it is gone."""

_EVERYBODY, _NOBODY = "are on the list", "are not on the list"


# --- Names --------------------------------------------------------------------------------------------------------


def names(conditions: Iterable[Condition | None], account_id: int) -> Names:
    """Of all that these conditions name: a query for each kind of thing, however many there are."""
    return names_of((thing for condition in conditions for thing in grammar.things(condition)), account_id)


def names_of(things: Iterable[Thing], account_id: int) -> Names:
    """The same of things."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for kind, pk in things:
        wanted[kind].add(pk)
    rows = known.rows(account_id)
    return {
        (kind, pk): name
        for kind, ids in wanted.items()
        if kind in rows
        for pk, name in rows[kind].filter(pk__in=ids).values_list("pk", _NAMES.get(kind, "name"))
    }


_NAMES = {"custom_field": "label", "email": "subject"}


# --- The whole ----------------------------------------------------------------------------------------------------


def sentence(condition: Condition | None, account_id: int, named: Names | None = None) -> str:
    """Without a capital and a full stop. `named`: from `names`; looked up if it is left out."""
    if condition is None:
        return _EVERYBODY
    plain = grammar.plain(condition)
    return _said(plain, names([plain], account_id) if named is None else named, Joint.NONE, denied=False)


class Joint(Enum):
    """What stands around a part; then `either` and `both` say where a group begins."""

    NONE = ""
    AND = "and"
    OR = "or"


def _said(condition: Mapping[str, Any], named: Names, around: Joint, *, denied: bool) -> str:
    if "type" in condition:
        return leaf(condition, named, denied=denied)
    if "not" in condition:
        return _said(condition["not"], named, around, denied=not denied)
    parts = condition.get("all", condition.get("any", []))
    if not parts:
        return _NOBODY if denied else _EVERYBODY
    if len(parts) == 1:
        return _said(parts[0], named, around, denied=denied)
    joint = Joint.AND if ("all" in condition) is not denied else Joint.OR
    said = joined([_said(part, named, joint, denied=denied) for part in parts], joint)
    if around in (Joint.NONE, joint):
        return said
    return f"{'both' if joint is Joint.AND else 'either'} {said}"


def joined(parts: Series[str], joint: Joint) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *first, last = parts
    return f"{', '.join(first)} {joint.value} {last}" if first else last


def problem(condition: Condition | None, account_id: int) -> str:
    """Why nobody meets it: a sentence; "" where people may."""
    return why_nobody(expanded(EVERYBODY if condition is None else condition, account_id))


def why_nobody(found: Expanded) -> str:
    """The same of a condition whose segments are in their place."""
    if found.is_too_large:
        return f"It has more than {MAX_EXPANDED:,} conditions with those of its segments, so nobody is found by it."
    return gone(found.missing) or nothing_yet(found.unrecorded)


def nothing_yet(unrecorded: Iterable[str]) -> str:
    """Why nobody meets a condition with such leaves (conditions.unrecorded): a sentence; "" if there are none."""
    what = [_UNRECORDED.get(kind, kind) for kind in unrecorded]
    return f"Nothing is recorded yet about {words.listed(what)}, so nobody is found by it." if what else ""


_UNRECORDED = {
    kinds.OPENS: "who opened an email",
    kinds.CLICKS: "who clicked a link",
    kinds.DELIVERED: "which emails arrived",
    "kit_source": "sources other than forms",
}


def gone(missing: Iterable[Thing]) -> str:
    """Why nobody meets a condition that names such things (conditions.missing): a sentence; "" if there are none."""
    what = [f"the {kinds.noun(kind)} number {pk}" for kind, pk in missing]
    is_or_are = words.agree(len(what), "is", "are")
    return f"{_capital(words.listed(what))} {is_or_are} gone, so nobody is found by it." if what else ""


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


# --- Leaves -------------------------------------------------------------------------------------------------------


def leaf(leaf: Mapping[str, Any], named: Names, *, denied: bool = False) -> str:
    """`have the tag “Course”`; denied: `do not have the tag “Course”`."""
    return _LEAVES[leaf["type"]](leaf, named, denied)


def _things(kind: str, ids: Iterable[int], named: Names, joint: Joint = Joint.OR) -> str:
    """`“Course” or “Reader”`."""
    return joined([called((kind, pk), named) for pk in ids], joint)


def called(thing: Thing, named: Names) -> str:
    """`“Course”`; of what is gone its number."""
    name = named.get(thing)
    return words.title(name) if name is not None else f"number {thing[1]}, which is gone"


def _verb(verb: str, past: str | None = None, *, denied: bool) -> str:
    """`have`, `do not have`; with a past form `completed`, `did not complete`."""
    if past is not None:
        return f"did not {verb}" if denied else past
    return f"{'do not ' if denied else ''}{verb}"


def _is(denied: bool) -> str:
    return "are not" if denied else "are"


def _several(leaf: Mapping[str, Any], noun: str) -> tuple[str, Joint]:
    """The noun before the names, and what joins them."""
    if leaf.get("has") != "all" or len(leaf["ids"]) == 1:
        return f"the {noun}", Joint.OR
    return f"all of the {noun}s", Joint.AND


def _tags(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    noun, joint = _several(leaf, "tag")
    return f"{_verb('have', denied=denied)} {noun} {_things('tag', leaf['ids'], named, joint)}"


def _forms(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    noun, joint = _several(leaf, "form")
    return f"{_verb('sign up', 'signed up', denied=denied)} by {noun} {_things('form', leaf['ids'], named, joint)}"


def _segments(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    noun, joint = _several(leaf, "segment")
    return f"{_is(denied)} in {noun} {_things('segment', leaf['ids'], named, joint)}"


def _sequences(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    which = _things("sequence", leaf["ids"], named)
    if leaf.get("waiting_for"):
        emails = _things("email", leaf["waiting_for"], named)
        return f"{_verb('wait', denied=denied)} for {emails} in {which}"
    return f"{_PLACES[leaf['place']][denied]} {which}"


def _automations(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    """With the noun: an automation is often called like the sequence that it is about."""
    return f"{_PLACES[leaf['place']][denied]} the automation {_things('automation', leaf['ids'], named)}"


_PLACES = {
    "inside": ("are inside", "are not inside"),
    "completed": ("completed", "did not complete"),
    "left": ("left", "did not leave"),
    "ever": ("have ever been in", "have never been in"),
}


def _state(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    said = [_STATES[state][denied] for state in leaf["states"]]
    return joined(said, Joint.AND if denied else Joint.OR)


_STATES = {
    "active": ("are active", "are not active"),
    "inactive": ("have yet to confirm", "do not have to confirm"),
    "cancelled": ("unsubscribed", "did not unsubscribe"),
    "bounced": ("bounced", "did not bounce"),
    "complained": ("complained", "did not complain"),
}


def _address(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    have, value = _verb("have", denied=denied), words.title(leaf["value"])
    match leaf["comparison"]:
        case "is":
            return f"{have} the address {value}"
        case "contains":
            return f"{have} an address that contains {value}"
    return f"{have} an address that ends with {value}"


def _field(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    field = f"the field {called(('custom_field', leaf['subscriber_custom_field_id']), named)}"
    have = _verb("have", denied=denied)
    if leaf["comparison"] == "has_value":
        return f"{have} a value in {field}"
    return f"{have} {_compared(leaf['comparison'], leaf['value'])} in {field}"


def _compared(comparison: str, value: str) -> str:
    if comparison in _COMPARED:
        shown = _day(value) if comparison in kinds.DATE_COMPARISONS else value
        return _COMPARED[comparison].format(shown)
    if comparison == "days_from_now":
        return f"the date of {_days_from_now(int(value))}"
    return f"{'a text with ' if comparison == 'contains' else ''}{words.title(value)}"


_COMPARED = {
    "greater_than": "a number above {}",
    "greater_than_or_equal": "a number of at least {}",
    "less_than": "a number below {}",
    "less_than_or_equal": "a number of at most {}",
    "before": "a date before {}",
    "after": "a date after {}",
}


def _days_from_now(days: int) -> str:
    if abs(days) <= 1:
        return ("yesterday", "today", "tomorrow")[days + 1]
    return f"in {days} days" if days > 0 else f"{-days} days ago"


def _day(text: str) -> str:
    day = date.fromisoformat(text.strip())
    return f"{day.day} {day:%B %Y}"


def _subscribed(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    return f"{_verb('subscribe', 'subscribed', denied=denied)}{_time(leaf)}"


def _time(leaf: Mapping[str, Any]) -> str:
    """` after 1 May 2026`, ` within the last 7 days`, with a blank before it; "" for any time."""
    said = [f"{name} {_day(leaf[name])}" for name in ("after", "before") if leaf.get(name)]
    if leaf.get("within_days"):
        said.append(f"within the last {words.count(leaf['within_days'], 'day')}")
    return f" {words.listed(said)}" if said else ""


def _attribution(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    parts = [_origin(part, named) for part in leaf["any"]]
    return f"{_verb('come', 'first came', denied=denied)} {joined(parts, Joint.OR)}"


def _origin(part: Mapping[str, Any], named: Names) -> str:
    if part["type"] == "forms":
        return f"by the form {_things('form', part['ids'], named)}"
    if part["type"] == "kit_source":
        return f"from a source with {words.listed(list(_of_source(part)))}"
    what = _ORIGINS.get(part["type"], part["type"])
    if part["comparison"] == "has_value":
        return f"with {what}"
    return f"with {what} that {_ORIGIN_VERBS[part['comparison']]} {words.title(part['value'])}"


def _of_source(part: Mapping[str, Any]) -> Iterator[str]:
    for member, what in _SOURCE.items():
        if member in part:
            among = part[member] if isinstance(part[member], list) else [part[member]]
            yield f"the {what} {joined([words.title(str(one)) for one in among], Joint.OR)}"


_SOURCE = {
    "source_type": "type",
    "source_names": "name",
    "source_ids": "id",
    "mechanism": "mechanism",
    "mechanism_ids": "mechanism id",
}
_ORIGINS = {"referrer": "a referrer", **{name: f"a {name}" for name in kinds.ORIGINS[1:]}}
_ORIGIN_VERBS = {"is": "is", "contains": "contains", "starts_with": "starts with", "ends_with": "ends with"}


def _location(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    if "countries" in leaf:
        return f"{_is(denied)} in {joined(leaf['countries'], Joint.OR)}"
    return f"{_is(denied)} within {leaf['radius']:g} miles of {leaf['latitude']:g}, {leaf['longitude']:g}"


def _purchases(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    """`bought “Course” at least twice, for more than 100 USD in all, within the last 30 days`."""
    what = _things("product", leaf["products"], named) if leaf.get("products") else "something"
    said = f"{_verb('buy', 'bought', denied=denied)} {what}"
    if _bounds(leaf, "count"):
        said += f" {_how_many(leaf, 'time')}"
    currency = f" {leaf['currency']}" if leaf.get("currency") else ""
    if totals := _bounds(leaf, "total"):
        said += f" for {words.listed(f'{one}{currency}' for one in totals)} in all"
    elif currency:
        said += f" in{currency}"
    return f"{said}{_time(leaf)}"


def _bounds(leaf: Mapping[str, Any], of: str) -> list[str]:
    """`more than 3`, for each that is there."""
    return [f"{how} {leaf[f'{of}_{name}']:,}" for name, how in _HOW_MANY.items() if f"{of}_{name}" in leaf]


def _mail(verb: str, past: str, noun: str = "email") -> "Said":
    def said(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
        return f"{_verb(verb, past, denied=denied)} {_how_many(leaf, noun)}{_which(leaf, named)}{_time(leaf)}"

    return said


def _sent(leaf: Mapping[str, Any], named: Names, denied: bool) -> str:
    were = "were not sent" if denied else "were sent"
    return f"{were} {_how_many(leaf, 'email')}{_which(leaf, named)}{_time(leaf)}"


def _how_many(leaf: Mapping[str, Any], noun: str) -> str:
    """`an email`, `more than 3 emails`, `at least 2 and fewer than 5 emails`."""
    counts = [(how, leaf[f"count_{name}"]) for name, how in _HOW_MANY.items() if f"count_{name}" in leaf]
    if not counts:
        return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    *first, (how, last) = counts
    return words.listed([*(f"{how} {number}" for how, number in first), f"{how} {words.count(last, noun)}"])


_HOW_MANY = {
    "greater_than": "more than",
    "greater_than_or_equal": "at least",
    "less_than": "fewer than",
    "less_than_or_equal": "at most",
}


def _which(leaf: Mapping[str, Any], named: Names) -> str:
    """` of “Course”`, with a blank before it; "" for any."""
    said = []
    for part in leaf.get("any", []):
        if part["type"] == "urls":
            said.append(joined([words.title(url) for url in part.get("urls", [])] or ["some addresses"], Joint.OR))
        else:
            kind = part["type"].removesuffix("s")
            said.append(_things(kind, part["ids"], named) if kind != "sequence" else _emails_of(part, named))
    return f" ({joined(said, Joint.OR)})" if said else ""


def _emails_of(part: Mapping[str, Any], named: Names) -> str:
    return f"any of {_things('sequence', part['ids'], named)}"


Said = Callable[[Mapping[str, Any], Names, bool], str]

_LEAVES: Mapping[str, Said] = {
    kinds.TAGS: _tags,
    kinds.FORMS: _forms,
    kinds.SEGMENTS: _segments,
    kinds.SEQUENCES: _sequences,
    kinds.AUTOMATIONS: _automations,
    kinds.STATE: _state,
    kinds.ADDRESS: _address,
    kinds.FIELD: _field,
    kinds.SUBSCRIBED: _subscribed,
    kinds.ATTRIBUTION: _attribution,
    kinds.LOCATION: _location,
    kinds.PURCHASES: _purchases,
    kinds.OPENS: _mail("open", "opened"),
    kinds.CLICKS: _mail("click", "clicked", "link"),
    kinds.SENT: _sent,
    kinds.DELIVERED: _mail("get", "got"),
}
