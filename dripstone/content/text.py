"""The text part of an email: what its HTML part shows on a wide, light screen, in lines of plain text.

Whatever people do not see in the HTML is not in the text either: elements hidden by a style, an attribute or a media
query (styles.py). White space, blocks and lists follow CSS, as a browser's innerText does. Images are their alternative
text, and a link is followed by its URL in angle brackets (docs/decisions/text-part.md).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import unescape

from selectolax.lexbor import LexborHTMLParser, LexborNode

from dripstone.content.html import is_too_deep
from dripstone.content.liquid import clean
from dripstone.content.styles import Styles

_BLANKS = " \t\xa0\u034f\u200b\u200c\u200d"
_WHITE = re.compile(r"[ \t\n\r\f]+")
_RUN = re.compile(r"[\t\n\r\f]|  ")
_NOT_TEXT = re.compile(r"<(style|script|head|title)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)|<[^<>]*>", re.DOTALL | re.I)

_UNSEEN = frozenset(
    [
        *("head", "title", "style", "script", "template", "meta", "link", "base", "param", "source", "track", "area"),
        *("iframe", "embed", "video", "audio", "noembed", "noframes", "datalist", "rp", "input", "textarea", "meter"),
        *("progress", "colgroup", "col", "desc", "metadata", "defs", "symbol", "annotation"),
    ]
)
_LISTS = frozenset(("ul", "ol", "menu", "dir"))
# With an empty line above and below, as browsers give them a margin.
_SPACED = _LISTS | {"p", "h1", "h2", "h3", "h4", "h5", "h6", "dl", "blockquote", "pre", "figure", "hr"}
_BLOCKS = _SPACED.union(
    ("html", "body", "div", "center", "address", "article", "aside", "footer", "header", "main", "nav", "section"),
    ("hgroup", "search", "form", "fieldset", "legend", "details", "summary", "dt", "dd", "figcaption", "dialog"),
    ("optgroup", "option", "listing", "plaintext", "xmp", "table", "caption", "thead", "tbody", "tfoot", "tr"),
    ("text", "foreignobject"),  # of SVG
)
_DISPLAY = dict.fromkeys(_BLOCKS, "block") | {"td": "table-cell", "th": "table-cell", "li": "list-item"}
_INERT = frozenset(("href", "alt", "src", "title"))  # attributes that decide about no style
_INLINE = frozenset(("inline", "inline-block", "inline-flex", "inline-grid", "inline-table", "contents"))
_ATOMIC = frozenset(("inline-block", "inline-flex", "inline-grid"))  # in a line, with no space at their own ends
_FLEXIBLE = frozenset(("flex", "inline-flex", "grid", "inline-grid"))
_CLIPPED = frozenset(("hidden", "clip"))
_KEEPING = {"pre": (False, True), "pre-wrap": (False, True), "break-spaces": (False, True), "pre-line": (True, True)}
_MARKERS = {"decimal": "1", "lower-alpha": "a", "lower-latin": "a", "upper-alpha": "A", "upper-latin": "A"}
_MARKERS |= {"lower-roman": "i", "upper-roman": "I", "disc": "*", "circle": "*", "square": "*"}
_INTEGER = re.compile(r"\s*([+-]?\d{1,9})")
_INDENT = "    "
_RULE = "-" * 20


def html_to_text(html: str) -> str:
    """Readable text: paragraphs, list items, images' alternatives, links as `text <URL>`. Never raises."""
    if not html.strip():
        return ""
    if is_too_deep(html):
        return tidy(clean(unescape(_WHITE.sub(" ", _NOT_TEXT.sub(" ", html)).strip())))
    tree = LexborHTMLParser(html)
    if tree.body is None:
        return ""
    return _Layout(Styles(tree)).text(tree.body)


def in_url(text: str) -> str:
    """A URL, or a value in one, as it can stand between angle brackets; browsers do the same with a space."""
    return text.replace(" ", "%20").replace("<", "%3C").replace(">", "%3E")


def is_shaped_by(mark: str, html: str) -> bool:
    """Whether what stands at the mark could decide which elements are seen, or how they are laid out."""
    if mark not in html or is_too_deep(html):
        return mark in html
    tree = LexborHTMLParser(html)
    assert tree.root is not None
    for node in tree.root.traverse(include_text=False):
        attributes = node.attributes.items()
        if any(mark in (value or "") and name not in _INERT for name, value in attributes) or mark in (node.tag or ""):
            return True
        if any(mark in name for name, _ in attributes) or (node.tag == "style" and mark in node.text(deep=True)):
            return True
    return False


def tidy(text: str) -> str:
    """No trailing spaces, no more than one empty line in a row."""
    text = "\n".join([line.rstrip(_BLANKS) for line in text.split("\n")])
    if "\n\n\n" in text:
        text = re.sub(r"\n{3,}", "\n\n", text)
    return text.strip("\n")


@dataclass(frozen=True, slots=True)
class _Inherited:
    """What an element passes on to those in it.

    collapses, keeps_lines   its white-space
    is_flexible              its children are boxes of their own, whatever they are
    lists                    how many lists it stands in, itself included
    """

    is_visible: bool = True
    has_size: bool = True
    collapses: bool = True
    keeps_lines: bool = False
    is_flexible: bool = False
    lists: int = 0
    list_style: str = ""

    @property
    def is_seen(self) -> bool:
        return self.is_visible and self.has_size


@dataclass(slots=True)
class _Box:
    """An element that has begun and not ended.

    child     the next of its nodes to come
    start     how many pieces had been written before it
    indent    that of the lines before and after it
    is_shut   a <details> of which only the summary is shown
    """

    node: LexborNode
    href: str
    child: LexborNode | None
    inherited: _Inherited
    is_block: bool
    is_cell: bool
    is_atomic: bool
    is_item: bool
    has_margin: bool
    start: int
    indent: str
    is_shut: bool


class _Layout:
    """Elements as lines. A line stays open after its block, so that a URL can still be added to it."""

    def __init__(self, styles: Styles) -> None:
        self.styles = styles
        self.lines: list[str] = []
        self.pieces: list[str] = []  # of the open line
        self.written: list[str] = []  # every piece so far, for links to look back at
        self.is_over = False  # the next text begins a new line
        self.has_gap = False  # … after an empty one
        self.drops_space = False  # at the beginning of a box in the line
        self.indent = ""
        self.marker: str | None = None  # of a list item that has no text yet
        self.numbers: dict[int, int] = {}  # of the last item of each list

    def text(self, body: LexborNode) -> str:
        """Without recursion: tables in tables are four elements deep each."""
        box = self._begin(body, _Inherited())
        around: list[_Box] = []
        while box:
            node = box.child
            if node is None:
                self._end(box)
                box = around.pop() if around else None
                continue
            box.child = node.next
            if node.is_text_node and not box.is_shut:
                self._put(node.text_content or "", box.inherited)
            elif _is_shown_in(box, node) and (inner := self._begin(node, box.inherited)):
                around.append(box)
                box = inner
        self._end_line()
        return tidy(clean("\n".join(self.lines)))  # entities may stand for control characters

    # Elements

    def _begin(self, node: LexborNode, above: _Inherited) -> _Box | None:
        """None for an element that is over already: `<br>`, or one that nobody sees."""
        tag, attributes = node.tag or "", node.attributes
        style = self.styles.of(node, attributes.get("style"))
        display = "none" if tag in _UNSEEN else _display(tag, style, attributes, above)
        if display == "none":
            return None
        inherited = _inherited(tag, style, display, above)
        is_block = inherited.is_visible and display not in _INLINE and display != "table-cell"
        if _is_clipped(display, style):
            self._end_block(is_block=is_block)
            return None
        if tag == "br" and inherited.is_visible:
            self._break()
            return None
        box = _Box(
            node=node,
            href=(attributes.get("href") or "") if tag == "a" else "",
            child=node.first_child,
            inherited=inherited,
            is_block=is_block,
            is_cell=display == "table-cell",
            is_atomic=display in _ATOMIC and inherited.collapses,
            is_item=is_block and display == "list-item",
            has_margin=is_block and tag in _SPACED and not (tag in _LISTS and inherited.lists > 1),
            start=len(self.written),
            indent=self.indent,
            is_shut=tag == "details" and "open" not in attributes,
        )
        self._begin_box(box, tag)
        return box

    def _begin_box(self, box: _Box, tag: str) -> None:
        self._end_block(is_block=box.is_block, has_margin=box.has_margin)
        self.drops_space = self.drops_space or box.is_atomic
        if box.is_item:
            self._begin_item(box)
        elif box.is_block and tag in ("dd", "blockquote"):
            self.indent += _INDENT
        if tag == "hr":
            self._put(_RULE, box.inherited)
        elif tag == "img":
            alternative = box.node.attributes.get("alt") or ""
            self._put(alternative, replace(box.inherited, collapses=True, keeps_lines=False))

    def _end(self, box: _Box) -> None:
        if box.is_item and self.marker is not None:
            self._write("")
        self.indent = box.indent
        if box.is_atomic:
            self.drops_space = False
            if self.pieces and len(self.written) > box.start:
                self.pieces[-1] = self.pieces[-1].rstrip(" ")
        if box.is_cell:
            self._put(" ", box.inherited)
        self._end_block(is_block=box.is_block, has_margin=box.has_margin)
        if box.href:
            self._spell_out(box)

    def _spell_out(self, link: _Box) -> None:
        """The URL behind a link's text, unless the text is the URL; nothing for a link that nobody sees."""
        url = re.sub(r"[\t\n\r]", "", link.href).strip(" \f")
        shown = "".join(self.written[link.start :]).strip()
        is_told = shown in (url, url.removeprefix("mailto:").removeprefix("tel:"))
        if not url or is_told or url.startswith("#") or url.lower().startswith("javascript:"):
            return
        if shown:
            self._append(f"<{in_url(url)}>")
        elif link.inherited.is_seen and link.node.css_first("img"):
            self._put(f"<{in_url(url)}>", link.inherited)

    def _begin_item(self, box: _Box) -> None:
        if self.marker is not None:
            self._write("")  # the item around this one has no text of its own
            self._end_block(is_block=True)
        self.indent += _INDENT
        kind, number = _kind(box.node, box.inherited.list_style), self._number(box.node)
        self.marker = f"{_numeral(number, kind)}." if kind.isalnum() else kind or None

    def _number(self, item: LexborNode) -> int:
        """The item's number: its own, else one on from the item before, else where its list starts."""
        owner = item.parent
        assert owner is not None
        number = _integer(item.attributes.get("value"))
        if number is None and owner.mem_id in self.numbers:
            number = self.numbers[owner.mem_id] + (-1 if _is_reversed(owner) else 1)
        self.numbers[owner.mem_id] = _first(owner) if number is None else number
        return self.numbers[owner.mem_id]

    # Lines

    def _put(self, text: str, inherited: _Inherited) -> None:
        """Text, with its white space as CSS has it."""
        if not inherited.is_seen:
            return
        if not inherited.keeps_lines:
            self._put_line(text, collapses=inherited.collapses)
            return
        for number, line in enumerate(text.split("\n")):
            if number:
                self._break()
            self._put_line(line, collapses=inherited.collapses)

    def _put_line(self, text: str, *, collapses: bool) -> None:
        if collapses:
            if _RUN.search(text):
                text = _WHITE.sub(" ", text)
            begins = not self.pieces or self.is_over or self.drops_space or self.pieces[-1].endswith(" ")
            text = text.removeprefix(" ") if begins else text
        if text:
            self._write(text)

    def _write(self, text: str) -> None:
        if self.is_over:
            self._end_line()
        if not self.pieces:
            self._begin_line()
        self.pieces.append(text)
        self.written.append(text)
        self.drops_space = False

    def _append(self, text: str) -> None:
        """Adds to the line of the text before, even if its block is over; a space after that text moves behind."""
        self.written.append(text)
        if not self.pieces:  # line breaks were the last thing in the link
            last = max(number for number, line in enumerate(self.lines) if line.strip())
            self.lines[last] += f" {text}"
            return
        blank = self.pieces[-1].endswith(" ")
        self.pieces[-1] = self.pieces[-1].rstrip(" ")
        self.pieces += [" ", text, " "] if blank else [" ", text]

    def _begin_line(self) -> None:
        if self.has_gap and self.lines:
            self.lines.append("")
        self.has_gap = False
        if self.marker is None:
            self.pieces.append(self.indent)
        else:
            self.pieces.append(self.indent.removesuffix(_INDENT) + f"{self.marker:>3} ")
            self.marker = None

    def _end_line(self) -> None:
        if self.pieces:
            self.lines.append("".join(self.pieces))
            self.pieces = []
        self.is_over = False

    def _end_block(self, *, is_block: bool, has_margin: bool = False) -> None:
        if is_block:
            self.is_over = bool(self.pieces)
            self.has_gap = self.has_gap or has_margin

    def _break(self) -> None:
        """`<br>`: ends the line, or is an empty one."""
        if self.pieces and not self.is_over:
            self._end_line()
        else:
            self._end_line()
            self.lines.append("")


def _is_shown_in(box: _Box, node: LexborNode) -> bool:
    """No comment, and in a <details> that is shut only the first <summary>."""
    if not box.is_shut or not node.is_element_node:
        return bool(node.is_element_node)
    before = node.prev
    while before is not None and before.tag != "summary":
        before = before.prev
    return node.tag == "summary" and before is None


# --- What is seen -----------------------------------------------------------------------------------------------


def _display(tag: str, style: Mapping[str, str], attributes: Mapping[str, str | None], above: _Inherited) -> str:
    display = style.get("display", "revert") if style else "revert"
    if display == "revert":
        is_hidden = "hidden" in attributes or (tag == "dialog" and "open" not in attributes)
        display = "none" if is_hidden else _DISPLAY.get(tag, "inline")
    if not style and not above.is_flexible:
        return display
    floats = style.get("float", "none") in ("left", "right") or style.get("position") in ("absolute", "fixed")
    is_box = floats or above.is_flexible or tag == "legend"
    return "block" if is_box and display in _INLINE and tag != "br" else display


def _is_clipped(display: str, style: Mapping[str, str]) -> bool:
    """Whether it takes no room, or is drawn with nothing: how templates hide their preheader."""
    if "0" not in style.values():
        return False
    if style.get("opacity") == "0":
        return True
    has_no_room = any(style.get(name) == "0" for name in ("height", "max-height", "width", "max-width"))
    clips = _CLIPPED & {style.get("overflow-x"), style.get("overflow-y")}
    return (
        has_no_room and bool(clips) and display in ("block", "inline-block", "list-item", "flow-root", "flex", "grid")
    )


def _inherited(tag: str, style: Mapping[str, str], display: str, above: _Inherited) -> _Inherited:
    is_flexible = display in _FLEXIBLE
    if not style and is_flexible == above.is_flexible and tag not in _OWN_STYLE:
        return above
    white_space = style.get("white-space") or _OWN_STYLE.get(tag, "")
    collapses, keeps_lines = above.collapses, above.keeps_lines
    if white_space and white_space != "inherit":
        collapses, keeps_lines = _KEEPING.get(white_space, (True, False))
    visibility, size = style.get("visibility", "inherit"), style.get("font-size", "inherit")
    return replace(
        above,
        is_visible=above.is_visible if visibility == "inherit" else visibility == "visible",
        has_size=above.has_size if size == "inherit" else size != "0",
        collapses=collapses,
        keeps_lines=keeps_lines,
        is_flexible=is_flexible,
        lists=above.lists + (tag in _LISTS),
        list_style=style.get("list-style-type") or ("" if tag in _LISTS else above.list_style),
    )


_OWN_STYLE = dict.fromkeys(("pre", "listing", "plaintext", "xmp"), "pre") | dict.fromkeys(_LISTS, "")


# --- What it says -----------------------------------------------------------------------------------------------


def _kind(item: LexborNode, list_style: str) -> str:
    """How its list counts: "1", "a", "A", "i", "I"; "*" for bullets, "" for no marks at all."""
    if list_style == "none":
        return ""
    if list_style in _MARKERS:
        return _MARKERS[list_style]
    owner = item.parent
    types = [item.attributes.get("type"), owner.attributes.get("type") if owner else None]
    kind = next((one for one in types if one in ("1", "a", "A", "i", "I")), None)
    return kind or ("1" if owner and owner.tag == "ol" else "*")


def _first(owner: LexborNode) -> int:
    start = _integer(owner.attributes.get("start")) if owner.tag == "ol" else None
    if start is not None:
        return start
    return sum(1 for one in owner.iter() if one.tag == "li") if _is_reversed(owner) else 1


def _is_reversed(owner: LexborNode) -> bool:
    return owner.tag == "ol" and "reversed" in owner.attributes


def _integer(text: str | None) -> int | None:
    found = _INTEGER.match(text or "")
    return int(found[1]) if found else None


def _numeral(number: int, kind: str) -> str:
    if kind in ("a", "A") and number > 0:
        letters = ""
        while number:
            number, rest = divmod(number - 1, 26)
            letters = chr(ord(kind) + rest) + letters
        return letters
    if kind in ("i", "I") and 0 < number < 4000:
        roman = ""
        for value, sign in _ROMAN:
            count, number = divmod(number, value)
            roman += sign * count
        return roman if kind == "i" else roman.upper()
    return str(number)


_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")),
    *((40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
