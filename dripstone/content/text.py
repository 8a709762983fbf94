"""The text part of an email, made from its HTML."""

import re

import lxml.html  # type: ignore[import-untyped]
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.html_engine import Inscriptis
from inscriptis.model.config import ParserConfig
from lxml.etree import LxmlError  # type: ignore[import-untyped]

from dripstone.content.html import is_too_deep, words
from dripstone.content.liquid import check

_LAYOUT = {"table": "div", "thead": "div", "tbody": "div", "tfoot": "div", "tr": "div", "center": "div"}
_UNSEEN = ("head", "script", "style", "title", "template", "svg", "video", "audio", "noscript")
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_BLANKS = " \t\xa0\u034f\u200b\u200c\u200d"
_CONFIG = ParserConfig(css=CSS_PROFILES["strict"])


def text_template(source: str) -> str | None:
    """HTML with Liquid as plain text with the same Liquid; None when the Liquid does not survive it.

    (It does not when, say, an `if` stands in a hidden element and its `endif` outside.) The caller then makes the text
    of every message from its finished HTML: slower, always right.
    """
    protected = words(source)
    text = protected.restore(html_to_text(protected.html))
    # `{%- … -%}` may eat white space between elements in HTML; in text the line ends there are the structure.
    text = re.sub(r"(^[ \t]*\{[{%])-", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"-([%}]\}[ \t]*$)", r"\1", text, flags=re.MULTILINE)
    return None if check(text) else text


def html_to_text(html: str) -> str:
    """Readable text: paragraphs, list items, images' alternatives, links as `text (URL)`. Never raises."""
    if not html.strip():
        return ""
    if is_too_deep(html):
        return tidy(_TAG.sub(" ", html))
    try:
        tree = lxml.html.document_fromstring(html)
        _prepare(tree)
        return tidy(Inscriptis(tree, _CONFIG).get_text())
    except (LxmlError, ValueError, RecursionError):
        return tidy(_TAG.sub(" ", html))


def tidy(text: str) -> str:
    """No trailing spaces, no more than one empty line in a row."""
    text = "\n".join([line.rstrip(_BLANKS) for line in text.split("\n")])
    if "\n\n\n" in text:
        text = re.sub(r"\n{3,}", "\n\n", text)
    return text.strip("\n")


def _prepare(tree: lxml.html.HtmlElement) -> None:
    """What Inscriptis would lay out in columns or leave out becomes plain blocks and text."""
    for element in list(tree.iter()):
        if not isinstance(element.tag, str) or element.tag in _UNSEEN or _HIDDEN.search(element.get("style") or ""):
            _drop(element)
    for element in list(tree.iter("ul", "ol", "blockquote", "pre")):
        if next(element.iterancestors("ul", "ol"), None) is None:
            element.set("style", "margin-top: 1em")
            element.addnext(lxml.html.Element("p"))  # for a margin below: one of its own, the items would inherit
    for element in list(tree.iter("a", "img", "td", "th", "hr", *_LAYOUT)):
        _flatten(element)


def _flatten(element: lxml.html.HtmlElement) -> None:
    if element.tag == "img":
        _replace(element, element.get("alt") or "")
    elif element.tag == "a":
        _spell_out(element)
    elif element.tag == "hr":
        element.tag, element.text = "div", "-" * 20
    elif element.tag in ("td", "th"):
        element.tag, element.tail = "span", (element.tail or "") + " "
    else:
        element.tag = _LAYOUT[element.tag]


def _spell_out(link: lxml.html.HtmlElement) -> None:
    """Append the URL to a link's text, unless it says the same already."""
    url = (link.get("href") or "").strip()
    shown = "".join(link.itertext()).strip()
    if url and not url.startswith("#") and shown not in (url, url.removeprefix("mailto:").removeprefix("tel:")):
        for image in list(link.iter("img")):
            _replace(image, image.get("alt") or "")
        has_text = "".join(link.itertext()).strip()
        link.tail = (f" ({url})" if has_text else url) + (link.tail or "")
    link.tag = "span"


def _replace(element: lxml.html.HtmlElement, text: str) -> None:
    element.tail = text + (element.tail or "")
    _drop(element)


def _drop(element: lxml.html.HtmlElement) -> None:
    """Remove an element or comment but not the text after it."""
    parent = element.getparent()
    if parent is None:
        return
    previous = element.getprevious()
    if previous is not None:
        previous.tail = (previous.tail or "") + (element.tail or "")
    else:
        parent.text = (parent.text or "") + (element.tail or "")
    parent.remove(element)
