"""An email as one person would get it, or got it."""

from typing_extensions import TypedDict

from dripstone.content.compile import Rendered
from dripstone.engine.acts.previews import Preview, Sent
from dripstone.senders import inbox_reading


class PreviewShape(TypedDict):
    subject: str
    preview_text: str
    html: str
    text: str
    headers: dict[str, str]
    size: int
    warnings: list[str]


class SnippetVersionShape(TypedDict):
    key: str
    version: int


class MessageShape(TypedDict):
    subject: str
    preview_text: str
    html: str
    text: str
    headers: dict[str, str]
    size: int
    email_version: int
    email_template_id: int | None
    email_template_version: int | None
    snippet_versions: list[SnippetVersionShape]
    values_may_have_changed: bool


def preview(made: Preview) -> PreviewShape:
    """`headers` as the inbox shows them; `size`: the whole message, in bytes."""
    rendered = made.rendered
    return PreviewShape(
        subject=rendered.subject,
        preview_text=rendered.preview_text,
        html=rendered.html,
        text=rendered.text,
        headers=_headers(rendered),
        size=len(rendered.data),
        warnings=made.warnings,
    )


def message(sent: Sent) -> MessageShape:
    """The same, and what it was made of. Without a template it was the built-in one."""
    rendered, edition = sent.rendered, sent.edition
    template = edition.template_version
    return MessageShape(
        subject=rendered.subject,
        preview_text=rendered.preview_text,
        html=rendered.html,
        text=rendered.text,
        headers=_headers(rendered),
        size=len(rendered.data),
        email_version=edition.email_version.number,
        email_template_id=template.template_id if template else None,
        email_template_version=template.number if template else None,
        snippet_versions=[SnippetVersionShape(key=one.key, version=one.number) for one in sent.snippets],
        values_may_have_changed=sent.values_may_have_changed,
    )


def _headers(rendered: Rendered) -> dict[str, str]:
    return inbox_reading.contents(rendered.data).headers
