"""Where a person's value is empty: invisible when it is sent, visible in a preview.

The renderer writes GAP there (compile.py `render`), a character that means nothing and never comes in mail. Here it
becomes words.
"""

from dripstone.content.markup import Edits, markups

GAP = "\ufdd0"
WORDS = "(empty)"
_STYLE = "padding:0 4px;border-radius:4px;background:#fff3cf;color:#684708;font-style:normal"
SHOWN = f'<span style="{_STYLE}">{WORDS}</span>'


def in_text(text: str) -> str:
    return text.replace(GAP, WORDS)


def in_html(html: str) -> str:
    """In amber where text stands; nothing within tags, comments and style sheets."""
    if GAP not in html:
        return html
    edits = Edits()
    for markup in markups(html):
        end = max(markup.end, markup.outer_end)
        if GAP in html[markup.start : end]:
            edits.replace(markup.start, end, html[markup.start : end].replace(GAP, ""))
    return edits.applied(html).replace(GAP, SHOWN)
