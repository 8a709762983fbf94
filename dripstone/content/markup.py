"""The tags of an HTML source with their places, so that it can be changed where it must and stay as it is elsewhere.

Reads as the HTML standard's tokenizer does, in time that grows with the length whatever the source: each piece of text
is looked at once, and what never ends (`<!--`, `<a "`, `<style>`) ends with the source.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# Text up to their end tag, whatever it looks like.
RAW = frozenset(("style", "script", "title", "textarea", "iframe", "xmp", "noembed", "noframes"))

_SPACE = r"[ \t\n\f\r]"
_TAG_NAME = re.compile(r"</?([a-z][^ \t\n\f\r/>]*+)", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    rf"(?:{_SPACE}|/)*+([^ \t\n\f\r/>][^ \t\n\f\r/>=]*+)"
    rf"(?:{_SPACE}*+={_SPACE}*+(\"[^\"]*+\"?|'[^']*+'?|[^ \t\n\f\r>]*+))?+"
)
_TAG_END = re.compile(rf"(?:{_SPACE}|/)*+>")
_COMMENT_END = re.compile(r"--!?>")
_RAW_END = {name: re.compile(rf"</{name}(?=[ \t\n\f\r/>])[^>]*+>?", re.IGNORECASE) for name in RAW}


@dataclass(frozen=True, slots=True)
class Attribute:
    """raw   the value as it is written, with its quotation marks; None without a value
    start, end   of the raw value in the source; without one, the place after the name
    """

    name: str
    raw: str | None
    start: int
    end: int

    @property
    def value(self) -> str:
        """As it is written, without quotation marks; entities are not decoded."""
        raw = self.raw or ""
        return raw[1:-1] if raw[:1] in ("'", '"') else raw


@dataclass(frozen=True, slots=True)
class Markup:
    """A tag, a comment (also `<!doctype`, `<?`, `</3`), or an element of raw text from its start tag to its end tag.

    kind   "start", "end", "comment" or "raw"
    end    of the tag; `inner_end` and `outer_end` are those of raw text and of its end tag
    """

    kind: str
    start: int
    end: int
    name: str = ""
    attributes: tuple[Attribute, ...] = ()
    inner_end: int = 0
    outer_end: int = 0

    def get(self, name: str) -> str | None:
        """The attribute's value as it is written; "" when it has none, None when it is not there."""
        return next((one.value for one in self.attributes if one.name == name), None)


@dataclass(slots=True)
class Edits:
    """Changes to a source by place, made all at once."""

    changes: list[tuple[int, int, str]] = field(default_factory=list)

    def replace(self, start: int, end: int, new: str) -> None:
        self.changes.append((start, end, new))

    def applied(self, source: str) -> str:
        parts: list[str] = []
        done = 0
        for start, end, new in sorted(self.changes):
            parts += (source[done:start], new)
            done = end
        return "".join([*parts, source[done:]])


def markups(source: str) -> Iterator[Markup]:
    """All tags and comments in order; between them is text."""
    place = 0
    while (start := source.find("<", place)) >= 0:
        markup = _at(source, start)
        if markup is None:
            place = start + 1
        else:
            yield markup
            place = max(markup.end, markup.outer_end)


def _at(source: str, start: int) -> Markup | None:
    """What begins with this `<`; None when it is only text. A tag that never ends takes the rest of the source."""
    name = _TAG_NAME.match(source, start)
    if name:
        return _tag(source, start, name)
    if source.startswith("<!--", start):
        return Markup("comment", start, _comment_end(source, start + 4))
    if source[start + 1 : start + 2] in ("!", "?", "/"):
        end = source.find(">", start + 1) + 1
        return Markup("comment", start, end or len(source))
    return None


def _comment_end(source: str, start: int) -> int:
    for short in (">", "->"):
        if source.startswith(short, start):
            return start + len(short)
    end = _COMMENT_END.search(source, start)
    return end.end() if end else len(source)


def _tag(source: str, start: int, found: re.Match[str]) -> Markup:
    name, place = found[1].lower(), found.end()
    attributes: dict[str, Attribute] = {}
    while not (end := _TAG_END.match(source, place)):
        one = _ATTRIBUTE.match(source, place)
        if one is None or _is_open(one[2]):
            return Markup("comment", start, len(source))
        value_at = one.end(1) if one[2] is None else one.start(2)
        attributes.setdefault(one[1].lower(), Attribute(one[1].lower(), one[2], value_at, one.end()))
        place = one.end()
    if source[start + 1] == "/":
        return Markup("end", start, end.end(), name)
    listed = tuple(attributes.values())
    if name == "plaintext":
        return Markup("raw", start, end.end(), name, listed, len(source), len(source))
    if name in RAW:
        closing = _RAW_END[name].search(source, end.end())
        inner, outer = closing.span() if closing else (len(source), len(source))
        return Markup("raw", start, end.end(), name, listed, inner, outer)
    return Markup("start", start, end.end(), name, listed)


def _is_open(raw: str | None) -> bool:
    """Whether this is the beginning of a quotation that nothing closes."""
    return raw is not None and raw[:1] in ("'", '"') and (len(raw) == 1 or raw[-1] != raw[0])
