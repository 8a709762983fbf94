"""Why something happened: each event has a chain of causes, from the outermost to the last.

It begins with an act from outside: `owner`, `api`, `subscriber` (their own click), or what people come in by: `form 2`,
`import 4`, `bulk 9`, `rule`, `automation` … A rule or automation that acts on an event adds itself: ("api", "rule 7",
"automation 3"). A chain ends when time passes: an event set off by a wait, a date or an email has no earlier cause, and
begins with ().
"""

from collections.abc import Sequence

Cause = tuple[str, ...]

NONE: Cause = ()  # set off by time, or by the end of an email
OWNER: Cause = ("owner",)  # at a page
API: Cause = ("api",)
SUBSCRIBER: Cause = ("subscriber",)  # through a link in an email


QUIET = "quiet"  # beside an act from outside: no rule is to fire on it, and nobody to enter an automation by it (A17)
DEEPEST = 10  # rules and automations in a chain: behind them an event fires no rule and admits nobody (A16)


def form(form_id: int) -> Cause:
    return (f"form {form_id}",)


def bulk(action_id: int) -> Cause:
    return (f"bulk {action_id}",)


def imported(import_id: int) -> Cause:
    return (f"import {import_id}",)


def rule(cause: Cause, rule_id: int) -> Cause:
    """What the rule does because of an event with that cause."""
    return (*cause, f"rule {rule_id}")


def has_rule(cause: Sequence[str], rule_id: int) -> bool:
    """Whether the event comes of what that rule did."""
    return f"rule {rule_id}" in cause


def automation(cause: Cause, automation_id: int) -> Cause:
    """What the automation does because of an event with that cause."""
    return (*cause, f"automation {automation_id}")


def has_automation(cause: Sequence[str], automation_id: int) -> bool:
    """Whether the event comes of what that automation did."""
    return f"automation {automation_id}" in cause


def is_by_automation(cause: Sequence[str], automation_id: int) -> bool:
    """Whether that automation itself did it."""
    return bool(cause) and cause[-1] == f"automation {automation_id}"


def quietly(cause: Cause) -> Cause:
    """The same act, told not to fire rules."""
    return (*cause, QUIET)


def is_quiet(cause: Sequence[str]) -> bool:
    return QUIET in cause


def depth(cause: Sequence[str]) -> int:
    """How many rules and automations lie between the act from outside, or the instant, and the event."""
    return sum(one.startswith(("rule ", "automation ")) for one in cause)


def is_from_outside(cause: Sequence[str]) -> bool:
    """Somebody did it, at a page, by API, through a form …: no rule, no automation, and no passing of time."""
    return bool(cause) and depth(cause) == 0


def of_actor(actor: str) -> Cause:
    """The cause of an act that leaves a note: a credential of the API calls itself "API key …"; anybody else is a
    person at a page or a command, called by their address or "owner"."""
    return API if actor.startswith("API ") else OWNER
