"""The system checks of the mail URL and of the inbox's door."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from dripstone.senders import inbox_server, ways


@register()
def mail_url_can_be_read(**_: Any) -> list[CheckMessage]:
    """A wrong DRIPSTONE_MAIL_URL stops the start, not the first email."""
    try:
        ways.parse(settings.DRIPSTONE_MAIL_URL)
    except ValueError as problem:
        return [Error(str(problem), hint="docs/reference/mail-urls.md", id="dripstone.senders.E001")]
    return []


@register()
def inbox_door_is_locked(**_: Any) -> list[CheckMessage]:
    """An API key must not travel in plain text, so whoever is not on this machine needs TLS to sign in."""
    certificate, host = settings.DRIPSTONE_INBOX_CERTIFICATE, settings.DRIPSTONE_INBOX_HOST
    if not settings.DRIPSTONE_INBOX_PORT:
        return []
    if certificate:
        try:
            inbox_server.tls(certificate)
        except OSError as problem:
            message = f"DRIPSTONE_INBOX_CERTIFICATE cannot be used: {problem}."
            hint = "Give a PEM file with the private key and the certificate chain."
            return [Error(message, hint=hint, id="dripstone.senders.E002")]
    elif not inbox_server.is_loopback(host):
        return [
            Error(
                f"DRIPSTONE_INBOX_HOST is {host}: others can reach the inbox's SMTP door, and API keys would travel in "
                "plain text.",
                hint="Set DRIPSTONE_INBOX_CERTIFICATE, or DRIPSTONE_INBOX_HOST=127.0.0.1, or DRIPSTONE_INBOX_PORT=0.",
                id="dripstone.senders.E003",
            )
        ]
    return []
