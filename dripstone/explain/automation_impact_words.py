"""The impact of an act on an automation as sentences: what happens to how many people, and who they are."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dripstone import words
from dripstone.automations import edits, kinds
from dripstone.automations import words as graph_words
from dripstone.automations.edits import Change
from dripstone.automations.graph import AT_ENTRY, OTHERWISE, Graph, GraphNode
from dripstone.automations.steps import Sequences
from dripstone.conditions.words import Names
from dripstone.foresight.automation_impact import AtNode, AutomationImpact
from dripstone.foresight.going import Going


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens to `n` people: “3 people leave at once” is 3 and the rest.

    n       0: about no number of people
    phrase  with the verb in their number
    names   of some of them
    node    where they stand; "" for the entry, None where it is about no one node
    """

    n: int
    phrase: str
    names: list[str] = field(default_factory=list)
    node: str | None = None

    def __str__(self) -> str:
        return f"{words.people(self.n)} {self.phrase}" if self.n else self.phrase


def summary(row: AutomationImpact, names: Names, *, sequences: Sequences | None = None) -> str:
    """One sentence: “3 people leave at once; 140 people keep their date at “Wait 3 days””."""
    if not row.n_inside:
        return "Nobody is inside this automation, so nobody is affected."
    found = "; ".join(map(str, effects(row, names, sequences=sequences)))
    return f"{found}." if found else "Nobody who is inside now is affected."


def effects(row: AutomationImpact, names: Names, *, sequences: Sequences | None = None) -> Iterator[Effect]:
    """The gravest first: what happens at once, then what becomes of whom where they stand.

    names       automations/words.names_of, of `row.graph`
    sequences   of a deletion, what was chosen
    """
    yield from at_once(row, names)
    match row.act:
        case "publish":
            yield from _of_edit(row, names)
        case "activate":
            yield from _of_activation(row)
        case "pause" | "deactivate":
            yield from _of_stop(row)
        case "delete":
            yield from _of_deletion(row, sequences)


# --- At once ------------------------------------------------------------------------------------------------------


def at_once(row: AutomationImpact, names: Names) -> Iterator[Effect]:
    going = row.going
    yield from _mailed(going)
    n = going.unsubscribed
    yield from _some(n, f"{words.agree(n, 'is', 'are')} unsubscribed at once")
    n = going.leaves - going.unsubscribed
    yield from _some(n, f"{words.agree(n, 'leaves', 'leave')} the automation at once")
    n = going.called
    yield from _some(n, f"{words.agree(n, 'has', 'have')} a call made about them at once")
    n = going.told
    yield from _some(n, f"{words.agree(n, 'is', 'are')} told of in a mail to the owners")
    for key, n in going.stops.items():
        where = called(row.graph, key, names)
        yield Effect(n, f"{words.agree(n, 'goes', 'go')} on at once, and {words.agree(n, 'waits', 'wait')} at {where}")
    n = going.unknown
    yield from _some(n, "may go on at once: how many, and where to, is not known before")
    n = row.n_unconfirmed
    yield from _some(n, f"{words.agree(n, 'has', 'have')} yet to confirm, and {words.agree(n, 'goes', 'go')} on then")
    if going.is_about and going.n:
        yield Effect(0, "what is done on the way may change some of these numbers a little")


def _mailed(going: Going) -> Iterator[Effect]:
    for pk, n in going.enters.items():
        name = words.title(going.sequences[pk])
        if going.mailed[pk]:
            yield Effect(n, f"{words.agree(n, 'gets', 'get')} the first email of {name} at once")
        elif n:
            yield Effect(n, f"{words.agree(n, 'enters', 'enter')} the sequence {name} at once")


def _some(n: int, phrase: str) -> Iterator[Effect]:
    if n:
        yield Effect(n, phrase)


# --- Edits --------------------------------------------------------------------------------------------------------


def _of_edit(row: AutomationImpact, names: Names) -> Iterator[Effect]:
    for one in row.nodes:
        if one.n:
            yield Effect(one.n, of_node(row, one, names), one.names, one.key)
    n_others = row.n_inside - sum(one.n for one in row.nodes)
    if n_others:
        stands = words.agree(n_others, "stands", "stand")
        yield Effect(n_others, f"{stands} where nothing changes")


def of_node(row: AutomationImpact, one: AtNode, names: Names) -> str:
    """What becomes of whoever stands there: the verb and the rest."""
    if one.change is None:
        assert one.key == AT_ENTRY and row.start is not None
        return f"{words.agree(one.n, 'has', 'have')} not begun, and will begin at {_to(row.graph, row.start[1], names)}"
    return _EDITED[one.change.what](row.graph, one, one.change, names)


def _deleted(graph: Graph, one: AtNode, change: Change, names: Names) -> str:
    here, on = called(graph, one.key, names), _on(graph, one.n, change, names)
    match change.then:
        case "finish":
            finish = words.agree(one.n, "finishes", "finish")
            return f"{finish} the sequence at {here}, which is deleted, and then {on}"
        case "leave_sequence":
            return f"{words.agree(one.n, 'leaves', 'leave')} the sequence at {here}, which is deleted, and {on} at once"
        case "keep_date":
            waits = words.agree(one.n, "waits", "wait")
            return f"{waits} on at {here}, which is deleted, as they would have, and then {on}"
        case "go_on":
            return f"{words.agree(one.n, 'waits', 'wait')} no longer at {here}, which is deleted, and {on} at once"
    return f"{words.agree(one.n, 'stands', 'stand')} at {here}, which is deleted, and {on}"


def _changed(graph: Graph, one: AtNode, change: Change, names: Names) -> str:
    here = called(graph, one.key, names)
    match change.then:
        case "keep_date":
            return f"{words.agree(one.n, 'keeps', 'keep')} the date that they have at {here}"
        case "new_date":
            return f"{words.agree(one.n, 'gets', 'get')} a new date at {here}, counted from when they came there"
        case "finish":
            finish = words.agree(one.n, "finishes", "finish")
            return f"{finish} the sequence that they are in: {here} is another one for those who come to it"
        case "asked":
            looked_at = f"{words.agree(one.n, 'is', 'are')} looked at again at once at {here}"
            return f"{looked_at}{_until(one.n, change)}"
        case "wait_anew":
            return f"{words.agree(one.n, 'waits', 'wait')} at {here} for what happens from now on"
    return f"{words.agree(one.n, 'stands', 'stand')} at {here}, which is changed, and will meet it as it is then"


def _until(n: int, change: Change) -> str:
    """How long whoever is looked at again waits on, where that can be chosen."""
    if edits.DATES not in change.offers:
        return ""
    date = "a new date, counted from when they came there" if change.gives_dates_anew else "the date that they have"
    return f", and {words.agree(n, 'waits', 'wait')} on until {date}"


def _rerouted(graph: Graph, one: AtNode, change: Change, names: Names) -> str:
    here = called(graph, one.key, names)
    ways = [f"{f'“{name}” ' if name != 'next' else ''}{_to(graph, to, names)}" for name, to in change.ways]
    stays, goes = words.agree(one.n, "stays", "stay"), words.agree(one.n, "goes", "go")
    return f"{stays} at {here}, and {goes} on to {words.listed(ways)}"


_EDITED = {"deleted": _deleted, "changed": _changed, "rerouted": _rerouted}


def _on(graph: Graph, n: int, change: Change, names: Names) -> str:
    if change.leads_to is None:
        return f"{words.agree(n, 'leaves', 'leave')} the automation"
    return f"{words.agree(n, 'goes', 'go')} on to {called(graph, change.leads_to, names)}"


def _to(graph: Graph, key: str | None, names: Names) -> str:
    return "the end" if key is None else called(graph, key, names)


def called(graph: Graph, key: str, names: Names) -> str:
    """`“Wait 3 days”`; of the entry `the entry`."""
    return "the entry" if key == AT_ENTRY else words.title(graph_words.node(graph.nodes[key], names))


# --- Switches and deletion ------------------------------------------------------------------------------------------


def _of_activation(row: AutomationImpact) -> Iterator[Effect]:
    n = row.n_let_go
    yield from _some(n, f"{words.agree(n, 'leaves', 'leave')}, since their wait was over too long ago")
    n = row.n_slots
    yield from _some(n, f"{words.agree(n, 'takes', 'take')} the next slot of the weekday and hour that they wait for")
    n = row.n_mailed
    yield from _some(n, f"{words.agree(n, 'gets', 'get')} the next email of the sequence where they stand at once")
    n = row.n_places - row.n_mailed
    rest = "the sequence where they stand, as after a pause of it"
    yield from _some(n, f"{words.agree(n, 'is', 'are')} sent the rest of {rest}")


def _of_stop(row: AutomationImpact) -> Iterator[Effect]:
    n = row.n_places
    nothing = "nothing of the sequence where they stand until it runs again"
    yield from _some(n, f"{words.agree(n, 'is', 'are')} sent {nothing}")
    n = row.n_inside
    yield from _some(n, f"{words.agree(n, 'keeps', 'keep')} their place, and nobody walks on until it runs again")


def _of_deletion(row: AutomationImpact, sequences: Sequences | None) -> Iterator[Effect]:
    n = row.n_inside
    yield from _some(n, f"{words.agree(n, 'leaves', 'leave')} the automation")
    n = row.n_places
    if sequences == "end":
        yield from _some(n, f"{words.agree(n, 'is', 'are')} taken out of the sequence where they stand")
    elif sequences == "finish":
        stays, get = words.agree(n, "stays", "stay"), words.agree(n, "gets", "get")
        yield from _some(n, f"{stays} in the sequence where they stand, and {get} the rest of it")


# --- Choices ------------------------------------------------------------------------------------------------------


def choices(row: AutomationImpact, names: Names) -> Iterator[tuple[AtNode, str, list[tuple[str, str]]]]:
    """What somebody may choose before they publish: where, of which kind (edits.SEQUENCE …), and each option with its
    words."""
    for one in row.nodes:
        offers: Mapping[str, Iterable[str]] = one.change.offers if one.change else {}
        for name, options in offers.items():
            said = [(option, _option(row.graph.nodes[one.key], name, option, names)) for option in options]
            yield one, name, said


def _option(node: GraphNode, name: str, option: str, names: Names) -> str:
    return branch(node, option, names) if name == edits.BRANCH else _OPTIONS[name, option]


_OPTIONS: Mapping[tuple[str, str], str] = {
    (edits.SEQUENCE, edits.FINISH): "Finish the sequence, and go on then",
    (edits.SEQUENCE, edits.LEAVE): "Leave the sequence now, and go on",
    (edits.WAIT, edits.KEEP): "Wait to the end, and go on then",
    (edits.WAIT, edits.END): "Wait no longer, and go on now",
    (edits.DATES, edits.KEEP): "Keep the dates they have",
    (edits.DATES, edits.ANEW): "Give them new dates, counted from when they came there",
}


def branch(node: GraphNode, option: str, names: Names) -> str:
    """Of a deleted fork."""
    if option == OTHERWISE and node.kind != kinds.EVENT:
        return "By “otherwise”"
    said = graph_words.way(node, option, names)
    return f"By “{said}”" if said else "As if it had happened"
