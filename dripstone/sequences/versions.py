"""Versions of an email: what was published when, and by whom."""

from datetime import datetime
from typing import Any

from dripstone.errors import NotFound
from dripstone.sequences.models import EmailVersion, SequenceEmail

PRINTED = ("subject", "preview_text", "content", "email_template_id")  # what a message is made of
UNKNOWN = ""  # who published what has no version: a server of the release before


def of(email: SequenceEmail) -> list[EmailVersion]:
    """The newest first."""
    current(email)
    return list(email.versions.order_by("-number"))


def one(email: SequenceEmail, number: int) -> EmailVersion:
    """Raises NotFound."""
    found = email.versions.filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def current(email: SequenceEmail) -> EmailVersion | None:
    """What people get; None of an email that is not published."""
    return keep(email, email.updated_at, UNKNOWN) if email.published else None


def keep(email: SequenceEmail, at: datetime, actor: str) -> EmailVersion:
    """The version that this email is now: the newest, or a new one if that says something else."""
    while True:
        newest = email.versions.order_by("-number").first()
        if newest is not None and values(newest) == values(email):
            return newest
        number = newest.number + 1 if newest else 1
        new = EmailVersion(email=email, number=number, published_at=at, published_by=actor, **values(email))
        EmailVersion.objects.bulk_create([new], ignore_conflicts=True)  # another process may keep it at the same time


def values(row: SequenceEmail | EmailVersion) -> dict[str, Any]:
    """What is printed, by member."""
    return {name: getattr(row, name) for name in PRINTED}
