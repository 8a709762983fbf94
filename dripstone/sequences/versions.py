"""Versions of an email: what was published when, and by whom."""

from datetime import datetime
from typing import Any

from dripstone.content.versions import UNKNOWN, kept, numbered
from dripstone.sequences.models import EmailVersion, SequenceEmail

PRINTED = ("subject", "preview_text", "content", "email_template_id")  # what a message is made of


def of(email: SequenceEmail) -> list[EmailVersion]:
    """The newest first."""
    current(email)
    return list(email.versions.order_by("-number"))


def one(email: SequenceEmail, number: int) -> EmailVersion:
    """Raises NotFound."""
    return numbered(email.versions.all(), number)


def current(email: SequenceEmail) -> EmailVersion | None:
    """What people get; None of an email that is not published."""
    return keep(email, email.updated_at, UNKNOWN) if email.published else None


def keep(email: SequenceEmail, at: datetime, actor: str) -> EmailVersion:
    """The version that this email is now: the newest, or a new one if that says something else."""
    return kept(EmailVersion, {"email_id": email.pk}, values(email), published_at=at, published_by=actor)


def values(row: SequenceEmail | EmailVersion) -> dict[str, Any]:
    """What is printed, by member."""
    return {name: getattr(row, name) for name in PRINTED}
