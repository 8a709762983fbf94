"""The rules of a page's <style> elements, each with its place in the source.

tinycss2 cuts the CSS into rules and declarations, cssselect2 reads the selectors. Nothing is written anew: a rule that
stays keeps its text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import tinycss2
from cssselect2 import SelectorError, parser

from dripstone.content.selectors import TooMuch
from dripstone.content.tree import Element

MAX_SELECTOR = 4_000  # characters; nested rules repeat the selectors around them
MAX_NESTED = 20_000  # selectors of nested rules and groups on one page, which repeat those around them too

# At-rules that hold no rules for elements, or whose rules win over style attributes anyway.
_WITHOUT_RULES = frozenset(
    (
        *("charset", "counter-style", "font-face", "font-feature-values", "font-palette-values", "import", "keyframes"),
        *("-webkit-keyframes", "-moz-keyframes", "namespace", "page", "property", "view-transition", "viewport"),
    )
)
_CONDITIONS = frozenset(("media", "supports", "container", "document", "-moz-document"))
_FAMILIES = {
    "border-collapse": "border-collapse",
    "border-spacing": "border-spacing",
    "block-size": "height",
    "inline-size": "width",
    "line-height": "font",
    "left": "inset",
    "right": "inset",
    "top": "inset",
    "bottom": "inset",
    "columns": "column",
    "text-wrap": "white-space",
    "text-wrap-mode": "white-space",
    "white-space": "white-space",
    "white-space-collapse": "white-space",
}
# Families of one property and its longhands; elsewhere the first word says the family (`margin-left`: margin).
_WHOLE = frozenset(
    ("max", "min", "text", "box", "word", "overflow", "vertical", "table", "caption", "break", "page", "mso")
)
_PREFIX = re.compile(r"-(?:webkit|moz|ms|o)-")
_UNCONDITIONAL_MEDIA = frozenset(("", "all", "screen"))


@dataclass(eq=False, slots=True)
class Declaration:
    """end   the place in the source behind its value"""

    name: str
    value: str
    family: str
    is_important: bool
    end: int


@dataclass(eq=False, slots=True)
class Rule:
    """selectors     None: the selector has Liquid in it, so it may fit anything
    order            among all rules of the page
    is_conditional   it counts only on some screens, for some readers or in some mail programs
    is_fixed         nothing can be added to it
    is_layered       it yields to all rules outside of layers
    start, end       of the whole rule in the source
    """

    selectors: list[Any] | None
    declarations: list[Declaration]
    order: int
    style: Element
    is_conditional: bool
    is_fixed: bool
    is_layered: bool
    is_nested: bool
    start: int
    end: int
    has_nested: bool = False

    @property
    def families(self) -> set[str]:
        return {one.family for one in self.declarations}

    def has(self, kind: str, *, is_important: bool) -> bool:
        return any(one.family == kind and one.is_important == is_important for one in self.declarations)


def family(name: str) -> str:
    """Properties of one family may set the same thing, such as `border` and `border-top-color`."""
    if name.startswith("--"):
        return name
    name = _PREFIX.sub("", name, count=1)
    if "radius" in name:
        return "border-radius"
    if name.startswith("text-decoration"):
        return "text-decoration"
    if name in _FAMILIES:
        return _FAMILIES[name]
    first = name.split("-")[0]
    return name if first in _WHOLE and not name.startswith("overflow-") else first


@dataclass(slots=True)
class Reader:
    """Reads the rules of all style elements of a page, in their order.

    word   what stands for Liquid in the source
    """

    word: str
    rules: list[Rule] = field(default_factory=list)
    n_nested: int = 0
    _selectors: dict[str, list[Any] | None] = field(default_factory=dict)

    def read(self, style: Element) -> None:
        if style.markup is None or style.source is None or not _is_css(style):
            return
        text = style.source.text[style.markup.end : style.markup.inner_end]
        sheet = _Sheet(self, style, text, style.markup.end)
        nodes = tinycss2.parse_stylesheet(text, skip_comments=False, skip_whitespace=False)
        sheet.take(nodes, len(text), sheet.outermost())

    def selectors(self, text: str) -> list[Any] | None:
        """Read once, however often it stands there: each at-rule in a rule repeats the selector around it. None of one
        that browsers do not understand."""
        if text not in self._selectors:
            try:
                self._selectors[text] = list(parser.parse(text))
            except SelectorError:
                self._selectors[text] = None
        return self._selectors[text]


def _is_css(style: Element) -> bool:
    kind = style.attributes.get("type", "").strip().lower()
    parents = set()
    parent = style.parent
    while parent is not None:
        parents.add(parent.name)
        parent = parent.parent
    return kind in ("", "text/css") and "template" not in parents


@dataclass(frozen=True, slots=True)
class _Around:
    """What holds for the rules at one place of a sheet."""

    is_conditional: bool
    is_fixed: bool
    is_layered: bool = False
    selector: str = ""  # of the rule around, when rules are nested


class _Sheet:
    def __init__(self, reader: Reader, style: Element, text: str, offset: int) -> None:
        self.reader, self.style, self.text, self.offset = reader, style, text, offset
        self.lines = [0, *(found.end() for found in re.finditer("\n", text))]
        # Liquid anywhere but in values: then no rule of this sheet is there for sure.
        self.is_in_doubt = reader.word in _VALUES.sub("", text)

    def outermost(self) -> _Around:
        media = self.style.attributes.get("media", "").lower().split(",")
        is_plain = any(one.strip() in _UNCONDITIONAL_MEDIA for one in media)
        is_sure = is_plain and not self.style.path and not self.style.has_any_attribute
        has_liquid = self.reader.word in self.text
        return _Around(is_conditional=not is_sure, is_fixed=has_liquid)

    def place(self, node: Any) -> int:
        return self.lines[int(node.source_line) - 1] + int(node.source_column) - 1

    def take(self, nodes: list[Any], end: int, around: _Around) -> None:
        places = [self.place(node) for node in nodes] + [end]
        for node, start, following in zip(nodes, places, places[1:], strict=False):
            if node.type == "qualified-rule":
                self._rule(node, start, following, around)
            elif node.type == "at-rule" and node.lower_at_keyword not in _WITHOUT_RULES and node.content is not None:
                self._group(node, start, following, around)

    def _close(self, start: int, following: int) -> int:
        """Where the block that begins at `start` closes: the place of its `}`, or its end if that is missing."""
        brace = self.text.rfind("}", start, following)
        return brace if brace >= 0 else following

    def _group(self, node: Any, start: int, following: int, around: _Around) -> None:
        """@media and its like: what is in them counts only sometimes."""
        keyword = node.lower_at_keyword
        inside = _Around(
            is_conditional=True,
            is_fixed=around.is_fixed or keyword not in _CONDITIONS,
            is_layered=around.is_layered or keyword == "layer",
            selector=around.selector,
        )
        contents = tinycss2.parse_blocks_contents(node.content, skip_comments=False, skip_whitespace=False)
        end = self._close(start, following)
        if around.selector:
            self._nested(contents, end, inside, start, following)
        else:
            self.take(contents, end, inside)

    def _nested(self, contents: list[Any], end: int, around: _Around, start: int, following: int) -> None:
        """An at-rule within a rule: its declarations are for the elements of that rule."""
        self._add(around.selector, self._declarations(contents, end), start, following, around, is_nested=True)
        self.take(contents, end, around)

    def _rule(self, node: Any, start: int, following: int, around: _Around) -> None:
        end = self._close(start, following)
        selector = tinycss2.serialize(node.prelude).strip()
        if around.selector:
            selector = _nested_selector(selector, around.selector)
        contents = tinycss2.parse_blocks_contents(node.content, skip_comments=False, skip_whitespace=False)
        rule = self._add(
            selector,
            self._declarations(contents, end),
            start,
            min(end + 1, following),
            around,
            is_nested=bool(around.selector),
        )
        inner = [one for one in contents if one.type in ("qualified-rule", "at-rule")]
        if inner:
            if rule is not None:
                rule.has_nested = True
            inside = _Around(around.is_conditional, True, around.is_layered, selector)
            self.take(contents, end, inside)

    def _add(
        self, selector: str, declarations: list[Declaration], start: int, end: int, around: _Around, *, is_nested: bool
    ) -> Rule | None:
        word = self.reader.word
        is_led_by_liquid = bool(re.match(rf"(?:{word}\d+z\s*)+", selector))
        selector = re.sub(rf"^(?:{word}\d+z\s*)+", "", selector)
        has_liquid = word in selector
        selectors = None if has_liquid else self.reader.selectors(selector)
        if selectors is None and not has_liquid:
            return None  # browsers ignore the whole rule
        if is_nested:
            self.reader.n_nested += len(selectors or ())
            if self.reader.n_nested > MAX_NESTED:
                raise TooMuch
        rule = Rule(
            selectors,
            declarations,
            order=len(self.reader.rules),
            style=self.style,
            is_conditional=around.is_conditional or has_liquid or is_led_by_liquid or self.is_in_doubt,
            is_fixed=around.is_fixed or has_liquid,
            is_layered=around.is_layered,
            is_nested=is_nested,
            start=self.offset + start,
            end=self.offset + end,
        )
        self.reader.rules.append(rule)
        return rule

    def _declarations(self, contents: list[Any], end: int) -> list[Declaration]:
        places = [self.place(node) for node in contents] + [end]
        found = []
        for node, start, following in zip(contents, places, places[1:], strict=False):
            if node.type == "declaration":
                text = self.text[start:following].rstrip("; \t\n\f")
                name = node.name if node.name.startswith("--") else node.lower_name
                kind = "all" if self.reader.word in name else family(name)
                found.append(Declaration(name, _value(node), kind, node.important, self.offset + start + len(text)))
        # `font: x; font: x !important`: the first one says nothing.
        moot = {(one.name, one.value) for one in found if one.is_important}
        return [one for one in found if one.is_important or (one.name, one.value) not in moot]


_VALUES = re.compile(r":[^;{}]*+")


_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def _value(node: Any) -> str:
    """As it is written, but for comments, and with 'single' quotation marks where they do: for an attribute."""
    text = tinycss2.serialize([one for one in node.value if one.type != "comment"]).strip()
    return _STRING.sub(lambda found: found[0] if "'" in found[0] or "\\" in found[0] else f"'{found[0][1:-1]}'", text)


def _nested_selector(selector: str, parent: str) -> str:
    """A nested rule's selector written out: `& b`, `b` and `> b` in `.a` are `:is(.a) b`, and so on."""
    around = f":is({parent})"
    if len(around) * (selector.count("&") + selector.count(",") + 1) > MAX_SELECTOR:
        raise TooMuch
    parts = _comma_parts(selector)
    return ", ".join(part.replace("&", around) if "&" in part else f"{around} {part}" for part in parts)


def _comma_parts(selector: str) -> Iterator[str]:
    part: list[Any] = []
    for one in tinycss2.parse_component_value_list(selector):
        if one == ",":
            yield tinycss2.serialize(part)
            part = []
        else:
            part.append(one)
    yield tinycss2.serialize(part)
