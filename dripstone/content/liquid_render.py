"""Rendering Liquid so that it cannot fail: bounded work, and what goes wrong comes out empty, with a warning.

Parsing is strict (liquid.py refuses broken Liquid when it is saved). Rendering is not: at send time a filter on
the wrong type, an unknown variable or an exceeded limit must cost that one piece of output and not the mail.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, TextIO

from liquid import Environment, Markup, Node, RenderContext, TokenStream, Undefined, escape
from liquid.builtin.content import ContentNode, Literal
from liquid.builtin.expressions import FilteredExpression, Path, StringLiteral
from liquid.builtin.expressions.logical import EqExpression, NeExpression
from liquid.builtin.expressions.primitive import Blank, RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoTag
from liquid.exceptions import LiquidError, LiquidInterrupt, ResourceLimitError
from liquid.expression import Expression
from liquid.filter import liquid_filter, with_context
from liquid.output import LimitedStringIO
from liquid.stringify import to_liquid_string
from liquid.template import BoundTemplate
from liquid.token import TOKEN_CONTENT, Token

from dripstone.content import liquid_dates

MAX_OUTPUT = 2_000_000  # bytes of one rendered part; Gmail clips a message at about 100 KB
MAX_VALUE = 200_000  # characters of a string, items of a list, while a filter chain runs
MAX_BITS = 4_096  # of a whole number; repeated squaring would grow without end
MAX_STEPS = 200_000  # loop iterations (weighed by the template's length) plus filter work, per message
MAX_SNIPPET_DEPTH = 8
UNSUBSCRIBE_NAMES = frozenset(
    ("unsubscribe_url", "unsubscribe_link", "subscriber_preferences_url", "subscriber_preferences_link")
)
FOOTER_NAMES = UNSUBSCRIBE_NAMES | {"address"}


class State:
    """What one message's rendering accumulates over its parts and snippets.

    date      aware; what `now` and `today` mean, so that a second attempt renders the same bytes
    warnings  human sentences, each once, in the order they arose (dictionary as ordered set)
    shown     names of FOOTER_NAMES that were put out
    """

    __slots__ = ("active", "date", "done", "shown", "steps", "warnings")

    def __init__(self, date: datetime) -> None:
        self.date = date
        self.steps = MAX_STEPS
        self.warnings: dict[str, None] = {}
        self.shown: set[str] = set()
        self.active: list[str] = []
        self.done: dict[tuple[str, bool], object] = {}

    def warn(self, sentence: str) -> None:
        self.warnings[sentence] = None

    def spend(self, steps: int) -> None:
        """Raises ResourceLimitError when the message's budget is used up."""
        if steps > self.steps:
            raise ResourceLimitError("it takes too many steps", token=None)
        self.steps -= steps


class Context(RenderContext):
    """A render context with the message's state, a budget, and filters that cannot explode."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.state: State
        self.weight = 1

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """The library bounds the product of nested loops; we bound the sum over the message as well."""
        super().raise_for_loop_limit(length)
        self.state.spend(length * self.weight)

    def filter(self, name: str, token: Token | None) -> Any:
        return partial(self._apply, name, super().filter(name, token))

    def _apply(self, name: str, function: Any, left: object, *args: Any, **kwargs: Any) -> object:
        size = max(_size(left), *(_size(arg) for arg in args), 0) if args else _size(left)
        if size > MAX_VALUE or _grown(name, left, args) > MAX_VALUE:
            raise ResourceLimitError("it grows too large", token=None)
        self.state.spend(1 + size // 256)
        result = function(left, *args, **kwargs)
        if isinstance(result, int) and result.bit_length() > MAX_BITS:
            raise ResourceLimitError("the number is too large", token=None)
        return result


def _size(value: object) -> int:
    return len(value) if isinstance(value, (str, list, tuple, dict, range)) else 1


def _grown(name: str, left: object, args: tuple[Any, ...]) -> int:
    """Upper bound of what the multiplying filters make; the others grow by a constant factor at most."""
    if name == "join":
        separator = len(str(args[0])) if args else 1
        items = sum(len(item) if isinstance(item, str) else 8 for item in left) if isinstance(left, list) else 0
        return items + _size(left) * separator
    if name.startswith("replace") and len(args) > 1:
        text, old, new = str(left), str(args[0]), str(args[1])
        return len(text) + (text.count(old) if old else len(text) + 1) * len(new)
    return 0


class TolerantOutput(OutputNode):
    """`{{ … }}`: anything that goes wrong inside becomes empty output and a warning."""

    __slots__ = ("footer_name", "personal")

    def __init__(self, token: Token, expression: Expression) -> None:
        super().__init__(token, expression)
        left = expression.left if isinstance(expression, FilteredExpression) else expression
        path = left.path if isinstance(left, Path) else []
        root = str(path[0]) if path else ""
        self.footer_name = root if len(path) == 1 and root in FOOTER_NAMES else None
        plain = all(isinstance(segment, str) for segment in path)
        quiet = root in ("snippet", "message_content") or self.footer_name is not None
        self.personal = ".".join(map(str, path)) if plain and not quiet else ""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, Context)
        try:
            text = to_liquid_string(self.expression.evaluate(context), context.autoescape)
            written = buffer.write(text)
        except Exception as error:  # whatever a filter does to a value must not stop the mail
            context.state.warn(sentence(error, f"{{{{ {self.expression} }}}}"))
            return 0
        if not text and self.personal:
            context.state.warn(f"{self.personal} is empty or unknown")
        elif text and self.footer_name:
            context.state.shown.add(self.footer_name)
        return written


class _Output(Output):
    node_class = TolerantOutput


class _Echo(EchoTag):
    node_class = TolerantOutput  # type: ignore[assignment]  # the library types it as its own EchoNode


class _EscapedLiteral(Literal):
    """Literal text of an inline snippet inside HTML: it is plain text, so it is escaped once, here."""

    def parse(self, stream: TokenStream) -> ContentNode:
        token = stream.expect(TOKEN_CONTENT)
        return ContentNode(token, str(escape(token.value)))


class _BoundedRange(RangeLiteral):
    """`(1..n)`: `contains` and filters walk it in C, out of reach of the loop limit."""

    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        made = super()._make_range(start, stop)
        if made.stop - made.start > MAX_VALUE:
            raise ResourceLimitError("the range is too long", token=None)
        return made


class _PlainString(StringLiteral):
    """A string literal that counts as text. (The library takes literals in autoescaped templates for markup.)"""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> str:
        return self.value


class _Equal(EqExpression):
    """`==` where nothing at all is `blank`, as in Kit's Rails. (The library takes only empty text for blank.)"""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        return _has_blank_beside_nothing(self, context) or bool(super().evaluate(context))


class _NotEqual(NeExpression):
    __slots__ = ()

    def evaluate(self, context: RenderContext) -> bool:
        return not _has_blank_beside_nothing(self, context) and bool(super().evaluate(context))


def _has_blank_beside_nothing(expression: EqExpression | NeExpression, context: RenderContext) -> bool:
    for blank, other in ((expression.left, expression.right), (expression.right, expression.left)):
        if isinstance(blank, Blank):
            value = other.evaluate(context)
            return value is None or value is False or isinstance(value, Undefined)
    return False


class TolerantEnvironment(Environment):
    """Parses strictly; without files, includes or the library's own clock."""

    block_nesting_limit = 30
    context_depth_limit = 40
    loop_iteration_limit = 10_000
    local_namespace_limit = 1_000_000
    output_stream_limit = MAX_OUTPUT

    def __init__(self, *, autoescape: bool, plain_text: bool = False) -> None:
        super().__init__(autoescape=autoescape)
        self.literals_are_text = plain_text
        for name in ("include", "render"):
            del self.tags[name]
        self.add_tag(_Output)
        self.add_tag(_Echo)
        self.add_filter("date", _date)
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
        return template

    def _harden(self, expression: Expression) -> None:
        # Swapping the class of a parsed expression is how we get at these without patching the library's parser.
        if type(expression) is RangeLiteral:
            expression.__class__ = _BoundedRange
        elif self.literals_are_text and type(expression) is StringLiteral:
            expression.__class__ = _PlainString
        elif type(expression) is EqExpression:
            expression.__class__ = _Equal
        elif type(expression) is NeExpression:
            expression.__class__ = _NotEqual
        elif isinstance(expression, FilteredExpression):
            for one in expression.filters or ():
                one.validate_filter_arguments(self)


def nodes(template: BoundTemplate) -> Iterator[Node]:
    """Every node of the parse tree, parents first."""
    static = RenderContext(template)
    waiting = list(template.nodes)
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting[:0] = node.children(static, include_partials=False)


def expressions(template: BoundTemplate) -> Iterator[Expression]:
    """Every expression in the template, outer ones first."""
    waiting = list(chain.from_iterable(node.expressions() for node in nodes(template)))
    while waiting:
        expression = waiting.pop()
        yield expression
        waiting.extend(expression.children())


def render(template: BoundTemplate, values: Mapping[str, object], state: State) -> str:
    """Never raises: a node that fails is taken back whole, with a warning in `state`."""
    if not template.nodes:
        return ""
    context = Context(template, globals=values)
    context.state, context.weight = state, getattr(template, "weight", 1)
    buffer = LimitedStringIO(MAX_OUTPUT)
    for node in template.nodes:
        start = buffer.tell()
        try:
            node.render(context, buffer)
        except LiquidInterrupt:  # a `break` outside of any loop ends the template, as in Ruby's Liquid
            break
        except Exception as error:
            buffer.seek(start)
            buffer.truncate()
            state.warn(sentence(error, str(node.token.value)))
    return buffer.getvalue()


def sentence(error: Exception, where: str) -> str:
    """What to tell a human about an error in Liquid; never a traceback, never more than a line."""
    reason = str(error.message) if isinstance(error, LiquidError) else f"{type(error).__name__}"
    return " ".join(f"{where[:80]} came out empty: {reason[:200]}".split())


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
