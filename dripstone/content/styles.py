"""Which styles hold for the elements of a page, as far as they decide what is seen and where lines end.

The cascade of CSS for a handful of properties: rules of `<style>` elements (in `@media` and `@supports` too, where they
hold: media.py, supports.py), rules nested in rules, `style` attributes, `!important`, `@layer`, specificity.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import tinycss2
from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from dripstone.content import conditions, media, supports

# What is beyond these does not count: reading CSS takes a second per megabyte.
MAX_WORK = 2_000_000  # elements times steps of selectors
MAX_CSS = 200_000  # characters in a <style>
MAX_ATTRIBUTE = 20_000  # characters
MAX_NESTED = 30  # blocks within blocks
_BEYOND = frozenset(("not", "is", "where", "has", "matches", "-webkit-any"))  # pseudo-classes with selectors inside

_ABSOLUTE = frozenset(("px", "pt", "pc", "in", "cm", "mm", "q", "rem", "vw", "vh"))
_SIZES = ("medium", "small", "large", "x-small", "x-large", "xx-small", "xx-large", "xxx-large", "initial")


@dataclass(frozen=True, slots=True)
class Declaration:
    name: str
    value: str
    is_important: bool


@dataclass(frozen=True, slots=True, eq=False)
class Selector:
    """steps    from left to right, each with what binds it to the one before: " ", ">", "+", "~" ("" for the first);
    and whether it also is `&`, what one of `parents` selects
    """

    specificity: tuple[int, int, int]
    steps: tuple[tuple[str, str, bool], ...]
    parents: "Selectors | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Selectors:
    """Those of a rule, with what is asked of them again and again."""

    each: tuple[Selector, ...] = ()
    specificity: tuple[int, int, int] = (0, 0, 0)  # the highest
    n_steps: int = 0

    @classmethod
    def of(cls, each: Iterable[Selector]) -> "Selectors":
        found = tuple(each)
        best = max((one.specificity for one in found), default=(0, 0, 0))
        return cls(found, best, sum(len(one.steps) for one in found))


@dataclass(frozen=True, slots=True)
class Rule:
    """layer    the names of the layers it is in, outermost first. A rule without selectors only says that it exists"""

    selectors: Selectors
    declarations: tuple[Declaration, ...]
    layer: tuple[str, ...] = ()


class Styles:
    """`of(element)` gives its declared values by property, after the cascade."""

    def __init__(self, tree: LexborHTMLParser) -> None:
        self._matched: dict[int, list[tuple[Any, ...]]] = {}
        rules = list(_rules_of(tree))
        if rules:
            self._match(tree, rules)

    def _match(self, tree: LexborHTMLParser, rules: list[Rule]) -> None:
        page = _Page(tree)
        if len(page.ids) * _n_steps(rules) > MAX_WORK:
            return
        ranks = _ranks(rules)
        for order, rule in enumerate(rules):
            rank = ranks[rule.layer]
            for selector in rule.selectors.each:
                ranked = ((one, _reversed(rank) if one.is_important else rank) for one in rule.declarations)
                rows = [(one.is_important, False, place, selector.specificity, order, one) for one, place in ranked]
                for element in page.matches(selector):
                    self._matched.setdefault(page.ids[element], []).extend(rows)

    def of(self, element: LexborNode, attribute: str | None) -> Mapping[str, str]:
        """attribute   what its `style` attribute says"""
        own = _declarations(attribute) if attribute and len(attribute) <= MAX_ATTRIBUTE else ()
        ruled = self._matched.get(element.mem_id) if self._matched else None
        if not ruled:
            return _settled(own)
        inline = [(one.is_important, True, (), (0, 0, 0), 0, one) for one in own]
        return _settled(tuple(row[-1] for row in sorted([*ruled, *inline], key=lambda row: row[:-1])))


@lru_cache(maxsize=4096)
def _settled(declarations: tuple[Declaration, ...]) -> Mapping[str, str]:
    """The later one wins, unless the earlier one is important. (What comes from rules is sorted already.)"""
    ordered = sorted(declarations, key=lambda one: one.is_important)
    return {one.name: one.value for one in ordered}


Rank = tuple[float, ...]
"""Of a layer: the higher wins. Later ones win over earlier ones, and what is in none over all."""


def _ranks(rules: list[Rule]) -> dict[tuple[str, ...], Rank]:
    numbers: dict[tuple[str, ...], int] = {}
    for rule in rules:
        for depth in range(len(rule.layer)):
            numbers.setdefault(rule.layer[: depth + 1], len(numbers))
    layers = {rule.layer for rule in rules}
    return {one: (*(numbers[one[: depth + 1]] for depth in range(len(one))), float("inf")) for one in layers}


def _reversed(rank: Rank) -> Rank:
    """For what is important, it is the other way round."""
    return tuple(-number for number in rank)


def _n_steps(rules: list[Rule]) -> int:
    """Of all selectors, and of those around nested ones."""
    around: set[Selectors] = set()
    ahead = list({rule.selectors for rule in rules})
    while ahead:
        parents = {one.parents for one in ahead.pop().each if one.parents is not None} - around
        around |= parents
        ahead += parents
    return sum(rule.selectors.n_steps for rule in rules) + sum(one.n_steps for one in around)


# --- What was declared ------------------------------------------------------------------------------------------


def _rules_of(tree: LexborHTMLParser) -> Iterator[Rule]:
    for element in tree.css("style"):
        css = element.text(deep=True)
        if len(css) <= MAX_CSS and media.holds(element.attributes.get("media") or ""):
            yield from _rules(css)


@lru_cache(maxsize=64)
def _rules(css: str) -> tuple[Rule, ...]:
    """The rules that hold and say something that matters here; none of a sheet whose brackets nest too deep to read."""
    try:
        return tuple(_rules_in(tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True), _Around()))
    except RecursionError:
        return ()


@dataclass(frozen=True, slots=True)
class _Around:
    """What stands around a rule."""

    depth: int = 0
    layer: tuple[str, ...] = ()
    selectors: Selectors | None = None  # of the rule it is nested in

    def deeper(self, **changes: Any) -> "_Around":
        return replace(self, depth=self.depth + 1, **changes)


def _rules_in(parsed: Iterable[Any], around: _Around) -> Iterator[Rule]:
    """Declarations among them, in a nested group, are for the elements of the rule around it."""
    for is_declared, nodes in groupby(parsed, lambda node: node.type == "declaration"):
        if is_declared:
            yield from _declared(nodes, around)
            continue
        for node in nodes:
            if node.type == "qualified-rule":
                yield from _rule(node, around)
            elif node.type == "at-rule":
                yield from _group(node, around)


def _declared(nodes: Iterable[Any], around: _Around) -> Iterator[Rule]:
    declarations = tuple(_read(nodes))
    if declarations and around.selectors:
        yield Rule(around.selectors, declarations, around.layer)


def _rule(node: Any, around: _Around) -> Iterator[Rule]:
    selectors = Selectors.of(_selectors(node.prelude, around.selectors))
    if selectors.each and around.depth < MAX_NESTED:
        yield from _rules_in(_contents(node, is_nested=True), around.deeper(selectors=selectors))


def _group(node: Any, around: _Around) -> Iterator[Rule]:
    """@media, @supports and @layer with what is in them, if they hold."""
    kind = node.lower_at_keyword
    if kind == "layer":
        layers = [(*around.layer, *name) for name in _layers(node) if len(name) <= MAX_NESTED]
        yield from (Rule(Selectors(), (), layer) for layer in layers)
        inside = around.deeper(layer=layers[0]) if len(layers) == 1 else None
    else:
        is_held = (kind == "media" and media.holds(tinycss2.serialize(node.prelude))) or (
            kind == "supports" and supports.holds(node.prelude)
        )
        inside = around.deeper() if is_held else None
    if inside is not None and node.content is not None and around.depth < MAX_NESTED:
        yield from _rules_in(_contents(node, is_nested=around.selectors is not None), inside)


def _contents(node: Any, *, is_nested: bool) -> list[Any]:
    """Within rules there may be declarations; in a group around rules, what looks like one spoils the next rule."""
    parse = tinycss2.parse_blocks_contents if is_nested else tinycss2.parse_rule_list
    return list(parse(node.content, skip_comments=True, skip_whitespace=True))


def _layers(node: Any) -> list[tuple[str, ...]]:
    """`a`, `a.b`, or several, of which only the order is said. A block without a name is a layer of its own."""
    names = [name.strip() for name in tinycss2.serialize(conditions.bare(node.prelude)).split(",")]
    if names == [""]:
        return [(f"{node.source_line}:{node.source_column}",)]
    return [tuple(name.split(".")) for name in names]


@lru_cache(maxsize=1024)
def _declarations(css: str) -> tuple[Declaration, ...]:
    return tuple(_read(tinycss2.parse_declaration_list(css, skip_comments=True, skip_whitespace=True)))


def _read(nodes: Iterable[Any]) -> Iterator[Declaration]:
    for one in nodes:
        if one.type == "declaration" and one.lower_name in _READERS:
            for name, value in _READERS[one.lower_name](one.lower_name, conditions.bare(one.value)):
                yield Declaration(name, value, one.important)


Values = Iterator[tuple[str, str]]
"""Property and value; nothing for a value that is not valid, which CSS passes over."""


def _word(name: str, tokens: list[Any]) -> Values:
    if len(tokens) == 1 and tokens[0].type == "ident":
        yield name, tokens[0].lower_value


def _display(name: str, tokens: list[Any]) -> Values:
    for _, value in _word(name, tokens):
        value = "inline" if value in ("initial", "unset") else value
        if value in supports.DISPLAYS or value == "revert":
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


def _selectors(prelude: list[Any], parents: Selectors | None = None) -> Iterator[Selector]:
    """The selectors of a rule, without those for what no page of a mail has (`::before`, `:hover` of nobody).

    parents  of the rule in which it is nested
    """
    groups = list(_groups(prelude))
    if all(_is_selector(conditions.bare(group), is_nested=parents is not None) for group in groups):
        for group in groups:
            if selector := _selector(group, parents):
                yield selector


def _is_selector(tokens: list[Any], *, is_nested: bool) -> bool:
    """As far as its signs say."""
    if not tokens or (_is(tokens[0], *COMBINATORS) and not is_nested):
        return False
    return all(token.type in ("ident", "hash", "function", "[] block") or _is(token, *_SIGNS) for token in tokens)


def _is(token: Any, *signs: str) -> bool:
    return token.type == "literal" and token.value in signs


def _groups(prelude: list[Any]) -> Iterator[list[Any]]:
    """What stands between the commas. If one of them is no selector, the whole rule is none."""
    group: list[Any] = []
    for token in [*prelude, None]:
        if token is not None and not _is(token, ","):
            group.append(token)
            continue
        yield group
        group = []


def _selector(tokens: list[Any], parents: Selectors | None) -> Selector | None:
    steps, binding, counted = [_Step()], "", [0, 0, 0]
    while tokens and tokens[-1].type in ("whitespace", "comment"):
        tokens = tokens[:-1]
    if parents and not any(_is(token, "&") for token in tokens):  # `b` and `> b` in `.a` are `& b` and `& > b`
        tokens = [_AMPERSAND, _SPACE, *tokens]
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type in ("whitespace", "comment") or _is(token, *COMBINATORS):
            binding = token.value if token.type == "literal" else binding or " "
            continue
        if binding and steps[-1].is_something:
            steps.append(_Step(binding))
        binding = ""
        if _is(token, "&"):
            if parents:
                _add(counted, parents)
                steps[-1].is_parent = True
            else:
                steps[-1].compound += ":root"
        elif _count(counted, before, token):
            steps[-1].compound += tinycss2.serialize([token])
        else:
            return None
    if not steps[-1].is_something:
        return None
    plain = tuple((step.binding, step.compound, step.is_parent) for step in steps)
    return Selector((counted[0], counted[1], counted[2]), plain, parents)


COMBINATORS = (">", "+", "~")
_SIGNS = (*COMBINATORS, ".", ":", "*", "|", "&")
_AMPERSAND, _SPACE = tinycss2.parse_component_value_list("& ")


@dataclass(slots=True)
class _Step:
    binding: str = ""
    compound: str = ""
    is_parent: bool = False

    @property
    def is_something(self) -> bool:
        return bool(self.compound or self.is_parent)


def _add(counted: list[int], selectors: Selectors) -> None:
    counted[:] = [have + more for have, more in zip(counted, selectors.specificity, strict=True)]


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
    inside = Selectors.of(_selectors(function.arguments))
    if function.lower_name != "where":
        _add(counted, inside)
    return inside.n_steps == len(inside.each)


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
        self.known: dict[Selector, set[int]] = {}
        self.parents_known: dict[Selectors, set[int]] = {}
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
        if selector not in self.known:
            self.known[selector] = self._found(selector)
        return self.known[selector]

    def _found(self, selector: Selector) -> set[int]:
        found: set[int] = set()
        for binding, compound, is_parent in selector.steps:
            alike = self._alike(compound) if compound else None
            if is_parent:
                parents = self._parents(selector.parents)
                alike = parents if alike is None else alike & parents
            assert alike is not None
            found = alike & self._bound(binding, found) if binding else alike
        return found

    def _parents(self, selectors: Selectors | None) -> set[int]:
        assert selectors is not None
        if selectors not in self.parents_known:
            self.parents_known[selectors] = set().union(*map(self.matches, selectors.each))
        return self.parents_known[selectors]

    def _alike(self, compound: str) -> set[int]:
        try:
            return {self.numbers[one.mem_id] for one in self.tree.css(compound) if one.mem_id in self.numbers}
        except SelectolaxError:
            return set()

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
