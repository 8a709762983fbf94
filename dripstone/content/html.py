"""HTML with Liquid in it: merging body and template, inlining CSS, without touching a single Liquid tag.

HTML parsers know nothing of Liquid. They move text out of tables, percent-encode and quote attributes, drop comments.
So every Liquid tag is first replaced by something a parser leaves where it is (a comment between elements, a word
inside a tag), and put back afterwards. If the tags do not all come back in their order, the HTML is left unchanged.
"""

import re
from dataclasses import dataclass, field

import css_inline

from dripstone.content.liquid import pieces

# Of one tag: possessive and bounded, so that a page of unclosed tags and quotes takes no quadratic time.
_INSIDE = r"(?:[^<>\"']++|\"[^\"]*+\"|'[^']*+'){0,500}+"
_MARKUP = re.compile(
    r"(?P<comment><!--.*?(?:-->|\Z)|<!(?!doctype)[^>]*>|<\?[^>]*>)"
    r"|(?P<style><style\b[^>]*>.*?(?:</style\s*>|\Z))"
    r"|(?P<rawtext><(?P<raw>script|title|textarea)\b[^>]*>.*?(?:</(?P=raw)\s*>|\Z))"
    rf"|(?P<tag></?[a-z]{_INSIDE}>|<!doctype[^>]*>)",
    re.DOTALL | re.IGNORECASE,
)
_PART = re.compile(rf"<!--.*?-->|<{_INSIDE}>|[^<]+|<", re.DOTALL)
_BODY_OPEN = re.compile(rf"<body(?=[\s>]){_INSIDE}>", re.IGNORECASE)
_BODY_CLOSE = re.compile(r"</body\s*>", re.IGNORECASE)
_STYLE = re.compile(r"<style\b[^>]*>.*?(?:</style\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_TAG_NAME = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
_DOCUMENT = re.compile(r"<(?:html|body)\b", re.IGNORECASE)
_MESSAGE_CONTENT = re.compile(r"(<!--.*?-->)|\{\{-?\s*message_content\b[^}]*\}\}", re.DOTALL)
_UNSUBSCRIBE_LINK = re.compile(r"\{\{-?\s*(unsubscribe|subscriber_preferences)_link\s*-?\}\}")
_COUNTED_NAME = re.compile(r"(?<![\w.\"'-])(?=(?:unsubscribe|subscriber_preferences)_(?:url|link)\b|address\b)")

# Elements that need no closing tag, or never nest in themselves without one of the others between.
_FLAT = frozenset(
    [
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"),
        *("p", "li", "td", "th", "tr", "tbody", "thead", "dt", "dd", "option"),
    ]
)
MAX_DEPTH = 200  # css-inline's recursion crashes the process near 3000, libxml2 drops what is below 256
MAX_GROWTH = 200_000_000  # elements times characters of CSS: what inlining could make at the very worst

LINK_TEXTS = {"unsubscribe": "Unsubscribe", "subscriber_preferences": "Update your preferences"}

# No network, no files: a stylesheet link is dropped, not fetched.
_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=True, remove_inlined_selectors=True)

# After the preview text, mail clients show the beginning of the body, unless this much blank padding follows.
_PADDING = "\n".join(["&zwnj;&nbsp;&#847;" * 8] * 8)
_PREHEADER = (
    "{% if preview_text != blank %}"
    '<div style="display:none;max-height:0;max-width:0;overflow:hidden;opacity:0;mso-hide:all;font-size:1px;'
    'line-height:1px;color:transparent">{{ preview_text }}\n' + _PADDING + "</div>{% endif %}"
)
_BARE_DOCUMENT = (
    '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n</head>\n<body>\n'
)


@dataclass(slots=True)
class Protected:
    """HTML whose Liquid (and comments) are stand-ins; `stash` holds the originals, by number."""

    html: str
    word: str
    stash: list[str] = field(default_factory=list)

    def hide(self, original: str) -> str:
        self.stash.append(original)
        return f"{self.word}{len(self.stash) - 1}z"

    def stand_ins(self) -> re.Pattern[str]:
        return re.compile(rf"<!--{self.word}(\d+)z-->|{self.word}(\d+)z(?:=\"\")?")

    def restore(self, html: str) -> str:
        """The HTML with the originals back; those may hold stand-ins of their own."""
        return self.stand_ins().sub(lambda found: self.restore(self.stash[int(found[1] or found[2])]), html)

    def order(self, html: str) -> list[str]:
        """The stand-ins in the order in which they appear; sorted within a tag, whose attributes may change places."""
        stand_ins = self.stand_ins()
        found = (sorted(one[1] or one[2] for one in stand_ins.finditer(part[0])) for part in _PART.finditer(html))
        return [number for numbers in found for number in numbers]


def words(source: str) -> Protected:
    """Replace every Liquid tag by a word, wherever it stands."""
    word = "lqd"
    while word in source.lower():
        word += "q"
    protected = Protected("", word)
    protected.html = "".join(protected.hide(piece.text) if piece.is_liquid else piece.text for piece in pieces(source))
    return protected


def protect(source: str) -> Protected:
    """Replace every Liquid tag by what an HTML parser leaves in place, and comments as wholes."""
    protected = words(source)
    marked, done = [], 0
    for markup in _MARKUP.finditer(protected.html):
        marked.append(_between(protected, protected.html[done : markup.start()]))
        marked.append(_marked(protected, markup))
        done = markup.end()
    marked.append(_between(protected, protected.html[done:]))
    protected.html = "".join(marked)
    return protected


def _between(protected: Protected, text: str) -> str:
    return re.sub(rf"{protected.word}\d+z", r"<!--\g<0>-->", text)


def _marked(protected: Protected, markup: re.Match[str]) -> str:
    text = markup[0]
    if markup["comment"]:
        return f"<!--{protected.hide(_uncounted(protected, text))}-->"
    if markup["style"] and protected.word in text:
        return f"<!--{protected.hide(text)}-->"  # CSS that differs from person to person cannot be inlined beforehand
    return _tag(protected, text) if markup["tag"] else text


def _uncounted(protected: Protected, comment: str) -> str:
    """An unsubscribe tag in a comment must not count as one that people can see."""
    for number in protected.order(comment):
        protected.stash[int(number)] = _COUNTED_NAME.sub("hidden_", protected.stash[int(number)])
    return comment


def _tag(protected: Protected, tag: str) -> str:
    """Liquid between attributes, with the attributes it governs, becomes one stand-in attribute."""
    values = r"\A</?[^\s/>]+|\"[^\"]*\"|'[^']*'|=\s*[^\s\"'>]+"
    parts = re.finditer(rf"{values}|(?<![\w-])({protected.word}\d+z)", tag)
    loose = [part.span() for part in parts if part[1]]
    if not loose:
        return tag
    start, end = loose[0][0], loose[-1][1]
    return f"{tag[:start]}{protected.hide(tag[start:end])} {tag[end:]}"


def merge(template: str | None, content: str, default: str) -> str:
    """Put an email's body into its template, at the level of the source.

    template   Liquid HTML with {{ message_content }}; None takes `default`, unless the content is a whole document
    """
    whole = bool(_DOCUMENT.search(content))
    if template is None:
        template = "{{ message_content }}" if whole else default
    if whole and _DOCUMENT.search(template):
        content = "".join(_STYLE.findall(_head(content))) + _inside_body(content)
    # Not into a comment: what follows the first comment of the content would fall out of it.
    merged = _MESSAGE_CONTENT.sub(lambda found: found[1] or content, template)
    return before_body_end(template, content) if merged == template else merged


def _head(document: str) -> str:
    opening = _BODY_OPEN.search(document)
    return document[: opening.start()] if opening else ""


def _inside_body(document: str) -> str:
    opening = _BODY_OPEN.search(document)
    inside = document[opening.end() :] if opening else re.sub(r"</?(?:html|!doctype)\b[^>]*>", "", document, flags=re.I)
    return re.sub(r"</(?:body|html)\s*>", "", inside, flags=re.IGNORECASE)


def before_body_end(html: str, addition: str) -> str:
    """`html` with something added at the end of its body; at its very end when there is no body."""
    closings = list(_BODY_CLOSE.finditer(html))
    at = closings[-1].start() if closings else len(html)
    return html[:at] + addition + html[at:]


def finish(source: str, *, preheader: bool) -> str:
    """The HTML as it is compiled: whole document, CSS inlined, links and preheader in place, Liquid untouched."""
    source = _UNSUBSCRIBE_LINK.sub(_anchor, source)
    protected = protect(source)
    if not _DOCUMENT.search(protected.html):
        protected.html = f"{_BARE_DOCUMENT}{protected.html}\n</body>\n</html>\n"
    html = _inlined(protected)
    opening = _BODY_OPEN.search(html)
    if preheader and opening:
        html = html[: opening.end()] + "\n" + _PREHEADER + html[opening.end() :]
    return protected.restore(html)


def _anchor(link: re.Match[str]) -> str:
    # Written out, so that the template's own rules for `a` reach it when CSS is inlined.
    return f'<a href="{{{{ {link[1]}_url }}}}">{LINK_TEXTS[link[1]]}</a>'


def is_too_deep(html: str) -> bool:
    """Whether elements nest deeper than parsers bear (an upper bound; about 10 ms for a megabyte of tags)."""
    depth = 0
    for closing, name in _TAG_NAME.findall(html):
        if name.lower() not in _FLAT:
            depth = max(depth - 1, 0) if closing else depth + 1
            if depth > MAX_DEPTH:
                return True
    return False


def _inlined(protected: Protected) -> str:
    growth = protected.html.count("<") * sum(len(style) for style in _STYLE.findall(protected.html))
    if growth > MAX_GROWTH or is_too_deep(protected.html):
        return protected.html
    try:
        html = _INLINER.inline(protected.html)
    except (css_inline.InlineError, ValueError):
        return protected.html
    return html if protected.order(html) == protected.order(protected.html) else protected.html


def hide_comments(source: str) -> str:
    """A block snippet's HTML, with unsubscribe tags in comments not counting as shown."""
    protected = protect(source)
    return protected.restore(protected.html)


def without_liquid(source: str) -> str:
    return "".join(piece.text for piece in pieces(source) if not piece.is_liquid)
