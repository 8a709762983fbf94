"""HTML with Liquid in it: merging body and template, inlining CSS, without touching a single Liquid tag.

The source is never written anew by an HTML parser. Parsers know nothing of Liquid: they move text out of tables, quote
attributes, and decode `&#123;`, which would then be Liquid. So Liquid is replaced by words, tags are found with their
places (markup.py, tree.py), and only what must change is changed at these places: style attributes, rules of <style>
that became style attributes (inline.py), a wrong charset. All else leaves as its author wrote it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dripstone.content.inline import inline
from dripstone.content.layout import DEFAULT_TEMPLATE
from dripstone.content.liquid import MAX_SOURCE, clean, pieces
from dripstone.content.liquid_render import MAX_SNIPPET_DEPTH
from dripstone.content.markup import Edits, Markup, markups
from dripstone.content.selectors import TooMuch
from dripstone.content.tree import HEAD, Builder, Element, Page, Source, TooDeep

_BODY_CLOSE = re.compile(r"</body\s*>", re.IGNORECASE)
_TAG_NAME = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
_MESSAGE_CONTENT = re.compile(r"\{\{-?\s*message_content\b")
_SNIPPET = re.compile(r"\{\{(-?)\s*snippet(?:\.([\w-]+)|\[\s*[\"']([\w-]+)[\"']\s*\])\s*(-?)\}\}")
_UNSUBSCRIBE_LINK = re.compile(r"\{\{-?\s*(unsubscribe|subscriber_preferences)_link\s*-?\}\}")

# Elements that need no closing tag, or never nest in themselves without one of the others between.
_FLAT = frozenset(
    [
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"),
        *("p", "li", "td", "th", "tr", "tbody", "thead", "dt", "dd", "option"),
    ]
)
MAX_DEPTH = 200  # libxml2 drops what is below 256
MAX_INCLUDED = 300_000  # characters of snippets that get styles of their own where they stand

LINK_TEXTS = {"unsubscribe": "Unsubscribe", "subscriber_preferences": "Update your preferences"}

# After the preview text, mail clients show the beginning of the body, unless this much blank padding follows.
_PADDING = "\n".join(["&zwnj;&nbsp;&#847;" * 8] * 8)
# No colour and no size: it is not there for the eye, and filters take tiny or faint letters for a trick.
_PREHEADER = (
    "{% if preview_text != blank %}"
    '<div style="display:none;max-height:0;max-width:0;overflow:hidden;mso-hide:all">'
    "{{ preview_text }}\n" + _PADDING + "</div>{% endif %}"
)
_BARE_DOCUMENT = (
    '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n</head>\n<body>\n'
)


@dataclass(slots=True)
class Protected:
    """HTML whose Liquid is words; `stash` holds the originals, by number."""

    html: str
    word: str
    stash: list[str] = field(default_factory=list)

    def hide(self, original: str) -> str:
        self.stash.append(original)
        return f"{self.word}{len(self.stash) - 1}z"

    def numbers(self, html: str) -> list[int]:
        return [int(number) for number in re.findall(rf"{self.word}(\d+)z", html)]

    def restore(self, html: str) -> str:
        return re.sub(rf"{self.word}(\d+)z", lambda found: self.stash[int(found[1])], html)


def words(source: str) -> Protected:
    """Replace every Liquid tag by a word, wherever it stands."""
    word = "lqd"
    while word in source.lower():
        word += "q"
    protected = Protected("", word)
    protected.html = _hidden(protected, source)
    return protected


def _hidden(protected: Protected, source: str) -> str:
    return "".join(protected.hide(piece.text) if piece.is_liquid else piece.text for piece in pieces(source))


# --- Body and template ------------------------------------------------------------------------------------------------


def merge(template: str | None, content: str, default: str) -> str:
    """Put an email's body into its template, at the level of the source.

    template   Liquid HTML with {{ message_content }}; None takes `default`, unless the content is a whole document
    """
    inside = words(content)
    is_whole = _is_document(inside.html)
    if template is None:
        template = "{{ message_content }}" if is_whole else default
    frame = words(template)
    head = ""
    if is_whole and _is_document(frame.html):
        head, content = (inside.restore(part) for part in _taken_apart(inside))
    edits = Edits()
    head_end = next((one.start for one in markups(frame.html) if one.kind == "end" and one.name == "head"), None)
    if head_end is not None:
        edits.replace(head_end, head_end, frame.hide(head))
        head = ""
    place = frame.hide(head + content)
    spots = list(_message_spots(frame))
    for start, end in spots:
        edits.replace(start, end, place)
    html = edits.applied(frame.html)
    return frame.restore(html if spots else before_body_end(html, place))


def _is_document(html: str) -> bool:
    return any(one.kind == "start" and one.name in ("html", "body") for one in markups(html))


def _message_spots(frame: Protected) -> Iterator[tuple[int, int]]:
    """Where {{ message_content }} stands. Not in comments: what follows the content's first comment would fall out."""
    comments = [(one.start, one.end) for one in markups(frame.html) if one.kind == "comment"]
    comments.reverse()
    for found in re.finditer(rf"{frame.word}(\d+)z", frame.html):
        while comments and comments[-1][1] <= found.start():
            comments.pop()
        if _MESSAGE_CONTENT.match(frame.stash[int(found[1])]) and not (comments and comments[-1][0] < found.start()):
            yield found.span()


def _taken_apart(document: Protected) -> tuple[str, str]:
    """Of a document that goes into another one: what its head has for the eye, and its body as an element."""
    html = document.html
    tags = list(markups(html))
    body = next((one for one in tags if one.kind == "start" and one.name == "body"), None)
    start = body.end if body else _body_start(document)
    head = [one for one in tags if one.start < start and _is_visible_head(one)]
    inside = Edits()
    for one in tags:
        if one.start >= start and one.kind in ("start", "end") and one.name in ("html", "head", "body"):
            inside.replace(one.start, one.end, "")
    root = next((one for one in tags if one.kind == "start" and one.name == "html"), None)
    opening = _as_element(document, root, body)
    text = inside.applied(html)[start:]
    return (
        "".join(html[one.start : max(one.end, one.outer_end)] for one in head),
        f"{opening}{text}</div>" if opening else text,
    )


def speaking(html: str, language: str, direction: str) -> str:
    """The document with what its <html> does not say yet: its language and direction. "" adds nothing."""
    wanted = {name: value for name, value in (("lang", language), ("dir", direction)) if value}
    if not wanted:
        return html
    document = words(html)
    root = next((one for one in markups(document.html) if one.kind == "start" and one.name == "html"), None)
    said = {one.name for one in root.attributes} if root else set()
    added = "".join(f' {name}="{_requoted(value)}"' for name, value in wanted.items() if name not in said)
    if root is None:
        return f"<html{added}>{html}"
    end = root.start + len("<html")
    return document.restore(f"{document.html[:end]}{added}{document.html[end:]}")


def _is_visible_head(one: Markup) -> bool:
    is_style = one.kind == "raw" and one.name == "style"
    return is_style or (one.name == "link" and "stylesheet" in (one.get("rel") or "").lower())


def _as_element(document: Protected, root: Markup | None, body: Markup | None) -> str:
    """The start tag of a <div> that says what <html> and <body> said: language, direction, classes, colours."""
    said = {one.name: one for one in root.attributes if one.name in ("dir", "lang")} if root else {}
    said |= {one.name: one for one in body.attributes} if body else {}
    if body and any(document.word in one.name for one in body.attributes):  # Liquid between the attributes
        return f"<div{document.html[body.start + len('<body') : body.end]}"
    css = [
        f"{name}:{said[old].value}" for old, name in (("bgcolor", "background-color"), ("text", "color")) if old in said
    ]
    if "style" in said:
        css.append(said["style"].value)
    attributes = [f'{name}="{_requoted(said[name].value)}"' for name in ("lang", "dir", "id", "class") if name in said]
    if css:
        attributes.append(f'style="{_requoted("; ".join(css))}"')
    return f"<div {' '.join(attributes)}>" if attributes else ""


def _requoted(value: str) -> str:
    return value.replace('"', "&quot;")


def _body_start(document: Protected) -> int:
    """Where the body begins of a document without a <body> tag."""
    html, done = document.html, 0
    for one in markups(html):
        text = html[done : one.start]
        if any(not document.stash[number].startswith("{%") for number in document.numbers(text)):
            break
        if re.sub(rf"{document.word}\d+z", "", text).strip():
            break
        if one.kind != "comment" and one.name not in HEAD | {"html", "head"}:
            break
        done = max(one.end, one.outer_end)
    return done


def before_body_end(html: str, addition: str) -> str:
    """`html` with something added at the end of its body; at its very end when there is no body."""
    closings = list(_BODY_CLOSE.finditer(html))
    at = closings[-1].start() if closings else len(html)
    return html[:at] + addition + html[at:]


# --- The page as it is sent -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finished:
    """snippets   block snippets with the styles they have where they stand, by keys that `html` uses for them
    complaint     why nothing was inlined, as a sentence; None when all is well
    """

    html: str
    snippets: dict[str, str]
    complaint: str | None = None


def finish(
    source: str, *, preheader: bool, snippets: Mapping[str, str] | None = None, texts: Iterable[str] = ()
) -> Finished:
    """The HTML as it is compiled: whole document, CSS inlined, links and preheader in place, Liquid untouched.

    snippets   Liquid HTML of block snippets by key
    texts      keys of the snippets that bring text only
    """
    protected = words(_UNSUBSCRIBE_LINK.sub(_anchor, source))
    if not _is_document(protected.html):
        protected.html = f"{_BARE_DOCUMENT}{protected.html}\n</body>\n</html>\n"
    elif not any(one.kind == "start" and one.name == "body" for one in markups(protected.html)):
        start = _body_start(protected)
        protected.html = f"{protected.html[:start]}<body>{protected.html[start:]}"
    text = Source(protected.html)
    inclusions = _Inclusions(protected, snippets or {}, texts)
    complaint = None
    try:
        page = _page(protected, text, inclusions)
        _correct_charset(page.elements, protected.word)
        inline(page, protected.word)
    except (TooDeep, TooMuch) as reason:
        complaint = str(reason)
        text, inclusions = Source(protected.html), _Inclusions(protected, {}, ())
    body = next((one for one in markups(text.text) if one.kind == "start" and one.name == "body"), None)
    if preheader and body:
        text.edits.replace(body.end, body.end, "\n" + _PREHEADER)
    styled = inclusions.styled()
    return Finished(protected.restore(text.edits.applied(text.text)), styled, complaint)


def complaint(content: str, template: str | None = None) -> str | None:
    """Why styles cannot be inlined in an email of this content, or in this template: it is refused when it is saved."""
    length = len(content) + len(template or "")
    if not length or length > MAX_SOURCE:
        return None  # nothing to say, or refused already
    return finish(merge(template, content, DEFAULT_TEMPLATE), preheader=False).complaint


def _anchor(link: re.Match[str]) -> str:
    # Written out, so that the template's own rules for `a` reach it when CSS is inlined.
    return f'<a href="{{{{ {link[1]}_url }}}}">{LINK_TEXTS[link[1]]}</a>'


def _page(protected: Protected, text: Source, inclusions: "_Inclusions") -> Page:
    builder = Builder(protected.word, protected.stash, inclusions.source)
    builder.read(text)
    return builder.finished()


class _Inclusions:
    """Block snippets, read where they stand so that they get the styles of that place."""

    def __init__(self, protected: Protected, snippets: Mapping[str, str], texts: Iterable[str]) -> None:
        self.protected, self.snippets, self.texts = protected, snippets, frozenset(texts)
        self.made: list[tuple[int, str, Source]] = []
        self.room = MAX_INCLUDED

    def source(self, number: int, around: Source) -> Source | None:
        """What this Liquid puts out, if it is a block snippet and nothing else; None leaves it as it is."""
        found = _SNIPPET.fullmatch(self.protected.stash[number])
        key = (found[2] or found[3]) if found else ""
        if key in self.texts:
            return Source("x")  # letters, whatever they are: they are escaped
        html = self.snippets.get(key)
        if html is None or key in around.chain or len(around.chain) >= MAX_SNIPPET_DEPTH:
            return None
        html = _UNSUBSCRIBE_LINK.sub(_anchor, clean(html))
        self.room -= len(html)
        if self.room < 0 or self.protected.word in html.lower():
            return None
        included = Source(_hidden(self.protected, html), chain=(*around.chain, key))
        self.made.append((number, key, included))
        return included

    def styled(self) -> dict[str, str]:
        """The snippets that look different where they stand; their Liquid then asks for them by a key of their own."""
        styled = {}
        for count, (number, key, included) in reversed(list(enumerate(self.made, 1))):
            html = self.protected.restore(included.edits.applied(included.text))
            if html != self.snippets[key]:
                name = f"{key}#{count}"
                styled[name] = html
                self.protected.stash[number] = _SNIPPET.sub(
                    rf'{{{{\1 snippet["{name}"] \4}}}}', self.protected.stash[number]
                )
        return styled


def brings_markup(text: str) -> bool:
    """Whether an inline snippet may put out more than text: the links and lines that Liquid makes, or a block."""
    return any(word in text for word in ("_link", "address", "snippet", "newline_to_br", "safe"))


def _correct_charset(elements: Iterable[Element], word: str) -> None:
    """The message is UTF-8 and says so in its header; an old template's <meta> must not say otherwise."""
    for element in elements:
        if element.name != "meta" or element.markup is None or element.source is None:
            continue
        for one in element.markup.attributes:
            is_content = one.name == "content" and "charset=" in one.value.lower()
            if word in one.value or not (one.name == "charset" or is_content) or "utf-8" in one.value.lower():
                continue
            element.source.edits.replace(one.start, one.end, '"text/html; charset=utf-8"' if is_content else '"utf-8"')


def is_too_deep(html: str) -> bool:
    """Whether elements nest deeper than parsers bear (an upper bound; about 10 ms for a megabyte of tags)."""
    depth = 0
    for closing, name in _TAG_NAME.findall(html):
        if name.lower() not in _FLAT:
            depth = max(depth - 1, 0) if closing else depth + 1
            if depth > MAX_DEPTH:
                return True
    return False


def without_liquid(source: str) -> str:
    return "".join(piece.text for piece in pieces(source) if not piece.is_liquid)
