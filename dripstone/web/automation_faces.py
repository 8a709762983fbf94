"""What stands in the boxes of an automation's picture: two short lines each. The sentence of a step is longer."""

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from dripstone import words
from dripstone.automations import kinds
from dripstone.automations.graph import BRANCHES, Graph, GraphNode
from dripstone.automations.words import span
from dripstone.conditions import words as condition_words
from dripstone.conditions.words import Names
from dripstone.grammar import Thing
from dripstone.triggers import when

TITLE, SUB, WAY = 23, 27, 22  # how many letters have room
LINE = 50  # outside of the picture


class Face(NamedTuple):
    title: str
    sub: str = ""


def of(node: GraphNode, names: Names) -> Face:
    face = _FACES[node.kind](node, names)
    return Face(cut(face.title, TITLE), cut(face.sub, SUB))


def title(node: GraphNode, names: Names) -> str:
    """The first line alone, for sentences and lists, which have more room than a box."""
    return cut(_FACES[node.kind](node, names).title, LINE)


def of_entry(graph: Graph, names: Names) -> Face:
    """The first of its triggers, and the second or how many others."""
    said = [_shorter(when.words(trigger, names).removeprefix("somebody ")) for trigger in graph.triggers]
    if not said:
        return Face("Nobody enters by itself", "by hand, or by a move")
    first, *others = said
    sub = f"or {others[0]}" if len(others) == 1 else f"or one of {len(others)} others" if others else ""
    return Face(cut(_capital(first), TITLE), cut(sub, SUB))


def _shorter(said: str) -> str:
    """Without what the box has no room for: `gets tag “Course”`."""
    for noun in ("tag", "form", "sequence", "field", "automation"):
        said = said.replace(f" the {noun} “", f" {noun} “")
    return said


def cut(text: str, room: int) -> str:
    """As many letters as have room: wide ones take two places."""
    taken, kept = 0.0, ""
    whole = " ".join(text.split())
    if width_of(whole) <= room:
        return whole
    for letter in whole:
        taken += _width(letter)
        if taken > room - 1.4:
            break
        kept += letter
    return f"{kept.rstrip(' ,“(')}…"


def width_of(text: str) -> float:
    """In letters of ordinary width."""
    return sum(_width(letter) for letter in text)


def _width(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in ("W", "F"):
        return 2
    if letter in "MWmw@%…":
        return 1.4
    if letter in "ilIjtfr.,:;!|'“” ()":
        return 0.65
    return 1.2 if letter.isupper() else 1


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _name(kind: str, pk: object, names: Names) -> str:
    thing: Thing = (kind, int(str(pk)))
    return " ".join(names[thing].split()) if thing in names else f"Number {pk}, which is gone"


# --- By kind --------------------------------------------------------------------------------------------------------


def _sequence(node: GraphNode, names: Names) -> Face:
    until = {kinds.COMPLETED: "until completed", kinds.LAST_EMAIL: "until its last email"}
    wait = until.get(node.settings["wait"], "going on at once")
    return Face(_name("sequence", node.settings["sequence_id"], names), f"sequence, {wait}")


def _wait(node: GraphNode, names: Names) -> Face:
    if "for" in node.settings:
        return Face(f"Wait {span(node.settings['for'])}")
    until = node.settings["until"]
    if "at" in until:
        at = datetime.fromisoformat(until["at"])
        return Face("Wait", f"until {at.day} {at:%B %Y, %H:%M}")
    hour = f"at {until['hour']}:00"
    if "weekdays" in until:
        days = [day[:3].capitalize() for day in until["weekdays"]]
        return Face(f"Wait for {days[0] if len(days) == 1 else words.listed(days)}", hour)
    days = until["days"]
    away = f"{words.count(abs(days), 'day')} {'before' if days < 0 else 'after'}, " if days else ""
    return Face(f"Wait for {_name('custom_field', until['custom_field_id'], names)}", f"{away}{hour}")


def _act(label: str, kind: str, member: str) -> Callable[[GraphNode, Names], Face]:
    return lambda node, names: Face(f"{label} {words.title(_name(kind, node.settings[member], names))}")


def _field(node: GraphNode, names: Names) -> Face:
    value = node.settings["value"]
    name = _name("custom_field", node.settings["custom_field_id"], names)
    return Face(f"Set {words.title(name)}", f"to {words.title(value)}") if value else Face(f"Empty {words.title(name)}")


def _condition(node: GraphNode, names: Names) -> Face:
    said = _shorter(condition_words.sentence(node.settings["if"], 0, names))
    within = node.settings.get("within")
    return Face(_capital(f"{said}?"), f"within {span(within)}" if within else "asked on arrival")


def _split(node: GraphNode, names: Names) -> Face:
    branches = node.settings[BRANCHES]
    if all("percent" in one for one in branches):
        return Face(f"Split into {len(branches)}", "by chance")
    return Face(f"Split into {len(branches) + 1}", "the first way that fits")


def _event(node: GraphNode, names: Names) -> Face:
    said = _shorter(when.words(node.trigger, names).removeprefix("somebody ").removeprefix("it is "))
    within = node.settings.get("within")
    return Face(_capital(said), f"event, for {span(within)}" if within else "event, pulls forward")


def _move(node: GraphNode, names: Names) -> Face:
    to = words.title(_name("automation", node.settings["automation_id"], names))
    and_leave = ", and leave" if node.settings.get("and_leave") else ""
    return Face(f"{'Into' if node.settings['way'] == kinds.IN else 'Out of'} {to}", f"automation{and_leave}")


_FACES: Mapping[str, Callable[[GraphNode, Names], Face]] = {
    kinds.SEQUENCE: _sequence,
    kinds.WAIT: _wait,
    kinds.TAG: _act("Add tag", "tag", "tag_id"),
    kinds.UNTAG: _act("Take away", "tag", "tag_id"),
    kinds.FIELD: _field,
    kinds.FORM: _act("Onto form", "form", "form_id"),
    kinds.UNSUBSCRIBE: lambda node, names: Face("Unsubscribe", "and nothing else"),
    kinds.CONDITION: _condition,
    kinds.SPLIT: _split,
    kinds.EVENT: _event,
    kinds.MOVE: _move,
    kinds.CALL: lambda node, names: Face("Call a URL", urlsplit(node.settings["url"]).hostname or ""),
    kinds.MAIL_OWNER: lambda node, names: Face("Mail the owners", words.title(node.settings["text"])),
}
