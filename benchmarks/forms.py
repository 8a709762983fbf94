"""How many sign-ups a second does a form take, and what do others feel of a flood of them?

`dripstone web` as it runs in production, with limits far away, so that every sign-up does all its work: somebody new
with single opt-in (on the list, tagged, in a sequence), somebody new with double opt-in (a mail is asked for), somebody
who is on the list, the same address again and again, robots. Meanwhile somebody else makes a call ten times a second.
Shown are sign-ups a second, that call's times, the memory of the largest web process at its highest; and what a form's
hour lets in of a flood from as many networks as there are posts.

    python -m benchmarks.forms [--small] [--seconds N] [--json FILE]
"""

import itertools
import socket
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks import common
from benchmarks.calls import HOST, Client, Web, free_port, served
from benchmarks.unfinished import beside, calls, watched

if TYPE_CHECKING:
    from dripstone.subscribers.models import Form

N_CLIENTS = 32  # answers leave at even times, five a second for each
N_ON_FILE = 2_000
HOURLY = 200

Body = Callable[[int], str]


def main() -> None:
    parser = common.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, help="per kind (default 20)")
    options = parser.parse_args()
    seconds = options.seconds or (1.0 if options.small else 20.0)
    report = common.Report("forms")
    far_away = {"DRIPSTONE_RATE_LIMITS": "999999999,999999999", "DRIPSTONE_PORT": str(free_port())}
    with common.database(**far_away):
        key, single, double, guarded = seed()
        with served(["-m", "dripstone", "web"], int(far_away["DRIPSTONE_PORT"])) as web:
            rows: list[common.Figures] = [flood("nobody signs up", web, key, None, lambda n: "", seconds)]
            rows += [flood(name, web, key, form, body, seconds) for name, form, body in kinds(single, double)]
            rows.append(flood("a form whose hour is full", web, key, guarded, new("full"), seconds))
        report.table("Sign-ups, and calls of somebody else meanwhile", rows)
        report.table("What is there afterwards", [rows_of(single), rows_of(double), rows_of(guarded)])
    report.save(options.json)


def seed() -> tuple[str, "Form", "Form", "Form"]:
    """A key, a form with either opt-in, and one whose hour is soon full; people who are on the list already."""
    from django.db import connections

    from dripstone.accounts.verbs import create_key
    from dripstone.subscribers import forms
    from dripstone.subscribers.models import Form, Subscriber, Tag

    account, now = common.make_account(), datetime.now(UTC)
    key = create_key(account, "benchmark", now)[1]
    tag = Tag.objects.create(account=account, name="Reader", created_at=now)
    sequence = common.make_sequence(account, "Course")
    usual = {"tag_ids": [tag.pk], "sequence_ids": [sequence.pk], "hourly_limit": forms.MAX_HOURLY}
    made: list[Form] = [
        forms.create(account.pk, usual | values, now, sequence_ids={sequence.pk})
        for values in (
            {"name": "Single", "opt_in": "single"},
            {"name": "Double", "opt_in": "double"},
            {"name": "Guarded", "opt_in": "double", "hourly_limit": HOURLY},
        )
    ]
    stamps = {"account": account, "state": "active", "created_at": now, "updated_at": now}
    people = (Subscriber(email_address=f"on-file-{n}@example.org", **stamps) for n in range(N_ON_FILE))
    Subscriber.objects.bulk_create(people)
    connections.close_all()
    return key, made[0], made[1], made[2]


def new(name: str) -> Body:
    return lambda n: f"email_address={name}-{n}@example.org&first_name=Ann"


def kinds(single: "Form", double: "Form") -> list[tuple[str, "Form", Body]]:
    return [
        ("new, single opt-in", single, new("single")),
        ("new, double opt-in", double, new("double")),
        ("on the list, single opt-in", single, lambda n: f"email_address=on-file-{n % N_ON_FILE}@example.org"),
        ("one address, double opt-in", double, lambda n: "email_address=one@example.org"),
        ("robots", single, lambda n: f"email_address=robot-{n}@example.org&leave_empty=x"),
        ("no addresses", single, lambda n: "email_address=nonsense"),
    ]


# --- A flood ------------------------------------------------------------------------------------------------------


def flood(name: str, web: Web, key: str, form: "Form | None", body: Body, seconds: float) -> common.Figures:
    statuses: Counter[int] = Counter()
    with beside(lambda stop: post_all(stop, web, form, body, statuses)), watched(web) as memory:
        latencies = sorted(calls(web, key, seconds))
    return {
        "what": name,
        "sign-ups/s": sum(statuses.values()) / seconds if form else None,
        "answers": ", ".join(f"{n:,} × {status}" for status, n in sorted(statuses.items())) or None,
        "call p50 ms": 1000 * latencies[len(latencies) // 2],
        "slowest ms": 1000 * latencies[-1],
        "peak MB": max(memory, default=0) / 1e6,
    }


def post_all(stop: threading.Event, web: Web, form: "Form | None", body: Body, statuses: Counter[int]) -> None:
    if form is None:
        stop.wait()
        return
    numbers, path = itertools.count(), f"/f/{form.uid}"
    threads = [
        threading.Thread(target=post_on, args=[stop, web, path, body, numbers, statuses]) for _ in range(N_CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def post_on(
    stop: threading.Event, web: Web, path: str, body: Body, numbers: "itertools.count[int]", statuses: Counter[int]
) -> None:
    """One after the other on one connection, each from a network of its own."""
    with socket.create_connection((HOST, web.port), timeout=60) as connection:
        client = Client(connection)
        while not stop.is_set():
            number = next(numbers)
            client.ask(request(path, body(number), f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"))
            while not client.hear():
                pass
            statuses[client.status()] += 1


def request(path: str, body: str, network: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/x-www-form-urlencoded",
        f"X-Forwarded-For: {network}",
        f"Content-Length: {len(body)}",
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


# --- What it left -------------------------------------------------------------------------------------------------

_ROWS = """
SELECT (SELECT count(*) FROM subscribers_formsubscription WHERE form_id = %(form)s),
       (SELECT count(*) FROM subscribers_signup WHERE form_id = %(form)s),
       (SELECT count(*) FROM (SELECT email_address FROM subscribers_signup WHERE form_id = %(form)s
                              GROUP BY 1 HAVING count(*) > 1) twice)
"""


def rows_of(form: "Form") -> common.Figures:
    """Raises when an address was asked twice, or the guarded form let in more than its hour."""
    [(on_form, asked, twice)] = common.execute(_ROWS, {"form": form.pk})
    assert twice == 0, f"{twice} addresses were asked twice"
    assert form.name != "Guarded" or asked <= HOURLY + N_CLIENTS, f"{asked} were let in"
    return {"form": form.name, "on it": on_form, "asked by mail": asked, "asked twice": twice}


if __name__ == "__main__":
    main()
