"""A day on which everything goes wrong: a few hundred people in sequences of several emails, a mail server with moods
that is spoken to by real SMTP, workers that die in the middle, and limits. Time is virtual; the clock goes from one due
moment to the next.

What must hold whatever happens: nobody's emails out of order, never two of one run under way, no message accepted
twice, nobody lost, an end to every refusal, and figures that add up.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.accounts.verbs import update_account
from dripstone.engine import attempts, claim, counters, enroll, identity, life, plan, process, virtual
from dripstone.engine.models import Delivery, Enrollment
from dripstone.senders.base import Answer, Outgoing, Sender
from dripstone.senders.flight import FlightLog
from dripstone.senders.models import Breaker
from dripstone.sequences.models import Sequence as Course
from tests.conftest import VirtualClock
from tests.factories import make_account, make_sequence, make_subscriber, place_of
from tests.senders.helpers import handed_over
from tests.senders.scripted import CUT, Script, ScriptedServer, scripted

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
N_PEOPLE = 240
N_QUARTERS = 32  # of an hour, each with a mood; after that the server is well, and only people differ
N_DEAD = 10  # of them, in a row

# What it says to which command, and of how many messages in a hundred.
MOODS: dict[str, tuple[str, bytes, int]] = {
    "refuses at MAIL": ("MAIL", b"451 4.7.1 Try later\r\n", 100),
    "refuses some at RCPT": ("RCPT", b"450 4.7.1 Try later\r\n", 60),
    "refuses at DATA": ("DATA", b"451 4.7.0 Try later\r\n", 100),
    "refuses some bodies": ("BODY", b"451 4.7.1 Try later\r\n", 50),
    "has a full queue": ("MAIL", b"452 4.3.1 Insufficient system storage\r\n", 100),
    "goes away at DATA": ("DATA", b"421 4.3.2 Closing\r\n", 100),
    "cuts at MAIL": ("MAIL", CUT, 100),
    "cuts at some RCPT": ("RCPT", CUT, 30),
    "cuts at DATA": ("DATA", CUT, 100),
    "talks nonsense at RCPT": ("RCPT", b"what?\r\n", 100),
    "talks nonsense after some bodies": ("BODY", b"what?\r\n", 10),
    "cuts after some bodies": ("BODY", CUT, 10),
}
DEAD, BUSY, FAIR, LOSES_REPLIES = "is dead", "is busy", "is well", "loses some final replies"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, 41) if metafunc.config.getoption("--deep") else [1, 2])


class Weather:
    """Tells the scripted server how to behave. What is drawn depends on the seed and the message alone."""

    def __init__(self, seed: int, server: ScriptedServer, begin: datetime) -> None:
        self.seed, self.server, self.begin = seed, server, begin
        draw = random.Random(seed)
        kinds = [*MOODS, LOSES_REPLIES, BUSY]
        self.moods = draw.sample(kinds, len(kinds)) + [FAIR] * (N_QUARTERS - N_DEAD - len(kinds))
        draw.shuffle(self.moods)
        at = draw.randrange(2, len(self.moods))
        self.moods[at:at] = [DEAD] * N_DEAD
        self.mood = FAIR
        self.seen: set[str] = set()
        self.met: Counter[str] = Counter()
        server.script.reply = self.reply

    def turn(self, now: datetime) -> None:
        quarter = (now - self.begin) // (HOUR / 4)
        mood = self.moods[quarter] if quarter < len(self.moods) else FAIR
        if mood != self.mood:
            self.mood = mood
            self.server.script.greeting = {DEAD: CUT, BUSY: b"421 4.3.2 Busy\r\n"}.get(mood, Script().greeting)
            self.server.cut_all()

    def reply(self, number: int, verb: str, argument: str) -> bytes | None:
        """In the server's thread. For "BODY" the argument is the recipient's bare address."""
        at, reply, percent = MOODS.get(self.mood, ("", b"", 0))
        if verb == at and self._draws(argument, percent):
            self.met[self.mood] += 1
            return reply
        if verb == "BODY" and self.mood == LOSES_REPLIES and self._draws(argument, 20):
            self.met[self.mood] += 1
            (connection,) = (one for one in self.server.open if one.number == number)
            self.server.script.cut_after_sent[number] = connection.n_sent + 7  # taken, and "250 2.0" is all one hears
        return self.of_person(verb, argument.removeprefix("TO:<").partition("@")[0].partition("-")[0], argument)

    def of_person(self, verb: str, who: str, argument: str) -> bytes | None:
        match verb, who:
            case "RCPT", "greylisted" if argument not in self.seen:
                self.seen.add(argument)
                return b"451 4.7.1 Greylisted\r\n"
            case "RCPT", "full":
                return b"452 4.2.2 Mailbox full\r\n"
            case "RCPT", "gone":
                return b"550 5.1.1 No such user\r\n"
            case "BODY", "spam":
                return b"554 5.7.1 Spam\r\n"
        return None

    def _draws(self, argument: str, percent: int) -> bool:
        return random.Random(f"{self.seed} {self.mood} {argument}").randrange(100) < percent


class Death(BaseException):
    """Of a worker, in the middle of a batch."""


class Dying:
    """Hands over by a real sender, and dies before anybody could write down what it said."""

    def __init__(self, sender: Sender, n_answers: int) -> None:
        self.sender, self.n_answers, self.eight_bit = sender, n_answers, sender.eight_bit

    def hand_over(self, messages: Sequence[Outgoing]) -> Iterator[list[Answer]]:
        for number, answer in enumerate(handed_over(self.sender, messages)):
            if number == self.n_answers:
                raise Death
            yield [answer]

    def limit_connections(self, n_connections: int) -> None:
        self.sender.limit_connections(n_connections)

    def close(self, *, for_good: bool = False) -> None:
        self.sender.close(for_good=for_good)


class Workers:
    """This process as one worker after the other."""

    def __init__(self, seed: int, clock: VirtualClock) -> None:
        self.draw, self.clock = random.Random(seed), clock
        self.deaths: Counter[str] = Counter()
        self._names = itertools.count(1)

    def die(self) -> None:
        how = self.draw.choice(["claimed", "on the wire", "on another machine"])
        held = getattr(self, f"_die_{how.replace(' ', '_')}")()
        self.deaths[how] += held

    def _die_claimed(self) -> int:
        """Nothing of it has left."""
        name = f"claimed-{next(self._names)}"
        log = FlightLog(process.flights(), name)
        rows = claim.batch(f"{name}/1", process.current().sender, self.clock.now()).rows
        log.close()
        return len(rows)

    def _die_on_the_wire(self) -> int:
        """Some had their final reply, of some the body had left, and nothing was written down."""
        crew = process.current()
        with suppress(Death):
            life.send_batch(crew.worker, Dying(crew.sender, self.draw.randrange(8)), self.clock.now)
        held = Delivery.objects.filter(status="sending", worker__startswith=crew.worker).count()
        crew.sender.close(grace_seconds=0)  # type: ignore[call-arg]
        crew.flight.close()
        process.close()
        return held

    def _die_on_another_machine(self) -> int:
        """Whose flight log nobody here can read: after its lease nobody knows."""
        return len(claim.take("elsewhere/1", self.clock.now(), 3, claim.server().server))


def people(account: Account, seed: int) -> list[int]:
    kinds = ["fine"] * 30 + ["greylisted"] * 6 + ["spam", "gone"]
    draw = random.Random(seed)
    names = ["full", "spam", "gone", "greylisted", *(draw.choice(kinds) for _ in range(N_PEOPLE - 4))]
    domains = ["big.example" if number % 6 == 5 else "mail.example" for number in range(N_PEOPLE)]
    pairs = enumerate(zip(names, domains, strict=True))
    return [make_subscriber(account, email_address=f"{name}-{n}@{domain}").pk for n, (name, domain) in pairs]


def courses(account: Account) -> list[Course]:
    return [
        make_sequence(account, {"delay_value": 0}, hours(2), hours(3), send_hour=0),
        make_sequence(account, hours(1), hours(4)),
        make_sequence(account, {"delay_value": 0}, {"delay_value": 1}, send_hour=15),
    ]


def hours(n: int) -> dict[str, Any]:
    return {"delay_value": n, "delay_unit": "hours"}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted() as server:
        yield server


@pytest.fixture
def mail_url(server: ScriptedServer, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.DRIPSTONE_MAIL_URL = f"{server.url}&connections=3&per_second=300&per_day=2000"
    settings.DRIPSTONE_DATA = tmp_path
    settings.DRIPSTONE_DOMAIN_LIMITS = {"big.example": (20, None)}
    process.close()
    yield
    process.close()


def let_pass(workers: Workers, weather: Weather, until: datetime, step: timedelta, *, deaths: int = 0) -> None:
    """From one due moment to the next; whoever looks at the rows does so once per `step` at most. In `deaths` of a
    hundred of these moments a worker dies."""
    clock = workers.clock
    while (instant := virtual._next_instant(())) is not None and instant <= until:
        clock.set(max(instant, clock.now() + step))
        weather.turn(clock.now())
        if workers.draw.randrange(100) < deaths:
            plan.everything_due(clock.now())
            workers.die()
        life.until_idle(clock.now)
        weather.met["breaker"] += Breaker.objects.filter(retry_at__isnull=False).count()
        check_under_way()
    clock.set(max(until, clock.now()))


# --- What must hold ---------------------------------------------------------------------------------------------


def check_under_way() -> None:
    """R5, at any time."""
    going = Delivery.objects.filter(status__in=["planned", "sending"]).values_list("enrollment_id", "run")
    assert max(Counter(going).values(), default=0) <= 1


PERSON = "enrollment__subscriber"


def check_order() -> None:
    """Each run went through its emails in order of position, one after the other."""
    last: dict[tuple[int | None, int | None], tuple[int, datetime]] = {}
    rows = Delivery.objects.select_related("email").order_by("enrollment_id", "run", "email__position")
    for row in rows:
        assert row.email is not None
        key = (row.enrollment_id, row.run)
        if key in last:
            position, ended_at = last[key]
            assert row.email.position > position
            assert row.planned_at >= ended_at
        if row.ended_at is not None:
            last[key] = (row.email.position, row.ended_at)


def check_mail(server: ScriptedServer) -> None:
    """What the mail server has is what the rows say, each message once and each person's in order."""
    rows = {identity.message_id(row.pk).encode(): row for row in Delivery.objects.select_related("email", PERSON)}
    taken = [(rows[message_id_of(one.data)], one.rcpt_to) for one in server.accepted]
    assert max(Counter(row.pk for row, _ in taken).values()) == 1
    assert all(place_of(row).subscriber.email_address == rcpt_to for row, rcpt_to in taken)
    assert {row.pk for row, _ in taken if row.status != "unknown"} == {
        row.pk for row in rows.values() if row.status == "sent"
    }
    positions: dict[int | None, int] = {}
    for row, _ in taken:
        assert row.email is not None
        assert row.email.position > positions.get(row.enrollment_id, -1)
        positions[row.enrollment_id] = row.email.position


def message_id_of(data: bytes) -> bytes:
    (line,) = (line for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n") if line.startswith(b"Message-ID: "))
    return line.removeprefix(b"Message-ID: ").strip(b"<>")


def counted() -> Counter[str]:
    """By the metrics: deliveries planned, and how they ended."""
    counters.flush()
    rows = counters.read()
    names = {"planned": (counters.PLANNED, "")} | {
        status: (counters.OUTCOME, status) for status in ("sent", "failed", "skipped", "unknown")
    }
    return Counter({name: int(rows.get(key, 0)) for name, key in names.items()})


def check_people(all_courses: list[Course]) -> None:
    """Nobody is lost: everybody had every email, or is out for a reason."""
    assert set(Enrollment.objects.values_list("status", flat=True)) == {"completed", "removed"}
    removed = Enrollment.objects.filter(status="removed")
    assert set(removed.values_list("removed_reason", flat=True)) == {"subscriber_bounced"}
    assert {address.partition("-")[0] for address in removed.values_list("subscriber__email_address", flat=True)} == {
        "gone"
    }
    for course in all_courses:
        completed = Enrollment.objects.filter(sequence=course, status="completed").count()
        assert Delivery.objects.filter(sequence=course, enrollment__status="completed").count() == (
            completed * course.emails.count()
        )


def check_refusals() -> None:
    """Each came to an end, and only those that never stopped ended so."""
    given_up = Delivery.objects.filter(reason__startswith="gave_up").select_related("enrollment__subscriber")
    assert {place_of(row).subscriber.email_address.partition("-")[0] for row in given_up} == {"full"}
    for row in given_up:
        assert row.ended_at is not None
        assert attempts.GIVE_UP_AFTER <= row.ended_at - row.planned_at <= attempts.GIVE_UP_AFTER + 12 * HOUR
    refused = Delivery.objects.filter(status="failed").exclude(pk__in=given_up).select_related(PERSON)
    assert {place_of(row).subscriber.email_address.partition("-")[0] for row in refused} == {"spam", "gone"}


@pytest.mark.usefixtures("mail_url")
@pytest.mark.django_db(transaction=True)  # in one transaction dead row versions pile up
def test_nothing_is_lost_doubled_or_out_of_order(seed: int, clock: VirtualClock, server: ScriptedServer) -> None:
    begin, before = clock.now(), counted()
    alice = make_account("Alice")
    update_account(alice, {"per_second": 200, "per_day": 1500})
    weather, workers = Weather(seed, server, begin), Workers(seed, clock)
    everybody, all_courses = people(alice, seed), courses(alice)
    entries = [(course, person) for n, course in enumerate(all_courses) for person in everybody[n * 60 : n * 60 + 120]]
    random.Random(seed).shuffle(entries)

    for quarter in range(N_QUARTERS):  # people come all the while
        for course in all_courses:
            newcomers = [person for where, person in entries[quarter::N_QUARTERS] if where == course]
            enroll.add(course, newcomers, "import", clock.now())
        let_pass(workers, weather, begin + (quarter + 1) * HOUR / 4, 3 * MINUTE, deaths=15)
    let_pass(workers, weather, begin + timedelta(days=14), 2 * HOUR)

    check_order()
    check_mail(server)
    check_people(all_courses)
    check_refusals()
    ends = Counter(Delivery.objects.values_list("status", flat=True))
    assert set(ends) <= {"sent", "failed", "unknown", "skipped"}
    assert counted() - before == ends + Counter(planned=ends.total())
    assert Breaker.objects.get().retry_at is None
    # It was such a day.
    assert weather.met["breaker"] > 0
    assert len(weather.met) > len(MOODS) / 2
    assert workers.deaths.total() > 0
