"""Writes the rules of <style> into style attributes, so that they hold where mail programs take <style> away.

What a person sees must stay the same where <style> is kept. A style attribute wins over every rule without
`!important`, so for each element and each family of properties (stylesheets.py) this asks what may compete:

- Rules that hold for certain ("sure") are inlined in the order of the cascade, without their `!important`: that only
  settled the order among them, and would keep a media query's `!important` from winning.
- A rule that holds only sometimes (@media, :hover, Liquid) stays in <style>. If it wins over a sure rule in the source,
  it must win over the style attribute: it is given `!important` ("raised"), and so are all rules that win over it.
- Where raising would turn the order of two rules round, nothing of that family is inlined for that element ("held").
- A sure rule leaves <style> when each element it may fit has it in its style attribute, and nothing competes.
"""

import heapq
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import tinycss2
from cssselect2 import parser

from dripstone.content import values
from dripstone.content.markup import Edits
from dripstone.content.selectors import MAYBE, NO, YES, Fitter, TooMuch, has_value
from dripstone.content.stylesheets import Declaration, Reader, Rule, family
from dripstone.content.tree import HEAD, Element, Page

MAX_STEPS = 300_000  # simple selectors tried, and rules compared: about a second
CLAIM_STEPS = 4  # a rule that fits costs more than one that does not
MAX_CSS = 100_000  # characters
MAX_GROWTH = 1_000_000  # characters written into style attributes

Key = tuple[bool, int, int, int, int]


@dataclass(eq=False, slots=True)
class Claim:
    """A rule that may fit an element. A claim is sure, or it holds only sometimes."""

    rule: Rule
    key: Key  # greater ones win, among rules that are equally important
    is_sure: bool


@dataclass(eq=False, slots=True)
class Place:
    """An element with what may give it its style."""

    element: Element
    can_carry: bool  # a style attribute
    claims: list[Claim]
    own: dict[str, list[Declaration]] = field(default_factory=dict)  # of its own style attribute, by family
    own_is_unknown: bool = False  # Liquid stands in or among its attributes
    held: set[str] = field(default_factory=set)  # families
    firm: set[str] = field(default_factory=set)  # families of its own that need `!important` against raised rules

    @property
    def settled(self) -> set[str]:
        """Properties that its own style attribute sets whatever the rules say, unless one has `!important`."""
        if self.own_is_unknown:
            return set()
        return {one.name for said in self.own.values() for one in said if values.is_plain(one)}

    def of(self, kind: str) -> list[Claim]:
        return [claim for claim in self.claims if kind in claim.rule.families]


def inline(page: Page, word: str) -> None:
    """Notes in the page's sources what is to change. Raises TooMuch when it would take too long or grow too large."""
    try:
        _Inlining(page, word).run()
    except RecursionError:  # brackets within brackets
        raise TooMuch from None


class _Inlining:
    def __init__(self, page: Page, word: str) -> None:
        self.page, self.word = page, word
        reader = Reader(word)
        n_css = sum(one.markup.inner_end - one.markup.end for one in page.styles if one.markup)
        if n_css > MAX_CSS:
            raise TooMuch
        for style in page.styles:
            reader.read(style)
        self.rules = reader.rules
        self.has_all = any(one.family == "all" for rule in self.rules for one in rule.declarations)
        if self.has_all:  # `all: unset` competes with everything
            for one in (one for rule in self.rules for one in rule.declarations):
                one.family = "all"
        self.fitter = Fitter(word, is_quirky=page.is_quirky, n_steps=MAX_STEPS)
        self.places: list[Place] = []
        self.by_rule: dict[Rule, list[Place]] = defaultdict(list)
        self.raised: set[tuple[Rule, str]] = set()

    def run(self) -> None:
        if not self.rules:
            return
        self._fit()
        contested = [place for place in self.places if any(not claim.is_sure for claim in place.claims)]
        unsure = {claim.rule for place in contested for claim in place.claims if not claim.is_sure}
        for kind in sorted({kind for rule in unsure for kind in rule.families}):
            self._settle(kind, contested)
        growth = sum(self._write(place) for place in self.places if place.can_carry)
        if growth > MAX_GROWTH:
            raise TooMuch
        told = self._told()
        for style, rules in itertools.groupby(self.rules, key=lambda rule: rule.style):
            self._trim(style, list(rules), told)

    # --- Which rules fit which elements -----------------------------------------------------------------------------

    def _fit(self) -> None:
        index = _Index(self.rules)
        tests = list(_style_tests(self.rules))
        for element in self.page.elements:
            claims = [
                claim
                for rule, selectors in index.candidates(element, self.word)
                for claim in self._claims(rule, selectors, element)
            ]
            if not claims:
                continue
            self.fitter.spend(CLAIM_STEPS * len(claims))
            place = Place(element, _can_carry(element), claims)
            self._read_own(place)
            if tests and place.can_carry and self._turns(place, tests):
                place.can_carry = False
            self.places.append(place)
            for rule in dict.fromkeys(claim.rule for claim in claims):
                self.by_rule[rule].append(place)

    def _turns(self, place: Place, tests: list[parser.AttributeSelector]) -> bool:
        """Whether writing its style attribute would make a selector such as `[style*="16px"]` fit, or no longer fit."""
        own = place.element.attributes.get("style")
        new = "; ".join(part for part in (*self._inlined(place), own) if part)
        return any(_passes(test, own) != _passes(test, new or own) for test in tests)

    def _claims(self, rule: Rule, selectors: list[parser.Selector] | None, element: Element) -> Iterator[Claim]:
        if selectors is None:
            yield Claim(rule, (True, 1 << 30, 0, 0, rule.order), is_sure=False)
            return
        best: dict[int, tuple[int, ...]] = {}
        for selector in selectors:
            fit = self.fitter.fit(selector, element)
            if fit == YES and element.parent is None and _is_everything(selector):
                fit = MAYBE
            if fit != NO and selector.pseudo_element is None:
                best[fit] = max(best.get(fit, (-1,)), selector.specificity)
        if YES in best:
            yield self._claim(rule, best[YES], is_sure=not rule.is_conditional)
        if MAYBE in best and best[MAYBE] > best.get(YES, (-1,)):
            yield self._claim(rule, best[MAYBE], is_sure=False)

    def _claim(self, rule: Rule, specificity: tuple[int, ...], *, is_sure: bool) -> Claim:
        a, b, c = specificity
        return Claim(rule, (not rule.is_layered, a, b, c, rule.order), is_sure)

    def _read_own(self, place: Place) -> None:
        element = place.element
        style = element.attributes.get("style", "")
        place.own_is_unknown = element.may_have_style or self.word in style
        for node in tinycss2.parse_blocks_contents(style, skip_comments=True, skip_whitespace=True):
            if node.type == "declaration":
                name = node.name if node.name.startswith("--") else node.lower_name
                kind = "all" if self.has_all or name == "all" else family(name)
                value = tinycss2.serialize(node.value).strip()
                place.own.setdefault(kind, []).append(Declaration(name, value, kind, node.important, 0))

    # --- Who wins ---------------------------------------------------------------------------------------------------

    def _settle(self, kind: str, contested: list[Place]) -> None:
        """Raise what must win over style attributes; hold what cannot be settled so."""
        doomed: set[Rule] = set()
        for place in contested:
            weakest = self._weakest_inlined(place, kind)
            for claim in place.of(kind):
                # Whether something would be inlined for this element that the rule wins over.
                beats = any(key < claim.key and one is not claim.rule for key, one in weakest)
                rule = claim.rule
                if claim.is_sure or not beats or not rule.has(kind, is_important=False):
                    continue
                if rule in doomed or not ((rule, kind) in self.raised or self._raise(rule, kind)):
                    doomed.add(rule)
                    place.held.add(kind)

    def _weakest_inlined(self, place: Place, kind: str) -> list[tuple[Key, Rule]]:
        """The two weakest rules without `!important` that would be inlined for this element."""
        claims = place.of(kind) if place.can_carry else []
        self.fitter.spend(len(claims))
        settled = place.settled
        found = [
            (claim.key, claim.rule)
            for claim in claims
            if claim.is_sure
            and any(
                one.family == kind and not one.is_important and one.name not in settled
                for one in claim.rule.declarations
            )
        ]
        return heapq.nsmallest(2, found, key=lambda one: one[0])

    def _raise(self, rule: Rule, kind: str) -> bool:
        """Raise a rule and all that win over it anywhere; False when that would turn an order round."""
        raised, firm, waiting = {rule}, [], [rule]
        while waiting:
            one = waiting.pop()
            if one.is_fixed or one.is_nested or one.is_layered or self.page.brings_more:
                return False
            for place in self.by_rule[one]:
                stronger = self._stronger(one, place, kind)
                if stronger is None:
                    return False
                if kind in place.own or "all" in place.own or place.own_is_unknown:
                    firm.append(place)
                waiting += stronger - raised
                raised |= stronger
        if any(place.own_is_unknown or not _can_be_firm(place, kind) for place in firm):
            return False
        self.raised |= {(one, kind) for one in raised}
        for place in firm:
            place.firm.add(kind)
        return True

    def _stronger(self, rule: Rule, place: Place, kind: str) -> set[Rule] | None:
        """The rules without `!important` that win over this one here; None when one with it would lose."""
        claims = list(place.of(kind))
        self.fitter.spend(len(claims))
        key = max(claim.key for claim in claims if claim.rule is rule)
        if any(claim.rule.has(kind, is_important=True) and claim.key <= key for claim in claims):
            return None
        lowest = min(claim.key for claim in claims if claim.rule is rule)
        normal = (claim for claim in claims if claim.rule is not rule and claim.rule.has(kind, is_important=False))
        return {claim.rule for claim in normal if claim.key > lowest}

    # --- What is written --------------------------------------------------------------------------------------------

    def _write(self, place: Place) -> int:
        """Give the element its style attribute; returns the characters that this adds."""
        before, after = self._inlined(place)
        firm = [f"{one.name}: {one.value} !important" for kind in sorted(place.firm) for one in place.own.get(kind, ())]
        after = "; ".join([*([after] if after else []), *firm])
        if before or after:
            _set_style(place.element, before, after)
        return len(before) + len(after)

    def _inlined(self, place: Place) -> tuple[str, str]:
        """What the sure rules say: what comes before the element's own style, and what comes behind it and wins."""
        sure = sorted((claim for claim in place.claims if claim.is_sure), key=lambda claim: claim.key)
        said = [one for claim in sure for one in claim.rule.declarations if one.family not in place.held]
        settled = place.settled
        said = [one for one in said if not values.is_liquid(one) and (one.is_important or one.name not in settled)]
        said = values.without_beaten(sorted(said, key=lambda one: one.is_important))
        before, after = ([one for one in said if one.is_important == is_last] for is_last in (False, True))
        return values.text(before), values.text(after)

    def _told(self) -> set[Rule]:
        """The rules that style attributes make superfluous."""
        told = {rule for rule in self.rules if self._is_told(rule)}
        while needed := {rule for rule in told if self._is_needed(rule, told)}:
            told -= needed
        return told

    def _trim(self, style: Element, rules: list[Rule], told: set[Rule]) -> None:
        """Take out of <style> what style attributes say; write `!important` where a rule is raised."""
        assert style.source is not None and style.markup is not None
        start, css = style.markup.end, style.source.text[style.markup.end : style.markup.inner_end]
        changes = Edits(
            [(_before_space(css, rule.start - start), rule.end - start, "") for rule in rules if rule in told]
        )
        is_empty = not changes.applied(css).strip()
        edits = style.source.edits
        if changes.changes and is_empty and style.parent is not None and style.parent.name == "head":
            # Elsewhere an empty element stays, for `p:first-child` counts it.
            edits.replace(style.markup.start, style.markup.outer_end, "")
            return
        for rule_start, rule_end, _ in changes.changes:
            edits.replace(start + rule_start, start + rule_end, "")
        for rule in rules:
            for one in rule.declarations:
                if (rule, one.family) in self.raised and not one.is_important:
                    edits.replace(one.end, one.end, " !important")

    def _is_told(self, rule: Rule) -> bool:
        is_loose = not (rule.is_conditional or rule.is_fixed or rule.is_nested or rule.has_nested)
        if not is_loose or self.page.brings_more or not self.by_rule[rule]:
            return False
        selectors = rule.selectors or []
        if any(one.pseudo_element is not None for one in selectors):
            return False
        if any((rule, kind) in self.raised for kind in rule.families):
            return False
        if any(values.is_liquid(one) for one in rule.declarations):
            return False
        fitted: set[int] = set()
        for place in self.by_rule[rule]:
            self.fitter.spend(len(place.claims))
            if not place.can_carry or place.held & rule.families:
                return False
            if any(not claim.is_sure for claim in place.claims if claim.rule is rule):
                return False
            fitted |= {i for i, one in enumerate(selectors) if self.fitter.fit(one, place.element) == YES}
        return len(fitted) == len(selectors)

    def _is_needed(self, rule: Rule, told: set[Rule]) -> bool:
        """Whether its `!important` must go on winning over that of a weaker rule, which stays in <style>."""
        for kind in {one.family for one in rule.declarations if one.is_important}:
            for place in self.by_rule[rule]:
                self.fitter.spend(len(place.claims))
                key = max(claim.key for claim in place.claims if claim.rule is rule)
                weaker = (one.rule for one in place.of(kind) if one.key < key and one.rule not in told)
                if any(one.has(kind, is_important=True) or (one, kind) in self.raised for one in weaker):
                    return True
        return False


def _before_space(source: str, place: int) -> int:
    while place and source[place - 1].isspace():
        place -= 1
    return place


def _can_be_firm(place: Place, kind: str) -> bool:
    """Whether its own style may be given `!important`: no rule's `!important` has to win over it."""
    return "all" not in place.own and not any(claim.rule.has(kind, is_important=True) for claim in place.of(kind))


class _Index:
    """Rules by what the last part of their selectors asks for: an id, a class or a name, in small letters."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.by_key: dict[str, list[tuple[Rule, parser.Selector | None]]] = defaultdict(list)
        self.all: list[tuple[Rule, parser.Selector | None]] = []
        for rule in rules:
            for selector in rule.selectors if rule.selectors is not None else [None]:
                self.by_key[_asks_for(selector)].append((rule, selector))
                self.all.append((rule, selector))

    def candidates(self, element: Element, word: str) -> Iterator[tuple[Rule, list[parser.Selector] | None]]:
        found: dict[Rule, list[parser.Selector] | None] = {}
        for rule, selector in self._candidates(element, word):
            if selector is None:
                found[rule] = None
            else:
                known = found.setdefault(rule, [])
                assert known is not None
                known.append(selector)
        return iter(found.items())

    def _candidates(self, element: Element, word: str) -> list[tuple[Rule, parser.Selector | None]]:
        number = element.attributes.get("id", "")
        if (
            element.has_any_attribute
            or word in element.name
            or word in number
            or any(word in one for one in element.classes)
        ):
            return self.all
        keys = {"*", element.name, f"#{number.lower()}", *(f".{one.lower()}" for one in element.classes)}
        return [one for key in sorted(keys) for one in self.by_key.get(key, ())]


def _is_everything(selector: parser.Selector) -> bool:
    tree = selector.parsed_tree
    return isinstance(tree, parser.CompoundSelector) and not tree.simple_selectors


def _asks_for(selector: parser.Selector | None) -> str:
    if selector is None:
        return "*"
    tree = selector.parsed_tree
    last = tree.right if isinstance(tree, parser.CombinedSelector) else tree
    key = "*"
    for simple in last.simple_selectors:
        if isinstance(simple, parser.IDSelector):
            return f"#{simple.ident.lower()}"
        if isinstance(simple, parser.ClassSelector):
            key = f".{simple.class_name.lower()}"
        elif isinstance(simple, parser.LocalNameSelector) and key == "*":
            key = simple.lower_local_name
    return key


def _can_carry(element: Element) -> bool:
    """Whether a style attribute may be written for it, and only there."""
    is_unseen = element.name in HEAD or element.name == "head"
    return element.markup is not None and not (element.opaque or element.may_have_style or is_unseen)


def _style_tests(rules: Iterable[Rule]) -> Iterator[parser.AttributeSelector]:
    """The tests of style attributes in the rules' selectors."""
    waiting: list[object] = [selector for rule in rules for selector in rule.selectors or ()]
    while waiting:
        match waiting.pop():
            case parser.AttributeSelector() as one if one.lower_name == "style":
                yield one
            case parser.Selector() as one:
                waiting.append(one.parsed_tree)
            case parser.CombinedSelector() as one:
                waiting += (one.left, one.right)
            case parser.CompoundSelector() as one:
                waiting += one.simple_selectors
            case (
                parser.NegationSelector()
                | parser.MatchesAnySelector()
                | parser.SpecificityAdjustmentSelector()
                | parser.RelationalSelector()
            ) as one:
                waiting += one.selector_list
            case parser.RelativeSelector() as one:
                waiting.append(one.selector)


def _passes(test: parser.AttributeSelector, style: str | None) -> bool:
    if style is None or test.operator is None:
        return style is not None
    return has_value(test.operator, style, test.value)


def _set_style(element: Element, before: str, after: str) -> None:
    """Write declarations before and behind those that the element has in its own style attribute."""
    assert element.source is not None and element.markup is not None
    edits, markup = element.source.edits, element.markup
    own = next((one for one in markup.attributes if one.name == "style"), None)
    if own is None:
        place = max((one.end for one in markup.attributes), default=markup.start + 1 + len(markup.name))
        edits.replace(place, place, f' style="{values.quoted(_joined(before, "", after), chr(34))}"')
        return
    mark = own.raw[0] if own.raw and own.raw[0] in ("'", '"') else '"'
    text = own.value if own.raw and own.raw[0] == mark else own.value.replace('"', "&quot;")
    before, after = (values.quoted(one, mark) for one in (before, after))
    equals = "" if own.raw is not None else "="
    edits.replace(own.start, own.end, f"{equals}{mark}{_joined(before, text, after)}{mark}")


def _joined(before: str, own: str, after: str) -> str:
    own = own.strip()
    if own.endswith(";") and not _ENTITY_END.search(own):
        own = own[:-1].rstrip()
    return "; ".join(part for part in (before, own, after) if part) + ";"


_ENTITY_END = re.compile(r"&(?:#\w+|\w+);\Z")
