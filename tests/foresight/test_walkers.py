"""Whom automations bring into a sequence: what the forecast counts is what then goes out."""

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dripstone import leap
from dripstone.accounts.models import Account
from dripstone.automations import graph as graphs
from dripstone.automations import nodes, run
from dripstone.automations import people as by_hand
from dripstone.automations.models import Automation
from dripstone.engine import enroll
from dripstone.engine.acts import places
from dripstone.engine.models import Delivery
from dripstone.events import causes
from dripstone.foresight import forecast, walkers, whom
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber
from tests.automations.drawing import asking, automation, course, event, shares, stands, tagging, until, wait
from tests.driving import Engine
from tests.factories import make_sequence, make_subscriber, make_tag
from tests.rules.making import has

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
Sent = Counter[tuple[str, date]]


def foreseen(sequence: Sequence, now: datetime, days: int = 30) -> Sent:
    subjects, counts = dict(sequence.emails.values_list("pk", "subject")), Counter[tuple[str, date]]()
    for email_id, instants in forecast.of_sequence(sequence, now, now + days * DAY).items():
        for at, n in instants.items():
            counts[subjects[email_id], at.date()] += n
    return counts


def happened(sequence: Sequence, engine: Engine, days: int = 30) -> Sent:
    leap.to(engine.clock.now() + days * DAY, sequence.account_id)
    return sent(sequence)


def sent(sequence: Sequence) -> Sent:
    rows = Delivery.objects.filter(sequence=sequence, status="sent").values_list("email__subject", "sent_at")
    return Counter((subject, at.date()) for subject, at in rows if at is not None)


def waits(one: Automation, n: int, engine: Engine, hours: int = 30, node: str = "w") -> list[Subscriber]:
    now = engine.clock.now()
    found = [make_subscriber(one.account) for _ in range(n)]
    for place, person in enumerate(found):
        ends_at = now + timedelta(hours=hours, minutes=7 * place)
        stands(one, person, node, entered_at=now, arrived_at=now, ends_at=ends_at, acted=[node])
    return found


def test_a_wait_that_leads_to_a_sequence_is_counted(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first", "delay_value": 0}, {"subject": "second"})
    vip = make_tag(alice, name="VIP")
    more = wait("w2", "go", hours=20), course("go", sequence)
    one = automation(alice, wait("w", "t"), tagging("t", vip, "w2"), *more)
    waits(one, 3, engine)
    expected = {("first", date(2026, 11, 25)): 3, ("second", date(2026, 11, 26)): 3}
    assert foreseen(sequence, engine.clock.now()) == expected
    assert happened(sequence, engine) == expected


def test_slots_and_instants_on_the_way_are_counted(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first", "delay_value": 0})
    friday, then = {"weekdays": ["friday"], "hour": 8}, {"at": "2026-11-29T10:00:00+00:00"}
    one = automation(alice, wait("w", "slot"), until("slot", friday, "at"), until("at", then, "go"),
        course("go", sequence))  # fmt: skip
    waits(one, 2, engine)
    waits(one, 1, engine, node="slot")
    foretold = foreseen(sequence, engine.clock.now())
    assert foretold == {("first", date(2026, 11, 29)): 3} == happened(sequence, engine)


def test_shares_are_drawn_as_walking_draws_them(alice: Account, engine: Engine) -> None:
    left, right = (make_sequence(alice, {"subject": "first", "delay_value": 0}) for _ in range(2))
    split = shares("s", (30, "l"), (50, "r"), (20, None))
    one = automation(alice, wait("w", "s"), split, course("l", left), course("r", right))
    people = [person for _ in range(3) for person in waits(one, 5, engine)]
    node = graphs.of(one, one.nodes.all()).nodes["s"]
    drawn = Counter(nodes.share(one.pk, person.pk, 1, node) for person in people)
    foretold = [foreseen(sequence, engine.clock.now(), days=3).total() for sequence in (left, right)]
    assert foretold == [drawn["0"], drawn["1"]]
    assert [happened(sequence, engine, days=3).total() for sequence in (left, right)] == foretold


def test_the_end_of_one_sequence_leads_into_the_next(alice: Account, engine: Engine) -> None:
    """For those who are in it, at different emails of it, and for those who come there first."""
    first = make_sequence(alice, {"subject": "a", "delay_value": 0}, {"subject": "b"}, {"subject": "c"})
    then = make_sequence(alice, {"subject": "first", "delay_value": 0}, {"subject": "second"})
    one = automation(alice, wait("w", "a"), course("a", first, "w2"), wait("w2", "go", hours=5), course("go", then))
    now = engine.clock.now()
    put_in(one, make_subscriber(alice), "a", now)
    leap.to(now + DAY + timedelta(hours=2), alice.pk)
    put_in(one, make_subscriber(alice), "a", engine.clock.now())
    waits(one, 3, engine)
    engine.run()
    foretold, before = foreseen(then, engine.clock.now()), sent(then)
    assert foretold.total() == 10
    assert happened(then, engine) - before == foretold


def test_behind_a_sequence_that_holds_only_its_last_email_leads_on(alice: Account, engine: Engine) -> None:
    first = make_sequence(alice, {"subject": "a", "delay_value": 0}, {"subject": "b"}, hold=True)
    then = make_sequence(alice, {"subject": "first", "delay_value": 0})
    for how in ("completed", "last_email"):
        one = automation(alice, wait("w", "a"), course("a", first, "go", wait=how), course("go", then))
        put_in(one, make_subscriber(alice), "a", engine.clock.now())
        waits(one, 1, engine)
    foretold = foreseen(then, engine.clock.now())
    assert foretold.total() == 2 and happened(then, engine) == foretold


def test_whoever_was_in_the_sequence_on_the_way_before_is_not_counted(alice: Account, engine: Engine) -> None:
    first, then = (make_sequence(alice, {"subject": "first", "delay_value": 0}) for _ in range(2))
    one = automation(alice, wait("w", "a"), course("a", first, "go"), course("go", then))
    [person] = waits(one, 1, engine)
    enroll.add(first, [person.pk], "api", engine.clock.now())
    assert foreseen(then, engine.clock.now()) == {}


def put_in(one: Automation, person: Subscriber, node: str, now: datetime) -> None:
    """By hand, at that node."""
    by_hand.add(one, [person.pk], now, cause=causes.OWNER)
    by_hand.move(one, person.pk, node, now, cause=causes.OWNER)
    run.until_idle(lambda: now)


def test_what_depends_on_something_is_not_counted(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first", "delay_value": 0})
    vip = make_tag(alice, name="VIP")
    asked = automation(alice, wait("w", "ask"), asking("ask", has(vip), "go", "go"), course("go", sequence))
    waits(asked, 1, engine)
    paused = automation(alice, wait("w", "go"), course("go", sequence))
    waits(paused, 1, engine)
    Automation.objects.filter(pk=paused.pk).update(status="paused")
    still = make_sequence(alice, {}, active=False)
    behind = automation(alice, wait("w", "a"), course("a", still, "go"), course("go", sequence))
    waits(behind, 1, engine)
    dated = event("d", {"trigger": "date", "at": "2026-11-23T12:00:00+00:00"})
    pulled = automation(alice, wait("w", "go"), course("go", sequence, "d"), dated)
    waits(pulled, 1, engine)
    assert foreseen(sequence, engine.clock.now()) == {}


def test_whoever_gets_nothing_of_it_is_not_counted(alice: Account, engine: Engine) -> None:
    """Unconfirmed, excluded, in it already or through with it; and whoever does not meet the filter of an email."""
    vip = make_tag(alice, name="VIP")
    excluded = [{"type": "tag", "ids": [vip.pk]}]
    emails: list[dict[str, Any]] = [
        {"subject": "first", "delay_value": 0},
        {"subject": "second", "filter": {"not": has(make_tag(alice))}},
    ]
    sequence = make_sequence(alice, *emails, exclude_subscriber_sources=excluded)
    one = automation(alice, wait("w", "go"), course("go", sequence))
    now = engine.clock.now()
    people = waits(one, 6, engine)
    Subscriber.objects.filter(pk=people[0].pk).update(state="inactive")
    vip.taggings.create(subscriber=people[1], tagged_at=now)
    enroll.add(sequence, [people[2].pk], "api", now)
    engine.run()
    enroll.add(sequence, [people[3].pk], "api", now)
    engine.run_until(now + DAY + timedelta(hours=1))
    places.remove_all(alice.pk, sequence.pk, [people[3].pk], "removed_by_owner", engine.clock.now(), cause=("owner",))
    foretold = foreseen(sequence, engine.clock.now())
    before = sent(sequence)
    assert foretold == happened(sequence, engine) - before
    assert foretold.total() > 0


def test_an_hour_says_how_many_come_by_an_automation(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first", "delay_value": 0}, {"subject": "second", "delay_value": 2})
    one = automation(alice, wait("w", "go"), course("go", sequence))
    waits(one, 2, engine, hours=26)
    now = engine.clock.now()
    enroll.add(sequence, [make_subscriber(alice).pk], "api", now)
    span = whom.day(date(2026, 11, 24), now, "UTC")
    rows = Sequence.objects.filter(account=alice)
    [going] = whom.gets(rows, span)
    assert (going.n_people, going.n_coming) == (2, 2)
    assert whom.some_of_each([going], span, 3) == {going.key: []}
    assert whom.people([going], span, 10) == []
    sends = forecast.of_sequences(rows, now, span.ends - timedelta(microseconds=1))
    assert sum(counts.total() for counts in sends.values()) == 3


def test_it_costs_one_query_where_no_automation_runs(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first"})
    automation(alice, wait("w", "go"), course("go", sequence), is_on=False)
    with CaptureQueriesContext(connection) as queries:
        assert walkers.ways_into(sequence) == []
    assert len(queries) == 1
