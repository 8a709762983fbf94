"""Nodes, exits and entries of a graph in words.

names = words.names_of([graph], account_id)
words.node(node, names)   "Put them into the sequence “Welcome”, and wait until they have completed it"
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from dripstone import words as english
from dripstone.automations import graph as graphs
from dripstone.automations import kinds, reading
from dripstone.automations.graph import BRANCHES, NEXT, NO, OTHERWISE, Entry, Graph, GraphNode
from dripstone.conditions import words as conditions
from dripstone.conditions.words import Joint, Names, called
from dripstone.grammar import Condition
from dripstone.triggers import what, when

WHO = "the person"


def names_of(graphs: Iterable[Graph], account_id: int) -> Names:
    """Of all that they name: a query for each kind of thing, however many graphs there are."""
    return conditions.names_of((thing for one in graphs for thing in reading.all_things(one)), account_id)


def node(node: GraphNode, names: Names) -> str:
    """With a capital, without a full stop."""
    said = what.words(node.action, names) if node.kind in kinds.ACTS else _NODES[node.kind](node.settings, names)
    return f"{said[:1].upper()}{said[1:]}"


def way(node: GraphNode, name: str, names: Names) -> str:
    """What stands at an exit: `yes`, `50%`, `otherwise`; "" at a plain `next`."""
    if name == NEXT:
        return ""
    if name.isdigit():
        branch = node.settings[BRANCHES][int(name)]
        return f"{branch['percent']}%" if "percent" in branch else f"if they {condition(branch['if'], names)}"
    within = node.settings.get("within")
    if within and name in (NO, OTHERWISE):
        return f"not within {span(within)}"
    return _WITHOUT_DATE if (node.kind, name) == (kinds.WAIT, OTHERWISE) else name


_WITHOUT_DATE = "without such a date"


def entry(entries: Iterable[Entry], names: Names) -> str:
    """`When somebody gets the tag “Course” or joins the form “News”`."""
    triggers = [graphs.trigger_of(one) for one in entries]
    return f"When {when.sentence(triggers, names)}" if triggers else "Nobody enters by themselves"


def entries(given: Iterable[Entry], names: Names) -> list[tuple[str, str]]:
    """Each with its id: `When somebody gets the tag “Course”`."""
    return [(one["id"], f"When {when.words(graphs.trigger_of(one), names)}") for one in given]


def span(given: Mapping[str, int]) -> str:
    """`3 days`, of a `for` or `within`."""
    ((unit, value),) = given.items()
    return english.delay(value, unit)


def condition(given: Condition, names: Names) -> str:
    """What follows "if they"."""
    return conditions.sentence(given, 0, names)


# --- Nodes --------------------------------------------------------------------------------------------------------

Settings = Mapping[str, Any]


def _sequence(settings: Settings, names: Names) -> str:
    return (
        f"put them into the sequence {called(('sequence', settings['sequence_id']), names)}{_WAITS[settings['wait']]}"
    )


_WAITS: Mapping[str | bool, str] = {
    kinds.COMPLETED: ", and wait until they have completed it",
    kinds.LAST_EMAIL: ", and wait until they have had its last email",
    False: ", and go on at once",
}


def _wait(settings: Settings, names: Names) -> str:
    if "for" in settings:
        return f"wait {span(settings['for'])}"
    until = settings["until"]
    if "at" in until:
        at = datetime.fromisoformat(until["at"])
        return f"wait until {english.day(at.date())} {at.year} at {at:%H:%M}"
    if "weekdays" in until:
        days = [day.capitalize() for day in until["weekdays"]]
        return f"wait until the next {conditions.joined(days, Joint.OR)} at {until['hour']}:00"
    field, n_days = called(("custom_field", until["custom_field_id"]), names), until["days"]
    away = f"{english.count(abs(n_days), 'day')} {'before' if n_days < 0 else 'after'} " if n_days else ""
    return f"wait until {away}the date in the field {field}, at {until['hour']}:00"


def _condition(settings: Settings, names: Names) -> str:
    """It asks on arrival; with a limit it waits to see."""
    asked = f"they {condition(settings['if'], names)}"
    return f"wait up to {span(settings['within'])} until {asked}" if "within" in settings else f"ask whether {asked}"


def _split(settings: Settings, names: Names) -> str:
    if "percent" in settings[BRANCHES][0]:
        return "split them by chance: " + ", ".join(f"{one['percent']}%" for one in settings[BRANCHES])
    return "go the first way that fits"


def _event(settings: Settings, names: Names) -> str:
    trigger = {name: value for name, value in settings.items() if name not in graphs.OF_EVENTS}
    limit = f", at most {span(settings['within'])}" if "within" in settings else ""
    unless = ", unless that is so already" if settings.get("already") else ""
    return f"wait until {when.words(trigger, names, WHO)}{limit}{unless}"


def _move(settings: Settings, names: Names) -> str:
    is_in = settings["way"] == kinds.IN
    automation = called(("automation", settings["automation_id"]), names)
    leave = ", and leave this one" if settings["and_leave"] else ""
    return f"{'put them into' if is_in else 'take them out of'} the automation {automation}{leave}"


_NODES: Mapping[str, Callable[[Settings, Names], str]] = {
    kinds.SEQUENCE: _sequence,
    kinds.WAIT: _wait,
    kinds.CONDITION: _condition,
    kinds.SPLIT: _split,
    kinds.EVENT: _event,
    kinds.MOVE: _move,
}
