"""An edit of a sequence in words: what its row in the log says, with the titles its emails have today."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dripstone import words
from dripstone.content import subjects
from dripstone.engine import notes, reasons
from dripstone.engine.models import Note
from dripstone.sequences.models import SequenceEdit

Kind = SequenceEdit.Kind
Log = Mapping[int, SequenceEdit]
"""By number."""


def log_of(sequence_id: int, found: Iterable[str]) -> Log:
    """The edits that these reasons of notes name. One query; none when they name nothing."""
    numbers = {number for reason in found for number in reasons.edits_in(reason)}
    if not numbers:
        return {}
    rows = SequenceEdit.objects.filter(sequence=sequence_id, number__in=numbers).select_related("email")
    return {row.number: row for row in rows if row.number is not None}


def edits(reason: str, log: Log) -> str:
    """What a note names: `“Draft” published; sequence paused`. A reason from before codes is given as it is."""
    named = [edit(log[number]) for number in reasons.edits_in(reason) if number in log]
    return "; ".join(named) or reason


def reason_of(note: Note, log: Log) -> str:
    """The reason of a note in words: the owner's own, or what made the engine act."""
    match note.kind:
        case notes.MOVED:
            return edits(note.reason, log)
        case notes.LATE:
            return reasons.sentence(note.reason)
    return note.reason


def edit(row: SequenceEdit) -> str:
    """`“Second” unpublished and moved to position 3`, `“Second”: delay changed from 2 days to 4 days`."""
    changes = row.changes or {}
    match row.kind:
        case Kind.EMAIL_CREATED:
            done = "published" if changes["published"][1] else "inserted"
            return f"{_title(row)} {done} at position {changes['position'][1]}"
        case Kind.EMAIL_UPDATED:
            return f"{_title(row)} {' and '.join(_moved(changes))}"
        case Kind.EMAIL_DELETED:
            return f"{_title(row)} deleted"
        case Kind.EMAIL_RETIMED:
            return f"{_title(row)}: {retimed(changes)}"
        case Kind.SEQUENCE_UPDATED:
            return " and ".join(_switched(changes))
        case Kind.SEQUENCE_DELETED:
            return "sequence deleted"
        case Kind.SEQUENCE_RETIMED:
            return f"the sequence: {retimed(changes)}"
        case Kind.RESCHEDULED:
            return "waiting people rescheduled"
        case Kind.WAIT_SKIPPED:
            return f"the wait for {_title(row)} skipped for everybody"
    return row.what


def retimed(changes: Mapping[str, Any]) -> str:
    """`delay changed from 2 days to 5 days and send hour changed from 9 to 10`; "" of nothing."""
    return " and ".join(
        f"{name.replace('_', ' ')} changed from {_value(name, changes[name][0])} to {_value(name, changes[name][1])}"
        for name in ("delay", "send_days", "send_hour", "time_zone")
        if name in changes
    )


def _value(name: str, value: Any) -> str:
    match name:
        case "delay":
            return words.delay(*value)
        case "send_days":
            return _days(value)
    return str(value)


def _moved(changes: Mapping[str, Any]) -> Iterator[str]:
    if "published" in changes:
        yield "published" if changes["published"][1] else "unpublished"
    if "position" in changes:
        yield f"moved to position {changes['position'][1]}"
    if "on_hold" in changes:
        yield "put on hold" if changes["on_hold"][1] else "released"


def _switched(changes: Mapping[str, Any]) -> Iterator[str]:
    if "active" in changes:
        yield "sequence resumed" if changes["active"][1] else "sequence paused"
    if "hold" in changes:
        yield "hold switched off"


def _days(days: list[int] | None) -> str:
    if days is None:
        return "the sequence's"
    return "every day" if len(days) == 7 else ", ".join(words.DAY_NAMES[number] for number in sorted(days))


def _title(row: SequenceEdit) -> str:
    return subjects.title(row.email.subject) if row.email is not None else "an email"
