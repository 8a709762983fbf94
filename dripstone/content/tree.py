"""The elements of an HTML source with Liquid in it, as a browser would make them, and what Liquid makes uncertain.

The source is never written anew: an element knows its tag's place in it. The tree follows the HTML standard where mails
are sound and where they are unsound in the common ways (tags left open, tables within paragraphs, stray end tags). What
it does not follow, and what depends on Liquid, it marks, and selectors.py then answers "maybe":

- `path`    the branches of Liquid in which a tag stands. An element in an `if` is there or not.
- `wild`    its ancestors are not the same for everybody (an `if` opens an element that the same `if` does not close).
- `loose`   it may have more ancestors than the tree shows (`<b>` left open goes on in the next paragraph).
- `moving`  from the first to the last of these places its children are not the same for everybody, so that
            `:first-child` and `+` say nothing there.
"""

import html
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from dripstone.content.markup import Attribute, Edits, Markup, markups

MAX_DEPTH = 200
MAX_CHILDREN = 1 << 30  # of one element: more than there are


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


VOID = _names("area base br col embed hr img input link meta param source track wbr")
HEAD = _names("base link meta noscript script style template title")
FORMATTING = _names("a b big code em font i nobr s small strike strong tt u")
_TABLE_PARTS = _names("caption col colgroup tbody td tfoot th thead tr")
_SECTIONS = _names("tbody thead tfoot")
_HEADINGS = _names("h1 h2 h3 h4 h5 h6")
_NEVER_NESTED = _TABLE_PARTS | _names("dd dt li option p")
_SCOPE = _names("applet caption html marquee object table td template th")
_BLOCKS = _HEADINGS | _names(
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form header "
    "hgroup hr main menu nav ol p pre section summary table ul"
)
_SPECIAL = _BLOCKS | _SCOPE | _TABLE_PARTS | HEAD | VOID | _names("body button dd dt head iframe li select")
# Start tags that close an open element: which ones, and where the search for one ends.
_LIST_ENDS = _SPECIAL - {"address", "div", "p"}
_CLOSES = {
    "li": (frozenset(("li",)), _LIST_ENDS),
    "dd": (frozenset(("dd", "dt")), _LIST_ENDS),
    "dt": (frozenset(("dd", "dt")), _LIST_ENDS),
    "button": (frozenset(("button",)), _SCOPE),
    "a": (frozenset(("a",)), _SCOPE),
}

_FLOW = re.compile(r"\{%-?\s*(\w+)")
_OPENS = frozenset(("if", "unless", "case", "for", "tablerow", "capture", "ifchanged"))
_OPAQUE = frozenset(("tablerow", "capture"))  # its elements come out elsewhere, or among others
_TURNS = frozenset(("else", "elsif", "when"))
_QUIET = frozenset(("assign", "increment", "decrement", "comment", "doc", "break", "continue"))
# Output that is text for everybody: HTML is escaped in it.
_TEXT_OUTPUT = re.compile(
    r"\{\{-?\s*(?:subscriber\b|now\b|today\b|preview_text\b|(?:unsubscribe|subscriber_preferences)_url\b|forloop\b)"
)
_LINES_OUTPUT = re.compile(r"\{\{-?\s*address\s*-?\}\}")
_MAKES_MARKUP = re.compile(r"\|\s*(?:safe|newline_to_br|link_tag|img_tag)\b")
_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|\w+);")


class TooDeep(ValueError):
    """Elements nest deeper than MAX_DEPTH."""

    def __init__(self) -> None:
        super().__init__(f"nests elements too deeply (maximum is {MAX_DEPTH})")


@dataclass(eq=False, slots=True)
class Source:
    """A text with words in place of Liquid tags, and what is to change in it.

    chain   the keys of the snippets around it, and its own
    """

    text: str
    chain: tuple[str, ...] = ()
    edits: Edits = field(default_factory=Edits)


@dataclass(eq=False, slots=True)
class Element:
    """markup   its start tag; None for an element that the source only implies (`tbody`)
    has_any_attribute   Liquid stands between its attributes
    may_have_style      and may bring a style attribute
    """

    name: str
    parent: "Element | None" = None
    path: tuple[int, ...] = ()
    markup: Markup | None = None
    source: Source | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    children: list["Element"] = field(default_factory=list)
    position: int = 0  # among its siblings
    kin: tuple[int, int] = (0, 0)  # its place among siblings of its name, and their number
    wild: bool = False
    loose: bool = False
    moving: tuple[int, int] | None = None
    opaque: bool = False
    has_text: bool = False
    has_any_attribute: bool = False
    may_have_style: bool = False

    def move(self) -> None:
        """Note that Liquid decides what stands here, behind the last child."""
        here = len(self.children)
        self.moving = (self.moving[0] if self.moving else here, here)


@dataclass(slots=True)
class Page:
    """elements   in the order of their tags
    styles   the <style> elements, each with the place of its text
    brings_more   Liquid may put out elements that are not in the tree
    is_quirky   there is no doctype: browsers then take `.a` for `.A`
    """

    elements: list[Element] = field(default_factory=list)
    styles: list[Element] = field(default_factory=list)
    brings_more: bool = False
    is_quirky: bool = True


def decoded(raw: str) -> str:
    """The value of an attribute, its entities decoded (those without a semicolon are left: `?a=1&copy=2`)."""
    return _ENTITY.sub(lambda found: html.unescape(found[0]), raw) if "&" in raw else raw


class Builder:
    """Makes a page from tags and Liquid in their order. Raises TooDeep.

    word      what a Liquid tag is replaced by, before its number and a "z"
    liquid    the Liquid of that number
    included  the source of a snippet that this Liquid puts out, to be read as if it stood here; else None
    """

    def __init__(self, word: str, liquid: list[str], included: Callable[[int, Source], Source | None]) -> None:
        self.word, self.words = word, re.compile(rf"{word}(\d+)z")
        self.liquid, self.included = liquid, included
        self.root = Element("html")
        self.head: Element | None = None
        self.body: Element | None = None
        self.page = Page([self.root])
        self.stack = [self.root]
        self.path: list[int] = []
        self.n_branches = 0
        self.opaque_branches: set[int] = set()
        self.wild_from: int | None = None  # all within the stack's element of this index
        self.loose_from: int | None = None
        self.has_markup_in_liquid = self.puts_out_unknown = False

    def read(self, source: Source) -> None:
        done = 0
        for markup in markups(source.text):
            self._between(source, source.text[done : markup.start])
            done = max(markup.end, markup.outer_end)
            self._markup(source, markup)
            for number in self.words.findall(source.text, markup.start, done):
                self._flow(self.liquid[int(number)])
        self._between(source, source.text[done:])

    def finished(self) -> Page:
        self.page.brings_more |= self.puts_out_unknown and self.has_markup_in_liquid
        for element in self.page.elements:
            _count_kin(element.children)
        return self.page

    # --- Liquid ---------------------------------------------------------------------------------------------------

    def _between(self, source: Source, text: str) -> None:
        done = 0
        for found in self.words.finditer(text):
            self._text(text[done : found.start()])
            self._liquid(int(found[1]), source)
            done = found.end()
        self._text(text[done:])

    def _text(self, text: str) -> None:
        if text:
            if text.strip(" \t\n\f\r"):
                self._begin_body()
            self.stack[-1].has_text = True

    def _liquid(self, number: int, source: Source) -> None:
        text = self.liquid[number]
        if included := self.included(number, source):
            self._begin_body()
            self.read(included)
        elif text.startswith("{{"):
            self._output(text)
        else:
            self._flow(text)
            if _name(text) not in _OPENS | _TURNS | _QUIET and not _name(text).startswith("end"):
                self._output(text)  # echo, cycle, raw, …
            self.stack[-1].move()

    def _output(self, text: str) -> None:
        self._begin_body()
        here = self.stack[-1]
        here.has_text = True
        if _LINES_OUTPUT.fullmatch(text) or ("newline_to_br" in text and "<" not in text):
            here.move()
            self._add("br")
            here.move()
        elif "<" in text or "_link" in text or "snippet" in text or _MAKES_MARKUP.search(text):
            here.move()
            self.page.brings_more = True
        elif not _TEXT_OUTPUT.match(text):
            here.move()
            self.puts_out_unknown = True

    def _flow(self, text: str) -> None:
        if text.startswith("{{"):
            return
        name = _name(text)
        self.has_markup_in_liquid |= "<" in text and name in ("assign", "liquid", "for", "cycle")
        if name in _OPENS:
            self._branch(name)
        elif name in _TURNS and self.path:
            is_opaque = self.path.pop() in self.opaque_branches
            self._branch("capture" if is_opaque else name)
        elif name.startswith("end") and name[3:] in _OPENS and self.path:
            self.path.pop()

    def _branch(self, name: str) -> None:
        self.n_branches += 1
        self.path.append(self.n_branches)
        if name in _OPAQUE:
            self.opaque_branches.add(self.n_branches)
        self.page.brings_more |= name == "tablerow"

    # --- Tags -----------------------------------------------------------------------------------------------------

    def _markup(self, source: Source, markup: Markup) -> None:
        if markup.kind == "comment":
            is_doctype = source.text[markup.start : markup.start + 9].lower() == "<!doctype"
            self.page.is_quirky &= not is_doctype
        elif markup.kind == "end":
            self._end(markup.name)
        else:
            self._start(source, markup)

    def _start(self, source: Source, markup: Markup) -> None:
        name = markup.name
        if name in ("html", "head", "body"):
            element = self._frame(name)
        elif name in _TABLE_PARTS:
            element = self._table_part(name)
        else:
            element = self._ordinary(name)
        if element is None or element.markup is not None:
            return  # a tag without effect, such as a second <body>
        element.markup, element.source = markup, source
        self._give_attributes(element, markup.attributes)
        if markup.kind == "raw" or name in VOID or self._is_closed_drawing(source, markup):
            self._leave(element)
        if name == "style" and markup.kind == "raw":
            self.page.styles.append(element)

    def _give_attributes(self, element: Element, attributes: tuple[Attribute, ...]) -> None:
        for one in attributes:
            element.attributes[one.name] = decoded(one.value)
        element.classes = element.attributes.get("class", "").split()
        liquid = [self.liquid[int(n)] for one in attributes for n in self.words.findall(one.name)]
        element.has_any_attribute = bool(liquid) or self.word in element.name
        element.may_have_style = any(self.word in one.name and "style" in one.name for one in attributes) or any(
            text.startswith("{{") or "style" in text for text in liquid
        )

    def _frame(self, name: str) -> Element | None:
        if name == "html":
            return self.root
        if name == "body":
            return self._begin_body()
        if self.head is None and self.body is None:
            self.head = self._add("head")
            self.stack.append(self.head)
            return self.head
        return None

    def _begin_body(self) -> Element:
        if self.body is None:
            del self.stack[1:]
            self.body = self._add("body")
            self.stack.append(self.body)
        return self.body

    def _ordinary(self, name: str) -> Element:
        if self.body is None:
            if name in HEAD:
                return self._in_head(name)
            self._begin_body()
        self._close_for(name)
        element = self._add(name)
        if name == "form" and element.parent is not self.stack[-1]:
            return element  # a form between the parts of a table stays empty
        self.stack.append(element)
        return element

    def _in_head(self, name: str) -> Element:
        if self.head is None:
            self.head = self._add("head")
        if len(self.stack) == 1:
            self.stack.append(self.head)
        element = self._add(name)
        self.stack.append(element)
        return element

    def _leave(self, element: Element) -> None:
        if self.stack[-1] is element:
            self.stack.pop()

    def _is_closed_drawing(self, source: Source, markup: Markup) -> bool:
        """`<path/>` is a whole element within a drawing; elsewhere the slash means nothing."""
        has_slash = source.text[markup.end - 2] == "/"
        return has_slash and any(one.name in ("svg", "math") for one in self.stack)

    def _close_for(self, name: str) -> None:
        """Close what a start tag of this name leaves no room for."""
        if name in _BLOCKS and not (name == "table" and self.page.is_quirky):
            self._close(frozenset(("p",)), _SCOPE | {"button"})
        if name in _HEADINGS and self.stack[-1].name in _HEADINGS:
            self._pop_to(len(self.stack) - 1)
        if name in ("option", "optgroup") and self.stack[-1].name == "option":
            self._pop_to(len(self.stack) - 1)
        if name in _CLOSES:
            self._close(*_CLOSES[name])
            if name in ("li", "dd", "dt"):
                self._close(frozenset(("p",)), _SCOPE | {"button"})

    def _close(self, names: frozenset[str], ends: frozenset[str]) -> None:
        index = self._find(names, ends)
        if index:
            if self._is_outside(self.stack[index].path):
                self._doubt(index)
            self._pop_to(index)

    def _find(self, names: frozenset[str], ends: frozenset[str]) -> int:
        """The index of the innermost open element of one of these names, inside of any of `ends`; 0 for none."""
        for index in range(len(self.stack) - 1, 0, -1):
            if self.stack[index].name in names:
                return index
            if self.stack[index].name in ends:
                return 0
        return 0

    def _table_part(self, name: str) -> Element | None:
        table = self._find(frozenset(("table",)), frozenset(("template",)))
        if not table:
            return None
        depth = table
        if name == "col":
            depth = self._opened(table + 1, frozenset(("colgroup",)), "colgroup")
        elif name not in _SECTIONS and name not in ("caption", "colgroup"):
            depth = self._opened(table + 1, _SECTIONS, "tbody")
            if name != "tr":
                depth = self._opened(table + 2, frozenset(("tr",)), "tr")
        self._clear_to(depth)
        element = self._add(name)
        if name != "col":
            self.stack.append(element)
        return element

    def _opened(self, index: int, names: frozenset[str], implied: str) -> int:
        """Have a part of the table open at this place in the stack: the one that is, or a new one."""
        if len(self.stack) <= index or self.stack[index].name not in names:
            self._clear_to(index - 1)
            self.stack.append(self._add(implied))
        return index

    def _clear_to(self, index: int) -> None:
        if any(self._is_outside(one.path) for one in self.stack[index + 1 :]):
            self._doubt(index + 1)
        self._pop_to(index + 1)

    def _end(self, name: str) -> None:
        if name in ("html", "body"):
            return
        if name == "head":
            if self.body is None:
                del self.stack[1:]
            return
        if name in ("p", "br") and not (name == "p" and self._find(frozenset(("p",)), _SCOPE | {"button"})):
            self._begin_body()
            self._close_for(name)
            self._add(name)
            return
        index = self._find(*self._ended(name))
        if not index:
            return
        path = self.stack[index].path
        if self._is_outside(path) or (path != tuple(self.path) and name not in _NEVER_NESTED):
            self._doubt(index)
        if name in FORMATTING and any(one.name in _SPECIAL for one in self.stack[index + 1 :]):
            self._leave_open()
            del self.stack[index]
        else:
            self._pop_to(index)

    def _ended(self, name: str) -> tuple[frozenset[str], frozenset[str]]:
        """What an end tag of this name may close, and where the search ends."""
        if name in _TABLE_PARTS or name == "table":
            return frozenset((name,)), frozenset(("table", "template"))
        if name in _HEADINGS:
            return _HEADINGS, _SCOPE
        if name == "li":
            return frozenset((name,)), _SCOPE | {"ol", "ul"}
        if name in FORMATTING or name in _SPECIAL:
            return frozenset((name,)), _SCOPE
        return frozenset((name,)), _SPECIAL

    # --- The stack of open elements ----------------------------------------------------------------------------------

    def _add(self, name: str) -> Element:
        """A new element within the innermost open one, or beside the table if it must not stand between its parts."""
        parent = self.stack[-1]
        if parent.name in ("table", "tr", *_SECTIONS) and name not in _TABLE_PARTS | {"style", "script", "template"}:
            table = self.stack[self._find(frozenset(("table",)), frozenset())]
            if table.parent is not None:
                parent = table.parent
                parent.moving = (0, MAX_CHILDREN)  # it stands before the table, not behind it
        is_wild = parent.wild or self.wild_from is not None or tuple(self.path[: len(parent.path)]) != parent.path
        element = Element(name, parent, tuple(self.path), position=len(parent.children), wild=is_wild)
        element.loose = self.loose_from is not None
        element.opaque = any(branch in self.opaque_branches for branch in self.path)
        self.has_markup_in_liquid |= element.opaque
        if tuple(self.path) != parent.path:
            parent.move()
        parent.children.append(element)
        if tuple(self.path) != parent.path:
            parent.move()
        self.page.elements.append(element)
        if len(self.stack) > MAX_DEPTH:
            raise TooDeep
        return element

    def _pop_to(self, index: int) -> None:
        """Close the element of this index and all in it."""
        if any(one.name in FORMATTING for one in self.stack[index + 1 :]):
            self._leave_open()
        del self.stack[index:]
        if self.wild_from is not None and len(self.stack) <= self.wild_from:
            self.wild_from = None
        if self.loose_from is not None and len(self.stack) <= self.loose_from:
            self.loose_from = None

    def _is_outside(self, path: tuple[int, ...]) -> bool:
        """Whether an element of this path is there for people for whom the present branch is not."""
        return len(path) < len(self.path) and tuple(self.path[: len(path)]) == path

    def _doubt(self, index: int) -> None:
        """Liquid decides whether this element ends here: what follows may stand elsewhere, to the end of the cell."""
        start = self._cell_around(index)
        self.wild_from = start if self.wild_from is None else min(self.wild_from, start)

    def _leave_open(self) -> None:
        """`<b>` is not closed where it had to be: browsers open it again in what follows, to the end of the cell."""
        if self.loose_from is None:
            self.loose_from = self._cell_around(len(self.stack))

    def _cell_around(self, index: int) -> int:
        return next((i for i in range(index - 1, 0, -1) if self.stack[i].name in ("td", "th", "caption")), 1)


def _count_kin(siblings: list[Element]) -> None:
    total = Counter(one.name for one in siblings)
    seen: Counter[str] = Counter()
    for one in siblings:
        one.kin = (seen[one.name], total[one.name])
        seen[one.name] += 1


def _name(liquid: str) -> str:
    found = _FLOW.match(liquid)
    return found[1] if found else ""
