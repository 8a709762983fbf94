"""A message per person without running Liquid: the email is rendered once with marks in place of personal values, and
cut at the marks. Each person's message is the pieces with their own values in between.

This is right only where values are put out unchanged. `holes_of` decides that from the parse trees: no loop, filter
(except `default: "text"`), assignment or condition (except whether a value is there) may use a personal value. And only
for people whose values are there, in one line, and without white space that tidying would touch (`values_for`). All
others get the ordinary rendering, with which tests compare this one.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import mul

from liquid import Node, escape
from liquid.ast import BlockNode, ConditionalBlockNode
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path, StringLiteral
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression
from liquid.template import BoundTemplate

from dripstone.content import mime
from dripstone.content.liquid_cost import Toll
from dripstone.content.liquid_render import UNSUBSCRIBE_NAMES, TolerantOutput, nodes
from dripstone.content.text import in_url
from dripstone.senders.base import Lines

OPEN, CLOSE = (
    "\ue000",
    "\ue001",
)  # private use: no mail of ours has them (a source or value that does is rendered the ordinary way)
FIRST = 0xE100

_HARMLESS = (Toll, ContentNode, TolerantOutput, BlockNode, ConditionalBlockNode, IfNode, UnlessNode, CommentNode)
_PERSONAL = UNSUBSCRIBE_NAMES | {"subscriber", "snippet", "preview_text", "now", "today"}
# `{% if subscriber.x %}`, `{% if subscriber.x != blank %}`: decided once the value is there at all.
_IS_THERE = re.compile(r"subscriber\.(?P<key>\w+)(?: (?:!=|==) )?")
_NOT_IN_HTML = re.compile("[&<>'\"]")  # as it is
_OUR_PREHEADER = "preview_text != "  # `!= blank`, as html.py asks: the same for everybody whose values are all there


@dataclass(frozen=True, slots=True)
class Hole:
    """A personal value: `first_name`, a field's key, or "" for the unsubscribe URL."""

    key: str
    default: str | None = None  # stands in for an empty value; None: without the value, Liquid must run


def mark(number: int) -> str:
    """With a space, which the text part writes as %20 in a URL: so it is seen where a value will stand in one."""
    return f"{OPEN} {chr(FIRST + number)}{CLOSE}"


_MARK = re.compile(rf"{OPEN}(?P<space> |%20)(?P<number>[{chr(FIRST)}-\uf8ff]){CLOSE}")


def holes_of(templates: list[BoundTemplate], snippet: Callable[[str], list[BoundTemplate]]) -> list[Hole] | None:
    """The holes of these templates and the snippets they use, or None when a value decides about anything."""
    holes: dict[str, Hole] = {"": Hole("")}
    waiting, seen = list(templates), set[str]()
    while waiting:
        for node in nodes(waiting.pop()):
            for found in _uses(node):
                if found is None:
                    return None
                if isinstance(found, Hole):
                    # Two defaults for one field: people without a value there get the ordinary rendering.
                    has_one_default = holes.get(found.key, found) == found
                    holes[found.key] = found if has_one_default else Hole(found.key)
                elif found not in seen:
                    seen.add(found)
                    waiting += snippet(found)
    return list(holes.values())


def _uses(node: Node) -> Iterator[Hole | str | None]:
    """A hole, a snippet's key, or None for anything that is not plain; nothing for what is the same for everybody."""
    if not isinstance(node, _HARMLESS):
        yield None
    for expression in node.expressions():
        plain = _plain(expression) if isinstance(node, TolerantOutput) else _asked_for(expression)
        if plain is not None:
            yield plain
        elif str(expression) not in ("preview_text", _OUR_PREHEADER) and any(map(_is_personal, _all(expression))):
            yield None


def _plain(expression: Expression) -> Hole | str | None:
    """`subscriber.x`, `subscriber.x | default: "text"`, an unsubscribe URL or `snippet.x`, and nothing done to it."""
    path, default = expression, None
    if isinstance(expression, FilteredExpression):
        path, default = expression.left, _default(expression)
        if expression.filters and default is None:
            return None
    if not isinstance(path, Path):
        return None
    match path.path:
        case ["subscriber", str(key)] if key != "id":
            return Hole(key, default)
        case [str(name)] if name in UNSUBSCRIBE_NAMES and default is None:
            return Hole("")
        case ["snippet", str(key)] if default is None:
            return key
    return None


def _asked_for(expression: Expression) -> Hole | None:
    """A condition that only asks whether a value is there. Without the value, Liquid runs."""
    asked = _IS_THERE.fullmatch(str(expression))
    return Hole(asked["key"]) if asked and asked["key"] != "id" else None


def _default(expression: FilteredExpression) -> str | None:
    """The text of `| default: "text"` when that is the only filter and the text the same in HTML as in plain text."""
    match expression.filters:
        case [one] if one.name == "default" and len(one.args) == 1:
            literal = one.args[0].value
            if isinstance(literal, StringLiteral) and literal.value and str(escape(literal.value)) == literal.value:
                return literal.value
    return None


def _is_personal(expression: Expression) -> bool:
    if isinstance(expression, FilteredExpression):
        return any(one.name == "date" for one in expression.filters or ())
    root = expression.path[0] if isinstance(expression, Path) and expression.path else ""
    return not isinstance(root, str) or root in _PERSONAL


def _all(expression: Expression) -> Iterator[Expression]:
    yield expression
    for child in expression.children():
        yield from _all(child)


def values_for(holes: list[Hole], known: Mapping[str, str | None]) -> list[str] | None:
    """The person's value per hole, or None when one of them needs the ordinary rendering."""
    values = []
    for hole in holes:
        value = known.get(hole.key) or hole.default
        if not value or OPEN in value or mime.one_line(value) != value:
            return None
        values.append(value)
    return values


def is_whole(marked: str, n_holes: int) -> bool:
    """Whether every mark came through as it was put in."""
    found = [one for one in _MARK.finditer(marked) if ord(one["number"]) - FIRST < n_holes]
    return len(found) == marked.count(OPEN) == marked.count(CLOSE)


def begins_url(marked: str, number: int) -> bool:
    """Whether a value decides what kind of URL the text part is to write: `#` or `javascript:` it does not."""
    return f"<{mark(number)}".replace(" ", "%20") in marked


class Stencil:
    """A text cut at its marks: constant pieces, and between them the numbers of what fills the holes.

    in_urls   holes whose values stand in URLs too; written as they are there, those are numbered behind all the others
    """

    def __init__(self, marked: str, n_holes: int) -> None:
        self.n_holes = n_holes
        marks = list(_MARK.finditer(marked))
        starts, ends = [0, *(one.end() for one in marks)], [*(one.start() for one in marks), len(marked)]
        self.pieces = [marked[start:end] for start, end in zip(starts, ends, strict=True)]
        holes = [(ord(one["number"]) - FIRST, one["space"] != " ") for one in marks]
        self.in_urls = sorted({hole for hole, is_in_url in holes if is_in_url})
        self.holes = [n_holes + self.in_urls.index(hole) if is_in_url else hole for hole, is_in_url in holes]

    @property
    def marked(self) -> str:
        """What it was cut from."""
        parts = [self.pieces[0]]
        for piece, hole in zip(self.pieces[1:], self.holes, strict=True):
            is_in_url = hole >= self.n_holes
            parts += (in_url(mark(self.in_urls[hole - self.n_holes])) if is_in_url else mark(hole), piece)
        return "".join(parts)

    def fillings(self, values: list[str]) -> list[str]:
        return [*values, *(in_url(values[hole]) for hole in self.in_urls)] if self.in_urls else values

    def fill(self, values: list[str]) -> str:
        values, parts = self.fillings(values), [self.pieces[0]]
        for piece, hole in zip(self.pieces[1:], self.holes, strict=True):
            parts += (values[hole], piece)
        return "".join(parts)


class Filling:
    """One person's values, encoded once for all places they go to."""

    __slots__ = ("escaped", "is_ascii", "raw", "values")

    def __init__(self, values: list[str]) -> None:
        self.values = values
        self.raw = [value.encode() for value in values]
        self.is_ascii = all(map(str.isascii, values))
        is_same_in_html = not any(map(_NOT_IN_HTML.search, values))
        self.escaped = self.raw if is_same_in_html else [str(escape(value)).encode() for value in values]

    def raw_in_text(self, in_urls: list[int]) -> list[bytes]:
        """As Stencil.fillings numbers them."""
        return [*self.raw, *(in_url(self.values[hole]).encode() for hole in in_urls)] if in_urls else self.raw


class BodyStencil(Stencil):
    """A body part whose constant pieces are encoded once, for each way it may travel."""

    def __init__(self, marked: str, n_holes: int, content_type: str, boundary: str, *, is_html: bool) -> None:
        super().__init__(marked, n_holes)
        self.content_type, self.boundary, self.is_html = content_type, boundary, is_html
        self.is_ascii = all(piece.isascii() for piece in self.pieces)
        self.longest = max(len(line) for line in "".join(self.pieces).encode().split(b"\n"))
        self.uses = [self.holes.count(hole) for hole in range(max(self.holes, default=-1) + 1)]
        before = zip(self.pieces[:-1], self.holes, strict=True)
        self.at_line_starts = {hole for piece, hole in before if piece[-1:] in ("", "\n")}
        as_is = [mime.crlf(piece) for piece in self.pieces]
        self.seven_bit, self.eight_bit = (self._with_gaps(encoding, as_is) for encoding in ("7bit", "8bit"))
        self.lines = mime.lines_of(b"x".join(as_is) + b"\r\n")

    @cached_property
    def quoted(self) -> list[bytes]:
        """For servers that take seven bits, and for lines that are too long."""
        quoted = [*(mime.quoted(piece) for piece in self.pieces[:-1]), mime.quoted(self.pieces[-1], is_last=True)]
        return self._with_gaps("quoted-printable", quoted)

    def part(self, filling: Filling, *, eight_bit: bool) -> tuple[bytes, Lines]:
        """One body part with its headers, as mime.part makes it; and what is known of its lines."""
        raw = filling.escaped if self.is_html else filling.raw_in_text(self.in_urls)
        is_ascii = self.is_ascii and filling.is_ascii
        if (is_ascii or eight_bit) and self._fits(filling, raw):
            may_have_dots = self.lines.may_have_dots or any(raw[hole][:1] == b"." for hole in self.at_line_starts)
            known = Lines(self.lines.end_in_crlf, may_have_dots)
            return self._filled(self.seven_bit if is_ascii else self.eight_bit, raw), known
        values = [str(escape(value)) for value in filling.values] if self.is_html else self.fillings(filling.values)
        return self._filled(self.quoted, [mime.quoted(value) for value in values]), Lines()

    def _with_gaps(self, encoding: str, pieces: list[bytes]) -> list[bytes]:
        """Headers and first piece, a gap for a value, a piece, and so on."""
        gaps = [b""] * (2 * len(pieces) - 1)
        gaps[::2] = pieces
        gaps[0] = mime.part_head(self.content_type, encoding) + pieces[0]
        return gaps

    def _filled(self, gaps: list[bytes], raw: list[bytes]) -> bytes:
        parts = gaps.copy()
        parts[1::2] = [raw[hole] for hole in self.holes]
        return b"".join(parts)

    def _fits(self, filling: Filling, raw: list[bytes]) -> bool:
        if self.longest + sum(map(mul, map(len, raw), self.uses)) > mime.MAX_LINE:
            return False
        return not any(self.boundary in value for value in filling.values)
