"""What will go out: the forecast of any state of any sequence is what the engine then does."""

from collections import Counter
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dripstone.accounts.models import Account
from dripstone.engine import enroll, plan
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Delivery, Enrollment
from dripstone.errors import DripstoneError
from dripstone.foresight import forecast
from dripstone.senders.base import Answer, Outgoing
from dripstone.senders.memory import accept
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import Subscriber, Tag, Tagging
from tests.driving import Engine
from tests.factories import make_account, make_email, make_enrollment, make_sequence, make_subscriber, make_tag

pytestmark = pytest.mark.django_db

WELCOME = {"subject": "welcome", "delay_value": 0}
Sent = Counter[tuple[str, date]]  # (subject, local date) → messages


def foreseen(sequence: Sequence, now: datetime, days: int = 30) -> Sent:
    sequence.refresh_from_db()
    zone, subjects = ZoneInfo(sequence.time_zone), dict(sequence.emails.values_list("pk", "subject"))
    counts: Sent = Counter()
    for email_id, instants in forecast.of_sequence(sequence, now, now + timedelta(days=days)).items():
        for at, number in instants.items():
            counts[subjects[email_id], at.astimezone(zone).date()] += number
    return counts


def happened(sequence: Sequence, engine: Engine, days: int = 30) -> Sent:
    """Lets the clock run, and says what was sent meanwhile."""
    before = list(Delivery.objects.filter(status="sent").values_list("pk", flat=True))
    engine.run_until(engine.clock.now() + timedelta(days=days))
    rows = Delivery.objects.filter(sequence=sequence, status="sent").exclude(pk__in=before)
    zone = ZoneInfo(sequence.time_zone)
    stamps = rows.values_list("email__subject", "sent_at")
    return Counter((subject, at.astimezone(zone).date()) for subject, at in stamps if at is not None)


def place(sequence: Sequence, engine: Engine, source: enroll.Source = "api") -> Enrollment:
    account = Account.objects.get(pk=sequence.account_id)
    return make_enrollment(sequence, make_subscriber(account), engine.clock.now(), source)


def test_it_counts_each_email_on_the_day_it_goes(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"}, {"subject": "third", "send_days": [4]})
    for _ in range(3):
        place(sequence, engine)
    assert foreseen(sequence, engine.clock.now()) == {
        ("welcome", date(2026, 11, 23)): 3,
        ("second", date(2026, 11, 24)): 3,
        ("third", date(2026, 11, 27)): 3,
    }


def test_reading_it_twice_gives_the_same_and_changes_nothing(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, WELCOME, {"subject": "second"})
    place(sequence, engine)
    before = list(Enrollment.objects.values()), list(Sequence.objects.values())
    first = foreseen(sequence, engine.clock.now())
    assert foreseen(sequence, engine.clock.now()) == first
    assert (list(Enrollment.objects.values()), list(Sequence.objects.values())) == before
    assert not Delivery.objects.exists()


def test_the_excluded_are_not_counted(alice: Account, engine: Engine) -> None:
    tagged, segmented = make_subscriber(alice), make_subscriber(alice, first_name="100% {x}")
    tag = make_tag(alice, tagged)
    condition = {"type": "tag", "operator": "in", "ids": [make_tag(alice, segmented).pk]}
    segment = alice.segments.create(
        name="s", filter={"match": "all", "conditions": [condition]}, created_at=engine.clock.now()
    )
    sources = [{"type": "tag", "ids": [tag.pk]}, {"type": "segment", "ids": [segment.pk]}]
    sequence = make_sequence(alice, WELCOME, {"subject": "second"}, exclude_subscriber_sources=sources)
    for someone in (tagged, segmented, make_subscriber(alice)):
        make_enrollment(sequence, someone, engine.clock.now())
    assert foreseen(sequence, engine.clock.now()).total() == 2


def test_who_does_not_meet_a_filter_is_counted_for_the_other_emails(alice: Account, engine: Engine) -> None:
    customer, gone = make_tag(alice), make_tag(alice)
    condition, broken = ({"type": "tags", "ids": [tag.pk]} for tag in (customer, gone))
    gone.delete()
    sequence = make_sequence(
        alice, WELCOME, {"subject": "sale", "filter": {"not": condition}}, {"subject": "gone", "filter": broken}
    )
    for _ in range(3):
        place(sequence, engine)
    Tagging.objects.create(tag=customer, subscriber=Subscriber.objects.earliest("pk"), tagged_at=engine.clock.now())
    expected = {("welcome", date(2026, 11, 23)): 3, ("sale", date(2026, 11, 24)): 2}
    assert foreseen(sequence, engine.clock.now()) == expected
    assert happened(sequence, engine) == expected


def test_what_is_planned_for_the_excluded_still_goes(alice: Account, engine: Engine) -> None:
    someone, tag = make_subscriber(alice), make_tag(alice)
    sources = [{"type": "tag", "ids": [tag.pk]}]
    sequence = make_sequence(alice, WELCOME, {"subject": "second"}, exclude_subscriber_sources=sources)
    make_enrollment(sequence, someone, engine.clock.now())
    plan.everything_due(engine.clock.now())
    Tagging.objects.create(tag=tag, subscriber=someone, tagged_at=engine.clock.now())
    assert foreseen(sequence, engine.clock.now()) == happened(sequence, engine) == {("welcome", date(2026, 11, 23)): 1}


def test_a_paused_sequence_and_a_paused_person_send_nothing(alice: Account, engine: Engine) -> None:
    paused = make_sequence(alice, WELCOME, active=False)
    make_enrollment(paused, make_subscriber(alice), engine.clock.now(), "bulk")
    assert foreseen(paused, engine.clock.now()) == {}
    running = make_sequence(alice, {"subject": "later"})
    places.pause(place(running, engine).pk, "owner", "", engine.clock.now())
    assert foreseen(running, engine.clock.now()) == {}


def test_after_an_outage_late_day_emails_wait_for_their_slot(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "by day"}, {"subject": "by hour", "delay_unit": "hours"})
    place(sequence, engine)
    now = engine.clock.advance(days=1, hours=7)
    expected = {("by day", date(2026, 11, 25)): 1, ("by hour", date(2026, 11, 25)): 1}
    assert foreseen(sequence, now) == expected
    assert happened(sequence, engine) == expected


def test_people_behind_whom_an_email_was_inserted_get_it_and_go_on(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(
        alice, WELCOME, {"subject": "b", "position": 10}, {"subject": "c", "delay_value": 30, "position": 20}
    )
    place(sequence, engine)
    engine.run_until(engine.clock.now() + timedelta(days=9))
    for position, subject in ((5, "x"), (15, "y")):
        values = {"subject": subject, "delay_value": 2, "delay_unit": "days", "position": position, "published": True}
        edits.create_email(alice, sequence.pk, values, engine.clock.now())
    pending = foreseen(sequence, engine.clock.now())  # the edits are not followed up yet
    engine.run()
    assert pending == foreseen(sequence, engine.clock.now()) + Counter({("x", date(2026, 12, 2)): 1})
    assert foreseen(sequence, engine.clock.now(), 60) == happened(sequence, engine, 60)


def test_nobody_is_counted_on_the_wrong_side_of_midnight_or_of_the_end(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(
        alice,
        {"subject": "a", "delay_value": 30, "delay_unit": "hours"},
        {"subject": "b", "delay_value": 7, "delay_unit": "hours"},
        {"subject": "c"},
        time_zone="Asia/Kathmandu",
    )
    midnight = datetime(2026, 11, 23, 12, 15, tzinfo=UTC)  # 30 hours before one in Kathmandu
    for minutes in (-16, -8, -1, 0, 1, 8, 16):
        make_enrollment(sequence, make_subscriber(alice), midnight + timedelta(minutes=minutes))
    engine.clock.set(midnight + timedelta(minutes=20))
    for ends_at in (-9, -8, -7, 7, 8, 9):  # minutes around their first emails
        days = (timedelta(hours=30) + timedelta(minutes=ends_at - 20)) / timedelta(days=1)
        now = engine.clock.now()
        expected = sum(minutes <= ends_at for minutes in (-16, -8, -1, 0, 1, 8, 16))
        sends = forecast.of_sequence(Sequence.objects.get(), now, now + timedelta(days=days))
        assert sum(counter.total() for counter in sends.values()) == expected
    expected_days = foreseen(sequence, engine.clock.now(), 2)
    assert expected_days["a", date(2026, 11, 24)] == 3
    assert expected_days == happened(sequence, engine, 2)


def test_people_who_wait_for_an_unpublished_email_get_nothing(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first"}, {"subject": "second"})
    place(sequence, engine)
    edits.update_email(alice, sequence.pk, sequence.emails.get(position=0).pk, {"published": False}, engine.clock.now())
    assert foreseen(sequence, engine.clock.now()) == {}
    engine.run()
    assert foreseen(sequence, engine.clock.now()) == {}


def test_a_deleted_email_is_passed_over_at_its_date(alice: Account, engine: Engine) -> None:
    sequence = make_sequence(alice, {"subject": "first", "delay_value": 3}, {"subject": "second"})
    place(sequence, engine)
    edits.delete_email(alice, sequence.pk, sequence.emails.get(position=0).pk, engine.clock.now())
    engine.run()
    assert foreseen(sequence, engine.clock.now()) == {("second", date(2026, 11, 27)): 1}


# --- Any history ------------------------------------------------------------------------------------------------

ZONES = ["America/New_York", "Europe/Paris", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe", "UTC"]
STARTS = [datetime(2026, 10, 20, 7, 13, tzinfo=UTC), datetime(2026, 3, 5, 23, 59, 30, tzinfo=UTC)]  # before DST moves

days_of_week = st.lists(st.integers(0, 6), min_size=1, unique=True).map(sorted)
hours = {"delay_unit": st.just("hours"), "delay_value": st.integers(1, 50)}
by_day = {"delay_unit": st.just("days"), "delay_value": st.integers(1, 4), "send_days": st.none() | days_of_week}
email_values = st.one_of(st.fixed_dictionaries(hours), st.fixed_dictionaries(by_day)).flatmap(
    lambda values: st.sampled_from([True, True, True, False]).map(lambda published: {**values, "published": published})
)
sequence_values = st.fixed_dictionaries(
    {
        "send_days": days_of_week,
        "send_hour": st.integers(0, 23),
        "time_zone": st.sampled_from(ZONES),
        "hold": st.booleans(),
        "repeat": st.booleans(),
    }
)
VERBS = ["pause", "resume", "skip", "send_now", "restart", "remove"]
who, which = st.integers(0, 3), st.integers(0, 5)
step = st.one_of(
    st.tuples(st.just("wait"), st.floats(0.1, 90)),
    st.tuples(st.just("wait"), st.floats(0.1, 90)),
    st.tuples(st.just("outage"), st.floats(0.1, 40)),
    st.tuples(st.just("plan")),
    st.tuples(st.just("refuse"), st.floats(0, 3)),
    st.tuples(st.just("add"), who, st.sampled_from(["api", "bulk"])),
    st.tuples(st.just("tag"), who),
    st.tuples(st.just("mark"), who, st.integers(0, 1)),
    st.tuples(st.just("filter"), which, st.sampled_from(["first", "second", "not first", "either", "gone", "nothing"])),
    st.tuples(st.sampled_from(VERBS), who),
    st.tuples(st.just("move_to"), who, which),
    st.tuples(st.just("insert"), which, email_values),
    st.tuples(st.just("move"), which, which),
    st.tuples(st.sampled_from(["publish", "unpublish", "delete", "hold_email", "release_email", "skip_wait"]), which),
    st.tuples(st.just("change"), which, email_values),
    st.tuples(st.sampled_from(["active", "hold"]), st.booleans()),
    st.tuples(st.just("reschedule")),
)


class History:
    """A sequence, some people, and what was done to both."""

    def __init__(self, engine: Engine, values: dict[str, Any], emails: list[dict[str, Any]], start: datetime) -> None:
        engine.clock.set(start)
        self.engine, self.account = engine, make_account()
        self.people: list[Subscriber] = [make_subscriber(self.account) for _ in range(4)]
        self.tag: Tag = make_tag(self.account)
        self.marks = [make_tag(self.account), make_tag(self.account)]
        sources = [{"type": "tag", "ids": [self.tag.pk]}]
        self.sequence = make_sequence(self.account, exclude_subscriber_sources=sources, created_at=start, **values)
        for position, email in enumerate(emails):
            make_email(self.sequence, position=2 * position, **email)

    def do(self, kind: str, *arguments: Any) -> None:
        with suppress(DripstoneError), transaction.atomic():
            act = getattr(self, f"_{kind}", self._person if kind in [*VERBS, "move_to"] else self._edit)
            act(kind, *arguments)

    @property
    def now(self) -> datetime:
        return self.engine.clock.now()

    def _wait(self, _: str, hours: float) -> None:
        self.engine.run_until(self.now + timedelta(hours=hours))

    def _outage(self, _: str, hours: float) -> None:
        self.engine.clock.advance(hours=hours)

    def _plan(self, _: str) -> None:
        plan.everything_due(self.now)

    def _refuse(self, _: str, hours: float) -> None:
        """What goes meanwhile is refused for now, and waits for its next attempt."""
        self.engine.mail.answer = _refuse_for_now
        self.engine.run_until(self.now + timedelta(hours=hours))
        self.engine.mail.answer = accept

    def _add(self, _: str, number: int, source: enroll.Source) -> None:
        enroll.add(Sequence.objects.get(pk=self.sequence.pk), [self.people[number].pk], source, self.now)

    def _tag(self, _: str, number: int) -> None:
        Tagging.objects.get_or_create(tag=self.tag, subscriber=self.people[number], defaults={"tagged_at": self.now})

    def _mark(self, _: str, number: int, which: int) -> None:
        """They get a tag that filters name, or lose it."""
        tag, person = self.marks[which], self.people[number]
        if not Tagging.objects.filter(tag=tag, subscriber=person).delete()[0]:
            Tagging.objects.create(tag=tag, subscriber=person, tagged_at=self.now)

    def _filter(self, _: str, index: int, which: str) -> None:
        first, second = ({"type": "tags", "ids": [tag.pk]} for tag in self.marks)
        gone = make_tag(self.account)
        conditions: dict[str, dict[str, Any]] = {
            "first": first,
            "second": second,
            "not first": {"not": first},
            "either": {"any": [first, second]},
            "gone": {"not": {"type": "tags", "ids": [gone.pk]}},
        }
        given = {"filter": conditions.get(which)}
        edits.filter_email(self.account, self.sequence.pk, self._email(index).pk, given, self.now)
        gone.delete()

    def _person(self, kind: str, number: int, *arguments: int) -> None:
        row = Enrollment.objects.filter(sequence=self.sequence, subscriber=self.people[number]).first()
        if row is not None:
            emails = [self._email(index).pk for index in arguments]
            getattr(places, kind)(row.pk, *emails, "owner", "", self.now)

    def _edit(self, kind: str, *arguments: Any) -> None:
        owner, pk, now = self.account, self.sequence.pk, self.now
        match kind, arguments:
            case "insert", (position, values):
                given = {"subject": f"inserted {now}", "position": position, **values}
                edits.create_email(owner, pk, given, now)
            case "move", (index, position):
                edits.update_email(owner, pk, self._email(index).pk, {"position": position}, now)
            case (("publish" | "unpublish"), (index,)):
                edits.update_email(owner, pk, self._email(index).pk, {"published": kind == "publish"}, now)
            case "delete", (index,):
                edits.delete_email(owner, pk, self._email(index).pk, now)
            case (("hold_email" | "release_email" | "skip_wait"), (index,)):
                getattr(edits, kind)(owner, pk, self._email(index).pk, now)
            case "change", (index, values):
                edits.update_email(owner, pk, self._email(index).pk, values, now)
            case (("active" | "hold"), (value,)):
                edits.update_sequence(owner, pk, {kind: value}, now)
            case "reschedule", ():
                edits.reschedule(owner, pk, now)

    def _email(self, index: int) -> SequenceEmail:
        emails = list(self.sequence.emails.filter(deleted_at=None).order_by("position"))
        if not emails:
            raise DripstoneError("there is none")
        return emails[index % len(emails)]


def _refuse_for_now(message: Outgoing) -> Answer:
    return Answer(message.delivery_id, "temporary", "450 not now")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    values=sequence_values,
    emails=st.lists(email_values, min_size=1, max_size=5),
    is_immediate=st.booleans(),
    start=st.sampled_from(STARTS),
    apart=st.tuples(*[st.integers(0, 9)] * 3),  # minutes: those of a quarter of an hour are counted together
    steps=st.lists(step, max_size=14),
    days=st.integers(1, 20),
)
def test_what_it_says_is_what_happens(
    engine: Engine,
    values: dict[str, Any],
    emails: list[dict[str, Any]],
    is_immediate: bool,
    start: datetime,
    apart: tuple[int, ...],
    steps: list[tuple[Any, ...]],
    days: int,
) -> None:
    with transaction.atomic():
        first = {"delay_unit": "days", "delay_value": 0} if is_immediate else {}
        history = History(engine, values, [{**emails[0], **first}, *emails[1:]], start)
        for number, minutes in enumerate(apart):
            history.do("outage", minutes / 60)
            history.do("add", number, "bulk")
        for one in steps:
            history.do(*one)
        expected = foreseen(history.sequence, history.now, days)
        assert expected == foreseen(history.sequence, history.now, days)
        assert expected == happened(history.sequence, engine, days)
        transaction.set_rollback(True)
