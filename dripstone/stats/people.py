"""How many people an account has, or a tag, or a form: kept counts, by the people's state."""

from collections import Counter
from collections.abc import Collection

from dripstone.subscribers.models import State
from dripstone.tallies import verbs as tallies
from dripstone.tallies.models import Kind

EVERY_STATE = "all"


def of_account(account_id: int, state: str = EVERY_STATE) -> int:
    return _of_one(Kind.PEOPLE, account_id, state)


def by_state(account_id: int) -> Counter[str]:
    """State → people of the account."""
    return Counter({state: n for (_, state), n in tallies.of(Kind.PEOPLE, [account_id]).items()})


def with_tag(tag_id: int, state: str = EVERY_STATE) -> int:
    return _of_one(Kind.TAGGED, tag_id, state)


def with_tag_by_state(tag_id: int) -> Counter[str]:
    """State → people who have the tag."""
    return Counter({state: n for (_, state), n in tallies.of(Kind.TAGGED, [tag_id]).items()})


def with_tags(tag_ids: Collection[int]) -> Counter[int]:
    """Tag id → people who have it, whatever their state."""
    return sum((Counter({pk: n}) for (pk, _), n in tallies.of(Kind.TAGGED, tag_ids).items()), Counter())


def on_form(form_id: int, state: str = EVERY_STATE) -> int:
    return _of_one(Kind.ON_FORM, form_id, state)


def active_with_tags(tag_ids: Collection[int]) -> Counter[int]:
    """Tag id → active people who have it."""
    return _active(Kind.TAGGED, tag_ids)


def active_on_forms(form_ids: Collection[int]) -> Counter[int]:
    """Form id → active people on it."""
    return _active(Kind.ON_FORM, form_ids)


def _of_one(kind: Kind, subject_id: int, state: str) -> int:
    counts = tallies.of(kind, [subject_id])
    return counts.total() if state == EVERY_STATE else counts[subject_id, state]


def _active(kind: Kind, subject_ids: Collection[int]) -> Counter[int]:
    counts = tallies.of(kind, subject_ids)
    return Counter({pk: counts[pk, State.ACTIVE] for pk in subject_ids})
