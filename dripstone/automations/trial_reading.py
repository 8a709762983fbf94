"""A test run as somebody asks for it by API: who the person is, how they come in, and what happens to them when.

{"first_name": "Ann", "tag_ids": [3], "entry": "in", "happens": [{"after": {"days": 2}, "node": "bought"}]}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from dripstone.accounts.models import Account
from dripstone.automations import imagining, kinds, reading
from dripstone.automations.graph import Graph, GraphNode
from dripstone.automations.imagining import CONFIRMS, UNSUBSCRIBES, Happening, Imagined
from dripstone.automations.trial import Planned
from dripstone.given import Checked, Given
from dripstone.grammar import kinds as things
from dripstone.sequences.known import known
from dripstone.subscribers import fields, subscribe
from dripstone.triggers import when

MOST: Final = 50  # things that happen to one person

WHAT = (CONFIRMS, UNSUBSCRIBES)


@dataclass(frozen=True, slots=True)
class Run:
    """As trial.lived takes it."""

    person: Imagined
    begins_at: datetime
    entry: str = ""
    planned: tuple[Planned, ...] = ()
    ways: Mapping[str, str] = field(default_factory=dict)


def read(given: Given, graph: Graph, account: Account, now: datetime) -> Run:
    """Raises Invalid with every problem."""
    one = Checked(given)
    person = _person(one, account)
    begins_at = _begins_at(one, account, now)
    entry, planned, ways = _entry(one, graph), tuple(_planned(one, graph)), _ways(one, graph)
    one.raise_problems()
    return Run(person, begins_at, entry, planned, ways)


def events(graph: Graph) -> list[GraphNode]:
    """Whose event can be brought about."""
    found = (node for node in graph.living if node.kind == kinds.EVENT)
    return [node for node in found if imagining.may_happen(node.trigger)]


def forks(graph: Graph) -> list[GraphNode]:
    return [node for node in graph.living if node.kind in (kinds.CONDITION, kinds.SPLIT)]


# --- Who they are -------------------------------------------------------------------------------------------------


def _person(one: Checked, account: Account) -> Imagined:
    one.text_or_null("first_name")
    one.drop_nulls("confirmed")
    one.flag("confirmed")
    return Imagined(
        first_name=one.values.get("first_name", imagining.NAME) or "",
        is_confirmed=one.values.get("confirmed", True),
        tag_ids=_ids(one, "tag_ids", "tag", account),
        form_ids=_ids(one, "form_ids", "form", account),
        product_ids=_ids(one, "product_ids", "product", account),
        fields=_fields(one, account),
    )


def _ids(one: Checked, name: str, kind: str, account: Account) -> frozenset[int]:
    one.ids_or_null(name)
    ids = one.values.get(name) or []
    there = known(account.pk)(kind, ids) if ids else ()
    for pk in ids:
        if pk not in there:
            one.refuse(name, f"{name}: {things.noun(kind)} {pk} does not exist")
    return frozenset(ids)


def _fields(one: Checked, account: Account) -> dict[int, str]:
    """Values by key, as everywhere in the API."""
    ids = {key: int(pk) for pk, key in fields.keys_of(account.pk).items()}
    one.texts("fields", subscribe.MAX_FIELDS)
    values: Mapping[str, str | None] = one.values.get("fields", {})
    for key in values.keys() - ids.keys():
        one.refuse(f"fields.{key}", f"fields.{key}: there is no such custom field")
    return {ids[key]: value for key, value in values.items() if value and key in ids}


# --- What happens -------------------------------------------------------------------------------------------------


def _begins_at(one: Checked, account: Account, now: datetime) -> datetime:
    if one.given.get("at") is None:
        return now
    at = when.read_instant(one, account).get("at")
    return now if at is None else datetime.fromisoformat(at)


def _entry(one: Checked, graph: Graph) -> str:
    """The first, unless they are put in by hand (null)."""
    entries = [entry["id"] for entry in graph.entries]
    one.choice_or_null("entry", entries)
    return one.values.get("entry", entries[0] if entries else "") or ""


def _planned(one: Checked, graph: Graph) -> Iterator[Planned]:
    listed = one.given.get("happens")
    if listed is None:
        return
    if not isinstance(listed, list) or len(listed) > MOST:
        one.wrong("happens", f"must be an array of at most {MOST}")
        return
    triggers = {node.key: node.trigger for node in events(graph)}
    for place, said in enumerate(listed):
        part = one.inside(f"happens[{place}]", said)
        if part is not None and (found := _happening(part, triggers)) is not None:
            yield found


def _happening(part: Checked, triggers: Mapping[str, Any]) -> Planned | None:
    part.drop_nulls("node", "what")
    part.choice("node", list(triggers))
    part.choice("what", WHAT)
    if (part.given.get("node") is None) == (part.given.get("what") is None):
        part.refuse("node", f"{part.path('node')} or what: one of them says what happens")
        return None
    span = reading.span(part, "after") if part.given.get("after") is not None else {}
    what: Happening | None = part.values.get("what") or triggers.get(part.values.get("node", ""))
    return None if what is None or span is None else Planned(timedelta(**span), what)


def _ways(one: Checked, graph: Graph) -> dict[str, str]:
    """Of forks, by which exit they go whatever is true."""
    part = one.part("ways") if one.given.get("ways") is not None else None
    if part is None:
        return {}
    exits = {node.key: [name for name, _ in node.ways] for node in forks(graph)}
    for key in part.given:
        if key in exits:
            part.choice(key, exits[key])
        else:
            part.refuse(key, f"{part.path(key)}: there is no such condition or split")
    return part.values
