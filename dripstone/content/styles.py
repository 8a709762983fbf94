"""Which styles hold for the elements of a page, as far as they decide what is seen and where lines end.

The cascade of CSS for a handful of properties: rules of `<style>` elements (in `@media` too, where it holds: media.py),
`style` attributes, `!important`, specificity. What mail clients do not agree on is left out: `@supports`, `@layer`,
`@import`, nesting.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import tinycss2
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from dripstone.content import media

# What is beyond these does not count: reading CSS takes a second per megabyte.
MAX_WORK = 2_000_000  # elements times steps of selectors
MAX_CSS = 200_000  # characters in a <style>
MAX_ATTRIBUTE = 20_000  # characters
_BEYOND = frozenset(("not", "is", "where", "has", "matches", "-webkit-any"))  # pseudo-classes with selectors inside

_DISPLAYS = frozenset(
    [
        *("none", "inline", "block", "inline-block", "flow-root", "list-item", "contents"),
        *("flex", "inline-flex", "grid", "inline-grid", "table", "inline-table", "table-row", "table-cell"),
        *("table-row-group", "table-header-group", "table-footer-group", "table-caption"),
        *("table-column", "table-column-group"),
    ]
)
_ABSOLUTE = frozenset(("px", "pt", "pc", "in", "cm", "mm", "q", "rem", "vw", "vh"))
_SIZES = ("medium", "small", "large", "x-small", "x-large", "xx-small", "xx-large", "xxx-large", "initial")


@dataclass(frozen=True, slots=True)
class Declaration:
    name: str
    value: str
    is_important: bool


@dataclass(frozen=True, slots=True)
class Selector:
    """steps   from left to right, each with what binds it to the one before: " ", ">", "+", "~" ("" for the first)"""

    specificity: tuple[int, int, int]
    steps: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rule:
    selectors: tuple[Selector, ...]
    declarations: tuple[Declaration, ...]


class Styles:
    """`of(element)` gives its declared values by property, after the cascade."""

    def __init__(self, tree: LexborHTMLParser) -> None:
        self._matched: dict[int, list[tuple[Any, ...]]] = {}
        rules = list(_rules_of(tree))
        if rules:
            self._match(tree, rules)

    def _match(self, tree: LexborHTMLParser, rules: list[Rule]) -> None:
        page = _Page(tree)
        n_steps = sum(len(selector.steps) for rule in rules for selector in rule.selectors)
        if len(page.ids) * n_steps > MAX_WORK:
            return
        for order, rule in enumerate(rules):
            for selector in rule.selectors:
                for element in page.matches(selector):
                    found = self._matched.setdefault(page.ids[element], [])
                    found += ((one.is_important, False, selector.specificity, order, one) for one in rule.declarations)

    def of(self, element: LexborNode, attribute: str | None) -> Mapping[str, str]:
        """attribute   what its `style` attribute says"""
        own = _declarations(attribute) if attribute and len(attribute) <= MAX_ATTRIBUTE else ()
        ruled = self._matched.get(element.mem_id) if self._matched else None
        if not ruled:
            return _settled(own)
        inline = [(one.is_important, True, (0, 0, 0), 0, one) for one in own]
        return _settled(tuple(row[-1] for row in sorted([*ruled, *inline], key=lambda row: row[:-1])))


@lru_cache(maxsize=4096)
def _settled(declarations: tuple[Declaration, ...]) -> Mapping[str, str]:
    """The later one wins, unless the earlier one is important. (What comes from rules is sorted already.)"""
    ordered = sorted(declarations, key=lambda one: one.is_important)
    return {one.name: one.value for one in ordered}


# --- What was declared ------------------------------------------------------------------------------------------


def _rules_of(tree: LexborHTMLParser) -> Iterator[Rule]:
    for element in tree.css("style"):
        css = element.text(deep=True)
        if len(css) <= MAX_CSS and media.holds(element.attributes.get("media") or ""):
            yield from _rules(css)


@lru_cache(maxsize=64)
def _rules(css: str) -> tuple[Rule, ...]:
    """The rules that hold and say something that matters here."""
    return tuple(_rules_in(tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True)))


def _rules_in(parsed: list[Any]) -> Iterator[Rule]:
    for rule in parsed:
        if rule.type == "qualified-rule":
            declarations = tuple(_read(rule.content))
            if declarations and (selectors := tuple(_selectors(rule.prelude))):
                yield Rule(selectors, declarations)
        elif _is_media(rule) and media.holds(tinycss2.serialize(rule.prelude)):
            yield from _rules_in(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True))


def _is_media(rule: Any) -> bool:
    return bool(rule.type == "at-rule" and rule.lower_at_keyword == "media" and rule.content is not None)


@lru_cache(maxsize=1024)
def _declarations(css: str) -> tuple[Declaration, ...]:
    return tuple(_read(css))


def _read(css: Any) -> Iterator[Declaration]:
    for one in tinycss2.parse_declaration_list(css, skip_comments=True, skip_whitespace=True):
        if one.type == "declaration" and one.lower_name in _READERS:
            tokens = [token for token in one.value if token.type not in ("whitespace", "comment")]
            for name, value in _READERS[one.lower_name](one.lower_name, tokens):
                yield Declaration(name, value, one.important)


Values = Iterator[tuple[str, str]]
"""Property and value; nothing for a value that is not valid, which CSS passes over."""


def _word(name: str, tokens: list[Any]) -> Values:
    if len(tokens) == 1 and tokens[0].type == "ident":
        yield name, tokens[0].lower_value


def _display(name: str, tokens: list[Any]) -> Values:
    for _, value in _word(name, tokens):
        value = "inline" if value in ("initial", "unset") else value
        if value in _DISPLAYS or value == "revert":
            yield name, value


def _length(name: str, tokens: list[Any]) -> Values:
    """Only whether it is 0 matters."""
    if len(tokens) == 1:
        yield name, "0" if _is_zero(tokens[0]) else "some"


def _is_zero(token: Any) -> bool:
    return token.type in ("number", "dimension", "percentage") and token.value == 0


def _opacity(name: str, tokens: list[Any]) -> Values:
    if len(tokens) == 1 and tokens[0].type in ("number", "percentage"):
        yield name, "0" if tokens[0].value <= 0 else "some"


def _overflow(name: str, tokens: list[Any]) -> Values:
    words = [token.lower_value for token in tokens if token.type == "ident"]
    if words and len(words) == len(tokens) <= 2:
        yield "overflow-x", words[0]
        yield "overflow-y", words[-1]


def _font_size(name: str, tokens: list[Any]) -> Values:
    """0 is inherited, through em and % too: those say nothing of their own."""
    if len(tokens) != 1:
        return
    token = tokens[0]
    if _is_zero(token):
        yield "font-size", "0"
    elif (token.type == "dimension" and token.lower_unit in _ABSOLUTE) or (
        token.type == "ident" and token.lower_value in _SIZES
    ):
        yield "font-size", "some"
    elif token.type in ("dimension", "percentage", "ident"):
        yield "font-size", "inherit"


def _font(name: str, tokens: list[Any]) -> Values:
    sizes = [token for token in tokens if token.type in ("dimension", "percentage") or _is_zero(token)]
    yield from _font_size(name, sizes[:1])


def _list_style(name: str, tokens: list[Any]) -> Values:
    words = [token.lower_value for token in tokens if token.type == "ident"]
    kinds = [word for word in words if word not in ("inside", "outside")]
    if kinds:
        yield "list-style-type", kinds[-1]


_READERS: dict[str, Callable[[str, list[Any]], Values]] = {
    "display": _display,
    **dict.fromkeys(("visibility", "float", "position", "white-space", "overflow-x", "overflow-y"), _word),
    **dict.fromkeys(("height", "max-height", "width", "max-width"), _length),
    "opacity": _opacity,
    "overflow": _overflow,
    "font-size": _font_size,
    "font": _font,
    **dict.fromkeys(("list-style", "list-style-type"), _list_style),
}


# --- For whom ---------------------------------------------------------------------------------------------------


def _selectors(prelude: list[Any]) -> Iterator[Selector]:
    """The selectors of a rule, without those for what no page of a mail has (`::before`, `:hover` of nobody)."""
    group: list[Any] = []
    for token in [*prelude, None]:
        if token is not None and not (token.type == "literal" and token.value == ","):
            group.append(token)
            continue
        if selector := _selector(group):
            yield selector
        group = []


def _selector(tokens: list[Any]) -> Selector | None:
    steps, binding, counted = [["", ""]], "", [0, 0, 0]
    while tokens and tokens[-1].type in ("whitespace", "comment"):
        tokens = tokens[:-1]
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type in ("whitespace", "comment") or (token.type == "literal" and token.value in (">", "+", "~")):
            binding = token.value if token.type == "literal" else binding or " "
            continue
        if binding and steps[-1][1]:
            steps.append([binding, ""])
        binding = ""
        if not _count(counted, before, token):
            return None
        steps[-1][1] += tinycss2.serialize([token])
    return Selector((counted[0], counted[1], counted[2]), tuple((a, b) for a, b in steps)) if steps[-1][1] else None


def _count(counted: list[int], before: Any, token: Any) -> bool:
    """Adds to ids, classes, types. False: nothing to match, or dear to match (selectors inside of selectors)."""
    is_after = before.value if before is not None and before.type == "literal" else ""
    if token.type == "hash":
        counted[0] += 1
    elif token.type == "[] block" or (token.type == "literal" and token.value == "."):
        counted[1] += 1
    elif token.type == "literal" and token.value == ":":
        counted[1] += 1
        return bool(is_after != ":")
    elif token.type == "function":
        return _count_inside(counted, token)
    elif token.type == "ident" and is_after not in (".", ":"):
        counted[2] += 1
    return True


def _count_inside(counted: list[int], function: Any) -> bool:
    if function.lower_name not in _BEYOND:
        return True
    counted[1] -= 1
    inside = list(_selectors(function.arguments))
    if function.lower_name != "where" and inside:
        best = max(one.specificity for one in inside)
        counted[:] = [have + more for have, more in zip(counted, best, strict=True)]
    return all(len(one.steps) == 1 for one in inside)


class _Page:
    """The elements of a page in document order, by number, and who stands above and before whom.

    Selectors are matched step by step over all elements, in time linear in both. (The parser's own matching of
    `a b b b b` tries every way up the tree: a minute for five steps in a deep page.)
    """

    def __init__(self, tree: LexborHTMLParser) -> None:
        self.tree = tree
        self.ids: list[int] = []
        self.parents: list[int] = []
        self.previous: list[int] = []
        self.numbers: dict[int, int] = {}
        last_child: dict[int, int] = {}
        assert tree.root is not None
        for number, element in enumerate(tree.root.traverse(include_text=False)):
            parent = self.numbers.get(element.parent.mem_id, -1) if element.parent else -1
            self.ids.append(element.mem_id)
            self.numbers[element.mem_id] = number
            self.parents.append(parent)
            self.previous.append(last_child.get(parent, -1))
            last_child[parent] = number

    def matches(self, selector: Selector) -> set[int]:
        found: set[int] = set()
        for binding, compound in selector.steps:
            try:
                alike = {self.numbers[one.mem_id] for one in self.tree.css(compound) if one.mem_id in self.numbers}
            except SelectolaxError:
                return set()
            found = alike & self._bound(binding, found) if binding else alike
        return found

    def _bound(self, binding: str, found: set[int]) -> set[int]:
        """The elements that stand in this relation to one of those found."""
        others = self.parents if binding in (" ", ">") else self.previous
        if binding in (">", "+"):
            return {number for number, other in enumerate(others) if other in found}
        reached: set[int] = set()
        for number, other in enumerate(others):  # in document order: the other one has been looked at
            if other in found or other in reached:
                reached.add(number)
        return reached
