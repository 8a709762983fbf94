"""What is derived from a row, and is the same over all attempts: Message-ID, links, List-Id.

Deliveries from before the quick tokens keep the ones they have (Since): a retry must look like the first attempt.
"""

from functools import cache
from urllib.parse import urlsplit

from django.conf import settings

from dripstone import signing
from dripstone.engine.models import Since


def message_id(delivery_id: int) -> str:
    """No two deliveries share it. Without angle brackets."""
    return f"{_token('message', delivery_id)}@{domain()}"


def delivery_of(message_id: str) -> int | None:
    """The delivery whose message has this Message-ID, with or without angle brackets; None for anybody else's."""
    token, _, host = message_id.strip("<> ").rpartition("@")
    found = signing.read("message", token) if host == domain() else None
    return found[0] if found is not None and len(found) == 1 else None


def unsubscribe_url(delivery_id: int) -> str:
    return f"{settings.DRIPSTONE_URL}/u/{_token('unsubscribe', delivery_id)}"


def _token(kind: str, delivery_id: int) -> str:
    make = signing.make if delivery_id < quick_since() else signing.make_quick
    return make(kind, delivery_id)


@cache
def quick_since() -> int:
    """From this delivery on. Asked once per process: the row is written by a migration and never changes."""
    row = Since.objects.filter(name=Since.QUICK_TOKENS).first()
    return row.delivery_id if row is not None else 0


EXAMPLE = "example"  # stands where a token would in the links of a preview or test; no token is so short


def example_unsubscribe_url() -> str:
    return f"{settings.DRIPSTONE_URL}/u/{EXAMPLE}"


def confirm_url(sign_up_id: int) -> str:
    """It names the sign-up and not the person: a mail that went to an address they had once confirms nothing new."""
    return f"{settings.DRIPSTONE_URL}/c/{signing.make('sign-up', sign_up_id)}"


def example_confirm_url() -> str:
    return f"{settings.DRIPSTONE_URL}/c/{EXAMPLE}"


def list_id(sequence_id: int) -> str:
    """The List-Id that people's mail filters match, `sequence-7.example.com`."""
    return f"sequence-{sequence_id}.{domain()}"


def domain() -> str:
    """This installation's own name. Message-IDs must not depend on anything an owner can edit between two attempts."""
    return _domain_of(settings.DRIPSTONE_URL)


@cache
def _domain_of(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return host if host and not host.replace(".", "").isdigit() and ":" not in host else "dripstone.localhost"
