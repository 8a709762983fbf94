"""What readers of an HTML source would stumble over: pictures without words, links that lead nowhere. Pure.

Liquid in an address is taken on trust: it is known only for a person.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from urllib.parse import urlsplit

from dripstone.content.html import words
from dripstone.content.markup import Markup, markups

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_HARMLESS = ("http", "https", "mailto", "tel", "sms")


@dataclass(frozen=True, slots=True)
class Flaw:
    """kind   "alt" (an image without one) or "link"
    what   the address, as it is written
    why    of a link, the rest of a sentence that begins with it
    """

    kind: str
    what: str
    why: str = ""


def flaws(source: str) -> Iterator[Flaw]:
    """In the order of the source."""
    hidden = words(source)
    for one in markups(hidden.html):
        if one.kind == "start" and one.name == "img" and one.get("alt") is None and not _is_for_counting(one):
            yield Flaw("alt", hidden.restore(one.get("src") or ""))
        if one.kind == "start" and one.name == "a" and (href := one.get("href")) is not None:
            address = unescape(href).strip()
            is_known = not hidden.numbers(address)
            if is_known and (why := _complaint(address)):
                yield Flaw("link", href, why)


def _is_for_counting(image: Markup) -> bool:
    """One pixel, which nobody sees."""
    return "1" in (image.get("width"), image.get("height"))


def _complaint(address: str) -> str:
    if not address:
        return "has no address"
    if address.startswith("#"):
        return "" if len(address) > 1 else "leads nowhere"
    if not _SCHEME.match(address):
        return "is no whole address: in an email it must begin with https://"
    try:
        parts = urlsplit(address)
    except ValueError:
        return "is no address that a browser understands"
    if parts.scheme.lower() not in _HARMLESS:
        return f"begins with {parts.scheme}:, which mail programs do not open"
    if parts.scheme.lower() in ("http", "https") and not _is_host(parts.hostname or ""):
        return "names no website"
    return "holds a space" if " " in address else ""


def _is_host(name: str) -> bool:
    return ("." in name.strip(".") or name == "localhost") and " " not in name
