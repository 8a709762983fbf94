"""What happens at once to people who walk on in an automation: where they come to, and what they get on the way.

Takes       a graph, and crowds of people, each with the node they come to
Leaves      nothing: it only reads
A crash here means there is no answer.

A crowd is a query, not a list: it is carried through the graph from fork to fork, and at each fork the database counts
who goes which way, so that a hundred thousand people cost what a hundred do in Python. What acts on the way would
change for a condition behind them is not taken into account; then the counts are said to be about right (`is_about`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet

from dripstone.automations import kinds
from dripstone.automations.graph import NEXT, OTHERWISE, Graph, GraphNode
from dripstone.automations.models import Automation
from dripstone.conditions import sql
from dripstone.conditions.people import expanded
from dripstone.engine import audience
from dripstone.engine.models import Enrollment
from dripstone.foresight import timetable
from dripstone.grammar import Condition
from dripstone.rules import already
from dripstone.sequences.known import known
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber
from dripstone.triggers import when

# Which share of a split has somebody, as walking reckons it: 2**32 is 96 modulo 100. By walk_inside_once, 8 µs each.
_SHARE = """
(SELECT (head %% 100 * 96 + tail %% 100) %% 100 BETWEEN %s AND %s - 1
 FROM automations_walk w
 CROSS JOIN LATERAL sha256(convert_to(%s || ':' || w.subscriber_id || ':' || w.run || ':' || %s, 'UTF8')) hash
 CROSS JOIN LATERAL (SELECT ('x' || encode(substr(hash, 1, 4), 'hex'))::bit(32)::bigint,
                            ('x' || encode(substr(hash, 5, 4), 'hex'))::bit(32)::bigint) parts (head, tail)
 WHERE w.automation_id = %s AND w.subscriber_id = {id} AND w.left_at IS NULL)
"""

UNKNOWN: Final = "?"  # a key of no node
MOST_RECKONED = 5_000  # people of whom a split by shares is asked for each
MOST_CROWDS = 60  # on their way; beyond that it is not known where the rest of them come to

People = QuerySet[Subscriber]
Way = tuple[int, str]
"""Of a move: the automation, "in" or "out"."""


class Crowd(NamedTuple):
    """n people who come to the node `key`; None: who leave; UNKNOWN: nobody knows before.

    has_acted   something on their way changed them
    is_asked    they stand there already, and are looked at again
    is_over     the same, and the limit of their wait is over
    scale       what part of `people` is meant, behind a split of many
    """

    key: str | None
    people: People
    n: int
    has_acted: bool = False
    is_asked: bool = False
    is_over: bool = False
    scale: float = 1


@dataclass
class Going:
    """All counts are numbers of people; who passes several nodes is in several.

    stops     by node: who wait there then
    enters    by sequence; `mailed`: of these, to whom its first email goes at once
    unknown   of whom it is not known before where they come to, or whether they go on at all
    is_about  something on the way may change what a condition behind it is met by, or what is sent
    """

    n: int = 0
    stops: Counter[str] = field(default_factory=Counter)
    leaves: int = 0
    enters: Counter[int] = field(default_factory=Counter)
    mailed: Counter[int] = field(default_factory=Counter)
    called: int = 0
    told: int = 0  # about whom the owners get mail
    unsubscribed: int = 0
    moved: Counter[Way] = field(default_factory=Counter)
    acted: Counter[str] = field(default_factory=Counter)  # by node
    unknown: int = 0
    is_about: bool = False
    sequences: dict[int, str] = field(default_factory=dict)  # names of those above


def of(automation: Automation, graph: Graph, crowds: Iterable[Crowd], now: datetime) -> Going:
    """Where the crowds come to, at once. graph: the one they walk through, deleted nodes behind it included."""
    return _Walking(automation, graph, now).off(list(crowds))


class _Walking:
    def __init__(self, automation: Automation, graph: Graph, now: datetime) -> None:
        self.account, self.automation_id = automation.account, automation.pk
        self.graph, self.now = graph, now
        self.going = Going()
        self.left = MOST_CROWDS
        self._sequences: dict[int, Sequence | None] = {}
        self._mails_at_once: dict[int, bool] = {}

    def off(self, crowds: list[Crowd]) -> Going:
        self.going.n = sum(crowd.n for crowd in crowds)
        waiting = [crowd for crowd in crowds if crowd.n]
        while waiting:
            waiting += [crowd for crowd in self._at(waiting.pop()) if crowd.n]
        return self.going

    def _at(self, crowd: Crowd) -> list[Crowd]:
        if crowd.key is None:
            self.going.leaves += crowd.n
            return []
        if self.left == 0 or crowd.key == UNKNOWN:
            self.going.unknown += crowd.n
            return []
        self.left -= 1
        node = self.graph.nodes[crowd.key]
        if node.is_deleted and not crowd.is_asked:
            return [self._on(node, crowd)]
        return _AT[node.kind](self, node, crowd)

    # Kinds of nodes

    def wait(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        """Of dates that people have in a field, some may be over."""
        if crowd.is_over:
            return [self._on(node, crowd)]
        until = node.settings.get("until", {})
        if "at" in until and datetime.fromisoformat(until["at"]) <= self.now:
            return [self._on(node, crowd)]
        self.going.is_about |= "custom_field_id" in until
        return self._stop(crowd)

    def act(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        self.going.acted[node.key] += crowd.n
        return [self._on(node, crowd, has_acted=True)]

    def call(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        self.going.called += crowd.n
        return [self._on(node, crowd)]

    def mail_owner(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        self.going.told += crowd.n
        return [self._on(node, crowd)]

    def unsubscribe(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        self.going.unsubscribed += crowd.n
        self.going.leaves += crowd.n
        return []

    def move(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        """Whom the other one does not admit is not known before."""
        self.going.moved[node.settings["automation_id"], node.settings["way"]] += crowd.n
        if node.settings.get("and_leave"):
            self.going.is_about = True
            return [crowd._replace(key=None)]
        return [self._on(node, crowd)]

    def condition(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        yes, no = self._parted(crowd, node.settings["if"])
        ways = dict.fromkeys(("yes", "no"), node.leads_to) if node.is_deleted else dict(node.ways)
        if "within" in node.settings and not crowd.is_over:
            return [self._by(yes, ways["yes"]), *self._stop(no)]
        return [self._by(yes, ways["yes"]), self._by(no, ways["no"])]

    def split(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        ways, branches = dict(node.ways), node.settings["branches"]
        if "percent" in branches[0]:
            return self._shared_out(node, crowd)
        found, rest = [], crowd
        for place, branch in enumerate(branches):
            matched, rest = self._parted(rest, branch["if"])
            found.append(matched._replace(key=ways[str(place)]))
        return [*found, rest._replace(key=ways[OTHERWISE])]

    def _shared_out(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        """Of few people each is reckoned, the others take the last branch; of many it is said by the shares."""
        ways, branches, below, left = dict(node.ways), node.settings["branches"], 0, crowd.n
        is_rough = crowd.n > MOST_RECKONED or crowd.scale < 1
        self.going.is_about |= is_rough
        found = []
        for place, branch in enumerate(branches):
            share = branch["percent"] / 100
            if is_rough:
                one = crowd._replace(n=round(crowd.n * share), scale=crowd.scale * share)
            else:
                values = [below, below + branch["percent"], str(self.automation_id), node.key, self.automation_id]
                people = crowd.people.filter(sql.Truth(_SHARE, values))
                is_last = place == len(branches) - 1
                one = crowd._replace(people=people, n=left if is_last else people.count())
            below += branch["percent"]
            left -= one.n
            found.append(self._by(one, ways[str(place)]))
        return found

    def event(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        """Who walks up to it waits for it, unless what it leaves behind is so already."""
        if crowd.is_over:
            ways = dict(node.ways)  # an edit may have taken the limit away, and left the dates
            return [self._by(crowd, ways[OTHERWISE] if OTHERWISE in ways else ways[NEXT])]
        if self._is_gone(node):
            return [self._on(node, crowd)]
        if not node.settings.get("already"):
            return self._stop(crowd)
        if node.trigger["trigger"] == when.DATE:
            is_past = datetime.fromisoformat(node.trigger["at"]) <= self.now
            return [self._on(node, crowd)] if is_past else self._stop(crowd)
        state = already.left_behind(node.trigger, self.account, self.now)
        if state is None:
            return self._stop(crowd)
        met, rest = self._parted(crowd, state)
        return [self._on(node, met), *self._stop(rest)]

    def _is_gone(self, node: GraphNode) -> bool:
        is_there = known(self.account.pk)
        return any(not is_there(kind, {pk}) for kind, pk in when.things(node.trigger))

    def sequence(self, node: GraphNode, crowd: Crowd) -> list[Crowd]:
        """R12, as an automation enters: who is in it waits with it, or begins again where it repeats."""
        if crowd.is_over:
            return [self._on(node, crowd)]
        sequence = self._sequence(node.settings["sequence_id"])
        if sequence is None:
            return [self._on(node, crowd)]
        places = Enrollment.objects.filter(sequence=sequence, subscriber=OuterRef("pk"))
        has_completed, rest = self._cut(crowd, Q(Exists(places.filter(status=Enrollment.Status.COMPLETED))))
        passing = has_completed if not sequence.repeat else has_completed._replace(n=0)
        inside, new = self._cut(rest, Q(Exists(places.filter(status=Enrollment.Status.ACTIVE))))
        n = new.n + (inside.n + has_completed.n if sequence.repeat else 0)
        self.going.enters[sequence.pk] += n
        if self._mails(sequence):
            self.going.mailed[sequence.pk] += n
        if node.settings.get("wait") is False:
            return [self._on(node, crowd, has_acted=True)]
        standing = crowd.n - passing.n
        return [self._on(node, passing), *self._stop(crowd._replace(n=standing))]

    def _sequence(self, pk: int) -> Sequence | None:
        if pk not in self._sequences:
            self._sequences[pk] = Sequence.objects.filter(account=self.account, pk=pk, deleted_at=None).first()
        found = self._sequences[pk]
        if found is not None:
            self.going.sequences[pk] = found.name
        return found

    def _mails(self, sequence: Sequence) -> bool:
        """Whether its first email goes at once. Exclusions and filters may keep some from it."""
        if sequence.pk not in self._mails_at_once:
            lines = timetable.of_entry(sequence, sequence.emails.all(), self.now) if sequence.active else []
            self._mails_at_once[sequence.pk] = bool(lines) and lines[0].due <= self.now
            sifts = any(audience.sources(sequence, self.now)) or (bool(lines) and lines[0].email.filter is not None)
            self.going.is_about |= self._mails_at_once[sequence.pk] and sifts
        return self._mails_at_once[sequence.pk]

    # What becomes of a crowd

    def _on(self, node: GraphNode, crowd: Crowd, *, has_acted: bool = False) -> Crowd:
        return self._by(crowd, dict(node.ways)[NEXT])._replace(has_acted=crowd.has_acted or has_acted)

    def _by(self, crowd: Crowd, key: str | None) -> Crowd:
        return crowd._replace(key=key, is_asked=False, is_over=False)

    def _stop(self, crowd: Crowd) -> list[Crowd]:
        """Who stands there already has not moved."""
        if crowd.is_asked:
            self.going.n -= crowd.n
        elif crowd.n and crowd.key is not None:
            self.going.stops[crowd.key] += crowd.n
        return []

    def _parted(self, crowd: Crowd, condition: Condition) -> tuple[Crowd, Crowd]:
        """Who meets it, and who does not."""
        self.going.is_about |= crowd.has_acted
        found = expanded(condition, self.account.pk)
        if found.is_broken or not crowd.n:
            return crowd._replace(people=crowd.people.none(), n=0), crowd
        return self._cut(crowd, sql.met(found.condition, sql.Asked(self.account, self.now)))

    def _cut(self, crowd: Crowd, truth: Q) -> tuple[Crowd, Crowd]:
        if not crowd.n:
            return crowd, crowd
        these, others = crowd.people.filter(truth), crowd.people.filter(~truth)
        n = min(round(these.count() * crowd.scale), crowd.n)
        return crowd._replace(people=these, n=n), crowd._replace(people=others, n=crowd.n - n)


_AT: Mapping[str, Callable[[_Walking, GraphNode, Crowd], list[Crowd]]] = {
    kinds.WAIT: _Walking.wait,
    kinds.TAG: _Walking.act,
    kinds.UNTAG: _Walking.act,
    kinds.FIELD: _Walking.act,
    kinds.FORM: _Walking.act,
    kinds.CALL: _Walking.call,
    kinds.MAIL_OWNER: _Walking.mail_owner,
    kinds.UNSUBSCRIBE: _Walking.unsubscribe,
    kinds.MOVE: _Walking.move,
    kinds.CONDITION: _Walking.condition,
    kinds.SPLIT: _Walking.split,
    kinds.EVENT: _Walking.event,
    kinds.SEQUENCE: _Walking.sequence,
}
