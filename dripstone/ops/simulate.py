"""`dripstone simulate`: the timetable a new person would get. Reads, and writes nothing."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from dripstone.engine import filters
from dripstone.errors import Invalid, NotFound
from dripstone.foresight import timetable
from dripstone.foresight.timetable import Line
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.shapes.instants import instant


def simulate(sequence_id: int, enter: str | None, zone_name: str | None, now: datetime) -> dict[str, Any]:
    """The answer as JSON has it.

    enter      ISO 8601; without an offset it is a wall clock in the zone. None: now
    zone_name  IANA name, of `enter` and of the local times shown; None: the sequence's
    Raises NotFound, or Invalid with a sentence.
    """
    sequence = Sequence.objects.filter(pk=sequence_id, deleted_at=None).first()
    if sequence is None:
        raise NotFound(f"There is no sequence {sequence_id}")
    zone = _zone(zone_name or sequence.time_zone)
    entered_at = now if enter is None else _entry(enter, zone)
    emails = list(sequence.emails.order_by("position"))
    return {
        "sequence_id": sequence.pk,
        "name": sequence.name,
        "time_zone": zone.key,
        "entered_at": instant(entered_at),
        "entered_at_local": _local(entered_at, zone),
        "emails": [_email(line, zone) for line in timetable.of_entry(sequence, emails, entered_at)],
        "remarks": _remarks(sequence, [email for email in emails if email.deleted_at is None]),
    }


def table(answer: dict[str, Any]) -> Table:
    """The same for the eye."""
    title = Text(f"{answer['name']}: entered {answer['entered_at_local']} {answer['time_zone']}")
    shown = Table("position", "email", "subject", "goes", "rule", title=title, title_justify="left")
    for line in answer["emails"]:
        cells = (line["position"], line["email_id"], line["subject"], line["due_at_local"], line["rule"])
        shown.add_row(*(Text(str(cell)) for cell in cells))  # no markup: a subject may hold brackets
    return shown


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Invalid(f"--zone {name} is not an IANA time zone, such as America/New_York") from None


def _entry(text: str, zone: ZoneInfo) -> datetime:
    try:
        given = datetime.fromisoformat(text.strip())
        return (given if given.tzinfo else given.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(f'--enter {text} is not an instant, such as "2026-10-30 14:20"') from None


def _local(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M}"


def _email(line: Line, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "email_id": line.email.pk,
        "position": line.email.position,
        "subject": line.email.subject,
        "due_at": instant(line.due),
        "due_at_local": _local(line.due, zone),
        "rule": line.rule,
    }


def _remarks(sequence: Sequence, emails: list[SequenceEmail]) -> list[str]:
    """What the timetable does not show."""
    remarks = [f'"{email.subject}" is a draft: it is passed over' for email in emails if not email.published]
    held = (email for email in emails if email.published and email.is_held)
    remarks += [
        f'"{email.subject}" is on hold: people wait at it, and nothing has a date from there on' for email in held
    ]
    readers = filters.readers(filters.of(email for email in emails if email.published), sequence.account_id)
    remarks += [f'"{email.subject}" goes only to {readers[email.pk]}' for email in emails if email.pk in readers]
    if not sequence.active:
        remarks.append("The sequence is inactive: nothing goes until it is active again")
    if sequence.exclude_subscriber_sources:
        remarks.append("People excluded at the time of an email are not sent it")
    return remarks
