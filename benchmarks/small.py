"""Many small accounts instead of one large list: how long until everybody's email has gone, and what does it cost?

Thousands of accounts with three sequences each, and one person due in each sequence at the same instant: every message
is another letter, of another account, with another sender; first each account its own letters, then all the same ones,
as where everybody began with the same course. Then the same letters to other people, by processes that have never met
them, as on any later day. Two processes plan and send, as in `send`; the same number
of people in one sequence, before and after, is what it is compared with. Then a tick that finds nothing due in as many
sequences, and the same with ten times as many accounts as at first.

    python -m benchmarks.small [--small] [--accounts N] [--json FILE]
"""

import math
import multiprocessing
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks import common, send, sink
from benchmarks.plan import idle_tick_ms
from benchmarks.sink import Sink

if TYPE_CHECKING:
    from dripstone.accounts.models import Account

N_SEQUENCES = 3  # of each account
N_WORKERS = 2

# The rest of a letter is common.CONTENT, so that it is as large as those of `send`.
OPENING = "<p>This is letter {number}, which no other account sends.</p>"


def main() -> None:
    parser = common.arguments("Many small accounts: seconds to plan, messages per second, the latest message.")
    parser.add_argument("--accounts", type=int, help="how many (default 3,000), and a tenth of them")
    options = parser.parse_args()
    n_accounts = options.accounts or (60 if options.small else 3_000)
    report = common.Report("small")
    with sink.running() as target, common.database(DRIPSTONE_MAIL_URL=f"smtp://127.0.0.1:{target.port}"):
        alice = common.make_account()
        n_people = n_accounts * N_SEQUENCES
        one = measure("one sequence", target, n_people, lambda: common.make_due(alice, n_people))
        rows = [
            measure_accounts(target, n_accounts // 10, own_letters=True),
            measure_accounts(target, n_accounts, own_letters=True),
            measure_again(target, n_accounts, own_letters=True),
            measure_accounts(target, n_accounts // 10, own_letters=False),
            measure_accounts(target, n_accounts, own_letters=False),
            measure_again(target, n_accounts, own_letters=False),
        ]
        again = measure("one sequence, again", target, n_people, lambda: common.make_due(alice, n_people))
    report.table("Everybody due at one instant", [one, *rows, again])
    of_one = max(one["messages/s"], again["messages/s"])
    report.table(
        "Many small accounts against one sequence, and against a tenth of them",
        [against(rows[0], rows[1], one, of_one), against(rows[3], rows[4], one, of_one)],
    )
    report.save(options.json)


def against(few: dict[str, Any], many: dict[str, Any], one: dict[str, Any], of_one: float) -> dict[str, Any]:
    def ratio(name: str, base: dict[str, Any]) -> float:
        return float(many[name] / base[name]) if base[name] else math.nan  # a clock of 10 ms may have seen none of it

    return {
        "people": many["people"],
        "messages/s, of one sequence": many["messages/s"] / of_one,
        "CPU µs, of one": ratio("workers' CPU µs", one),
        "PostgreSQL µs, of one": ratio("PostgreSQL µs", one),
        "CPU µs, of a tenth": ratio("workers' CPU µs", few),
        "PostgreSQL µs, of a tenth": ratio("PostgreSQL µs", few),
        "peak MB, of a tenth": ratio("peak MB", few),
        "idle tick, of a tenth": ratio("idle tick ms", few),
    }


def measure_accounts(target: Sink, n_accounts: int, *, own_letters: bool) -> dict[str, Any]:
    def seed() -> None:
        pause_all()
        make_accounts(n_accounts, own_letters=own_letters)

    return measure(_name(n_accounts, own_letters), target, n_accounts * N_SEQUENCES, seed)


def measure_again(target: Sink, n_accounts: int, *, own_letters: bool) -> dict[str, Any]:
    name = f"{_name(n_accounts, own_letters)}, met again"
    return measure(name, target, n_accounts * N_SEQUENCES, make_people)


def _name(n_accounts: int, own_letters: bool) -> str:
    whose = "their own letters" if own_letters else "all the same three"
    return f"{n_accounts:,} × {N_SEQUENCES}, {whose}"


def measure(name: str, target: Sink, n_messages: int, seed: Callable[[], object]) -> dict[str, Any]:
    common.empty()
    seed()
    common.settle()
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(N_WORKERS + 1), spawn.Queue()
    processes = [spawn.Process(target=send.send_everything, args=(start, results)) for _ in range(N_WORKERS)]
    with send.counting(target, n_messages), common.stopping(processes):
        for process in processes:
            process.start()
        start.wait(common.PATIENCE_SECONDS)
        server_cpu, began, began_at = common.server_cpu_seconds(), time.perf_counter(), datetime.now(UTC)
        start.wait(common.PATIENCE_SECONDS)
        workers = [results.get(timeout=common.PATIENCE_SECONDS) for _ in processes]
        seconds, server_cpu = time.perf_counter() - began, common.server_cpu_seconds() - server_cpu
        start.wait(common.PATIENCE_SECONDS)
    per = 1e6 / n_messages
    return {
        "people": name,
        "messages": n_messages,
        "planning s": max(worker.plan_seconds for worker in workers),
        "messages/s": n_messages / seconds,
        "latest s": latest(began_at),
        "workers' CPU µs": sum(worker.cpu_main + worker.cpu_others for worker in workers) * per,
        "PostgreSQL µs": server_cpu * per,
        "peak MB": max(worker.peak_mb for worker in workers),
        "idle tick ms": idle_tick_ms(),
    }


def latest(began_at: datetime) -> float:
    """Seconds until the last message was taken."""
    last: datetime = common.execute("SELECT max(sent_at) FROM engine_delivery")[0][0]
    return (last - began_at).total_seconds()


def pause_all() -> None:
    from dripstone.sequences.models import Sequence

    Sequence.objects.update(active=False)


# --- Rows -------------------------------------------------------------------------------------------------------


def make_accounts(n_accounts: int, *, own_letters: bool) -> None:
    """Accounts as common.make_account makes one, each with its own sender, template and snippets, three sequences, and
    a person due in each."""
    from dripstone.accounts.models import Account, SendingAddress
    from dripstone.content.models import EmailTemplate, Snippet
    from dripstone.subscribers.models import CustomField

    now = datetime.now(UTC)
    n_before = Account.objects.count()
    accounts = Account.objects.bulk_create(
        Account(
            name=f"Account {n}",
            primary_email_address=f"owner@small{n}.example.com",
            postal_address=f"{n} Long Lane, Springfield",
            created_at=now,
        )
        for n in range(n_before, n_before + n_accounts)
    )
    addresses = SendingAddress.objects.bulk_create(
        SendingAddress(
            account=one, email_address=one.primary_email_address, from_name=one.name, is_default=True, created_at=now
        )
        for one in accounts
    )
    stamps = {"created_at": now, "updated_at": now}
    for values in (
        {"name": "Greeting", "key": "greeting", "snippet_type": "inline", "content": common.GREETING},
        {"name": "Signature", "key": "signature", "snippet_type": "block", "value_html": common.SIGNATURE},
    ):
        Snippet.objects.bulk_create(Snippet(account=one, **values, **stamps) for one in accounts)
    EmailTemplate.objects.bulk_create(
        EmailTemplate(account=one, name="Letter", html=common.TEMPLATE, is_default=True, **stamps) for one in accounts
    )
    opening = OPENING if own_letters else ""
    CustomField.objects.bulk_create(
        CustomField(account=one, label="City", key="city", name="ck_field_1_city", created_at=now) for one in accounts
    )
    make_sequences(accounts, addresses, opening, now)
    make_people()


def make_sequences(accounts: "list[Account]", addresses: list[Any], opening: str, now: datetime) -> None:
    from dripstone.sequences.models import Sequence, SequenceEmail

    stamps = {"created_at": now, "updated_at": now}
    sequences = Sequence.objects.bulk_create(
        Sequence(
            account=account,
            name=f"Course {n}",
            sending_address=address,
            send_hour=9,
            time_zone="America/New_York",
            **stamps,
        )
        for account, address in zip(accounts, addresses, strict=True)
        for n in range(N_SEQUENCES)
    )
    SequenceEmail.objects.bulk_create(
        SequenceEmail(
            account_id=sequence.account_id,
            sequence=sequence,
            subject=f"{{{{ subscriber.first_name }}}}, letter {position + 1}: water wears the stone",
            preview_text="What a drop can do, {{ subscriber.first_name }}",
            content=opening.format(number=f"{sequence.pk}.{position}") + common.CONTENT,
            position=position,
            delay_value=delay,
            delay_unit="days",
            published=True,
            **stamps,
        )
        for sequence in sequences
        for position, delay in enumerate((0, 1, 7))
    )


def make_people() -> None:
    """A person due in each active sequence."""
    from dripstone.engine.models import Enrollment
    from dripstone.sequences.models import SequenceEmail
    from dripstone.subscribers.models import CustomField, Subscriber

    now = datetime.now(UTC)
    city = dict(CustomField.objects.values_list("account_id", "pk"))
    emails = list(SequenceEmail.objects.filter(sequence__active=True, position=0).order_by("pk"))
    people = Subscriber.objects.bulk_create(
        Subscriber(
            account_id=email.account_id,
            email_address=f"reader{email.sequence_id}@example.org",
            first_name="Ana",
            fields={str(city[email.account_id]): "Leeds"},
            created_at=now,
            updated_at=now,
        )
        for email in emails
    )
    due_at = now - timedelta(minutes=1)
    with common.without_key_checks():
        Enrollment.objects.bulk_create(
            Enrollment(
                account_id=email.account_id,
                sequence_id=email.sequence_id,
                subscriber=person,
                status="active",
                source="api",
                entered_at=due_at,
                anchored_at=due_at,
                next_email=email,
                due_at=due_at,
            )
            for email, person in zip(emails, people, strict=True)
        )


if __name__ == "__main__":
    main()
