"""The system check of the mail URL."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from dripstone.senders import ways


@register()
def mail_url_can_be_read(**_: Any) -> list[CheckMessage]:
    """A wrong DRIPSTONE_MAIL_URL stops the start, not the first email."""
    try:
        ways.parse(settings.DRIPSTONE_MAIL_URL)
    except ValueError as problem:
        return [Error(str(problem), hint="docs/reference/mail-urls.md", id="dripstone.senders.E001")]
    return []
