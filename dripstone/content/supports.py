"""Whether an @supports rule holds, as Chromium says: for properties, by whose browser they are.

Values are not checked, but for those of `display`: nobody asks for a property whose values are in doubt, except there.
"""

from typing import Any

import tinycss2

from dripstone.content import conditions

DISPLAYS = frozenset(
    [
        *("none", "inline", "block", "inline-block", "flow-root", "list-item", "contents"),
        *("flex", "inline-flex", "grid", "inline-grid", "table", "inline-table", "table-row", "table-cell"),
        *("table-row-group", "table-header-group", "table-footer-group", "table-caption"),
        *("table-column", "table-column-group"),
    ]
)
_OTHERS = ("-moz-", "-ms-", "-o-", "-apple-", "-khtml-", "mso-")
_SAFARIS = frozenset(
    ("-webkit-overflow-scrolling", "-webkit-touch-callout", "-webkit-nbsp-mode", "-webkit-text-size-adjust")
)


def holds(prelude: list[Any]) -> bool:
    return conditions.holds(conditions.bare(prelude), _has) is True


def _has(tokens: list[Any]) -> bool:
    """`display: grid`, `selector(a > b)`. What nobody knows is not supported, and its opposite is."""
    if tokens and tokens[0].type == "function":
        text = tinycss2.serialize(tokens[0].arguments).lower()
        return bool(tokens[0].lower_name == "selector" and not any(prefix in text for prefix in _OTHERS))
    name = conditions.word(tokens)
    if len(tokens) < 3 or tokens[1] != ":" or name.startswith(_OTHERS) or name in _SAFARIS:
        return False
    return name != "display" or conditions.word(tokens[2:]) in DISPLAYS
