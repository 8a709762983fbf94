"""What an act on one person's place would do to each email of the sequence, in words: their journey before and after.

The act is carried out and undone (foresight/impact_of_place.py); the dates are those of the journey (journey.py), and
so those the engine will give.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dripstone import words
from dripstone.content import subjects
from dripstone.engine.models import Enrollment
from dripstone.errors import NotFound
from dripstone.explain import journey, journey_words
from dripstone.explain.journey import ENDED, GOES, Facts, Journey, Step
from dripstone.foresight import impact_of_place
from dripstone.foresight.impact_of_place import Proposal

WOULD_HAVE, INSTEAD = "; it would have gone", ", instead of"  # before the date that an email had


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to an email, or to several in a row, or to the place: “Rock” goes | today, 11:00 | , instead of …

    phrase, date, rest   a sentence in three parts; the date stands out, and may be missing
    """

    phrase: str
    date: str = ""
    rest: str = ""

    def __str__(self) -> str:
        return f"{self.phrase}{f' {self.date}' if self.date else ''}{self.rest}"


@dataclass(frozen=True, slots=True)
class PlaceImpact:
    """world   figure of what was looked at
    before  None: they are not in the sequence yet
    """

    world: str
    before: Journey | None
    after: Journey

    @property
    def right_away(self) -> Step | None:
        """The email that the act sends now, if it sends one."""
        first = next((step for step in self.after.steps if _goes_now(step, self.after.facts)), None)
        if first is None or (first.coming is not None and first.coming.excluded):
            return None
        was = _by_email(self.before).get(first.email.pk)
        return None if was is not None and self.before and _goes_now(was, self.before.facts) else first

    def changed(self) -> list[tuple[Step | None, Step]]:
        """Each email that fares otherwise, before and after, in the order of the emails."""
        before = _by_email(self.before)
        pairs = [(before.get(step.email.pk), step) for step in self.after.steps]
        return [(was, step) for was, step in pairs if _differ(was, step)]


def of(sequence_id: int, subscriber_id: int, proposal: Proposal, now: datetime) -> PlaceImpact:
    """Raises whatever the proposal raises, and NotFound."""
    seen = impact_of_place.world(sequence_id, subscriber_id)  # first: any later change makes it void
    before = _journey(sequence_id, subscriber_id, now)

    def look() -> Journey:
        if (found := _journey(sequence_id, subscriber_id, now)) is None:
            raise NotFound
        return found

    return PlaceImpact(seen, before, impact_of_place.carried_out_and_undone(proposal, look))


def _journey(sequence_id: int, subscriber_id: int, now: datetime) -> Journey | None:
    rows = Enrollment.objects.select_related("sequence", "subscriber")
    row = rows.filter(sequence=sequence_id, subscriber=subscriber_id).first()
    return None if row is None else journey.of(row, now)


def _by_email(told: Journey | None) -> dict[int, Step]:
    return {step.email.pk: step for step in told.steps} if told is not None else {}


def _goes_now(step: Step, facts: Facts) -> bool:
    return step.outcome in GOES[:2] and step.at is not None and step.at <= facts.now


# --- Words ------------------------------------------------------------------------------------------------------


def changes(told: PlaceImpact) -> list[Change]:
    """In the order of the emails; what stays as it is is left out. Emails in a row that fare alike are one change."""
    single = [_Single(step, was, told) for was, step in told.changed()]
    return [*_together(single), *map(Change, _about_place(told))]


def _about_place(told: PlaceImpact) -> Iterator[str]:
    """What happens to the place as a whole, if its emails do not say it."""
    before, after = told.before, told.after
    was, why = before.waiting_because if before is not None else "", after.waiting_because
    if why == "completed" and was != why:
        yield "they have then completed the sequence"
    elif why == "at_the_end" and was != why:
        yield "they then wait at the end for what is published later"
    elif was in ("completed", "removed") and why not in ("completed", "removed"):
        yield "they are in the sequence again"
    if before is not None and after.facts.row.run > before.facts.row.run:
        yield "a new run begins; what they had stays in their history"


def summary(told: PlaceImpact) -> str:
    """All of it as one sentence."""
    said = "; ".join(map(str, changes(told)))
    return f"{said[:1].upper()}{said[1:]}." if said else "No email moves."


@dataclass(frozen=True, slots=True)
class _Single:
    step: Step
    was: Step | None
    told: PlaceImpact

    @property
    def fate(self) -> str:
        """Of emails whose sentence has no date of its own: in a row they share one. "" for the others."""
        step, was = self.step, self.was
        if step.outcome == "none":
            return "do not go" if was is None or was.outcome in GOES or was.outcome == "waiting" else ""
        if step.outcome == "waiting" and (was is None or was.outcome in GOES):
            return "wait" if step.why in ("after_another", self.told.after.stop) and not _is_next(self) else ""
        return ""


def _is_next(one: _Single) -> bool:
    return one.step.email == one.told.after.facts.next_email


def _differ(was: Step | None, step: Step) -> bool:
    if was is None:
        return step.outcome not in ("draft", "none")
    if step.outcome in ENDED and was.outcome in ENDED:
        return (was.outcome, was.at) != (step.outcome, step.at)
    if step.outcome == "draft":
        return False
    return _stand(was) != _stand(step)


def _stand(step: Step) -> tuple[object, ...]:
    excluded = step.coming.excluded if step.coming is not None else ""
    why = step.why if step.outcome != "none" else ""
    return "goes" if step.outcome in GOES else step.outcome, step.at, why, excluded


def _together(single: list[_Single]) -> Iterator[Change]:
    waiting: list[_Single] = []
    for one in single:
        if waiting and (one.fate != waiting[0].fate or not one.fate):
            yield _shared(waiting)
            waiting = []
        if one.fate:
            waiting.append(one)
        else:
            yield _alone(one)
    if waiting:
        yield _shared(waiting)


def _shared(several: list[_Single]) -> Change:
    """Emails without dates: `“A” and “B” do not go any more`."""
    names = words.listed(_title(one.step) for one in several[:3])
    if len(several) > 3:
        names = f"{_title(several[0].step)} and {words.count(len(several) - 1, 'email')} after it"
    n, had_dates = len(several), any(one.was is not None and one.was.outcome in GOES for one in several)
    if several[0].fate == "wait":
        return Change(f"{names} {words.agree(n, 'waits', 'wait')}{' without a date' if had_dates else ''}")
    rest = _instead(several[0], WOULD_HAVE) if n == 1 else ""
    return Change(f"{names} {words.agree(n, 'does', 'do')} not go any more", rest=rest)


def _alone(one: _Single) -> Change:
    step, was, facts = one.step, one.was, one.told.after.facts
    title = _title(step)
    if step.outcome in ENDED:
        return _ended(title, one)
    if step.outcome in GOES and step.at is not None:
        on, at = _on(step.at, facts)
        if step.coming is not None and step.coming.excluded:
            because = journey_words.because(step.coming.excluded, step.email, facts)
            return Change(f"{title} has its turn{on}", at, f"; it will be skipped, because {because}")
        again = " again" if was is not None and was.outcome in ("sent", "unknown") else ""
        return Change(f"{title} goes{again}{on}", at, _instead(one, INSTEAD) or _had_not(was))
    kept = facts.due_at if _is_next(one) and facts.due_at is not None else None
    if kept is not None:
        return Change(f"{title} waits; its date is kept,", words.soon(kept, facts.sequence.time_zone, facts.now))
    return Change(f"{title} comes next, without a date" if _is_next(one) else f"{title} waits without a date")


def _ended(title: str, one: _Single) -> Change:
    match one.step.outcome:
        case "skipped":
            return Change(f"{title} is skipped", rest=_instead(one, WOULD_HAVE))
        case "sent":
            return Change(f"{title} counts as sent")
    return Change(f"{title} is {one.step.outcome}")


def _instead(one: _Single, lead: str) -> str:
    """`, instead of Wed 2 Dec, 11:00`: the date it had. "" if it had none."""
    was, before = one.was, one.told.before
    if was is None or before is None or was.outcome not in GOES or was.at is None:
        return ""
    on, at = _on(was.at, before.facts)
    return f"{lead}{on if lead == WOULD_HAVE else ''} {at}"


def _on(at: datetime, facts: Facts) -> tuple[str, str]:
    """`on` and `Wed 2 Dec, 11:00`; "" and `today, 11:00`, or `right away`."""
    said = "right away" if at <= facts.now else words.soon(at, facts.sequence.time_zone, facts.now)
    return "" if said[0].islower() else " on", said


def _had_not(was: Step | None) -> str:
    match was.outcome if was is not None else "":
        case "skipped":
            return "; it was skipped before"
        case "waiting":
            return "; it had no date"
    return ""


def _title(step: Step) -> str:
    return subjects.title(step.email.subject)
