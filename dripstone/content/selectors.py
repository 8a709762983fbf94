"""Does a CSS selector fit an element: no, maybe or yes?

"Maybe" is what depends on the reader (`:hover`), on their mail program (`[data-ogsc] p`), or on Liquid, which may bring
classes, attributes, ancestors and siblings (tree.py).
"""

from collections.abc import Iterator
from typing import Any

from cssselect2 import parser
from tinycss2.nth import parse_nth

from dripstone.content.tree import Element

NO, MAYBE, YES = 0, 1, 2

# Attributes that Outlook's apps put on elements, for rules that are only for them.
_CLIENTS = "data-og"
# Attributes of HTML whose values selectors compare without regard to case.
_CASELESS = (
    "align alink bgcolor charset clear color compact dir face frame http-equiv lang link media method nowrap rel rules "
    "shape target text type valign vlink"
)
_COMMUTES = {NO: YES, MAYBE: MAYBE, YES: NO}


class TooMuch(ValueError):
    """Fitting rules to elements takes too many steps, or what would be written into them grows too large."""

    def __init__(self) -> None:
        super().__init__("has too much CSS for its elements")


class Fitter:
    """Fits selectors to the elements of one page.

    word      what stands for Liquid in the page's attributes
    n_steps   how many simple selectors may be tried in all: the work is bounded whatever the page and its CSS
    """

    def __init__(self, word: str, *, is_quirky: bool, n_steps: int) -> None:
        self.word, self.is_quirky, self.n_steps = word, is_quirky, n_steps
        self.known: dict[tuple[int, int], int] = {}

    def fit(self, selector: Any, element: Element) -> int:
        """selector   a tree of cssselect2.parser, kept by the caller while this object lives"""
        if isinstance(selector, parser.Selector):
            return self.fit(selector.parsed_tree, element)
        if isinstance(selector, parser.CompoundSelector):
            return self._compound(selector, element)
        key = (id(selector), id(element))
        if key not in self.known:
            self.known[key] = self._combined(selector, element)
        return self.known[key]

    def _compound(self, selector: Any, element: Element) -> int:
        fit = YES
        for simple in selector.simple_selectors:
            self.spend()
            fit = min(fit, self._simple(simple, element))
            if fit == NO:
                break
        return fit

    def spend(self, n: int = 1) -> None:
        self.n_steps -= n
        if self.n_steps < 0:
            raise TooMuch

    def _combined(self, selector: Any, element: Element) -> int:
        right = self.fit(selector.right, element)
        if right == NO:
            return NO
        if selector.combinator in "+~":
            return min(right, self._beside(selector, element))
        return min(right, self._within(selector, element))

    def _within(self, selector: Any, element: Element) -> int:
        parents = (
            _ancestors(element) if selector.combinator == " " else iter([element.parent] if element.parent else [])
        )
        best = NO
        for ancestor in parents:
            best = max(best, self.fit(selector.left, ancestor))
            if best == YES:
                break
        if element.wild:
            return MAYBE
        if element.loose and (best == NO or selector.combinator == ">"):
            return MAYBE
        return best

    def _beside(self, selector: Any, element: Element) -> int:
        if element.parent is None:
            return NO
        if _is_moved(element, from_end=False):
            return MAYBE
        before = element.parent.children[: element.position]
        best = NO
        for sibling in before[-1:] if selector.combinator == "+" else reversed(before):
            best = max(best, self.fit(selector.left, sibling))
            if best == YES:
                break
        return best

    # --- One simple selector ------------------------------------------------------------------------------------------

    def _simple(self, simple: Any, element: Element) -> int:
        match simple:
            case parser.LocalNameSelector():
                return self._name(simple.lower_local_name, element)
            case parser.ClassSelector():
                return self._class(simple.class_name, element)
            case parser.IDSelector():
                return self._value("=", simple.ident, "id", element, ignores_case=self.is_quirky)
            case parser.AttributeSelector():
                return self._attribute(simple, element)
            case parser.PseudoClassSelector():
                return _state(simple.name, element)
            case parser.FunctionalPseudoClassSelector():
                return _counted(simple.name, simple.arguments, element)
            case parser.MatchesAnySelector() | parser.SpecificityAdjustmentSelector():
                return max((self.fit(one, element) for one in simple.selector_list), default=NO)
            case parser.NegationSelector():
                return min((_COMMUTES[self.fit(one, element)] for one in simple.selector_list), default=YES)
        return MAYBE  # :has(), namespaces

    def _name(self, name: str, element: Element) -> int:
        if self.word in element.name:
            return MAYBE
        return YES if element.name == name else NO

    def _class(self, name: str, element: Element) -> int:
        if name in element.classes:
            return MAYBE if element.has_any_attribute else YES
        is_any = element.has_any_attribute or self.word in element.attributes.get("class", "")
        is_other_case = self.is_quirky and name.lower() in [one.lower() for one in element.classes]
        return MAYBE if is_any or is_other_case else NO

    def _attribute(self, simple: Any, element: Element) -> int:
        name = simple.lower_name
        if name.startswith(_CLIENTS):
            return MAYBE
        if simple.operator is None:
            if element.has_any_attribute:
                return MAYBE
            return YES if name in element.attributes else NO
        ignores_case = simple.case_sensitive is False or name in _CASELESS.split()
        return self._value(simple.operator, simple.value, name, element, ignores_case=ignores_case)

    def _value(self, operator: str, wanted: str, name: str, element: Element, *, ignores_case: bool) -> int:
        found = element.attributes.get(name)
        if element.has_any_attribute or self.word in (found or ""):
            return MAYBE
        if found is None:
            return NO
        if ignores_case:
            found, wanted = found.lower(), wanted.lower()
        return YES if has_value(operator, found, wanted) else NO


def has_value(operator: str, found: str, wanted: str) -> bool:
    """[attribute operator wanted]"""
    match operator:
        case "=":
            return found == wanted
        case "~=":
            return bool(wanted) and wanted in found.split()
        case "|=":
            return found == wanted or found.startswith(wanted + "-")
        case "^=":
            return bool(wanted) and found.startswith(wanted)
        case "$=":
            return bool(wanted) and found.endswith(wanted)
    return bool(wanted) and wanted in found


def _ancestors(element: Element) -> Iterator[Element]:
    while element.parent is not None:
        element = element.parent
        yield element


def _is_moved(element: Element, *, from_end: bool) -> bool:
    """Whether its place among its siblings, counted from the first or from the last, is not the same for everybody."""
    if element.wild or element.loose or element.parent is None:
        return True
    moving = element.parent.moving
    return moving is not None and (element.position < moving[1] if from_end else element.position >= moving[0])


def _state(name: str, element: Element) -> int:
    """A pseudo-class without arguments."""
    if name == "root":
        return YES if element.parent is None else NO
    if name in ("link", "any-link"):
        is_link = element.name in ("a", "area")
        return (
            MAYBE if is_link and element.has_any_attribute else YES if is_link and "href" in element.attributes else NO
        )
    if name == "empty":
        is_unsure = element.wild or element.loose or element.moving is not None or element.markup is None
        return MAYBE if is_unsure else NO if element.children or element.has_text else YES
    counts = {"first-child": (0, 1), "first-of-type": (0, 1), "last-child": (0, 1), "last-of-type": (0, 1)}
    if name in counts:
        return _nth(name.replace("first", "nth").replace("last", "nth-last"), *counts[name], element)
    if name in ("only-child", "only-of-type"):
        kind = name.removeprefix("only-")
        return min(_nth(f"nth-{kind}", 0, 1, element), _nth(f"nth-last-{kind}", 0, 1, element))
    return MAYBE


def _counted(name: str, arguments: Any, element: Element) -> int:
    """:nth-child(2n + 1) and its like."""
    if name not in ("nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type"):
        return MAYBE
    formula = parse_nth(arguments)
    if formula is None:
        return MAYBE
    a, b = formula
    return _nth(name, a, b, element)


def _nth(name: str, a: int, b: int, element: Element) -> int:
    if element.parent is None or _is_moved(element, from_end="last" in name):
        return MAYBE
    place, total = element.position, len(element.parent.children)
    if name.endswith("of-type"):
        place, total = element.kin
    count = (total - place if "last" in name else place + 1) - b
    return YES if (count == 0 if a == 0 else count % a == 0 and count // a >= 0) else NO
