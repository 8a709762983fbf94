"""A day on which everything goes wrong, played to the engine in virtual time by a mail server with moods.

What must hold whatever happens: nobody's emails out of order, never two of one run under way, no message accepted
twice, nobody lost, and an end to every refusal.
"""

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.accounts.verbs import update_account
from dripstone.engine import enroll, gate, run, send
from dripstone.engine.models import Delivery, Enrollment
from dripstone.senders.base import Answer, Kind, Outgoing
from dripstone.senders.limits import Limit
from dripstone.senders.models import Breaker
from dripstone.senders.urls import MailUrl
from dripstone.sequences.models import Sequence
from tests.engine.driving import Engine
from tests.factories import make_sequence, make_subscriber

HOUR, MINUTES = timedelta(hours=1), timedelta(minutes=10)
N_PEOPLE = 120
AFTER_BODY = ("cut after body", "timeout after body", "nonsense after body")


def about_all(kind: Kind, reply: str, reason: str, about: Any) -> Callable[[Outgoing], Answer]:
    return lambda message: Answer(message.delivery_id, kind, reply, reason=reason, about=about)


MOODS: dict[str, Callable[[Outgoing], Answer]] = {
    "refuses connections": about_all("temporary", "", "connection refused", "connection"),
    "cannot be found": about_all("temporary", "Name or service not known", "host not found", "connection"),
    "answers nothing": about_all("temporary", "", "timeout before body", "server"),
    "cuts": about_all("temporary", "", "cut before body", "server"),
    "talks nonsense": about_all("temporary", "what?", "nonsense before body", "server"),
    "goes away": about_all("temporary", "421 4.3.2 Closing", "smtp 421 4.3.2", "server"),
    "has a full queue": about_all("temporary", "452 4.3.1 Insufficient system storage", "smtp 452 4.3.1", "server"),
    "refuses everybody": about_all("temporary", "450 4.7.1 Try later", "smtp 450 4.7.1", "message"),
}


class Weather:
    """A mail server with a mood for every quarter of an hour of its first day; after that only people differ."""

    def __init__(self, seed: int, begin: datetime, now: Callable[[], datetime]) -> None:
        self.random, self.begin, self.now = random.Random(seed), begin, now
        fair = [None] * len(MOODS)
        self.moods = [self.random.choice([*MOODS, *fair]) for _ in range(24 * 4)]
        self.accepted: Counter[int] = Counter()
        self.order: list[tuple[str, bytes]] = []
        self.seen: set[int] = set()

    def answer(self, message: Outgoing) -> Answer:
        quarter = (self.now() - self.begin) // (HOUR / 4)
        mood = self.moods[quarter] if quarter < len(self.moods) else None
        return MOODS[mood](message) if mood else self.of_person(message)

    def of_person(self, message: Outgoing) -> Answer:
        who = message.rcpt_to.partition("@")[0].partition("-")[0]
        is_new = message.delivery_id not in self.seen
        self.seen.add(message.delivery_id)
        match who:
            case "greylisted" if is_new:
                return Answer(message.delivery_id, "temporary", "451 4.7.1 Greylisted", reason="smtp 451 4.7.1")
            case "full":
                return Answer(message.delivery_id, "temporary", "452 4.2.2 Mailbox full", reason="smtp 452 4.2.2")
            case "spam":
                return Answer(message.delivery_id, "permanent", "554 5.7.1 Spam", reason="smtp 554 5.7.1")
            case "gone":
                return Answer(message.delivery_id, "permanent", "550 5.1.1", reason="smtp 550 5.1.1", hard_bounce=True)
            case "doubtful":
                self.accepted[message.delivery_id] += self.random.choice([0, 1])  # nobody can know
                reason = self.random.choice(AFTER_BODY)
                return Answer(message.delivery_id, "unknown", reason=reason, about="server")
        self.accepted[message.delivery_id] += 1
        return Answer(message.delivery_id, "sent", "250 Ok", reason="smtp 250")


def people(account: Account, seed: int) -> list[int]:
    kinds = ["fine"] * 20 + ["greylisted"] * 4 + ["spam", "gone", "doubtful"]
    draw = random.Random(seed)
    names = ["full", *(draw.choice(kinds) for _ in range(N_PEOPLE - 1))]
    domains = ["big.example" if number % 6 == 0 else "mail.example" for number in range(N_PEOPLE)]
    pairs = enumerate(zip(names, domains, strict=True))
    return [make_subscriber(account, email_address=f"{name}-{n}@{domain}").pk for n, (name, domain) in pairs]


def courses(account: Account) -> list[Sequence]:
    return [
        make_sequence(account, {"delay_value": 0}, hours(3), hours(5), send_hour=0),
        make_sequence(account, hours(1), hours(8)),
        make_sequence(account, {"delay_value": 0}, {"delay_value": 1}, send_hour=15),
    ]


def hours(n: int) -> dict[str, Any]:
    return {"delay_value": n, "delay_unit": "hours"}


def let_pass(engine: Engine, duration: timedelta, step: timedelta) -> None:
    """Workers look at the rows once per step: thousands of retries have thousands of instants."""
    end = engine.clock.now() + duration
    while engine.clock.now() < end:
        engine.clock.set(engine.clock.now() + step)
        run.until_idle(engine.clock.now)
        check_under_way()


def check_under_way() -> None:
    """R5, at any time."""
    going = Delivery.objects.filter(status__in=["planned", "sending"]).values_list("enrollment_id", "run")
    assert max(Counter(going).values(), default=0) <= 1


def check_order() -> None:
    """Each run went through its emails in order of position, one after the other."""
    last: dict[tuple[int, int], tuple[int, datetime]] = {}
    rows = Delivery.objects.select_related("email").order_by("enrollment_id", "run", "email__position")
    for row in rows:
        key = (row.enrollment_id, row.run)
        if key in last:
            position, ended_at = last[key]
            assert row.email.position > position
            assert row.planned_at >= ended_at
        if row.ended_at is not None:
            last[key] = (row.email.position, row.ended_at)


@pytest.mark.django_db(transaction=True)  # in one transaction dead row versions pile up
@pytest.mark.parametrize("seed", [1])
def test_nothing_is_lost_doubled_or_out_of_order(
    seed: int, alice: Account, engine: Engine, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = engine.clock.now()
    weather = Weather(seed, begin, engine.clock.now)
    engine.mail.answer = weather.answer
    monkeypatch.setattr(gate, "server", lambda: MailUrl("memory", "engine", limit=Limit(50, 2000)))
    settings.DRIPSTONE_DOMAIN_LIMITS = {"big.example": (10, None)}
    update_account(alice, per_second=30, per_day=1500)
    everybody, all_courses = people(alice, seed), courses(alice)
    for number, course in enumerate(all_courses):
        enroll.add(course, everybody[number * 30 : number * 30 + 60], "import", begin)

    let_pass(engine, 24 * HOUR, MINUTES)
    let_pass(engine, 10 * 24 * HOUR, 4 * HOUR)

    check_order()
    assert max(weather.accepted.values()) == 1
    ends = Counter(Delivery.objects.values_list("status", flat=True))
    assert set(ends) <= {"sent", "failed", "skipped", "unknown"}
    assert ends.total() == Delivery.objects.count()
    sent = set(Delivery.objects.filter(status="sent").values_list("pk", flat=True))
    assert sent == {id_ for id_ in weather.accepted if id_ in sent}
    # Nobody is lost: everybody had every email, or is out for a reason.
    assert set(Enrollment.objects.values_list("status", flat=True)) == {"completed", "removed"}
    assert set(Enrollment.objects.filter(status="removed").values_list("removed_reason", flat=True)) == {
        "subscriber is bounced"
    }
    for course in all_courses:
        completed = Enrollment.objects.filter(sequence=course, status="completed").count()
        assert Delivery.objects.filter(sequence=course, enrollment__status="completed").count() == (
            completed * course.emails.count()
        )
    # Every refusal came to an end, and only those that never stopped ended so.
    given_up = Delivery.objects.filter(reason__startswith="gave up after 3 days")
    assert given_up.count() >= 1
    for row in given_up:
        assert row.subscriber.email_address.startswith("full")
        assert row.ended_at is not None
        assert send.GIVE_UP_AFTER <= row.ended_at - row.planned_at <= send.GIVE_UP_AFTER + 12 * HOUR
    assert Breaker.objects.get().retry_at is None
