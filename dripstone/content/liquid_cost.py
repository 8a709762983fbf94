"""What rendering Liquid costs, in steps, and how many steps one message may take.

A step is about a microsecond of a machine of today. Everything is charged by the size of what it walks, so the same
message costs the same on every machine and at every attempt; the clock decides nothing. Before a block runs it pays
for the tags in it (`Toll`). Operators, filters and output pay for their values besides.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TextIO

from liquid import Node, RenderContext
from liquid.ast import BlockNode
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import Path
from liquid.builtin.tags.for_tag import ForLoop
from liquid.builtin.tags.tablerow_tag import TableRow
from liquid.expression import Expression
from liquid.token import Token

MAX_STEPS = 100_000  # per message; a plain letter takes some hundreds, a page of 100 KB some thousands
MAX_TEXT = 200_000  # characters of a value; Gmail clips a whole message at about 100 KB
MAX_ITEMS = 10_000  # of a list or a range; a long article, split to count its words, has some thousands
MAX_BITS = 4_096  # of a whole number; repeated squaring would grow without end

CHARS_PER_STEP = 64  # that C code reads or writes
OUT_PER_STEP = 32  # put out: it is cleaned and encoded afterwards
TEXT_PER_STEP = 16  # made from a message's own HTML (text.py)
PARSED_PER_STEP = 8  # of a snippet, once per message and part, though it may be parsed already
SEARCHED_PER_STEP = 1024  # length of the text times length of what is looked for: the worst case of a search
ITEM = 32  # characters that one item of a list counts for
FILTER, FAILURE = 4, 20  # calling a filter; writing down what went wrong


class OverBudget(Exception):
    """Rendering one message would cost more than MAX_STEPS.

    part, where   what was rendered ("subject", "preview_text", "content"), and the tag as it is written
    """

    def __init__(self, part: str = "", where: str = "") -> None:
        super().__init__(part, where)
        self.part, self.where = part, where


# --- Values -------------------------------------------------------------------------------------------------------


def size(value: object) -> int:
    """In characters, with all that is inside. Raises OverBudget for what no message can afford to walk."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, (list, tuple, dict)):
        return _deep(value)
    if isinstance(value, (range, ForLoop, TableRow)):
        return ITEM * n_items(value)
    return ITEM + value.bit_length() // 8 if isinstance(value, int) else ITEM


def _deep(value: list[object] | tuple[object, ...] | dict[object, object]) -> int:
    total, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        for item in one.items() if isinstance(one, dict) else one:
            total += ITEM
            if isinstance(item, str):
                total += len(item)
            elif isinstance(item, (list, tuple, dict)):
                waiting.append(item)
            elif isinstance(item, int):
                total += item.bit_length() // 8
        if total > MAX_STEPS * CHARS_PER_STEP:
            raise OverBudget
    return total


def n_items(value: object) -> int:
    """How many items a filter or loop would take from it. Never walks: a loop's own object would go on."""
    if isinstance(value, (ForLoop, TableRow)):
        return value.length
    return len(value) if isinstance(value, (list, tuple, range)) else 1


def comparing(left: object, right: object) -> int:
    return 1 + (size(left) + size(right)) // CHARS_PER_STEP


def searching(left: object, right: object) -> int:
    """Also of a list: each of its items may be compared, and a text in it searched."""
    return comparing(left, right) + size(left) * size(right) // SEARCHED_PER_STEP


# --- Filters ------------------------------------------------------------------------------------------------------


class Work(NamedTuple):
    """What a filter is given: characters and items of its value, characters of its arguments."""

    chars: int
    items: int
    args: int


def _plain(work: Work) -> int:
    return (work.chars + work.args) // CHARS_PER_STEP


def _letters(chars_per_step: int) -> Callable[[Work], int]:
    """Goes through the text in Python, or by a regular expression with much to replace."""
    return lambda work: work.chars // chars_per_step + work.args // CHARS_PER_STEP


def _search(work: Work) -> int:
    return work.chars // 16 + work.chars * work.args // SEARCHED_PER_STEP


def _each(work: Work) -> int:
    """Looks at each item, asks it for a member, and writes the member's name anew for each."""
    return work.items * (2 + work.args // CHARS_PER_STEP) + work.chars // 16 + _search(work)


def _each_pair(work: Work) -> int:
    return _each(work) + work.items**2 // 32 + work.items * work.chars // 16_384


def _date(work: Work) -> int:
    """Reading a date from words takes long; so do the names of days and months."""
    return 100 + work.chars * 16 + work.args


FILTERS: dict[str, Callable[[Work], int]] = {
    **dict.fromkeys(("abs", "at_most", "at_least", "ceil", "divided_by", "floor", "minus", "modulo"), _plain),
    **dict.fromkeys(("plus", "round", "times", "size", "default", "first", "last", "concat", "reverse"), _plain),
    **dict.fromkeys(("append", "prepend", "capitalize", "downcase", "upcase", "strip", "lstrip", "rstrip"), _plain),
    **dict.fromkeys(("safe", "escape", "slice", "truncate", "base64_encode", "base64_decode"), _plain),
    **dict.fromkeys(("base64_url_safe_encode", "base64_url_safe_decode"), _plain),
    **dict.fromkeys(("newline_to_br", "strip_newlines", "squish", "truncatewords", "strip_html"), _letters(4)),
    **dict.fromkeys(("escapejs", "escape_once", "url_encode", "url_decode"), _letters(2)),
    **dict.fromkeys(("replace", "replace_first", "replace_last"), _search),
    **dict.fromkeys(("remove", "remove_first", "remove_last", "split"), _search),
    **dict.fromkeys(("join", "map", "where", "reject", "find", "find_index", "has", "compact", "sum"), _each),
    **dict.fromkeys(("sort", "sort_natural"), _each),
    "uniq": _each_pair,
    "date": _date,
}
"""The cost of each filter before it runs; what it makes is charged besides."""


def filtering(name: str, left: object, args: Iterable[object]) -> int:
    work = Work(size(left), n_items(left), sum(map(size, args)))
    return FILTER + FILTERS[name](work)


# --- Blocks -------------------------------------------------------------------------------------------------------


class Toll(Node):
    """Stands first in every block, and charges for the tags in it whenever the block runs."""

    __slots__ = ("steps",)

    def __init__(self, token: Token, block: Iterable[Node], static: RenderContext) -> None:
        super().__init__(token)
        self.steps = 1 + sum(_tag_cost(node, static) for node in block)

    def __str__(self) -> str:
        return ""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        context.state.spend(self.steps)  # type: ignore[attr-defined]  # liquid_render.Context
        return 0


def _tag_cost(node: Node, static: RenderContext) -> int:
    """Of a tag with its conditions, but without the blocks inside: those have tolls of their own."""
    if isinstance(node, ContentNode):
        return 1
    cost = 2 + sum(1 + len(one.path) if isinstance(one, Path) else 1 for one in all_of(node.expressions()))
    inside = node.children(static, include_partials=False)
    return cost + sum(_tag_cost(child, static) for child in inside if not isinstance(child, BlockNode))


def all_of(expressions: Iterable[Expression]) -> Iterator[Expression]:
    """These expressions and every one inside them, outer ones first."""
    waiting = list(expressions)
    while waiting:
        expression = waiting.pop()
        yield expression
        waiting.extend(expression.children())
