"""What a bulk action would do, does and has done, in sentences: for pages and the API."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dripstone import words
from dripstone.bulk import actions as verbs
from dripstone.bulk.counting import Counted, Effect, Whom
from dripstone.bulk.models import BulkAction
from dripstone.conditions.words import Names, names_of
from dripstone.conditions.words import sentence as sentence_of
from dripstone.content import subjects
from dripstone.triggers import reasons, what
from dripstone.triggers.what import Action

STATES: Mapping[str, str] = {
    BulkAction.State.RUNNING: "Under way",
    BulkAction.State.DONE: "Done",
    BulkAction.State.CANCELLED: "Cancelled",
    BulkAction.State.FAILED: "Stopped",
    BulkAction.State.UNDOING: "Being undone",
    BulkAction.State.UNDONE: "Undone",
}
WHY: Mapping[str, str] = {
    BulkAction.Why.FILTER_BROKEN: "What its filter names was deleted meanwhile, so nobody is meant any more",
}

# What an action does to n people, "somebody" or "people" before it: one, several.
_DONE: Mapping[str, tuple[str, str]] = {
    what.TAG: ("gets the tag {}", "get the tag {}"),
    what.UNTAG: ("loses the tag {}", "lose the tag {}"),
    what.FIELD: ("gets another value in the field {}", "get another value in the field {}"),
    what.FORM: ("is put on the form {}", "are put on the form {}"),
    what.LEAVE_FORM: ("is taken off the form {}", "are taken off the form {}"),
    what.ENTER_SEQUENCE: ("enters the sequence {}", "enter the sequence {}"),
    what.LEAVE_SEQUENCE: ("leaves the sequence {}", "leave the sequence {}"),
    what.CALL: ("is told of in a call of {}", "are told of in calls of {}"),
    what.MAIL_OWNER: ("is told of in a mail to the owners", "are told of in mail to the owners"),
    what.UNSUBSCRIBE: ("is unsubscribed from everything", "are unsubscribed from everything"),
    what.DELETE: ("is deleted, and cannot be brought back", "are deleted, and cannot be brought back"),
}

_MOVED: Mapping[str, tuple[str, str]] = {
    "in": ("enters the automation {}", "enter the automation {}"),
    "out": ("leaves the automation {}", "leave the automation {}"),
}


def names_in(actions: Sequence[Action], account_id: int) -> Names:
    return names_of({thing for action in actions for thing in what.things(action)}, account_id)


def whom(whom: Whom, account_id: int) -> str:
    """`people who have the tag “Course”`, `everybody`, `3 people, chosen one by one`."""
    if "ids" in whom:
        return f"{words.people(len(whom['ids']))}, chosen one by one"
    condition = whom["filter"]
    return "everybody" if condition == {"all": []} else f"people who {sentence_of(condition, account_id)}"


def whom_of(row: BulkAction) -> str:
    return whom({"filter": row.filter} if row.ids is None else {"ids": row.ids}, row.account_id)


@dataclass(frozen=True, slots=True)
class Said:
    """`12 people`, `get the tag “Course”`; n: 0 where it is about no number."""

    n: int
    phrase: str

    def __str__(self) -> str:
        return f"{words.people(self.n)} {self.phrase}" if self.n else self.phrase


def effects(counted: Counted, zone: str, names: Names, now: datetime) -> Iterator[Said]:
    """What it would do, action by action."""
    for effect in counted.effects:
        yield from _effect(effect, counted, zone, names, now)
    if counted.n_unknown:
        yield Said(0, f"{words.count(counted.n_unknown, 'id')} of the list {_are(counted.n_unknown)} nobody’s here")


def _effect(effect: Effect, counted: Counted, zone: str, names: Names, now: datetime) -> Iterator[Said]:
    if effect.is_gone:
        yield Said(0, f"Nothing comes of “{what.words(effect.action, names)}”: what it is about was deleted")
        return
    n = effect.n_changed
    if n:
        at_most = ", unless they have it already" if effect.is_at_most else ""
        yield Said(n, _phrase(effect.action, n, names) + at_most)
    if effect.n_asked:
        yield Said(effect.n_asked, f"{_are(effect.n_asked)} asked by mail to confirm first")
    if effect.entering is not None and n:
        yield from _entering(effect, zone, now)
    rest = counted.n_people - n - effect.n_asked
    if rest > 0:
        yield Said(rest, _untouched(effect, counted, rest))


def _phrase(action: Action, n: int, names: Names) -> str:
    one, many = _MOVED[action["way"]] if action["kind"] == what.MOVE else _DONE[action["kind"]]
    said = what.words(action, names)
    thing = action["url"] if action["kind"] == what.CALL else said[said.index("“") :] if "“" in said else ""
    if action["kind"] == what.FIELD:
        thing = said.removeprefix("set the field ").removeprefix("empty the field ")
    return (one if n == 1 else many).format(thing)


def _entering(effect: Effect, zone: str, now: datetime) -> Iterator[Said]:
    entering = effect.entering
    assert entering is not None
    n_now = effect.n_changed - entering.n_unconfirmed
    if entering.n_unconfirmed:
        yield Said(entering.n_unconfirmed, "of these have yet to confirm their address, and wait until then")
    if entering.first is None:
        why = "it has no email to send now" if entering.sequence.active else "it is paused"
        yield Said(0, f"Nothing is sent at first: {why}")
    elif n_now:
        email, at = entering.first
        goes = "within minutes" if at <= now else words.on(at, zone, now)
        yield Said(n_now, f"{words.agree(n_now, 'gets', 'get')} {words.title(subjects.readable(email.subject))} {goes}")


def _untouched(effect: Effect, counted: Counted, n: int) -> str:
    if effect.action["kind"] == what.ENTER_SEQUENCE and counted.n_unmailable:
        if counted.n_unmailable >= n:
            return f"{words.agree(n, 'stays', 'stay')} out: they may not be mailed"
        return f"{words.agree(n, 'stays', 'stay')} as they are; {counted.n_unmailable:,} of them may not be mailed"
    if effect.action["kind"] == what.MOVE and effect.action["way"] == "in":
        return f"{words.agree(n, 'does not enter', 'do not enter')}: its log says why"
    return f"{words.agree(n, 'is', 'are')} so already, and {words.agree(n, 'stays', 'stay')}"


def _are(n: int) -> str:
    return words.agree(n, "is", "are")


# --- What was done ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Passed:
    reason: str
    text: str
    n: int


@dataclass(frozen=True, slots=True)
class Reported:
    """Of one action: what it is, how many it has changed, and why it passed the others by."""

    action: Action
    sentence: str
    n_changed: int
    passed: list[Passed]


def report(row: BulkAction, names: Names) -> list[Reported]:
    return [
        Reported(action, what.words(action, names), told["changed"], _passed(told["passed"]))
        for action, told in zip(row.actions, row.report, strict=True)
    ]


def _passed(passed: Mapping[str, int]) -> list[Passed]:
    by_number = sorted(passed.items(), key=lambda one: (-one[1], one[0]))
    return [Passed(reason, reasons.WORDS.get(reason, reason), n) for reason, n in by_number]


def undone(row: BulkAction) -> str:
    """`12 changes undone. 3 left as they are: somebody has changed them since.`"""
    said = f"{words.count(row.n_undone, 'change')} undone."
    if row.n_left:
        said += (
            f" {row.n_left:,} left as {words.agree(row.n_left, 'it is: it has', 'they are: they have')} changed since."
        )
    return said


def beyond_undo(row: BulkAction, names: Names) -> list[str]:
    """What an undo leaves as it is: `put them into the sequence “Welcome”`."""
    return [what.words(action, names) for action in row.actions if action["kind"] not in verbs.UNDOABLE]
