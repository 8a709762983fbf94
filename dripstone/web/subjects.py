"""Subjects in lists, which are about no single person: fields are shown by their names, and no Liquid runs."""

from collections.abc import Iterable, Iterator

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

from dripstone.content import liquid, mime
from dripstone.content.liquid_render import tag_of

LONGEST = 2_000  # characters that are parsed for a page; what is longer was saved before there was a limit


def readable(source: str) -> str:
    """ "Hello {{ subscriber.first_name }}" → "Hello [first name]". Broken Liquid is shown unchanged."""
    if "{" not in source:
        return source
    if len(source) > LONGEST:
        return f"{source[:LONGEST]}…"
    try:
        template = liquid.parse(liquid.TEXT, source)
    except LiquidError:
        return source
    return mime.one_line("".join(_words(template.nodes))) or source


def _words(nodes: Iterable[Node]) -> Iterator[str]:
    """What a reader may find there: of conditions the first branch, of loops one turn."""
    for node in nodes:
        match node:
            case ContentNode():
                yield node.text
            case OutputNode():
                yield _name(node)
            case IfNode() | UnlessNode():
                yield from _words(node.consequence.nodes)
            case CaseNode() if node.blocks:
                first = node.blocks[0]
                yield from _words((first if isinstance(first, BlockNode) else first.block).nodes)
            case ForNode() | LiquidNode():
                yield from _words(node.block.nodes)


def _name(node: OutputNode) -> str:
    expression = node.expression
    match expression.left if isinstance(expression, FilteredExpression) else expression:
        case Path(path=["subscriber" | "snippet", str(key)]):
            return f"[{key.replace('_', ' ')}]"
        case Literal(value=str(text)) if not (isinstance(expression, FilteredExpression) and expression.filters):
            return text
    return tag_of(node.token)
