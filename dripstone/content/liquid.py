"""Liquid as creators write it: is it sound, what does it refer to, and where are its tags?"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from liquid import Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions._tokenize import _keywords
from liquid.builtin.expressions.logical import (
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import FloatLiteral, IntegerLiteral
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.case_tag import _AnyExpression
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.template import BoundTemplate

from dripstone.content.liquid_cost import all_of
from dripstone.content.liquid_render import FOOTER_NAMES, TolerantEnvironment, nodes

HTML = TolerantEnvironment(autoescape=True)
"""HTML with Liquid: what subscribers gave us is escaped, what the creator wrote is markup."""
PLAIN = TolerantEnvironment(autoescape=True, plain_text=True)
"""Plain text with Liquid, on its way into HTML: everything is escaped, once."""
TEXT = TolerantEnvironment(autoescape=False)
"""Plain text with Liquid, staying text: subjects, preview texts, the text part."""

KNOWN_NAMES = FOOTER_NAMES | {"subscriber", "snippet", "message_content", "now", "today"}
ALWAYS_THERE = frozenset(("email_address", "id"))
MAX_SOURCE = 200_000  # characters of what is saved; Gmail clips a message at about 100 KB
MAX_LIQUID = 50_000  # characters in the tags of what is saved: parsing takes up to 5 µs for each
MAX_TOGETHER = 500_000  # characters of a snippet and all that it uses
MAX_TAG = 4_000  # characters
MAX_BRACKETS = 100  # of a tag; the lexer looks for the end of each in all of the tag
MAX_OPERATORS = 300  # of a tag; each nests the expression one deeper, and Python's stack ends at 1,000

_BRACE, _PERCENT = r"&(?:#0*123|#x0*7b|lcub|lbrace);", r"&(?:#0*37|#x0*25|percnt);"
_TAG_IN_ENTITIES = re.compile(rf"{_BRACE}(?:\{{|%|{_BRACE}|{_PERCENT})|\{{(?:{_BRACE}|{_PERCENT})", re.IGNORECASE)
_MUCH_SPACE = re.compile(r"\s{200}")
_BRACKETS = re.compile(r"[(\[]")
_OPERATORS = re.compile(r"\b(?:and|or|contains)\b|[=<>!]+")
# What the library's lexer does not take for a key after a dot: `24-7`, `blank`.
_WORDS = "|".join(sorted(_keywords))
_ODD_KEY = rf"\.(\d[\w-]*|(?:{_WORDS})(?![\w?-]))"
_MAY_HAVE_ODD_KEY = re.compile(rf"[\w\]?-]\.(?:\d|(?:{_WORDS})\b)")
_QUOTED_NUMBER_OR_ODD_KEY = re.compile(
    rf"""(?:"[^"]*"|'[^']*'|(?<![\w.\]])-?\d+(?:\.\d+)?(?![\w-]))|(?<=[\w\]?-]){_ODD_KEY}"""
)
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
    """Problems of a Liquid source, as sentences for a 422; none means that it will render.

    part   what the source is, in the creator's words: "subject", "preview_text", "content"
    """
    try:
        parse(HTML, source)
    except LiquidError as error:
        return [f"Invalid Liquid in {part}: {_message(error)}"]
    return []


def check_new(source: str, part: str = "content", saved: str = "", most: int = MAX_SOURCE) -> list[str]:
    """The same for what is about to be saved: it must not be too long either.

    saved  what is there now. From before these limits it may be longer; then it can only shrink
    """
    if len(source) > max(most, len(saved)):
        return [f"{part} is too long (maximum is {most} characters)"]
    if _in_tags(source) > max(MAX_LIQUID, _in_tags(saved)):
        return [f"{part} has too much Liquid (maximum is {MAX_LIQUID} characters in its tags)"]
    return check(source, part)


def _in_tags(source: str) -> int:
    return sum(len(piece.text) for piece in pieces(source) if piece.is_liquid and not _WHOLE_BLOCK.match(piece.text))


def parse(environment: TolerantEnvironment, source: str) -> BoundTemplate:
    """Raises LiquidError, with a message for humans, when the source is broken."""
    source = clean(source)
    _refuse_what_is_slow(source)
    return environment.from_string(_with_odd_keys(source))


def _with_odd_keys(source: str) -> str:
    """`snippet.24-7` and `subscriber.limit` as Kit writes them → `snippet['24-7']`, `subscriber['limit']`."""
    if not _MAY_HAVE_ODD_KEY.search(source):
        return source
    return "".join(_with_brackets(piece.text) if piece.is_liquid else piece.text for piece in pieces(source))


def _with_brackets(tag: str) -> str:
    if _WHOLE_BLOCK.match(tag):
        return tag
    end = -3 if tag[-3:-2] == "-" else -2
    inside = _QUOTED_NUMBER_OR_ODD_KEY.sub(lambda found: f"['{found[1]}']" if found[1] else found[0], tag[2:end])
    return tag[:2] + inside + tag[end:]


def _refuse_what_is_slow(source: str) -> None:
    """The library's lexer takes quadratic or cubic time over these; see tests/content/test_hostile.py."""
    line = 1
    for piece in pieces(source):
        if piece.is_liquid and (complaint := _complaint(piece)):
            raise LiquidError(f"'{' '.join(piece.text[:20].split())}' {complaint}, line {line}", token=None)
        line += piece.text.count("\n")


def _complaint(tag: Piece) -> str:
    if tag.is_open:
        return "is never closed"
    if _MUCH_SPACE.search(tag.text):
        return "holds too much white space"
    if len(tag.text) <= MAX_BRACKETS or _WHOLE_BLOCK.match(tag.text):
        return ""
    if len(_BRACKETS.findall(tag.text)) > MAX_BRACKETS:
        return "holds too many brackets"
    return "holds too many comparisons" if len(_OPERATORS.findall(tag.text)) > MAX_OPERATORS else ""


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
    as_numbers        the fields it compares with a number, though they are text
    names             what stands first in a path, `address` or `subscriber`, and is not made by the source itself
    unknown           those of the names that mean nothing to us and so come out empty
    any_field         it may put out any field: its key is made up while rendering, as in `subscriber[plan]`
    """

    snippets: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    without_default: frozenset[str] = frozenset()
    as_numbers: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    any_field: bool = False


@lru_cache(maxsize=512)  # parsing costs a millisecond, and sources seldom change
def variables(source: str) -> References:
    """Static analysis, for warnings on saving; broken Liquid refers to nothing."""
    try:
        template = parse(HTML, source)
    except LiquidError:
        return References()
    roots, own = set[str](), set[str]()
    snippets, fields, bare, tested, numeric = set[str](), set[str](), set[str](), set[str](), set[str]()
    any_field = False
    for node in nodes(template):
        own.update(map(str, chain(node.template_scope(), node.block_scope())))
        for expression in all_of(node.expressions()):
            roots |= _root(expression)
            snippets |= _member(expression, "snippet")
            fields |= _member(expression, "subscriber")
            numeric |= _compared_with_number(expression)
            any_field |= _is_any_field(expression)
        if isinstance(node, OutputNode):
            bare |= _without_default(node)
        else:
            tested |= {key for one in all_of(node.expressions()) for key in _member(one, "subscriber")}
    return References(
        snippets=frozenset(snippets),
        fields=frozenset(fields - ALWAYS_THERE),
        without_default=frozenset((bare & fields) - ALWAYS_THERE - tested),
        as_numbers=frozenset(numeric - ALWAYS_THERE),
        names=frozenset(roots - own),
        unknown=frozenset(roots - own - KNOWN_NAMES),
        any_field=any_field,
    )


def _root(expression: Expression) -> set[str]:
    return {str(expression.path[0])} if isinstance(expression, Path) else set()


def _member(expression: Expression, root: str) -> set[str]:
    """`subscriber.city` → city."""
    match expression:
        case Path(path=[first, str(key), *_]) if first == root:
            return {key}
    return set()


def _is_any_field(expression: Expression) -> bool:
    """`subscriber` as a whole, or with a key that is made up while rendering."""
    match expression:
        case Path(path=["subscriber"]):
            return True
        case Path(path=["subscriber", key, *_]):
            return not isinstance(key, str)
    return False


def _without_default(node: Node) -> set[str]:
    expression = next(iter(node.expressions()))
    if not isinstance(expression, FilteredExpression) or any(f.name == "default" for f in expression.filters or ()):
        return set()
    return {key for one in all_of([expression.left]) for key in _member(one, "subscriber")}


_COMPARISONS = (EqExpression, NeExpression, LtExpression, LeExpression, GtExpression, GeExpression)
_NUMBERS = (IntegerLiteral, FloatLiteral)


def _compared_with_number(expression: Expression) -> set[str]:
    sides: Iterable[Expression] = ()
    if isinstance(expression, _COMPARISONS):
        sides = (expression.left, expression.right)
    elif isinstance(expression, _AnyExpression):  # case … when
        sides = (expression.left, *expression.expressions)
    if not any(isinstance(side, _NUMBERS) for side in sides):
        return set()
    return {key for side in sides for key in _member(side, "subscriber")}


def tag_in_entities(html: str) -> str:
    """`&#123;&#123;`: how a tag of Liquid begins that is one only to the eye; "" where there is none."""
    found = _TAG_IN_ENTITIES.search(html)
    return found[0] if found else ""


def as_number(key: str) -> str:
    """The Liquid that makes a number of a field, to be compared with numbers."""
    return f"{{% assign number = subscriber.{key} | plus: 0 %}}"


def snippet_problem(key: str, content: str, contents_of: Callable[[set[str]], Mapping[str, str]]) -> str:
    """Why a snippet cannot be saved with this content: it would contain itself, or use too much; "" when it can.

    contents_of   gives the contents of those snippets among the keys that exist; asked once per level of use
    """
    used_by: dict[str, str] = {}
    n_characters, level = 0, {key: content}
    while level:
        n_characters += sum(map(len, level.values()))
        if n_characters > MAX_TOGETHER:
            return f"A snippet and all that it uses may have at most {MAX_TOGETHER} characters"
        new = set[str]()
        for user, source in level.items():
            for used in sorted(variables(source).snippets):
                if used == key:
                    return f"A snippet cannot contain itself: {_way(key, user, used_by)}"
                if used not in used_by:
                    used_by[used] = user
                    new.add(used)
        level = dict(contents_of(new))
    return ""


def _way(key: str, last: str, used_by: Mapping[str, str]) -> str:
    """From a snippet to the last before it comes again: `a → b → c → a`."""
    way = [key, last]
    while way[-1] != key:
        way.append(used_by[way[-1]])
    return " → ".join(reversed(way))
