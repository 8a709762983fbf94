"""R10 against a model that is a plain list: whatever is created, moved and deleted, in any order."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.engine.acts import edits
from dripstone.errors import Invalid
from dripstone.sequences.models import SequenceEmail
from tests.factories import MONDAY_9, make_account, make_sequence

pytestmark = pytest.mark.django_db

places = st.none() | st.integers(0, 6)
numbers = st.integers(0, 9)
delays = st.sampled_from([0, 1, 1, 2])
acts = st.one_of(
    st.tuples(st.just("create"), places, delays),
    st.tuples(st.just("move"), numbers, st.integers(0, 6)),
    st.tuples(st.just("delay"), numbers, delays),
    st.tuples(st.just("delete"), numbers, st.none()),
)


@dataclass
class Model:
    """Emails as (position, id, delay), kept sorted. `put` is R10 word for word."""

    emails: list[tuple[int, int, int]] = field(default_factory=list)

    def put(self, pk: int, position: int | None, delay: int) -> list[tuple[int, int, int]]:
        others = [email for email in self.emails if email[1] != pk]
        if position is None:
            position = max((email[0] for email in others), default=-1) + 1
        taken = position in [email[0] for email in others]
        shifted = [(p + 1 if taken and p >= position else p, i, d) for p, i, d in others]
        return sorted([*shifted, (position, pk, delay)])

    def pick(self, number: int) -> tuple[int, int, int] | None:
        return self.emails[number % len(self.emails)] if self.emails else None


def is_allowed(emails: list[tuple[int, int, int]]) -> bool:
    return all(delay > 0 for _, _, delay in emails[1:])


@given(series=st.lists(acts, max_size=12))
def test_positions_are_what_a_plain_list_says(series: list[tuple[str, int | None, int | None]]) -> None:
    account = make_account()
    sequence = make_sequence(account)
    model = Model()
    for act, first, second in series:
        step(model, sequence.pk, account, act, first, second)
        rows = SequenceEmail.objects.filter(sequence=sequence, deleted_at=None).order_by("position")
        assert [(row.position, row.pk, row.delay_value) for row in rows] == model.emails
        assert is_allowed(model.emails)


def step(model: Model, sequence_id: int, account: Account, act: str, first: int | None, second: int | None) -> None:
    if act == "create":
        create(model, sequence_id, account, first, second or 0)
        return
    chosen = model.pick(first or 0)
    if chosen is None:
        return
    position, pk, delay = chosen
    if act == "delete":
        edits.delete_email(account, sequence_id, pk, MONDAY_9)
        model.emails.remove(chosen)
        return
    wanted = model.put(pk, second if act == "move" else position, delay if act == "move" else second or 0)
    if act == "move" and second == position:
        wanted = model.emails
    body = {"position": second} if act == "move" else {"delay_value": second}
    if is_allowed(wanted):
        edits.update_email(account, sequence_id, pk, body, MONDAY_9)
        model.emails = wanted
    else:
        with pytest.raises(Invalid):
            edits.update_email(account, sequence_id, pk, body, MONDAY_9)


def create(model: Model, sequence_id: int, account: Account, position: int | None, delay: int) -> None:
    body = {"subject": "One", "delay_value": delay, "delay_unit": "days", "position": position}
    if is_allowed(model.put(10**9, position, delay)):
        email = edits.create_email(account, sequence_id, body, MONDAY_9).email
        assert email is not None
        model.emails = model.put(email.pk, position, delay)
    else:
        with pytest.raises(Invalid):
            edits.create_email(account, sequence_id, body, MONDAY_9)
