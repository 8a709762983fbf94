"""A condition in a body, for the docs. conditions/reading.py judges it, as it does those that pages give."""

from typing import Annotated, Any

from pydantic import WithJsonSchema

from dripstone.given import MAX_ID, MAX_IDS, MAX_NAME
from dripstone.grammar import MAX_LEAVES, kinds, matches

_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
_IDS = {"type": ["array", "null"], "items": _ID, "maxItems": MAX_IDS}
_PART = {"type": "object", "description": "Another condition."}

_OLD_CONDITION = {
    "type": "object",
    "description": "`ids` with tag, form and sequence; `key` and `value` with field.",
    "required": ["type", "operator"],
    "properties": {
        "type": {"type": "string", "enum": list(matches.TYPES)},
        "operator": {"type": "string", "enum": [*matches.SOURCE_OPERATORS, *matches.FIELD_OPERATORS]},
        "ids": _IDS,
        "key": {"type": ["string", "null"], "maxLength": MAX_NAME},
        "value": {"type": ["string", "null"], "maxLength": kinds.MAX_VALUE},
    },
}
_BY_GRAMMAR: dict[str, Any] = {
    "type": "object",
    "description": "One of `all`, `any`, `not` and `type`, the last with the members of its kind: docs/reference/"
    "conditions.md.",
    "properties": {
        "all": {"type": "array", "items": _PART, "maxItems": MAX_LEAVES},
        "any": {"type": "array", "items": _PART, "minItems": 1, "maxItems": MAX_LEAVES},
        "not": _PART,
        "type": {"type": "string", "enum": list(kinds.READERS)},
        "ids": _IDS,
        "waiting_for": _IDS,
        "subscriber_custom_field_id": _ID,
    },
}
_OLD = {
    "match": {"type": "string", "enum": list(matches.MATCHES), "default": matches.MATCHES[0]},
    "conditions": {"type": "array", "items": _OLD_CONDITION, "maxItems": matches.MAX_CONDITIONS},
}
CONDITION = {
    **_BY_GRAMMAR,
    "description": f"{_BY_GRAMMAR['description']} `match` and `conditions` are the form that segments had before.",
    "properties": {**_BY_GRAMMAR["properties"], **_OLD},
}

Condition = Annotated[Any, WithJsonSchema(CONDITION)]
ConditionOrNull = Annotated[Any, WithJsonSchema(CONDITION | {"type": ["object", "null"]})]
FilterOrNull = Annotated[Any, WithJsonSchema(_BY_GRAMMAR | {"type": ["object", "null"]})]
"""Of an email: never in the old form."""
