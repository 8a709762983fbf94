"""The impact of an edit as sentences: one for all of it, and why for each person."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from dripstone import words
from dripstone.engine import reasons
from dripstone.explain import edit_words
from dripstone.foresight.impact import Impact, Kind, Person, Sieve, Where


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens to `n` people: “3 people get “Day 3” right away” is 3 and the rest."""

    n: int  # 0: about no people
    phrase: str  # with the verb in their number
    concerns: Callable[[Person], bool] = lambda _: False  # of whom an example tells

    def __str__(self) -> str:
        return f"{words.people(self.n)} {self.phrase}" if self.n else self.phrase


def summary(row: Impact) -> str:
    """One sentence: “23 people get “Day 3” right away; 140 keep their dates.”"""
    if not row.people:
        return "Nobody is in this sequence, so nobody is affected."
    return "; ".join(map(str, effects(row))) + "."


def effects(row: Impact) -> Iterator[Effect]:
    """One per thing that happens, the gravest first."""
    for pk, n in row.by_position(row.right_away):
        yield _effect(n, "gets", "get", f"“{row.emails[pk].subject}” right away", partial(_gets_right_away, pk))
    for (pk, reason), n in row.skipped.most_common():
        rest = f"“{row.emails[pk].subject}” ({because(row, pk, reason)})"
        yield _effect(n, "skips", "skip", rest, partial(_skips, pk, reason))
    yield from _sieved(row)
    for pk, n in row.by_position(row.let_go):
        rest = f"for “{row.emails[pk].subject}”, which {_is_not_there(row, pk)}"
        yield _effect(n, "no longer waits", "no longer wait", rest, partial(_is_let_go, pk))
    if n := row.kinds["removed"]:
        rest = f"the sequence and {words.agree(n, 'gets', 'get')} nothing more of it"
        yield _effect(n, "leaves", "leave", rest, partial(_is_of, ("removed",)))
    if n := row.kinds["completed"]:
        yield _effect(n, "completes", "complete", "the sequence", partial(_is_of, ("completed",)))
    if (n := _moved_otherwise(row)) > 0:
        yield _effect(n, "gets", "get", "another next email or date", partial(_is_of, ("dated", "paused")))
    yield from _still(row)


def _effect(n: int, one: str, many: str, rest: str, concerns: Callable[[Person], bool] = lambda _: False) -> Effect:
    return Effect(n, f"{words.agree(n, one, many)} {rest}", concerns)


def _gets_right_away(email_id: int, person: Person) -> bool:
    return person.kind == "right_away" and person.after.email_id == email_id


def _skips(email_id: int, reason: str, person: Person) -> bool:
    return (person.skipped_id, person.reason) == (email_id, reason)


def _is_let_go(email_id: int, person: Person) -> bool:
    return person.let_go_id == email_id


def _is_of(kinds: tuple[Kind, ...], person: Person) -> bool:
    return person.kind in kinds


def _moved_otherwise(row: Impact) -> int:
    """People who move and whom no other part of the sentence covers."""
    return row.kinds_moved["dated"] + row.kinds_moved["paused"]


def _still(row: Impact) -> Iterator[Effect]:
    stops = row.before.active and not row.done.sequence.active
    if stops and (n := row.kinds["paused"]):
        rest = "their place, and nothing is sent until the sequence is resumed"
        yield _effect(n, "keeps", "keep", rest, partial(_is_of, ("paused",)))
    if n := row.kinds["waiting"]:
        yield _effect(n, "waits", "wait", "without a date", partial(_is_of, ("waiting",)))
    if n := row.kinds["unconfirmed"]:
        yield _effect(n, "has", "have", "yet to confirm, and nothing changes for them")
    if (n := row.unchanged - row.kinds_kept["waiting"] - row.kinds_kept["unconfirmed"]) > 0:
        noun = "date" if row.done.sequence.active else "place"
        yield _effect(n, "keeps", "keep", f"their {noun}{'' if n == 1 else 's'}")
    if row.done.is_filtered:
        yield Effect(0, "nobody's dates change, and everybody is looked at again when its turn comes")
    if row.done.retimed:
        retimed = edit_words.retimed(row.done.retimed)
        yield Effect(0, f"{retimed}: for dates given from now on (rescheduling gives those who wait a new one)")


def _sieved(row: Impact) -> Iterator[Effect]:
    """A filter set, changed or taken away."""
    if n := row.kept_from:
        rest = f"{_filtered(row)} when its turn comes ({because(row, _filtered_id(row), reasons.FILTERED)})"
        yield _effect(n, "skips", "skip", rest, partial(_is_sieved, "kept_from"))
    if n := row.let_through:
        rest = f"{_filtered(row)}, and would have skipped it"
        yield _effect(n, "gets", "get", rest, partial(_is_sieved, "let_through"))


def _is_sieved(sieve: Sieve, person: Person) -> bool:
    return person.sieve == sieve


def _filtered_id(row: Impact) -> int:
    assert row.done.email is not None
    return row.done.email.pk


def _filtered(row: Impact) -> str:
    return f"“{row.emails[_filtered_id(row)].subject}”"


def why_skipped(row: Impact, email_id: int, reason: str) -> str:
    """Why somebody skips an email, as a sentence."""
    clause = because(row, email_id, reason)
    return f"{clause[:1].upper()}{clause[1:]}."


def because(row: Impact, email_id: int, reason: str) -> str:
    """The same as a clause."""
    if reason == reasons.FILTERED and email_id in row.readers:
        return reasons.filtered(row.readers[email_id])
    return reasons.because(reason, row.names)


def _is_not_there(row: Impact, email_id: int) -> str:
    return "is not published" if row.emails[email_id].deleted_at is None else "is deleted"


def why(row: Impact, person: Person) -> str:
    """Why this person gets there."""
    before, after = _subject(row, person.before), _subject(row, person.after)
    if person.reason == reasons.EMAIL_DELETED:
        return f"{_subject_of(row, person.skipped_id)} is deleted: they skip it at the moment it would have gone."
    if person.reason:
        assert person.skipped_id is not None
        but = because(row, person.skipped_id, person.reason)
        return f"{after} would go right away, but {but}: they skip it and move on."
    if person.sieve:
        return _why_sieved(row, person.sieve)
    match person.kind:
        case "removed":
            return "The sequence is deleted, so nothing more of it is sent to them."
        case "completed":
            return "Nothing comes next for them, and the sequence does not hold people at its end."
        case "paused":
            held = "they are paused themselves" if person.paused else "the sequence is inactive"
            return f"They keep their place at {after}, but {held}: nothing is sent until that ends."
        case "waiting":
            return _why_undated(row, person.after.email_id, after)
    return _why_dated(row, person, before, after)


def _why_sieved(row: Impact, sieve: Sieve) -> str:
    """By what is known of them now."""
    subject, goes_to = _filtered(row), row.readers.get(_filtered_id(row), "everybody")
    if sieve == "let_through":
        return f"{subject} went only to some people, and they were not among them; now it goes to {goes_to}."
    return f"{subject} goes only to {goes_to}, and they are not among them: they skip it when its turn comes."


def _why_undated(row: Impact, email_id: int | None, after: str) -> str:
    if email_id is None:
        return "Nothing published comes next for them: they wait for what is published later."
    if row.emails[email_id].published:
        return f"They wait for {after}, which is on hold: without a date until it is released."
    return f"They wait for {after}, which is not published: without a date until it is."


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
    if person.before.email_id in row.waits_skipped:
        return f"The wait for {after} is skipped: it goes {at}."
    if person.before.at is None and person.before.email_id in row.were_held:
        return f"{after} was on hold; now it goes {at}."
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
