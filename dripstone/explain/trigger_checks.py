"""What the checks of rules and of automations have in common: what they read, and what may be wrong with a trigger, a
condition, or a sequence that people are put into.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Count, Q

from dripstone import grammar, words
from dripstone.accounts.models import Account
from dripstone.automations import kinds as nodes
from dripstone.automations import uses
from dripstone.automations.graph import Graph
from dripstone.automations.models import Automation
from dripstone.conditions import words as condition_words
from dripstone.conditions.words import Names
from dripstone.explain import circles
from dripstone.explain.circles import Acting, Actor, Edges
from dripstone.explain.findings import ERROR, NOTICE, WARNING, Finding, Mend
from dripstone.grammar import Condition, Thing, kinds
from dripstone.rules.models import Rule
from dripstone.sequences.models import Sequence
from dripstone.stats import people as stats
from dripstone.subscribers.models import Form, Tag
from dripstone.triggers import what, when
from dripstone.triggers.when import Trigger

RECENT = timedelta(days=7)
LAST_ROWS = 500  # of a log that are looked at

# What became of the last rows of some logs, and the last that was cut. By firing_of_rule, or step_of_automation.
_LATELY = """
SELECT owner.id, count(*) FILTER (WHERE f.reason = ANY(%(cut)s)), count(*) FILTER (WHERE f.reason = %(mistake)s),
       (array_agg(f.id ORDER BY f.id DESC) FILTER (WHERE f.reason = ANY(%(cut)s)))[1]
FROM unnest(%(owners)s::bigint[]) AS owner (id)
CROSS JOIN LATERAL (
    SELECT id, reason, at FROM {table} WHERE {column} = owner.id ORDER BY id DESC LIMIT %(limit)s) f
WHERE f.at > %(since)s GROUP BY owner.id
"""

GRAVITY = {ERROR: 0, WARNING: 1, NOTICE: 2}


def sorted_by_gravity(findings: Iterable[Finding]) -> list[Finding]:
    """The gravest first."""
    return sorted(findings, key=lambda one: GRAVITY[one.severity])


# --- What is read -------------------------------------------------------------------------------------------------


@dataclass
class World:
    """All that checks ask for, read when they first ask.

    things     that the asked ones name
    triggers   that they wait for
    rules, automations   that are asked about, as they are or would be: they count as working
    """

    account: Account
    now: datetime
    things: frozenset[Thing]
    triggers: Collection[Trigger]
    rules: Collection[Rule] = ()
    automations: Collection[tuple[Automation, Graph]] = field(default=())

    @cached_property
    def names(self) -> Names:
        return condition_words.names_of(self.things, self.account.pk)

    @cached_property
    def working_rules(self) -> dict[int, Rule]:
        """By id: those that are on, and those that are asked about."""
        on = Rule.objects.filter(account=self.account, is_on=True)
        rows = on.only("account", "name", "triggers", "condition", "actions")
        return {rule.pk: rule for rule in (*rows, *self.rules)}

    @cached_property
    def all_automations(self) -> dict[int, tuple[Automation, Graph]]:
        """By id: as they are published, and those that are asked about as they would be."""
        found = {one.pk: (one, graph) for one, graph in uses.graphs(self.account.pk)}
        return found | {one.pk: (one, graph) for one, graph in self.automations}

    @cached_property
    def working_automations(self) -> dict[int, tuple[Automation, Graph]]:
        """By id: those that let people in, and those that are asked about."""
        asked = {one.pk for one, _ in self.automations}
        return {
            pk: (one, graph)
            for pk, (one, graph) in self.all_automations.items()
            if one.status != Automation.Status.INACTIVE or pk in asked
        }

    @cached_property
    def edges(self) -> Edges:
        actors: dict[Actor, Acting] = {("rule", pk): circles.of_rule(one) for pk, one in self.working_rules.items()}
        actors |= {
            ("automation", pk): circles.of_automation(one, graph)
            for pk, (one, graph) in self.working_automations.items()
        }
        repeating = Sequence.objects.filter(account=self.account, deleted_at=None, repeat=True)
        return Edges(actors, set(repeating.values_list("pk", flat=True)))

    def _ids(self, kind: str) -> set[int]:
        return {pk for of_kind, pk in self.things if of_kind == kind}

    @cached_property
    def sequences(self) -> dict[int, Any]:
        """With `n_published`, how many emails they have to send."""
        published = Count("emails", filter=Q(emails__published=True, emails__deleted_at=None))
        rows = Sequence.objects.filter(account=self.account, deleted_at=None, pk__in=self._ids("sequence"))
        return rows.annotate(n_published=published).in_bulk()

    @cached_property
    def closed_forms(self) -> set[int]:
        rows = Form.objects.filter(account=self.account, pk__in=self._ids("form")).exclude(status=Form.Status.ACTIVE)
        return set(rows.values_list("pk", flat=True))

    @cached_property
    def tags_nothing_adds(self) -> set[int]:
        """Nobody has it, and no rule that is on, no automation and no form that is open adds it."""
        waited_for = {one["tag_id"] for one in self.triggers if one["trigger"] == when.TAG_ADDED}
        rows = Tag.objects.filter(account=self.account, pk__in=waited_for)
        alone = set(rows.values_list("pk", flat=True)) - set(self._tags_added())
        if alone:
            forms = Form.objects.filter(account=self.account, status=Form.Status.ACTIVE, tag_ids__overlap=list(alone))
            alone -= {pk for ids in forms.values_list("tag_ids", flat=True) for pk in ids}
        counts = stats.with_tags(sorted(alone)) if alone else Counter[int]()
        return {pk for pk in alone if not counts[pk]}

    def _tags_added(self) -> Iterator[int]:
        for rule in self.working_rules.values():
            yield from (one["tag_id"] for one in rule.actions if one["kind"] == what.TAG)
        for _, graph in self.working_automations.values():
            yield from (node.settings["tag_id"] for node in graph.living if node.kind == nodes.TAG)

    @cached_property
    def has_sender(self) -> bool:
        return self.account.sending_addresses.filter(is_default=True).exists()

    def named(self, thing: Thing) -> str:
        """`the tag “Course”`."""
        return f"the {kinds.noun(thing[0])} {words.title(self.names[thing])}"

    def gone(self, things: Iterable[Thing]) -> Thing | None:
        """The first of these that is not there any more."""
        return next((thing for thing in things if thing not in self.names), None)

    def why_nobody(self, condition: Condition) -> str:
        """Why nobody meets it: a sentence; "" where people may. What stands inside segments counts, too: only these are
        asked for."""
        named = grammar.things(condition)
        if any(kind == "segment" for kind, _ in named):
            return condition_words.problem(condition, self.account.pk)
        unrecorded = {kind for leaf in grammar.leaves(condition) for kind in kinds.unrecorded(leaf)}
        missing = sorted(thing for thing in named if thing not in self.names)
        return condition_words.gone(missing) or condition_words.nothing_yet(sorted(unrecorded))


def number(thing: Thing) -> str:
    """`the tag number 3`, of what is gone."""
    return f"the {kinds.noun(thing[0])} number {thing[1]}"


# --- In a circle --------------------------------------------------------------------------------------------------


def of_circle(actor: Actor, world: World, mend_by: str = "") -> Iterator[Finding]:
    """A date in a field comes once a day at most, and is how some begin anew: worth knowing, and no more."""
    if (circle := world.edges.circle(actor)) is not None:
        severity = NOTICE if circle.pace == circles.Pace.BY_DATE else WARNING
        yield Finding("circle", severity, world.edges.sentence(circle), mend_by=mend_by)


# --- What a log says ----------------------------------------------------------------------------------------------


class Lately(NamedTuple):
    """Within a week, of the last rows. n_cut: kept from going in a circle; last_cut: id of the row"""

    n_cut: int
    n_failed: int
    last_cut: int | None


def lately(
    table: str, column: str, owners: list[int], cut: Collection[str], mistake: str, now: datetime
) -> dict[int, Lately]:
    """By rule or automation."""
    values: dict[str, Any] = {
        "owners": owners,
        "cut": list(cut),
        "mistake": mistake,
        "limit": LAST_ROWS,
        "since": now - RECENT,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LATELY.format(table=table, column=column), values)
        return {pk: Lately(*row) for pk, *row in cursor.fetchall()}


def of_lately(lately: Lately, last: str, doing: str) -> Iterator[Finding]:
    """last   the chain that was cut last, in words
    doing   `firing`: what an error of ours kept it from
    """
    if lately.n_cut:
        times = words.count(lately.n_cut, "time")
        chain = f", the last time {last}" if last else ""
        sentence = f"Within the last week it was kept from going in a circle {times}{chain}."
        yield Finding("was_cut", WARNING, sentence)
    if lately.n_failed:
        times = words.count(lately.n_failed, "time")
        sentence = f"Within the last week an error of Dripstone’s own kept it from {doing} {times}."
        yield Finding("failed", ERROR, sentence, mend_by="The log of the server says more.")


# --- What is waited for -------------------------------------------------------------------------------------------


def of_trigger(trigger: Trigger, world: World) -> Iterator[Finding]:
    if (thing := world.gone(when.things(trigger))) is not None:
        yield Finding("trigger_gone", ERROR, f"It waits for {number(thing)}, which is gone: that never happens.")
    elif sentence := when.nothing_yet(trigger):
        yield Finding("trigger_not_recorded", WARNING, sentence)
    else:
        yield from _unlikely(trigger, world)


def _unlikely(trigger: Trigger, world: World) -> Iterator[Finding]:
    kind = trigger["trigger"]
    if kind == when.TAG_ADDED and trigger["tag_id"] in world.tags_nothing_adds:
        tag = world.named(("tag", trigger["tag_id"]))
        yield Finding(
            "tag_nothing_adds",
            NOTICE,
            f"Nobody has {tag}, and no rule that is on, no automation and no form adds it. "
            "It can come by hand, by API and by an import.",
        )
    if kind == when.FORM_JOINED and trigger.get("form_id") in world.closed_forms:
        form = world.named(("form", trigger["form_id"]))
        yield Finding("form_closed", WARNING, f"Nobody can sign up on {form}: it is archived or deleted.")
    if kind == when.SEQUENCE_COMPLETED:
        sequence = world.sequences[trigger["sequence_id"]]
        title = words.title(sequence.name)
        if sequence.hold:
            said = f"{title} holds people at its end, so nobody completes it while that is so."
            yield Finding("sequence_holds", WARNING, said, change(sequence, hold=False))
        elif not sequence.active:
            said = f"{title} is paused, so nobody completes it while that is so."
            yield Finding("trigger_sequence_paused", NOTICE, said, change(sequence, active=True))


# --- What people are put into -------------------------------------------------------------------------------------


def of_entered(sequence: Any, by: str) -> Iterator[Finding]:
    """by   `people whom this rule adds`"""
    title = words.title(sequence.name)
    if not sequence.active:
        sentence = f"{title} is paused: {by} wait until it runs again."
        yield Finding("sequence_paused", WARNING, sentence, change(sequence, active=True))
    if not sequence.n_published:
        sentence = f"{title} has no published email, so {by} get nothing."
        yield Finding("sequence_without_emails", WARNING, sentence, mend_by="Publish an email of it.")


def of_moved(automation: Automation, whom: str) -> Iterator[Finding]:
    """whom   `whom this rule moves there`"""
    title = words.title(automation.name)
    activate = Mend("POST", f"/ext/v1/automations/{automation.pk}/activate")
    if automation.status == Automation.Status.INACTIVE:
        sentence = f"The automation {title} is switched off: it lets nobody in {whom}."
        yield Finding("automation_inactive", WARNING, sentence, activate)
    elif automation.status == Automation.Status.PAUSED:
        sentence = f"The automation {title} is paused: people {whom} wait at its entry."
        yield Finding("automation_paused", NOTICE, sentence, activate)


def no_sender() -> Finding:
    return Finding(
        "no_sender",
        ERROR,
        "The account has no default sending address, so nobody is mailed.",
        mend_by="An owner adds one in the settings.",
    )


def change(sequence: Any, **members: bool) -> Mend:
    return Mend("PUT", f"/v4/sequences/{sequence.pk}", members)
