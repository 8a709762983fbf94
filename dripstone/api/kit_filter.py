"""Kit's filter in a body, for the docs: what each kind of condition may have. grammar/kit.py judges it."""

from typing import Any

from dripstone.given import MAX_ID, MAX_IDS
from dripstone.grammar import MAX_LEAVES, kinds, kit

Json = dict[str, Any]

_ID: Json = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_IDS = {"type": "array", "items": _ID, "minItems": 1, "maxItems": MAX_IDS}
_IDS_OR_NULL = _IDS | {"type": ["array", "null"]}
_TEXTS = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "pattern": r"\S"},
    "minItems": 1,
    "maxItems": kinds.MAX_ITEMS,
}
_TEXTS_OR_NULL = _TEXTS | {"type": ["array", "null"]}
_TEXT: Json = {"type": "string", "minLength": 1, "maxLength": kinds.MAX_VALUE, "pattern": r"\S"}
_TEXT_OR_NULL = _TEXT | {"type": ["string", "null"]}
_DATE = {"type": ["string", "null"], "format": "date"}
_COUNT = {"type": ["integer", "null"], "minimum": 0, "maximum": kinds.MAX_COUNT}


def _object(type: str, required: tuple[str, ...] = (), **properties: Any) -> Json:
    return {
        "type": "object",
        "title": type,
        "required": ["type", *required],
        "properties": {"type": {"type": "string", "enum": [type]}, **properties},
    }


def _any(*parts: Json, nullable: bool = False) -> Json:
    """Parts of which one must fit."""
    return {
        "type": ["array", "null"] if nullable else "array",
        "items": {"oneOf": list(parts)},
        "minItems": 1,
        "maxItems": kinds.MAX_ITEMS,
    }


_BROADCASTS = _object("broadcasts", ("ids",), ids=_IDS)
_OF_MAIL = (_BROADCASTS, _object("emails", ("ids",), ids=_IDS), _object("sequences", ("ids",), ids=_IDS))
_URLS = _object(
    "urls",
    ids=_IDS_OR_NULL,
    urls=_TEXTS_OR_NULL,
    matching={"type": ["string", "null"], "enum": [*kinds.URL_MATCHINGS, None]},
)
_KIT_SOURCE = _object(
    "kit_source",
    source_type=_TEXT_OR_NULL,
    source_ids=_IDS_OR_NULL,
    source_names=_TEXTS_OR_NULL,
    mechanism=_TEXT_OR_NULL,
    mechanism_ids=_IDS_OR_NULL,
)
_ORIGINS = [
    _object(
        name,
        ("comparison",),
        comparison={"type": "string", "enum": [*kinds.ORIGIN_COMPARISONS]},
        value=_TEXT_OR_NULL,
    )
    for name in kinds.ORIGINS
]
_TIMES: Json = {"after": _DATE, "before": _DATE, "within_days": _COUNT | {"minimum": 1, "maximum": kinds.MAX_DAYS}}
_COUNTS: Json = {f"count_{comparison}": _COUNT for comparison in kinds.COUNTS}


def _mail(kind: str) -> Json:
    parts = (*_OF_MAIL, _URLS) if kind == kinds.CLICKS else _OF_MAIL
    return _object(kind, **_COUNTS, **_TIMES, any=_any(*parts, nullable=True))


def _degrees(most: int) -> Json:
    return {"type": "number", "minimum": -most, "maximum": most}


_CONDITIONS = [
    *map(_mail, kit.MAIL),
    _object(kinds.SUBSCRIBED, **_TIMES),
    _object(
        kinds.STATE,
        ("states",),
        states={"type": "array", "items": {"type": "string", "enum": [*kinds.STATES]}, "minItems": 1, "maxItems": 100},
    ),
    _object(kinds.TAGS, ("any",), any=_any(_object("ids", ("matching",), matching=_IDS))),
    _object(
        kinds.ATTRIBUTION, ("any",), any=_any(_object("forms", ("ids",), ids=_IDS), _KIT_SOURCE, *_ORIGINS)
    ),
    _object(
        kinds.FIELD,
        ("subscriber_custom_field_id", "comparison"),
        subscriber_custom_field_id=_ID,
        comparison={"type": "string", "enum": [*kinds.FIELD_COMPARISONS]},
        value={"type": ["string", "number", "null"]},
    ),
    _object(
        kinds.LOCATION,
        ("latitude", "longitude", "radius"),
        latitude=_degrees(90),
        longitude=_degrees(180),
        radius={"type": "number", "minimum": 0, "maximum": 13_000, "description": "Miles."},
    ),
]  # fmt: skip

ALL: Json = {
    "type": "array",
    "description": "All of these must be met. Without any it is everybody.",
    "items": {"oneOf": _CONDITIONS},
    "maxItems": MAX_LEAVES,
}
COUNTING_MODE: Json = {
    "type": ["string", "null"],
    "enum": [*kit.COUNTING_MODES, None],
    "default": kit.COUNTING_MODES[0],
    "description": "Of mail: whether an email counts as often as it came, or once.",
}
