"""An email as one person would get it."""

from typing_extensions import TypedDict

from dripstone.engine.acts.previews import Preview
from dripstone.senders import inbox_reading


class PreviewShape(TypedDict):
    subject: str
    preview_text: str
    html: str
    text: str
    headers: dict[str, str]
    size: int
    warnings: list[str]


def preview(made: Preview) -> PreviewShape:
    """`headers` as the inbox shows them; `size`: the whole message, in bytes."""
    rendered = made.rendered
    return PreviewShape(
        subject=rendered.subject,
        preview_text=rendered.preview_text,
        html=rendered.html,
        text=rendered.text,
        headers=inbox_reading.contents(rendered.data).headers,
        size=len(rendered.data),
        warnings=made.warnings,
    )
