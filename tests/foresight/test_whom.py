"""Who gets what on a day: the same people whom the forecast counts, and whom the engine then sends it to."""

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.engine import plan
from dripstone.engine.acts import edits
from dripstone.engine.models import Delivery
from dripstone.foresight import forecast, whom
from dripstone.foresight.whom import Span
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Tagging
from tests.driving import Engine
from tests.factories import make_enrollment, make_sequence, make_subscriber, make_tag
from tests.foresight.test_forecast import STARTS, History, email_values, sequence_values, step

pytestmark = pytest.mark.django_db

WELCOME = {"subject": "welcome", "delay_value": 0}
Got = set[tuple[int, int]]  # place, email


def foreseen(sequence: Sequence, span: Span, page: int = 2) -> Got:
    """Everybody by name, a page at a time; their number must be the one that is counted."""
    rows = Sequence.objects.filter(pk=sequence.pk)
    going = whom.gets(rows, span)
    named: Got = set()
    for email_id in {one.email_id for one in going}:
        mine, after, times = [one for one in going if one.email_id == email_id], 0, 0
        while ids := whom.people(mine, span, page, after):
            named |= {(place_id, email_id) for place_id in ids}
            after, times = ids[-1], times + len(ids)
        assert times == sum(one.n_people for one in mine)
    return named


def happened(sequence: Sequence, span: Span, engine: Engine) -> Got:
    """Lets the clock run to the end of the span."""
    engine.run_until(span.ends - timedelta(seconds=1))
    sent = Delivery.objects.filter(sequence=sequence, status="sent", sent_at__gte=span.begins, sent_at__lt=span.ends)
    return set(sent.values_list("enrollment_id", "email_id"))


def a_day(sequence: Sequence, engine: Engine, days: int) -> Span:
    today = engine.clock.now().astimezone(ZoneInfo(sequence.account.time_zone)).date()
    return whom.day(today + timedelta(days=days), engine.clock.now(), sequence.account.time_zone)


def test_everybody_who_gets_an_email_on_a_day_is_named(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"}, {"subject": "third", "send_days": [4]})
    for hours in range(7):
        make_enrollment(sequence, make_subscriber(alice), engine.clock.now() + timedelta(hours=7 * hours))
    dates = [engine.clock.now().date() + timedelta(days=days) for days in range(6)]
    for one in dates:
        span = whom.day(one, engine.clock.now(), alice.time_zone)
        assert foreseen(sequence, span) == happened(sequence, span, engine)


def test_the_excluded_are_neither_named_nor_counted(alice: Account, engine: Engine) -> None:
    tag = make_tag(alice)
    sources = [{"type": "tag", "ids": [tag.pk]}]
    sequence = make_sequence(alice, {"subject": "a"}, exclude_subscriber_sources=sources)
    places = [make_enrollment(sequence, make_subscriber(alice), engine.clock.now()) for _ in range(9)]
    Tagging.objects.bulk_create(
        Tagging(tag=tag, subscriber_id=one.subscriber_id, tagged_at=engine.clock.now()) for one in places[:7]
    )
    span = a_day(sequence, engine, 1)
    [going] = whom.gets(Sequence.objects.all(), span)
    assert whom.some_of_each([going], span, 3) == {going.key: [places[7].pk, places[8].pk]}
    assert foreseen(sequence, span) == happened(sequence, span, engine)


def test_what_is_planned_goes_to_those_it_is_planned_for(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "b", "delay_value": 3, "delay_unit": "hours"})
    places = [make_enrollment(sequence, make_subscriber(alice), engine.clock.now()) for _ in range(3)]
    plan.everything_due(engine.clock.now())
    span = a_day(sequence, engine, 0)
    going = whom.gets(Sequence.objects.all(), span)
    assert [one.n_people for one in going] == [3, 3]
    assert set(whom.some_of_each(going[:1], span, 3)[going[0].key]) == {one.pk for one in places}
    assert foreseen(sequence, span) == happened(sequence, span, engine)


def test_hours_are_those_of_the_zone(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "a", "delay_value": 2, "delay_unit": "hours"}, time_zone="UTC")
    make_enrollment(sequence, make_subscriber(alice), engine.clock.now() + timedelta(minutes=20))
    span = whom.day(date(2026, 11, 23), engine.clock.now(), "Asia/Kathmandu")
    [going] = whom.gets(Sequence.objects.all(), span)
    assert (f"{going.hour:%H:%M}", going.is_sharp) == ("17:00", False)  # 11:20 UTC is 17:05 there


def test_nobody_is_listed_while_people_are_moved(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "a"})
    make_enrollment(sequence, make_subscriber(alice), engine.clock.now())
    values = {"subject": "x", "delay_value": 1, "delay_unit": "days", "position": 0, "published": True}
    edits.create_email(alice, sequence.pk, values, engine.clock.now())
    span = a_day(sequence, engine, 1)
    going = whom.gets(Sequence.objects.all(), span)
    assert sum(one.n_people for one in going) == 1
    assert whom.people(going, span, 3) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    values=sequence_values,
    emails=st.lists(email_values, min_size=1, max_size=4),
    start=st.sampled_from(STARTS),
    steps=st.lists(step, max_size=10),
    days=st.integers(0, 6),
)
def test_after_any_history_they_are_those_who_get_it(
    engine: Engine,
    values: dict[str, Any],
    emails: list[dict[str, Any]],
    start: datetime,
    steps: list[tuple[Any, ...]],
    days: int,
) -> None:
    with transaction.atomic():
        history = History(engine, values, emails, start)
        for number in range(3):
            history.do("add", number, "bulk")
        for one in steps:
            history.do(*one)
        sequence = history.sequence
        sequence.refresh_from_db()
        span = a_day(sequence, engine, days)
        assert by_email(sequence, span) == counted(sequence, span)
        if sequence.edits == sequence.edits_done:
            assert foreseen(sequence, span) == happened(sequence, span, engine)
        transaction.set_rollback(True)


def by_email(sequence: Sequence, span: Span) -> Counter[int]:
    counts = Counter[int]()
    for one in whom.gets(Sequence.objects.filter(pk=sequence.pk), span):
        counts[one.email_id] += one.n_people
    return counts


def counted(sequence: Sequence, span: Span) -> Counter[int]:
    """As the forecast has it."""
    counts = Counter[int]()
    for email_id, instants in forecast.of_sequence(sequence, span.now, span.ends).items():
        if n := sum(n for at, n in instants.items() if span.begins <= at < span.ends):
            counts[email_id] += n
    return counts
