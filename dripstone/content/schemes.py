"""An email as a screen set to dark, or to light, shows it: its own colours for that, whatever one's own screen is.

What a mail program does by itself (Gmail and Outlook invert colours) is not imitated. Pure.
"""

import re

from dripstone.content.markup import Edits, markups

DARK, LIGHT = "dark", "light"

_QUERY = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(dark|light)\s*\)", re.IGNORECASE)
_BOTH = re.compile(r"(color-scheme\s*:\s*)(?:light\s+dark|dark\s+light)\b", re.IGNORECASE)
_TRUE, _FALSE = "(min-width: 0)", "(max-width: 0)"  # where there is a screen at all


def shown_in(html: str, scheme: str) -> str:
    """Queries for a scheme hold or do not, and what takes both takes this one."""
    edits = Edits()
    for one in markups(html):
        end = max(one.end, one.outer_end)
        written = html[one.start : end]
        if one.name == "style" or "prefers-color-scheme" in written.lower():
            edits.replace(one.start, end, _decided(written, scheme))
        elif one.name == "meta" and (one.get("name") or "").lower() in ("color-scheme", "supported-color-schemes"):
            edits.replace(one.start, end, re.sub(r"light\s+dark|dark\s+light", scheme, written, flags=re.IGNORECASE))
    return edits.applied(html)


def _decided(css: str, scheme: str) -> str:
    css = _QUERY.sub(lambda found: _TRUE if found[1].lower() == scheme else _FALSE, css)
    return _BOTH.sub(lambda found: found[1] + scheme, css)
