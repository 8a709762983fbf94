"""Declarations of CSS as text for a style attribute."""

import re
from collections.abc import Iterable

from dripstone.content.stylesheets import Declaration

_SIDES = ("top", "right", "bottom", "left")
_KEYWORDS = {
    "display": "none block inline inline-block table table-cell table-row",
    "text-align": "left right center justify",
    "text-decoration": "none underline line-through",
    "text-transform": "none uppercase lowercase capitalize",
    "font-weight": "normal bold 100 200 300 400 500 600 700 800 900",
    "font-style": "normal italic",
    "vertical-align": "top middle bottom baseline",
    "color": "black white red green blue gray silver inherit",
    "background-color": "black white red green blue gray silver transparent inherit",
    "width": "auto",
    "height": "auto",
}
_LENGTHS = {
    **dict.fromkeys(("width", "height", "max-width", "max-height", "min-width", "min-height", "font-size"), 1),
    **dict.fromkeys(("line-height", *(f"{box}-{side}" for box in ("margin", "padding") for side in _SIDES)), 1),
    **dict.fromkeys(("margin", "padding", "border-radius"), 4),
}
_LENGTH = re.compile(r"0|(?:\d+|\d*\.\d+)(?:px|em|rem|pt|%)")
_COLOUR = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_LIQUID = re.compile(r"\{[{%]")


def is_plain(one: Declaration) -> bool:
    """Whether every mail program understands this value. Only then may it replace another value: `width: min(…)` is
    ignored where it is not known, and the value before it counts."""
    if one.value in _KEYWORDS.get(one.name, "").split():
        return True
    if one.name in ("color", "background-color"):
        return bool(_COLOUR.fullmatch(one.value))
    parts = one.value.split()
    return len(parts) <= _LENGTHS.get(one.name, 0) and all(_LENGTH.fullmatch(part) for part in parts)


def without_beaten(said: list[Declaration]) -> list[Declaration]:
    """Declarations in their order, the last one winning, without those that have no effect."""
    kept: list[Declaration] = []
    beaten: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for one in reversed(said):
        if one.name not in beaten and (one.name, one.value) not in seen:
            kept.append(one)
        seen.add((one.name, one.value))
        if is_plain(one):
            beaten.add(one.name)
    return kept[::-1]


def is_liquid(one: Declaration) -> bool:
    """Whether this would be Liquid in an attribute: `"\\7b\\7b"` is a string with two braces."""
    return bool(_LIQUID.search(one.value))


def text(said: Iterable[Declaration]) -> str:
    return "; ".join(f"{one.name}: {one.value}" for one in said)


def quoted(css: str, mark: str) -> str:
    """As part of an attribute within these quotation marks."""
    css = css.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if mark == "'" and '"' not in css:
        css = css.replace(mark, '"')
    return css.replace(mark, "&quot;" if mark == '"' else "&#39;")
