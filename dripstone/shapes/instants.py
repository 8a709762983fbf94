"""Instants as Kit writes them."""

from datetime import UTC, datetime


def instant(value: datetime) -> str:
    """UTC to the second: `2026-11-23T09:00:00Z`."""
    return value.astimezone(UTC).isoformat()[:19] + "Z"  # a third of what strftime takes


def instant_or_none(value: datetime | None) -> str | None:
    return None if value is None else instant(value)
