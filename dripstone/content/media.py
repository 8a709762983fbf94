"""Whether a media query holds on the screen for which the text part is made: wide, light, with a mouse."""

import re
from typing import Any

import tinycss2

from dripstone.content import conditions
from dripstone.content.conditions import word

# Lengths in px, resolutions in dppx.
_MEASURES = {"width": 1000, "device-width": 1000, "height": 800, "device-height": 800, "resolution": 1, "color": 8}
_MEASURES["-webkit-device-pixel-ratio"] = 1
_CHOICES = {"prefers-color-scheme": "light", "orientation": "landscape", "hover": "hover", "pointer": "fine"}
_UNITS = {"px": 1, "em": 16, "rem": 16, "pt": 4 / 3, "in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4, "pc": 16}
_UNITS |= {"": 1, "dppx": 1, "x": 1, "dpi": 1 / 96, "dpcm": 2.54 / 96}
_AMOUNT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([a-z]*)")
_RANGE = re.compile(
    r"(?:(?P<low>[^<>=]+)(?P<first>[<>]=?|=))?(?P<name>[a-z-]+)(?:(?P<second>[<>]=?|=)(?P<high>[^<>=]+))?"
)
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


def holds(query_list: str) -> bool:
    """`query_list` is what stands after @media or in a `media` attribute; an empty one holds."""
    queries: list[list[Any]] = [[]]
    for token in tinycss2.parse_component_value_list(query_list, skip_comments=True):
        if token.type == "literal" and token.value == ",":
            queries.append([])
        elif token.type != "whitespace":
            queries[-1].append(token)
    return queries == [[]] or any(_query(query) is True for query in queries)


def _query(tokens: list[Any]) -> bool | None:
    """One query. None: it asks for something unknown, and then neither it nor its opposite holds."""
    first, second = word(tokens), word(tokens[1:])
    if not first or (first == "not" and not second):
        return conditions.holds(tokens, _parenthesis)
    is_negated, is_marked = first == "not", first in ("not", "only")
    tokens = tokens[is_marked:]
    held: bool | None = word(tokens) in ("all", "screen")
    if tokens[1:]:
        rest = conditions.holds(tokens[2:], _parenthesis) if word(tokens[1:]) == "and" else False
        held = conditions.all_of([held, rest])
    return not held if is_negated and held is not None else held


def _parenthesis(tokens: list[Any]) -> bool | None:
    if any(token.type in ("() block", "function") for token in tokens):
        return None
    return _feature("".join(tinycss2.serialize(tokens).lower().split()))


def _feature(text: str) -> bool | None:
    """`min-width:600px`, `width>=600px`, `400px<width<=700px`, `prefers-color-scheme:dark`, `hover`."""
    name, colon, value = text.partition(":")
    if name in _CHOICES:
        return not colon or _CHOICES[name] == value
    if colon:
        for prefix, relation in (("min-", ">="), ("max-", "<="), ("", "=")):
            plain = name.replace(prefix, "", 1)
            if prefix in name and plain in _MEASURES:
                return _compared(_MEASURES[plain], relation, value)
    asked = _RANGE.fullmatch(text)
    if colon or not asked or asked["name"] not in _MEASURES:
        return None
    measure = _MEASURES[asked["name"]]
    low = asked["low"] is None or _compared(measure, _TURNED[asked["first"]], asked["low"])
    return conditions.all_of([low, asked["high"] is None or _compared(measure, asked["second"], asked["high"])])


def _compared(measure: float, relation: str, text: str) -> bool | None:
    amount = _AMOUNT.fullmatch(text)
    if not amount or amount[2] not in _UNITS:
        return None
    value = float(amount[1]) * _UNITS[amount[2]]
    return {
        "<": measure < value,
        "<=": measure <= value,
        "=": measure == value,
        ">=": measure >= value,
        ">": measure > value,
    }[relation]
