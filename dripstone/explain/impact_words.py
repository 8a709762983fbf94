"""The impact of an edit as sentences: one for all of it, and why for each person."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from dripstone import words
from dripstone.engine import reasons
from dripstone.explain import edit_words
from dripstone.foresight.impact import Impact, Person, Where


def summary(row: Impact) -> str:
    """One sentence: “23 people get “Day 3” right away; 140 keep their dates.”"""
    if not row.people:
        return "Nobody is in this sequence, so nobody is affected."
    return "; ".join(_parts(row)) + "."


def _parts(row: Impact) -> Iterator[str]:
    for pk, n in row.by_position(row.right_away):
        yield f"{words.people(n, 'gets', 'get')} “{row.emails[pk].subject}” right away"
    for (pk, reason), n in row.skipped.most_common():
        yield f"{words.people(n, 'skips', 'skip')} “{row.emails[pk].subject}” ({reasons.because(reason, row.names)})"
    for pk, n in row.by_position(row.let_go):
        wait = words.agree(n, "waits", "wait")
        yield f"{words.people(n)} no longer {wait} for “{row.emails[pk].subject}”, which {_is_not_there(row, pk)}"
    if removed := row.kinds["removed"]:
        get = words.agree(removed, "gets", "get")
        yield f"{words.people(removed, 'leaves', 'leave')} the sequence and {get} nothing more of it"
    if completed := row.kinds["completed"]:
        yield f"{words.people(completed, 'completes', 'complete')} the sequence"
    if (later := _moved_otherwise(row)) > 0:
        yield f"{words.people(later, 'gets', 'get')} another next email or date"
    yield from _still(row)


def _moved_otherwise(row: Impact) -> int:
    """People who move and whom no other part of the sentence covers."""
    return row.kinds_moved["dated"] + row.kinds_moved["paused"]


def _still(row: Impact) -> Iterator[str]:
    stops = row.before.active and not row.done.sequence.active
    if stops and (paused := row.kinds["paused"]):
        yield f"{words.people(paused, 'keeps', 'keep')} their place, and nothing is sent until the sequence is resumed"
    if waiting := row.kinds["waiting"]:
        yield f"{words.people(waiting, 'waits', 'wait')} without a date"
    if unconfirmed := row.kinds["unconfirmed"]:
        has = "has" if unconfirmed == 1 else "have"
        yield f"{words.people(unconfirmed)} {has} yet to confirm, and nothing changes for them"
    kept = row.unchanged - row.kinds_kept["waiting"] - row.kinds_kept["unconfirmed"]
    if kept > 0:
        noun = "date" if row.done.sequence.active else "place"
        yield f"{words.people(kept, 'keeps', 'keep')} their {noun}{'' if kept == 1 else 's'}"
    if row.done.retimed:
        retimed = edit_words.retimed(row.done.retimed)
        yield f"{retimed}: for dates given from now on (rescheduling gives those who wait a new one)"


def _is_not_there(row: Impact, email_id: int) -> str:
    return "is not published" if row.emails[email_id].deleted_at is None else "is deleted"


def why(row: Impact, person: Person) -> str:
    """Why this person gets there."""
    before, after = _subject(row, person.before), _subject(row, person.after)
    if person.reason == reasons.EMAIL_DELETED:
        return f"{_subject_of(row, person.skipped_id)} is deleted: they skip it at the moment it would have gone."
    if person.reason:
        return (
            f"{after} would go right away, but {reasons.because(person.reason, row.names)}: they skip it and move on."
        )
    match person.kind:
        case "removed":
            return "The sequence is deleted, so nothing more of it is sent to them."
        case "completed":
            return "Nothing comes next for them, and the sequence does not hold people at its end."
        case "paused":
            held = "they are paused themselves" if person.paused else "the sequence is inactive"
            return f"They keep their place at {after}, but {held}: nothing is sent until that ends."
        case "waiting" if person.after.email_id is None:
            return "Nothing published comes next for them: they wait for what is published later."
        case "waiting":
            return f"They wait for {after}, which is not published: without a date until it is."
    return _why_dated(row, person, before, after)


def _why_dated(row: Impact, person: Person, before: str, after: str) -> str:
    at = "right away" if person.kind == "right_away" else _when(row, person.after.at)
    if person.before.email_id is None:
        return f"They waited with nothing to come; now {after} comes next, {at}."
    if person.before.email_id != person.after.email_id:
        sentence = f"They waited for {before}; now {after} comes before it, {at}."
        if person.let_go_id is not None:
            sentence += f" {before} {_is_not_there(row, person.let_go_id)}, and is passed over after that."
        return sentence
    if not row.before.active:
        return f"{after} waited for the sequence to be resumed; now it goes {at}."
    if person.before.at is None:
        return f"{after} waited to be published; now it goes {at}."
    return f"{after} gets its date anew, by today's delay and schedule: it goes {at}."


def _subject(row: Impact, where: Where) -> str:
    return _subject_of(row, where.email_id)


def _subject_of(row: Impact, email_id: int | None) -> str:
    return "nothing" if email_id is None else f"“{row.emails[email_id].subject}”"


def _when(row: Impact, at: datetime | None) -> str:
    if at is None:
        return "without a date"
    local = at.astimezone(ZoneInfo(row.done.sequence.time_zone))
    return f"on {local:%Y-%m-%d} at {local:%H:%M} ({local.tzinfo})"
