"""Rendering Liquid so that it cannot fail or go on for ever.

Parsing is strict (liquid.py refuses broken Liquid when it is saved). Rendering is not: at send time a filter on the
wrong type, an unknown variable or a value that grows too large costs that one piece of output, with a warning, and not
the mail. Only a message whose Liquid as a whole takes too many steps (liquid_cost.py) is given up: OverBudget.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from io import StringIO
from itertools import chain
from typing import Any, TextIO

from liquid import Environment, Markup, Node, RenderContext, TokenStream, Undefined, escape
from liquid.ast import BlockNode
from liquid.builtin.content import ContentNode, Literal
from liquid.builtin.expressions import FilteredExpression, LoopExpression, Path, StringLiteral
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LtExpression,
    NeExpression,
    _contains,
    _eq,
    _le,
    _lt,
)
from liquid.builtin.expressions.primitive import Blank, RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.case_tag import _AnyExpression
from liquid.builtin.tags.cycle_tag import CycleNode, CycleTag
from liquid.builtin.tags.echo_tag import EchoTag
from liquid.exceptions import LiquidError, LiquidInterrupt, LiquidTypeError, ResourceLimitError
from liquid.expression import Expression
from liquid.filter import liquid_filter, string_filter, with_context
from liquid.stringify import to_liquid_string
from liquid.template import BoundTemplate
from liquid.token import TOKEN_CONTENT, Token

from dripstone.content import liquid_cost, liquid_dates
from dripstone.content.liquid_cost import OverBudget, Toll

MAX_SNIPPET_DEPTH = 8
MAX_WARNINGS = 50  # per message; they are for people to read
UNSUBSCRIBE_NAMES = frozenset(
    ("unsubscribe_url", "unsubscribe_link", "subscriber_preferences_url", "subscriber_preferences_link")
)
FOOTER_NAMES = UNSUBSCRIBE_NAMES | {"address"}

_HTML = re.compile(r"<(script|style)\b.*?(?:</\1>|\Z)|<!--.*?(?:-->|\Z)|<[^<>]*+>", re.DOTALL | re.IGNORECASE)


class State:
    """What one message's rendering accumulates over its parts and snippets.

    date      aware; what `now` and `today` mean, so that a second attempt renders the same bytes
    part      what is being rendered, in the creator's words
    gap       what stands where somebody's value is empty; "" but in a preview (gaps.py)
    steps     how many are left (liquid_cost.py)
    warnings  human sentences, each once, in the order they arose (dictionary as ordered set)
    """

    __slots__ = ("active", "date", "done", "gap", "part", "steps", "warnings")

    def __init__(self, date: datetime, gap: str = "") -> None:
        self.date = date
        self.gap = gap
        self.part = ""
        self.steps = liquid_cost.MAX_STEPS
        self.warnings: dict[str, None] = {}
        self.active: list[str] = []
        self.done: dict[tuple[str, bool], object] = {}

    def warn(self, sentence: str) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings[sentence] = None

    def spend(self, steps: int) -> None:
        """Raises OverBudget when the message's budget is used up; then nothing is left for later pieces either."""
        self.steps -= steps
        if self.steps < 0:
            raise OverBudget(self.part)


class Written(StringIO):
    """Output that is paid for by its length. is_aside: it goes into a variable, or is compared."""

    def __init__(self, state: State, *, is_aside: bool = False) -> None:
        super().__init__()
        self.state, self.is_aside = state, is_aside

    def write(self, text: str) -> int:
        self.state.spend(1 + len(text) // liquid_cost.OUT_PER_STEP)
        return super().write(text)


class Context(RenderContext):
    """A render context with the message's state, and filters that cannot explode."""

    def __init__(self, *args: Any, state: State, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state = state

    def get_buffer(self, buf: TextIO | None = None) -> Written:
        return Written(self.state, is_aside=True)

    def filter(self, name: str, token: Token | None) -> Any:
        return partial(self._apply, name, super().filter(name, token))

    def _apply(self, name: str, function: Any, left: object, *args: Any, **kwargs: Any) -> object:
        self.state.spend(liquid_cost.filtering(name, left, (*args, *kwargs.values())))
        _refuse_large(left)
        if _grown(name, left, args) > liquid_cost.MAX_TEXT:
            raise ResourceLimitError("the text grows too long", token=None)
        result = function(left, *args, **kwargs)
        self.state.spend(liquid_cost.size(result) // liquid_cost.CHARS_PER_STEP)
        _refuse_large(result)
        return result


def _refuse_large(value: object) -> None:
    if isinstance(value, str) and len(value) > liquid_cost.MAX_TEXT:
        raise ResourceLimitError("the text grows too long", token=None)
    if isinstance(value, (list, tuple, range)) and len(value) > liquid_cost.MAX_ITEMS:
        raise ResourceLimitError(f"the list is too long (maximum is {liquid_cost.MAX_ITEMS} items)", token=None)
    if isinstance(value, int) and value.bit_length() > liquid_cost.MAX_BITS:
        raise ResourceLimitError("the number is too large", token=None)


def _grown(name: str, left: object, args: tuple[Any, ...]) -> int:
    """Upper bound of what the multiplying filters make; the others grow by a constant factor at most."""
    if name == "join" and args:
        return liquid_cost.size(left) + liquid_cost.n_items(left) * len(str(args[0]))
    if name.startswith("replace") and len(args) > 1:
        text, old, new = str(left), str(args[0]), str(args[1])
        return len(text) + (text.count(old) if old else len(text) + 1) * len(new)
    return 0


class TolerantOutput(OutputNode):
    """`{{ … }}`: anything that goes wrong inside becomes empty output and a warning."""

    __slots__ = ("personal",)

    def __init__(self, token: Token, expression: Expression) -> None:
        super().__init__(token, expression)
        left = expression.left if isinstance(expression, FilteredExpression) else expression
        path = left.path if isinstance(left, Path) else []
        root = str(path[0]) if path else ""
        plain = all(isinstance(segment, str) for segment in path)
        quiet = root in ("snippet", "message_content") or (len(path) == 1 and root in FOOTER_NAMES)
        self.personal = ".".join(map(str, path)) if plain and not quiet else ""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, Context)
        try:
            value = self.expression.evaluate(context)
            if not isinstance(value, str):
                context.state.spend(liquid_cost.size(value) // liquid_cost.OUT_PER_STEP)
            text = to_liquid_string(value, context.autoescape)
            written = buffer.write(text)
        except OverBudget:
            raise
        except Exception as error:  # whatever a filter does to a value must not stop the mail
            context.state.warn(sentence(error, tag_of(self.token)))
            context.state.spend(liquid_cost.FAILURE)
            return 0
        if not text and self.personal:
            context.state.warn(f"{self.personal} is empty or unknown")
            written += _mark_gap(context, buffer)
        return written


def _mark_gap(context: Context, buffer: TextIO) -> int:
    """Not in what is put aside (`capture`): conditions on it must come out as when it is sent."""
    assert isinstance(buffer, Written)
    return buffer.write(context.state.gap) if context.state.gap and not buffer.is_aside else 0


class _Output(Output):
    node_class = TolerantOutput


class _Echo(EchoTag):
    node_class = TolerantOutput  # type: ignore[assignment]  # the library types it as its own EchoNode


class _CycleNode(CycleNode):
    """The library writes all of the values down, to tell one cycle from another."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, Context)
        context.state.spend(sum(liquid_cost.size(one.evaluate(context)) for one in self.expressions()) // 16)
        return super().render_to_output(context, buffer)


class _Cycle(CycleTag):
    node_class = _CycleNode


class _EscapedLiteral(Literal):
    """Literal text of an inline snippet inside HTML: it is plain text, so it is escaped once, here."""

    def parse(self, stream: TokenStream) -> ContentNode:
        token = stream.expect(TOKEN_CONTENT)
        return ContentNode(token, str(escape(token.value)))


class _BoundedRange(RangeLiteral):
    """`(1..n)`, of a length that `contains` and loops may walk."""

    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        made = super()._make_range(start, stop)
        if made.stop - made.start > liquid_cost.MAX_ITEMS:
            raise ResourceLimitError(f"the range is too long (maximum is {liquid_cost.MAX_ITEMS})", token=None)
        return made


class _PlainString(StringLiteral):
    """A string literal that counts as text. (The library takes literals in autoescaped templates for markup.)"""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> str:
        return self.value


class _Loop(LoopExpression):
    """What `for` and `tablerow` go through. Passing by what comes before `offset`, and turning it round, takes work."""

    __slots__ = ()

    def _to_iter(self, obj: object, context: RenderContext) -> tuple[Iterator[Any], int]:
        assert isinstance(context, Context)
        items, length = super()._to_iter(obj, context)
        context.state.spend(length // 16)
        return items, length


class _DynamicPath(Path):
    """`subscriber[key]`: a key that is not there is written down at its full length."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        assert isinstance(context, Context)
        keys = [one.evaluate(context) if isinstance(one, Path) else one for one in self.path]
        context.state.spend(sum(map(liquid_cost.size, keys)) // 16)
        return context.get(keys, token=self.token)


def _both(expression: Any, context: RenderContext) -> tuple[object, object]:
    """The two sides of a comparison, each evaluated once, and comparing them paid for."""
    assert isinstance(context, Context)
    left, right = expression.left.evaluate(context), expression.right.evaluate(context)
    context.state.spend(liquid_cost.comparing(left, right))
    return left, right


def _is_equal(left: object, right: object) -> bool:
    """`==` where nothing at all is `blank`, as in Kit's Rails. (The library takes only empty text for blank.)"""
    for blank, other in ((left, right), (right, left)):
        if isinstance(blank, Blank) and (other is None or other is False or isinstance(other, Undefined)):
            return True
    return bool(_eq(left, right))


def _is_less(expression: Expression, left: object, right: object, context: RenderContext) -> bool:
    """Text and a number have no order: neither is less, and `else` comes (docs/decisions/fields-and-numbers.md)."""
    assert isinstance(context, Context)
    try:
        return bool(_lt(expression.token, left, right))
    except LiquidTypeError:
        context.state.warn(f"{tag_of(expression.token)} compares values that have no order, such as text and a number")
        return False


class _Equal(EqExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        return _is_equal(*_both(self, context))


class _NotEqual(NeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        return not _is_equal(*_both(self, context))


class _Less(LtExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        left, right = _both(self, context)
        return _is_less(self, left, right, context)


class _Greater(GtExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        left, right = _both(self, context)
        return _is_less(self, right, left, context)


class _LessOrEqual(LeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        left, right = _both(self, context)
        return bool(_le(left, right))


class _GreaterOrEqual(GeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        left, right = _both(self, context)
        return bool(_le(right, left))


class _Contains(ContainsExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        assert isinstance(context, Context)
        left, right = self.left.evaluate(context), self.right.evaluate(context)
        context.state.spend(liquid_cost.searching(left, right))
        try:
            return bool(_contains(self.token, left, right))
        except LiquidTypeError:  # a number contains nothing
            return False


class _When(_AnyExpression):
    """The values of a `when`, each compared with that of its `case`."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> list[bool]:
        assert isinstance(context, Context)
        left, matches = self.left.evaluate(context), []
        for one in self.expressions:
            right = one.evaluate(context)
            context.state.spend(liquid_cost.comparing(left, right))
            matches.append(_is_equal(left, right))
        return matches


# Swapping the class of a parsed expression is how we get at these without patching the library's parser.
_HARDENED: dict[type[Expression], type[Expression]] = {
    RangeLiteral: _BoundedRange,
    LoopExpression: _Loop,
    EqExpression: _Equal,
    NeExpression: _NotEqual,
    LtExpression: _Less,
    GtExpression: _Greater,
    LeExpression: _LessOrEqual,
    GeExpression: _GreaterOrEqual,
    ContainsExpression: _Contains,
    _AnyExpression: _When,
}


class TolerantEnvironment(Environment):
    """Parses strictly; without files, includes or the library's own clock."""

    block_nesting_limit = 30
    context_depth_limit = 40

    def __init__(self, *, autoescape: bool, plain_text: bool = False) -> None:
        super().__init__(autoescape=autoescape)
        self.literals_are_text = plain_text
        for name in ("include", "render"):
            del self.tags[name]
        self.add_tag(_Output)
        self.add_tag(_Echo)
        self.add_tag(_Cycle)
        self.add_filter("date", _date)
        self.add_filter("strip_html", _strip_html)
        if plain_text:
            self.add_tag(_EscapedLiteral)
        if not autoescape:
            # The body's Liquid is shared by both parts: what makes HTML of a value must leave the text part alone.
            for name in ("escape", "escape_once", "newline_to_br"):
                self.add_filter(name, liquid_filter(lambda value: value))

    def from_string(self, source: str, *args: Any, **kwargs: Any) -> BoundTemplate:
        """Raises LiquidError for broken Liquid, unknown filters included."""
        template = super().from_string(source, *args, **kwargs)
        for expression in expressions(template):
            self._harden(expression)
        _set_tolls(template)
        return template

    def _harden(self, expression: Expression) -> None:
        if type(expression) in _HARDENED:
            expression.__class__ = _HARDENED[type(expression)]
        elif type(expression) is Path and any(isinstance(key, Path) for key in expression.path):
            expression.__class__ = _DynamicPath
        elif self.literals_are_text and type(expression) is StringLiteral:
            expression.__class__ = _PlainString
        elif isinstance(expression, FilteredExpression):
            for one in expression.filters or ():
                one.validate_filter_arguments(self)


def _set_tolls(template: BoundTemplate) -> None:
    static = RenderContext(template)
    blocks = [node.nodes for node in nodes(template) if isinstance(node, BlockNode)]
    for block in [template.nodes, *blocks]:
        if block or block is not template.nodes:
            token = block[0].token if block else Token(TOKEN_CONTENT, "", 0, "")
            block.insert(0, Toll(token, block, static))


def nodes(template: BoundTemplate) -> Iterator[Node]:
    """Every node of the parse tree, parents first."""
    static = RenderContext(template)
    waiting = list(reversed(template.nodes))
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(list(node.children(static, include_partials=False))))


def expressions(template: BoundTemplate) -> Iterator[Expression]:
    """Every expression in the template."""
    return liquid_cost.all_of(chain.from_iterable(node.expressions() for node in nodes(template)))


def render(template: BoundTemplate, values: Mapping[str, object], state: State) -> str:
    """A node that fails is taken back whole, with a warning in `state`. Raises OverBudget, and nothing else."""
    if not template.nodes:
        return ""
    context, buffer = Context(template, globals=values, state=state), Written(state)
    for node in template.nodes:
        start = buffer.tell()
        try:
            node.render(context, buffer)
        except LiquidInterrupt:  # a `break` outside of any loop ends the template, as in Ruby's Liquid
            break
        except OverBudget as error:
            error.part, error.where = error.part or state.part, error.where or tag_of(node.token)
            raise
        except Exception as error:
            buffer.seek(start)
            buffer.truncate()
            state.warn(sentence(error, tag_of(node.token)))
            state.spend(liquid_cost.FAILURE)
    return buffer.getvalue()


def tag_of(token: Token) -> str:
    """The beginning of the tag that a token is from, as it is written, in one line."""
    at = token.start_index + 2
    opening = max(token.source.rfind(mark, max(0, at - 4_000), at) for mark in ("{{", "{%"))
    text = token.source[opening : opening + 80] if opening >= 0 else token.value[:80]
    ends = [end + 2 for mark in ("}}", "%}") if (end := text.find(mark)) >= 0]
    return " ".join(text[: min(ends, default=80)].split())


def sentence(error: Exception, where: str) -> str:
    """What to tell a human about an error in Liquid; never a traceback, never more than a line."""
    reason = str(error.message) if isinstance(error, LiquidError) else f"{type(error).__name__}"
    return " ".join(f"{where} came out empty: {reason[:200]}".split())


@string_filter
def _strip_html(text: str) -> str:
    """As in Ruby's Liquid, in linear time: the library's parser takes quadratic time over what never ends."""
    stripped = _HTML.sub("", text)
    return Markup(stripped) if isinstance(text, Markup) else stripped


@with_context
@liquid_filter
def _date(value: object, form: object, *, context: Context) -> object:
    """The `date` filter on the message's own date, where the library's asks the system clock."""
    if isinstance(value, Undefined) or isinstance(form, Undefined):
        return "" if isinstance(value, Undefined) else str(value)
    moment = liquid_dates.moment(value, context.state.date)
    if moment is None or not str(form):
        return value  # as Ruby's Liquid does with what is not a date
    made = liquid_dates.written(moment, str(form))
    return Markup(made) if isinstance(form, Markup) else made
