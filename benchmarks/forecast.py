"""How long does it take to say what will go out to 100,000 people, and how much memory?

One sequence of ten emails (hours and days in turn), people at every place of it with the deliveries they had, their
dates scattered over seconds; a tenth is excluded by a tag. Read as it is; for a year instead of 30 days; while the
insertion of an email behind all people waits to be followed up; after it was, when all have that email due and others
behind it; and both again with a different past for each person. Then, in a sequence of three emails, what the API
answers about 100,000 people and about a million: forecasts and the health of the sequence.

    python -m benchmarks.forecast [--small] [--json FILE]
"""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from benchmarks import common

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.sequences.models import Sequence, SequenceEmail

N_EMAILS = 10
SIZES = (10_000, 100_000)
SMALL_SIZES = (500, 1_000)
GROWTH_SIZES = (100_000, 1_000_000)
N_READINGS = 5

# n-th person of a sequence of 10 emails: had n % 10, waits for the next one.
_PLACES = """
INSERT INTO engine_enrollment (account_id, sequence_id, subscriber_id, status, run, source, entered_at, anchored_at,
                               next_email_id, due_at, in_flight, removed_reason)
SELECT p.account_id, %(sequence)s, p.id, 'active', 1, 'api', %(now)s - interval '60 days', %(now)s - interval '60 days',
       m.id, %(now)s + random() * interval '3 days', false, ''
FROM subscribers_subscriber p
JOIN sequences_sequenceemail m ON m.sequence_id = %(sequence)s
                               AND m.position = 10 * ((p.id - %(lowest)s) %% %(n_emails)s)
"""
_HAD = """
INSERT INTO engine_delivery (account_id, sequence_id, subscriber_id, enrollment_id, run, email_id, status, reason,
                             attempt, planned_at, sent_at, ended_at, worker, provider_id)
SELECT e.account_id, e.sequence_id, e.subscriber_id, e.id, 1, m.id, 'sent', '', 1, s.at, s.at, s.at, '', ''
FROM engine_enrollment e
JOIN sequences_sequenceemail c ON c.id = e.next_email_id
JOIN sequences_sequenceemail m ON m.sequence_id = e.sequence_id AND m.position < c.position
CROSS JOIN LATERAL (SELECT %(now)s - interval '50 days' + (m.position / 10) * interval '5 days'
                           + (e.id / 250) * interval '0.3 seconds' AS at) s  -- recorded in chunks of 250
"""
_SCATTER = """
UPDATE engine_delivery d SET sent_at = s.at, ended_at = s.at
FROM (SELECT id, ended_at + random() * interval '1 day' AS at FROM engine_delivery
      WHERE sequence_id = %(sequence)s) s
WHERE d.id = s.id
"""


def main() -> None:
    parser = common.arguments(__doc__.partition("\n")[0])
    options = parser.parse_args()
    report = common.Report("forecast")
    with common.database():
        from dripstone import clock

        account = common.make_account()
        rows = [
            row for size in (SMALL_SIZES if options.small else SIZES) for row in measure(account, size, clock.now())
        ]
        report.table("Forecast", rows)
        sizes = SMALL_SIZES if options.small else GROWTH_SIZES
        report.table(f"Growth from {sizes[0]:,} people to {sizes[1]:,}", growth(account, sizes, clock.now()))
    report.save(options.json)


def measure(account: "Account", n_people: int, now: datetime) -> list[common.Figures]:
    sequence = seed(account, n_people, now)
    rows = [reading("in line, 30 days", sequence, n_people, now, 30)]
    rows.append(reading("in line, 366 days", sequence, n_people, now, 366))
    inserted = insert_behind(sequence, now)
    for past in ("", ", each their own past"):
        if past:
            scatter(sequence)
        set_edits(sequence, 1)  # as an edit leaves it that the engine has not followed up yet
        rows.append(reading(f"edit not followed up{past}", sequence, n_people, now, 30))
        set_edits(sequence, -1)
        with undone():
            follow_up(sequence, inserted, now)
            rows.append(reading(f"nobody in line{past}", sequence, n_people, now, 30))
    return rows


def growth(account: "Account", sizes: tuple[int, int], now: datetime) -> list[common.Figures]:
    few, many = (ask(seed(account, size, now, n_emails=3), now) for size in sizes)
    return [
        {
            "question": question,
            f"ms, {sizes[0]:,}": few[question].wall * 1000,
            f"ms, {sizes[1]:,}": many[question].wall * 1000,
            "growth": many[question].wall / few[question].wall,
            f"CPU ms, {sizes[1]:,}": (many[question].python + many[question].server) * 1000,
        }
        for question in few
    ]


def ask(sequence: "Sequence", now: datetime) -> dict[str, common.Cost]:
    """Each question's cost, the middle one of several by the clock."""
    from dripstone.explain import health
    from dripstone.foresight import forecast
    from dripstone.sequences.models import Sequence

    until = now + timedelta(days=30)
    rows = Sequence.objects.select_related("account", "sending_address", "email_template")
    one, everything = rows.filter(pk=sequence.pk), rows.filter(account=sequence.account_id)
    questions: dict[str, Callable[[], object]] = {
        "a sequence's forecast": lambda: (forecast.of_sequences(one, now, until), forecast.people(one)),
        "the account's forecast": lambda: (forecast.of_sequences(everything, now, until), forecast.people(everything)),
        "a sequence's health": lambda: health.of(one, now, now),
    }
    return {question: middle(answer) for question, answer in questions.items()}


def middle(answer: Callable[[], object]) -> common.Cost:
    costs = []
    for _ in range(N_READINGS):
        with common.measured() as cost:
            answer()
        costs.append(cost)
    return sorted(costs, key=lambda cost: cost.wall)[N_READINGS // 2]


def seed(account: "Account", n_people: int, now: datetime, n_emails: int = N_EMAILS) -> "Sequence":
    from dripstone.sequences.models import Sequence, SequenceEmail

    common.empty()
    Sequence.objects.update(active=False)
    sequence = common.make_sequence(account, f"{n_people} people")
    sequence.emails.all().delete()
    stamps = {"account": account, "created_at": now, "updated_at": now}
    for number in range(n_emails):
        delay = (5, "hours") if number % 2 else (2, "days")
        SequenceEmail.objects.create(
            sequence=sequence,
            subject=f"Letter {number}",
            position=10 * number,
            delay_value=delay[0],
            delay_unit=delay[1],
            published=True,
            **stamps,
        )
    tag = account.tags.create(name=f"tag {sequence.pk}", created_at=now)
    sequence.exclude_subscriber_sources = [{"type": "tag", "ids": [tag.pk]}]
    sequence.save()
    with common.without_key_checks():
        lowest = common.add_people(account, n_people)
        common.execute(_PLACES, {"sequence": sequence.pk, "now": now, "lowest": lowest, "n_emails": n_emails})
        common.execute(_HAD, {"now": now})
        common.execute(
            "INSERT INTO subscribers_tagging (tag_id, subscriber_id, tagged_at)"
            " SELECT %(tag)s, id, %(now)s FROM subscribers_subscriber WHERE id / 10 %% 10 = 0",
            {"tag": tag.pk, "now": now},
        )
    common.settle()
    common.execute("VACUUM (ANALYZE) subscribers_tagging")
    return sequence


def insert_behind(sequence: "Sequence", now: datetime) -> "SequenceEmail":
    """A published email at position 1: behind all people who had the first one."""
    from dripstone.sequences.models import SequenceEmail

    return SequenceEmail.objects.create(
        account_id=sequence.account_id,
        sequence=sequence,
        subject="Inserted",
        position=1,
        delay_value=1,
        delay_unit="days",
        published=True,
        created_at=now,
        updated_at=now,
    )


def set_edits(sequence: "Sequence", more: int) -> None:
    sequence.edits += more
    sequence.save()


def follow_up(sequence: "Sequence", inserted: "SequenceEmail", now: datetime) -> None:
    """As the engine leaves all people who had the first email: due at once."""
    first = sequence.emails.get(position=0)
    common.execute(
        "UPDATE engine_enrollment SET next_email_id = %(inserted)s, due_at = %(now)s WHERE next_email_id <> %(first)s",
        {"inserted": inserted.pk, "first": first.pk, "now": now},
    )


def scatter(sequence: "Sequence") -> None:
    """Moves each delivery to an instant of its own within the day, as if all people had come one by one."""
    common.execute(_SCATTER, {"sequence": sequence.pk})
    common.settle()


@contextmanager
def undone() -> Iterator[None]:
    from django.db import transaction

    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def reading(title: str, sequence: "Sequence", n_people: int, now: datetime, days: int) -> common.Figures:
    """The middle one of several, and what the process grew by over all of them."""
    from dripstone.foresight import forecast

    before, costs, totals = common.peak_memory_mb(), [], []
    for _ in range(N_READINGS):
        with common.measured() as cost:
            sends = forecast.of_sequence(sequence, now, now + timedelta(days=days))
        costs.append(cost)
        totals.append(sum(counter.total() for counter in sends.values()))
    assert len(set(totals)) == 1 and totals[0] > n_people, totals  # the same every time, and something
    return {
        "reading": title,
        "people": n_people,
        "seconds": statistics.median(cost.wall for cost in costs),
        "slowest": max(cost.wall for cost in costs),
        "CPU s": statistics.median(cost.python + cost.server for cost in costs),
        "MB more": common.peak_memory_mb() - before,
        "sends": totals[0],
    }


if __name__ == "__main__":
    main()
