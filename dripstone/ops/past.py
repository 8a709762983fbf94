"""The question before mailing the past: asked on a terminal, printed elsewhere; `dripstone resume-sending` answers."""

import sys
from collections.abc import Callable

import typer

from dripstone import clock, words
from dripstone.engine import pulse
from dripstone.engine.acts import overdue
from dripstone.errors import Invalid

Tell = Callable[[str], None]

COMMAND = "dripstone resume-sending --late send|next-slot|skip"
ANSWERS = """\
  send       as after any outage: hours and immediate emails right away, days at their next day and hour
  next-slot  nothing right away: every overdue email at its sequence's next day and hour
  skip       treat every overdue email as sent when it was due: the choice after a restored backup"""


def ask_or_tell(tell: Tell) -> None:
    """At the start of `dripstone up`. On a terminal, Enter leaves it halted; without one there is no answer."""
    now = clock.now()
    if pulse.may_send(now):
        return
    tell(f"{overdue.why_halted(now)} {overdue.how_much(now)}")
    if sys.stdin is None or not sys.stdin.isatty():
        tell(f"To decide: {COMMAND}")
        return
    answer = _ask(tell)
    if answer == "later":
        tell(f"Sending stays halted. To decide: {COMMAND}")
    else:
        resume(answer, tell)


def resume(answer: str | None, tell: Tell) -> None:
    """Raises Invalid for an unknown answer, and for none when there is no terminal to ask on."""
    now = clock.now()
    if pulse.may_send(now):
        tell("Sending is not halted; there is nothing to decide.")
        return
    if answer is None and sys.stdin is not None and sys.stdin.isatty():
        tell(f"{overdue.why_halted(now)} {overdue.how_much(now)}")
        answer = _ask(tell)
        if answer == "later":
            return
    choice = next((one for one in overdue.CHOICES if one == answer), None)
    if choice is None:
        raise Invalid(
            f"Say what becomes of overdue mail: {COMMAND}\n{overdue.why_halted(now)} {overdue.how_much(now)}\n{ANSWERS}"
        )
    n_decided = overdue.resume(choice, clock.now())
    emails = words.count(n_decided, "email")
    done = {
        "send": "",
        "next-slot": f"{emails} {'waits' if n_decided == 1 else 'wait'} for the next day and hour. ",
        "skip": f"{emails} {'was' if n_decided == 1 else 'were'} skipped. ",
    }
    tell(f"{done[choice]}Sending goes on.")


def _ask(tell: Tell) -> str:
    tell(f"What should happen to the overdue mail?\n{ANSWERS}\n  later      go on without sending, and decide later")
    answers = [*overdue.CHOICES, "later"]
    answer = ""
    while answer not in answers:
        answer = typer.prompt("/".join(answers), default="later", show_default=False, err=True).strip()
    return answer
