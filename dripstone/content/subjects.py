"""Subjects in lists, which are about no single person: fields are shown by their names, and no Liquid runs."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from liquid import Node
from liquid.ast import BlockNode
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.primitive import Literal
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.case_tag import CaseNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.liquid_tag import LiquidNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.exceptions import LiquidError

from dripstone import words
from dripstone.content import liquid, mime
from dripstone.content.liquid_render import tag_of

LONGEST = 2_000  # characters that are parsed for a page; what is longer was saved before there was a limit


class Part(NamedTuple):
    """A piece of what is read. is_name: of a field or snippet, in place of what it holds."""

    text: str
    is_name: bool = False


def readable(source: str) -> str:
    """ "Hello {{ subscriber.first_name }}" → "Hello [first name]". Broken Liquid is shown unchanged."""
    return mime.one_line("".join(f"[{part.text}]" if part.is_name else part.text for part in parts(source))) or source


def title(source: str) -> str:
    """The same within a sentence: in quotation marks, and not too long."""
    return words.title(readable(source))


def parts(source: str) -> list[Part]:
    """The same in pieces, for a page that sets names apart by their look."""
    if "{" not in source:
        return [Part(source)]
    if len(source) > LONGEST:
        return [Part(f"{source[:LONGEST]}…")]
    try:
        template = liquid.parse(liquid.TEXT, source)
    except LiquidError:
        return [Part(source)]
    found = list(_words(template.nodes))
    return found if any(part.text.strip() for part in found) else [Part(source)]


def _words(nodes: Iterable[Node]) -> Iterator[Part]:
    """What a reader may find there: of conditions the first branch, of loops one turn."""
    for node in nodes:
        match node:
            case ContentNode():
                yield Part(node.text)
            case OutputNode():
                yield _output(node)
            case IfNode() | UnlessNode():
                yield from _words(node.consequence.nodes)
            case CaseNode() if node.blocks:
                first = node.blocks[0]
                yield from _words((first if isinstance(first, BlockNode) else first.block).nodes)
            case ForNode() | LiquidNode():
                yield from _words(node.block.nodes)


def _output(node: OutputNode) -> Part:
    expression = node.expression
    match expression.left if isinstance(expression, FilteredExpression) else expression:
        case Path(path=["subscriber" | "snippet", str(key)]):
            return Part(key.replace("_", " "), is_name=True)
        case Literal(value=str(text)) if not (isinstance(expression, FilteredExpression) and expression.filters):
            return Part(text)
    return Part(tag_of(node.token))
