# ruff: noqa: E501, SIM905 (scripts, and words in a row)
"""What an email looks like in a browser: the computed styles of its elements."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dripstone.content import html, layout
from dripstone.content.compile import EmailSource, Envelope, Person, compile_email, with_page
from dripstone.content.liquid import clean

if TYPE_CHECKING:
    from playwright.sync_api import Page

ENVELOPE = Envelope("1@example.com", datetime(2026, 1, 2, tzinfo=UTC), "https://example.com/u/1")
WIDTHS = (390, 1000)
SCHEMES = ("light", "dark")

# What mails style: properties as browsers compute them, without the logical doubles (`margin-inline-start`).
PROPERTIES = """
background-color background-image background-position-x background-repeat background-size border-bottom-color
border-bottom-left-radius border-bottom-style border-bottom-width border-collapse border-left-color border-left-style
border-left-width border-right-color border-right-style border-right-width border-spacing border-top-color
border-top-left-radius border-top-style border-top-width bottom box-shadow box-sizing caption-side clear color cursor
direction display empty-cells float font-family font-size font-style font-variant-caps font-weight height left
letter-spacing line-height list-style-position list-style-type margin-bottom margin-left margin-right margin-top
max-height max-width min-height min-width opacity outline-color outline-style overflow-wrap overflow-x padding-bottom
padding-left padding-right padding-top position quotes right table-layout text-align text-decoration-line text-indent
text-size-adjust text-transform top transition-duration vertical-align visibility white-space-collapse width word-break
word-spacing z-index
""".split()

_OPEN = """async (documents) => {
  document.body.replaceChildren()
  await Promise.all(documents.map(text => new Promise(done => {
    const frame = document.createElement('iframe')
    frame.style.cssText = 'display:block;height:800px;border:0'
    frame.onload = done
    frame.srcdoc = text
    document.body.append(frame)
  })))
}"""

# Sentences about elements that look different in frames 0 and 1, 2 and 3, and so on.
_COMPARE = """({width, properties}) => {
  const unseen = new Set(['STYLE', 'SCRIPT', 'TITLE', 'META', 'LINK', 'TEMPLATE', 'NOSCRIPT', 'BR'])
  const frames = [...document.querySelectorAll('iframe')], said = []
  for (const frame of frames) {
    frame.style.width = `${width}px`
    frame.contentDocument.body.offsetWidth  // now, so that transitions begin
    for (const one of frame.contentDocument.getAnimations()) one.finish()
  }
  const elements = frame => [...frame.contentDocument.querySelectorAll('body, body *')].filter(one => !unseen.has(one.tagName))
  const text = one => [...one.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join(' ').trim()
  const name = one => `${one.tagName}.${one.className} "${text(one).slice(0, 30)}"`
  for (let i = 0; i < frames.length; i += 2) {
    const [before, after] = [elements(frames[i]), elements(frames[i + 1])]
    if (before.map(name).join() !== after.map(name).join()) {
      said.push(`${before.map(name)} became ${after.map(name)}`)
      continue
    }
    before.forEach((one, index) => {
      const [was, is] = [frames[i].contentWindow.getComputedStyle(one), frames[i + 1].contentWindow.getComputedStyle(after[index])]
      if (was.display === 'none' && is.display === 'none') return
      const own = [...was].filter(property => property.startsWith('--'))
      for (const property of [...properties, ...own]) {
        const [from, to] = [was.getPropertyValue(property), is.getPropertyValue(property)]
        if (from !== to) said.push(`${name(one)}: ${property} ${from} became ${to}`)
      }
    })
  }
  return said
}"""


def source_and_message(source: EmailSource, person: Person) -> tuple[str, str]:
    """The email with its Liquid resolved and nothing inlined, and as it is sent."""
    email = compile_email(source)
    template = None if source.template_html is None else clean(source.template_html)
    merged = html.merge(template, clean(source.content or ""), layout.DEFAULT_TEMPLATE)
    plain = with_page(source, html.Finished(merged, {}))
    merged_html = plain.render(person, ENVELOPE).html
    if not re.search("<(?:html|body)", merged_html, re.I):
        merged_html = f"<!DOCTYPE html><html><body>{merged_html}</body></html>"
    return _without_our_footer(merged_html), _without_our_footer(email.render(person, ENVELOPE).html)


def _without_our_footer(document: str) -> str:
    """What we add where people do not see a link or the address: it is not of the source, and has styles of its own."""
    return re.sub(rf'<div style="{re.escape(layout._FOOTER_STYLE)}">.*?</div>\n', "", document, flags=re.S)


def differences(page: "Page", pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences about elements that do not look the same in both of a pair, at any width, light or dark."""
    page.evaluate(_OPEN, [document for pair in pairs for document in pair])
    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width in WIDTHS:
            said = page.evaluate(_COMPARE, {"width": width, "properties": PROPERTIES})
            found += [f"{scheme}, {width} px: {sentence}" for sentence in said]
    return found


def without_styles(document: str) -> str:
    return re.sub(r"<style\b.*?</style\s*>", "", document, flags=re.S | re.I)


def without_conditions(document: str) -> str:
    """Without @media and its like, and without <style> that has a condition."""

    def unconditional(style: re.Match[str]) -> str:
        media = re.search(r"""media=["']?([^"'>]*)""", style[1])
        if media and not {one.strip() for one in media[1].lower().split(",")} & {"all", "screen", ""}:
            return ""
        return style[1] + _without_groups(style[2]) + style[3]

    return re.sub(r"(<style\b[^>]*>)(.*?)(</style\s*>)", unconditional, document, flags=re.S | re.I)


def _without_groups(css: str) -> str:
    while found := re.search(r"@(?:media|supports|container)\b[^{]*\{", css):
        depth, end = 1, found.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(css[end], 0)
            end += 1
        css = css[: found.start()] + css[end:]
    return css
