"""How long does an import take, does it matter how large it is, and what of it is the database's own price?

A file of new people with a name, three fields and a tag, as a shop exports it: uploaded in pieces of a megabyte, read
and counted, and run, in one process and without mail due; a tenth of it first. Beside it a plain COPY of the same
people into the same table and of nothing else. Then the same file again, which changes nothing; undone; and a tenth of
it with a sequence besides. Then both by two `dripstone worker` processes. Memory is the highest of a process.

There are no figures unless everybody is there exactly once.

    python -m benchmarks.importing [--small] [--people N] [--json FILE]
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks import common

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.imports.models import Import

PIECE = 1_000_000  # bytes
HEADER = "Email,First Name,Town,Plan,Note\r\n"
_NAMES = ("Ana", "Björn", "Chioma", "Đorđe", "Emma", "Farid", "Grace")

_BARE_TABLE = "CREATE TEMPORARY TABLE bare (email_address text, first_name text, town text, plan text, note text)"
_BARE = """
INSERT INTO subscribers_subscriber (account_id, email_address, first_name, state, fields, created_at, updated_at)
SELECT %(account)s, email_address, first_name, 'active', jsonb_build_object('1', town, '2', plan, '3', note), now(),
       now()
FROM bare
"""


def main() -> None:
    parser = common.arguments("Imports: seconds for a million new people, growth, memory.")
    parser.add_argument("--people", type=int, help="how many (default 1,000,000), and a tenth of them")
    options = parser.parse_args()
    n_people = options.people or (5_000 if options.small else 1_000_000)
    report = common.Report("importing")
    with common.database(DRIPSTONE_MAIL_URL="memory://importing", DRIPSTONE_LOG_LEVEL="error"):
        small, large = measure(n_people // 10), measure(n_people)
        report.table("One process", [*small, *large])
        report.table("Ten times as many people", [growth(small[0], large[0]), growth(small[2], large[2])])
        report.table("With a sequence", [with_sequence(n_people // 10)])
        report.table("Two workers", [by_workers(n_people), by_workers(n_people // 10, has_sequence=True)])
    report.save(options.json)


def measure(n_people: int) -> list[dict[str, Any]]:
    common.empty()
    account, twin = common.make_account(), common.make_account()
    bare = figures("plain COPY and INSERT of the people alone", n_people, lambda: copy_bare(twin, n_people))
    common.execute("DELETE FROM subscribers_subscriber WHERE account_id = %(account)s", {"account": twin.pk})
    import_ = upload(account, n_people)
    reading = figures("read and count", n_people, lambda: read(import_))
    running = figures("run: new people, three fields, one tag", n_people, lambda: run(import_, n_people))
    both = {name: reading[name] + running[name] for name in ("seconds", "µs each", "µs Python", "µs PostgreSQL")}
    whole = {
        "what": "an import, all in all",
        "people": n_people,
        **{name: round(value, 2) for name, value in both.items()},
        "peak MB": round(common.peak_memory_mb()),
        "of plain COPY": round(both["seconds"] / bare["seconds"], 1),
    }
    again = figures("the same file again", n_people, lambda: run_again(account, n_people))
    undoing = figures("undo", n_people, lambda: undo(import_))
    return [whole, reading, running, bare, again, undoing]


def figures(what: str, n_people: int, do: Callable[[], object]) -> dict[str, Any]:
    common.settle()
    with common.measured() as cost:
        do()
    return {
        "what": what,
        "people": n_people,
        "seconds": round(cost.wall, 3),
        "µs each": round(cost.wall / n_people * 1e6, 1),
        "µs Python": round(cost.python / n_people * 1e6, 1),
        "µs PostgreSQL": round(cost.server / n_people * 1e6, 1),
        "peak MB": round(common.peak_memory_mb()),
    }


def growth(small: dict[str, Any], large: dict[str, Any]) -> dict[str, Any]:
    return {"what": large["what"], "µs each, ten times": round(large["µs each"] / small["µs each"], 2)}


# --- The file -----------------------------------------------------------------------------------------------------


def lines(n_people: int) -> Iterator[str]:
    for n in range(n_people):
        name = _NAMES[n % 7]
        yield f"Reader{n}@mail{n % 400}.example.org,{name},Town {n % 1000},plan {n % 3},note number {n}\r\n"


def pieces(n_people: int) -> Iterator[bytes]:
    waiting = HEADER.encode()
    for line in lines(n_people):
        waiting += line.encode()
        if len(waiting) >= PIECE:
            yield waiting
            waiting = b""
    yield waiting


def upload(account: "Account", n_people: int) -> "Import":
    from dripstone.imports import files

    now = datetime.now(UTC)
    import_ = files.begin(account, "people.csv", "benchmark", now)
    for number, piece in enumerate(pieces(n_people)):
        files.add(import_, number, piece)
    return files.finish(import_, now)


def copy_bare(account: "Account", n_people: int) -> None:
    from django.db import connection

    common.execute("DROP TABLE IF EXISTS bare")
    common.execute(_BARE_TABLE)
    with connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN (FORMAT csv, HEADER)") as copy:
        for piece in pieces(n_people):
            copy.write(piece)
    common.execute(_BARE, {"account": account.pk})


# --- What is measured ---------------------------------------------------------------------------------------------


def read(import_: "Import", **given: Any) -> None:
    choose(import_, **given)
    work()


def choose(import_: "Import", **given: Any) -> None:
    from dripstone.imports import verbs
    from dripstone.subscribers import tags

    tag, _ = tags.create(import_.account_id, {"name": "Shop"}, now(), cause=("owner",))
    verbs.choose(import_, {"consent": True, "tag_ids": [tag.pk], **given}, now())


def run(import_: "Import", n_new: int) -> None:
    start(import_)
    work()
    check(import_, n_new)


def start(import_: "Import") -> None:
    from dripstone.imports import verbs

    verbs.run(import_, now())


def check(import_: "Import", n_new: int) -> None:
    import_.refresh_from_db()
    assert (import_.state, import_.n_made) == ("done", n_new), (import_.state, import_.why, import_.n_made)
    values = {"account": import_.account_id}
    n_people = common.execute("SELECT count(*) FROM subscribers_subscriber WHERE account_id = %(account)s", values)
    assert n_new in (0, n_people[0][0])


def run_again(account: "Account", n_people: int) -> None:
    import_ = upload(account, n_people)
    read(import_)
    run(import_, 0)


def undo(import_: "Import") -> None:
    from dripstone.imports import verbs

    verbs.undo(import_, now())
    work()
    values = {"account": import_.account_id}
    [(n_left,)] = common.execute("SELECT count(*) FROM subscribers_subscriber WHERE account_id = %(account)s", values)
    assert n_left == 0, n_left


def with_sequence(n_people: int) -> dict[str, Any]:
    common.empty()
    account = common.make_account()
    sequence = common.make_sequence(account, "Welcome", active=False)
    import_ = upload(account, n_people)
    found = figures("read and run, with a sequence", n_people, lambda: enter(import_, sequence.pk, n_people))
    [(n_places,)] = common.execute("SELECT count(*) FROM engine_enrollment")
    assert n_places == n_people
    return found


def enter(import_: "Import", sequence_id: int, n_people: int) -> None:
    read(import_, sequence_ids=[sequence_id])
    run(import_, n_people)


def by_workers(n_people: int, *, has_sequence: bool = False) -> dict[str, Any]:
    """Choosing and starting it is all that is done here."""
    common.empty()
    account = common.make_account()
    given = {"sequence_ids": [common.make_sequence(account, "Welcome", active=False).pk]} if has_sequence else {}
    import_ = upload(account, n_people)
    common.settle()
    processes = [subprocess.Popen([sys.executable, "-m", "dripstone", "worker"]) for _ in range(2)]
    with common.stopping(processes):
        common.until(lambda: common.n_listening() >= len(processes))
        before = [common.process_cpu_seconds(process.pid) for process in processes]
        with common.measured() as cost:
            choose(import_, **given)
            common.until(lambda: state_of(import_) == "ready")
            start(import_)
            common.until(lambda: state_of(import_) != "running")
        python = [common.process_cpu_seconds(process.pid) for process in processes]
        peak_mb = max(common.peak_memory_mb_of(process.pid) for process in processes)
    check(import_, n_people)
    return {
        "what": f"an import, all in all{', with a sequence' if has_sequence else ''}",
        "people": n_people,
        "seconds": round(cost.wall, 3),
        "µs each": round(cost.wall / n_people * 1e6, 1),
        "µs Python": round((sum(python) - sum(before)) / n_people * 1e6, 1),
        "µs PostgreSQL": round(cost.server / n_people * 1e6, 1),
        "peak MB": round(peak_mb),
    }


def state_of(import_: "Import") -> str:
    import_.refresh_from_db(fields=["state"])
    return import_.state


def work() -> None:
    from dripstone.imports import work as imports

    while imports.take_turn() is not None:
        imports.work(now, 3_600)


def now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"{time.monotonic() - began:.0f} s")
