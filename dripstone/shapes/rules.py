"""Rules, what is wrong with one, and the log of what became of events at it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from typing_extensions import TypedDict

from dripstone.accounts.models import Account
from dripstone.conditions import reading
from dripstone.explain import rule_words
from dripstone.explain.findings import Finding
from dripstone.explain.rule_words import Told
from dripstone.rules.models import Firing, Rule
from dripstone.shapes.health import FindingShape, finding
from dripstone.shapes.instants import instant, instant_or_none


class RuleShape(TypedDict):
    """`condition`: null for everybody. `sentence`: all of it in words. The counts are of all time."""

    id: int
    name: str
    active: bool
    triggers: list[dict[str, Any]]
    condition: dict[str, Any] | None
    actions: list[dict[str, Any]]
    sentence: str
    fired: int
    not_fired: int
    last_fired_at: str | None
    created_at: str
    updated_at: str


class RuleChecksShape(TypedDict):
    rule_id: int
    findings: list[FindingShape]


class ActionOutcomeShape(TypedDict):
    """`reason`: why the action passed by; null when it did something."""

    changed: bool
    reason: str | None


class FiringShape(TypedDict):
    """event_id   null: a date was reached
    reason     why it did not fire, with its words; null when it did
    cause      who or what brought the event about, from the outermost to the last
    done       of each action, in order, what it did
    """

    id: int
    rule_id: int
    subscriber_id: int
    email_address: str | None
    event_id: int | None
    at: str
    outcome: str
    reason: str | None
    reason_text: str | None
    trigger: dict[str, Any]
    sentence: str
    cause: list[str]
    cause_text: str
    done: list[ActionOutcomeShape]


def rules(rows: Collection[Rule], account: Account) -> list[RuleShape]:
    names = rule_words.names_of(rows, account.pk)
    return [
        RuleShape(
            id=row.pk,
            name=row.name,
            active=row.is_on,
            triggers=row.triggers,
            condition=None if row.condition is None else reading.as_given(row.condition, account.pk),
            actions=row.actions,
            sentence=rule_words.sentence(row, names),
            fired=row.n_fired,
            not_fired=row.n_not_fired,
            last_fired_at=instant_or_none(row.last_fired_at),
            created_at=instant(row.made_at),
            updated_at=instant(row.changed_at),
        )
        for row in rows
    ]


def rule(row: Rule) -> RuleShape:
    return rules([row], row.account)[0]


def checks(row: Rule, findings: Iterable[Finding]) -> RuleChecksShape:
    return RuleChecksShape(rule_id=row.pk, findings=[finding(one) for one in findings])


def firings(rows: Collection[Firing], of: Mapping[int, Rule], account: Account) -> list[FiringShape]:
    """of   the rules of the rows, by id"""
    return [_firing(told) for told in rule_words.told(rows, of, account.pk)]


def _firing(told: Told) -> FiringShape:
    row = told.row
    return FiringShape(
        id=row.pk,
        rule_id=row.rule_id,
        subscriber_id=row.subscriber_id,
        email_address=told.person.email_address if told.person else None,
        event_id=row.event_id,
        at=instant(row.at),
        outcome=row.outcome,
        reason=row.reason or None,
        reason_text=_sentence(told.why_not),
        trigger=row.trigger,
        sentence=told.what,
        cause=list(row.cause),
        cause_text=told.chain,
        done=[_outcome(one) for one in row.done],
    )


def _sentence(why_not: str) -> str | None:
    return f"It did not fire, because {why_not}." if why_not else None


def _outcome(done: str) -> ActionOutcomeShape:
    is_changed = done == rule_words.CHANGED
    return ActionOutcomeShape(changed=is_changed, reason=None if is_changed else done)
