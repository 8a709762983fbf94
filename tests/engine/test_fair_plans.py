"""One tick plans across sequences: whose turn it is, what it costs, and who is not kept waiting."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.engine import enroll, plan, queries
from dripstone.engine.models import Delivery, Enrollment
from dripstone.engine.plan import Waiting
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Form, FormSubscription, Segment, Subscriber
from tests.engine.test_fair_claims import rows_read
from tests.factories import MONDAY_9, make_account, make_enrollment, make_sequence, make_subscriber, make_tag

database = pytest.mark.django_db(transaction=True)
NOW = MONDAY_9

WAITING = st.lists(
    st.builds(Waiting, st.integers(1), st.integers(1, 6), st.integers(1, 2001)), unique_by=lambda one: one[0]
)


@given(WAITING, st.integers(plan.LEAST_SHARE, plan.PLAN_BATCH))
def test_every_sequence_has_its_turn_in_a_batch_of_bounded_size(waiting: list[Waiting], share: int) -> None:
    batches = list(plan._batches(plan._in_turn(waiting, share)))
    assert sorted(pk for ids in batches for pk in ids) == sorted(one.sequence_id for one in waiting)
    size = {one.sequence_id: min(one.n_places, share) for one in waiting}
    assert all(0 < sum(size[pk] for pk in ids) <= plan.PLAN_BATCH for ids in batches)


@given(WAITING, st.integers(plan.LEAST_SHARE, plan.PLAN_BATCH))
def test_no_account_has_a_second_sequence_planned_before_every_account_had_a_first(
    waiting: list[Waiting], share: int
) -> None:
    turns = [one.account_id for one in plan._in_turn(waiting, share)]
    n_accounts = len(set(turns))
    assert len(set(turns[:n_accounts])) == n_accounts


def course(account: Account, n_people: int, **values: Any) -> Sequence:
    sequence = make_sequence(account, {"delay_value": 0}, {"subject": "second"}, **values)
    people = [
        Subscriber(account=account, email_address=f"p{sequence.pk}-{n}@example.org", created_at=NOW, updated_at=NOW)
        for n in range(n_people)
    ]
    enroll.add(sequence, [row.pk for row in Subscriber.objects.bulk_create(people)], "bulk", NOW)
    return sequence


def planned() -> Counter[int | None]:
    return Counter(Delivery.objects.filter(status="planned").values_list("sequence_id", flat=True))


@database
def test_nobody_waits_for_a_huge_list_to_be_planned(alice: Account) -> None:
    huge = course(alice, plan.PLAN_BATCH + 500)
    small = [course(make_account(), 3) for _ in range(4)]
    plan.everything_due(NOW, seconds=0)  # one batch
    assert planned() == {huge.pk: plan.PLAN_BATCH // 5, **{one.pk: 3 for one in small}}
    plan.everything_due(NOW)
    assert planned()[huge.pk] == plan.PLAN_BATCH + 500


@database
def test_many_sequences_cost_as_many_statements_as_one() -> None:
    course(make_account(), 1)
    plan.everything_due(NOW)  # prepared, cached
    counts = []
    for n in (1, 30):
        for _ in range(n):
            account = make_account()
            sequence = course(account, 1, exclude_subscriber_sources=[])
            other = make_tag(account)
            Sequence.objects.filter(pk=sequence.pk).update(
                exclude_subscriber_sources=[{"type": "tag", "ids": [other.pk]}]
            )
        with CaptureQueriesContext(connection) as statements:
            assert plan.everything_due(NOW) == n
        counts.append(len(statements))
    assert counts[0] == counts[1]


@database
def test_a_sequence_that_is_being_edited_holds_up_no_other(alice: Account) -> None:
    edited, other = course(alice, 2), course(alice, 2)
    with transaction.atomic(), ThreadPoolExecutor(1) as planner:
        Sequence.objects.select_for_update(no_key=True).get(pk=edited.pk)
        assert planner.submit(planned_by_another).result(timeout=60) == 2
    assert planned() == {other.pk: 2}
    assert plan.everything_due(NOW) == 2


def planned_by_another() -> int:
    try:
        return plan.everything_due(NOW)
    finally:
        connection.close()


@database
def test_people_are_excluded_from_their_own_sequence_alone(alice: Account) -> None:
    """The same person is due in several sequences of one batch, and each has its own sources."""
    person = make_subscriber(alice, fields={"1": "Leeds"})
    tag = make_tag(alice, person)
    form = Form.objects.create(account=alice, name="Form", uid="form", created_at=NOW)
    FormSubscription.objects.create(form=form, subscriber=person, added_at=NOW)
    condition = {"type": "tag", "operator": "in", "ids": [tag.pk]}
    segment = Segment.objects.create(
        account=alice, name="Tagged", filter={"match": "all", "conditions": [condition]}, created_at=NOW
    )
    first = make_sequence(alice, {"delay_value": 0})
    sources = [
        [],
        [{"type": "tag", "ids": [make_tag(alice).pk, tag.pk]}],
        [{"type": "form", "ids": [form.pk]}, {"type": "tag", "ids": [tag.pk]}],
        [{"type": "sequence", "ids": [first.pk]}],
        [{"type": "segment", "ids": [segment.pk]}],
        [{"type": "tag", "ids": [make_tag(alice).pk]}],
    ]
    sequences = [first] + [
        make_sequence(alice, {"delay_value": 0}, exclude_subscriber_sources=source) for source in sources
    ]
    for sequence in sequences:
        make_enrollment(sequence, person)
    plan.everything_due(NOW)
    reasons = dict(Delivery.objects.values_list("sequence_id", "reason"))
    assert [reasons[sequence.pk] for sequence in sequences] == [
        "",
        "",
        f"excluded:tag:{tag.pk}",
        f"excluded:form:{form.pk}",
        f"excluded:sequence:{first.pk}",
        f"excluded:segment:{segment.pk}",
        "",
    ]


@database
@pytest.mark.parametrize("is_analyzed", [False, True])
def test_planning_reads_no_more_than_it_takes_of_what_is_due_at_one_instant(
    alice: Account, *, is_analyzed: bool
) -> None:
    sequence = make_sequence(alice, {"delay_value": 0})
    email = sequence.emails.get()
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE_DUE, {"account": alice.pk, "sequence": sequence.pk, "email": email.pk, "now": NOW})
        if is_analyzed:
            cursor.execute("ANALYZE engine_enrollment")
    for n_planned in (2000, 4000):
        values = {"sequences": queries.ids([sequence.pk]), "now": NOW, "limit": 2000}
        assert rows_read(queries.TAKE_DUE, values, "engine_enrollment") <= 2 * 2000
        plan.batch([sequence.pk], NOW)
        assert Enrollment.objects.filter(in_flight=True).count() == n_planned


PEOPLE_DUE = """
WITH person AS (
    INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at)
    SELECT %(account)s, 'p' || i || '@example.org', '', 'active', '{}', %(now)s, %(now)s
    FROM generate_series(1, 30000) i
    RETURNING id)
INSERT INTO engine_enrollment (account_id, sequence_id, subscriber_id, status, run, source, entered_at, anchored_at,
                               next_email_id, due_at, in_flight, removed_reason)
SELECT %(account)s, %(sequence)s, id, 'active', 1, 'api', %(now)s, %(now)s, %(email)s, %(now)s, false, '' FROM person
"""
