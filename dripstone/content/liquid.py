"""Liquid as creators write it: is it sound, what does it refer to, and where are its tags?"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from liquid import Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.static_analysis import Variable
from liquid.template import BoundTemplate

from dripstone.content.liquid_render import FOOTER_NAMES, TolerantEnvironment, nodes

HTML = TolerantEnvironment(autoescape=True)
"""HTML with Liquid: what subscribers gave us is escaped, what the creator wrote is markup."""
PLAIN = TolerantEnvironment(autoescape=True, plain_text=True)
"""Plain text with Liquid, on its way into HTML: everything is escaped, once."""
TEXT = TolerantEnvironment(autoescape=False)
"""Plain text with Liquid, staying text: subjects, preview texts, the text part."""

KNOWN_NAMES = FOOTER_NAMES | {"subscriber", "snippet", "message_content", "now", "today"}
ALWAYS_THERE = frozenset(("email_address", "id"))
MAX_SOURCE = 1_000_000  # characters
MAX_TAG = 4_000  # characters

_MUCH_SPACE = re.compile(r"\s{200}")
_OPENING = re.compile(r"\{\{|\{%")
_WHOLE_BLOCK = re.compile(r"\{%-?\s{0,20}(raw|comment|doc)\b")
_CONTROL = bytes({*range(32), 127} - set(b"\t\n\r"))


def clean(text: str) -> str:
    """Without NUL, other control characters and lone surrogates, and with \\n line ends: what mail can carry."""
    if text.isprintable():
        return text
    # Through bytes because translate there takes 4 µs for 12 KB where a regular expression takes 70.
    kept = text.encode("utf-8", "ignore").translate(None, _CONTROL)
    return kept.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode()


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a source: a Liquid tag (or a whole raw or comment block), or literal text."""

    text: str
    is_liquid: bool
    is_open: bool = False  # the tag or block never ends


def pieces(source: str) -> Iterator[Piece]:
    """Cut a source into literal text and Liquid, in linear time; joined they give the source again."""
    done = 0
    while opening := _OPENING.search(source, done):
        start = opening.start()
        if start > done:
            yield Piece(source[done:start], is_liquid=False)
        done = _end(source, start)
        yield Piece(source[start : done or len(source)], is_liquid=True, is_open=not done)
        if not done:
            return
    if done < len(source):
        yield Piece(source[done:], is_liquid=False)


def _end(source: str, start: int) -> int:
    """Where the Liquid that starts here ends; 0 when it does not."""
    if block := _WHOLE_BLOCK.match(source, start):
        closing = re.compile(r"\{%-?\s{0,20}end" + block[1] + r"\s{0,20}-?%\}").search(source, block.end())
        return closing.end() if closing else 0
    mark = "}}" if source.startswith("{{", start) else "%}"
    return source.find(mark, start + 2) + 2 if mark in source[start + 2 : start + MAX_TAG] else 0


def check(source: str, part: str = "content") -> list[str]:
    """Problems of a Liquid source, as sentences for a 422; none means that it can be saved and will render.

    part   what the source is, in the creator's words: "subject", "preview_text", "content"
    """
    if len(source) > MAX_SOURCE:
        return [f"{part} is too long (maximum is {MAX_SOURCE} characters)"]
    try:
        parse(HTML, source)
    except LiquidError as error:
        return [f"Invalid Liquid in {part}: {_message(error)}"]
    return []


def parse(environment: TolerantEnvironment, source: str) -> BoundTemplate:
    """Raises LiquidError, with a message for humans, when the source is broken."""
    source = clean(source)
    _refuse_what_is_slow(source)
    template = environment.from_string(source)
    # A loop over a long template costs more per turn: let the budget know.
    template.weight = 1 + len(source) // 500  # type: ignore[attr-defined]
    return template


def _refuse_what_is_slow(source: str) -> None:
    """The library's lexer takes quadratic or cubic time over these; see tests/content/test_hostile.py."""
    line = 1
    for piece in pieces(source):
        start = " ".join(piece.text[:20].split())
        if piece.is_open:
            raise LiquidError(f"'{start}' is never closed, line {line}", token=None)
        if piece.is_liquid and _MUCH_SPACE.search(piece.text):
            raise LiquidError(f"'{start}' holds too much white space, line {line}", token=None)
        line += piece.text.count("\n")


def _message(error: LiquidError) -> str:
    message = " ".join(str(error.message).split())
    if error.token is None or error.token.start_index < 0:
        return message
    line = error.token.source.count("\n", 0, error.token.start_index) + 1
    unknown = re.match(r"unexpected tag '?(\w+)'?", message)
    return f"{f'unknown tag {unknown[1]}' if unknown else message}, line {line}"


@dataclass(frozen=True, slots=True)
class References:
    """What a sound Liquid source refers to, as far as can be known without rendering it.

    snippets          snippet keys
    fields            subscriber keys (`first_name`, custom field keys), without `email_address` and `id`
    without_default   the fields it puts out with neither a `default` filter nor a condition on them anywhere
    unknown           names that mean nothing to us and so come out empty
    """

    snippets: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    without_default: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()


def variables(source: str) -> References:
    """Static analysis, for warnings on saving; broken Liquid refers to nothing."""
    try:
        template = parse(HTML, source)
    except LiquidError:
        return References()
    used = template.analyze(include_partials=False).globals
    fields = _second_segments(used, "subscriber") - ALWAYS_THERE
    bare, tested = _bare_and_tested(template)
    return References(
        snippets=_second_segments(used, "snippet"),
        fields=fields,
        without_default=fields & (bare - tested),
        unknown=frozenset(name for name in used if name not in KNOWN_NAMES),
    )


def _second_segments(used: Mapping[str, list[Variable]], root: str) -> frozenset[str]:
    paths = [variable.segments for variable in used.get(root, [])]
    return frozenset(path[1] for path in paths if len(path) > 1 and isinstance(path[1], str))


def _bare_and_tested(template: BoundTemplate) -> tuple[set[str], set[str]]:
    bare: set[str] = set()
    tested: set[str] = set()
    for node in nodes(template):
        if isinstance(node, OutputNode):
            bare |= _without_default(node)
        else:
            tested |= {field for expression in node.expressions() for field in _fields(expression)}
    return bare, tested


def _without_default(node: Node) -> set[str]:
    expression = next(iter(node.expressions()))
    if not isinstance(expression, FilteredExpression) or any(f.name == "default" for f in expression.filters or ()):
        return set()
    return set(_fields(expression.left))


def _fields(expression: Expression) -> Iterator[str]:
    if isinstance(expression, Path) and expression.path[0] == "subscriber" and len(expression.path) > 1:
        yield str(expression.path[1])
    for child in expression.children():
        yield from _fields(child)


def snippet_cycle(key: str, content: str, content_of: Callable[[str], str | None]) -> list[str]:
    """The way from a snippet back to itself, as keys (`["a", "b", "a"]`), when this content would be saved; else [].

    content_of   gives the content of another snippet, None for one that does not exist
    """
    seen: set[str] = set()
    waiting = [(name, [key, name]) for name in sorted(variables(content).snippets)]
    while waiting:
        name, way = waiting.pop()
        if name == key:
            return way
        if name not in seen:
            seen.add(name)
            further = variables(content_of(name) or "").snippets
            waiting.extend((next_name, [*way, next_name]) for next_name in sorted(further))
    return []
