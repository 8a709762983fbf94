"""The `dripstone` command. Every subcommand parses, calls one verb and prints; the work lives elsewhere."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import django
import typer
from django.core.exceptions import ImproperlyConfigured
from rich.console import Console
from rich.table import Table

from dripstone import embedded
from dripstone.errors import DripstoneError

if TYPE_CHECKING:
    from dripstone.accounts.models import Account
    from dripstone.imports.models import Import
    from dripstone.ops.doctor import Result
    from dripstone.ops.importing import Step

app = typer.Typer(name="dripstone", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
accounts_app = typer.Typer(no_args_is_help=True, help="Accounts: each holds its own people, sequences and keys.")
keys_app = typer.Typer(no_args_is_help=True, help="API keys of an account.")
app.add_typer(accounts_app, name="accounts")
app.add_typer(keys_app, name="keys")
apps_app = typer.Typer(no_args_is_help=True, help="Software of others, which people allow to work in accounts (OAuth).")
app.add_typer(apps_app, name="apps")
users_app = typer.Typer(no_args_is_help=True, help="The people who sign in to pages.")
app.add_typer(users_app, name="users")
counts_app = typer.Typer(no_args_is_help=True, help="The counts that lists and pages show, kept as things change.")
app.add_typer(counts_app, name="counts")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
AppArgument = Annotated[int, typer.Argument(help="The id shown by apps list.")]
AccountOption = Annotated[int | None, typer.Option("--account", help="Account id; may be left out when there is one.")]


def main() -> None:
    """Runs the command; an error is printed as a sentence, with exit code 1."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dripstone.settings")
    try:
        django.setup()
        app(prog_name="dripstone")
    except (ImproperlyConfigured, embedded.EmbeddedError, DripstoneError) as error:
        fail(str(error))
    except django.db.OperationalError as error:
        fail(f"The database cannot be used: {str(error).strip()}")


def fail(sentence: str) -> None:
    """Says it on stderr and ends with exit code 1."""
    err.print(f"dripstone: {sentence}", style="red", markup=False)
    raise SystemExit(1)


def tell(sentence: str) -> None:
    """Progress, on stderr: stdout is for answers."""
    err.print(sentence, style="dim", markup=False)


@contextmanager
def database() -> Iterator[None]:
    """The database runs while the block does; an embedded one that no other process uses is stopped afterwards."""
    from django.conf import settings
    from django.db import connections

    server = nullcontext() if settings.DATABASE_URL else embedded.running(settings.DRIPSTONE_DATA, tell)
    with server:
        try:
            yield
        finally:
            connections.close_all()


@contextmanager
def ready_database() -> Iterator[None]:
    """`database()`, with the schema in it; fails with a sentence when it is not."""
    from dripstone.ops import readiness

    with database():
        if readiness.n_pending_migrations():
            fail("The database is not set up, or older than this version: run dripstone migrate.")
        yield


@contextmanager
def lasting_database() -> Iterator[None]:
    """`ready_database()` for commands that keep running: when PostgreSQL is away at the start, they wait for it."""
    from django.conf import settings

    from dripstone.ops import processes, waiting

    with processes.stop_signals() as stopping:
        if settings.DATABASE_URL and not waiting.until_postgresql_answers(stopping, tell):
            raise SystemExit(0)
    with ready_database():
        yield


# --- Running ----------------------------------------------------------------------------------------------------


@app.command()
def up(
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Fill an empty database with a demo.")] = False,
) -> None:
    """Run everything on this machine: database, web, workers and the local inbox. Ctrl-C stops it all."""
    from dripstone.ops import supervisor

    raise SystemExit(supervisor.run(demo=demo, tell=tell))


@app.command()
def web() -> None:
    """Run the web server alone: API, pages, /healthz and /metrics."""
    from dripstone.ops import serve, welcome

    if problem := serve.port_problem():
        fail(problem)
    with lasting_database():
        welcome.show_if_empty()
        serve.web()


@app.command()
def worker() -> None:
    """Run one worker process alone: it plans and sends what is due. Run as many as you want, anywhere."""
    from dripstone.ops import checks
    from dripstone.ops import worker as ops_worker

    with lasting_database():
        for problem in (*checks.errors(), *checks.data_problem()):
            fail(problem)
        ops_worker.run()


@app.command("resume-sending")
def resume_sending(
    late: Annotated[str | None, typer.Option(help="What to do with overdue mail: send, next-slot or skip.")] = None,
) -> None:
    """Resume sending after it was halted, and decide what to do with the mail that is overdue by then."""
    from dripstone.ops import past

    with ready_database():
        past.resume(late, tell)


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
) -> None:
    """Delete what is older than DRIPSTONE_KEEP_…_DAYS and not needed any more. Workers do the same each night."""
    from dripstone import clock
    from dripstone.ops import prune as engine_prune

    with ready_database(), err.status("Looking") if err.is_terminal else nullcontext():
        done = engine_prune.everything(clock.now(), rehearse=dry_run)
    for one in done:
        if one.cutoff is None:
            out.print(f"{one.name}: kept for ever")
        else:
            out.print(
                f"{one.name}: {one.n_gone:,} {'would go' if dry_run else 'gone'}, from before {one.cutoff:%Y-%m-%d}"
            )


@counts_app.command("check")
def counts_check() -> None:
    """Compare every kept count with the rows it stands for. Exit code 1 when one differs. Changes nothing."""
    _differing_counts(repair=False)


@counts_app.command("repair")
def counts_repair() -> None:
    """Mend what `check` finds, beside a running engine. What was pruned stays counted. Workers do it each night."""
    _differing_counts(repair=True)


def _differing_counts(*, repair: bool) -> None:
    from dripstone.tallies import verbs as tallies

    with ready_database(), err.status("Counting") if err.is_terminal else nullcontext():
        found = tallies.differences(repair=repair)
    for one in found:
        out.print(f"{one.kind.value} of {one.subject_id}, {one.label}: kept {one.kept:,}, counted {one.counted:,}")
    out.print(f"{len(found):,} counts {'mended' if repair else 'differ'}." if found else "Every count is true.")
    if found and not repair:
        raise SystemExit(1)


@app.command()
def migrate() -> None:
    """Bring the database to this version. Safe to run twice, and while another one runs."""
    from dripstone.ops import schema

    with database():
        n_applied = schema.migrate(tell)
    out.print(f"{n_applied} migrations applied." if n_applied else "The database is up to date.")


@app.command("with-database", context_settings={"ignore_unknown_options": True})
def with_database(
    command: Annotated[list[str], typer.Argument(help="A program with its arguments: psql, pg_dump, pg_restore …")],
) -> None:
    """Run a program of PostgreSQL's on Dripstone's database, which is started if need be."""
    from dripstone.ops import beside

    with database():
        code = beside.run(command)
    raise SystemExit(code)


@app.command()
def doctor(
    each: Annotated[bool, typer.Option("--each", help="A line for every sequence, also where all is well.")] = False,
) -> None:
    """Look for what is wrong, and say what to do about it. Exit code 1 when something is."""
    from dripstone.ops import doctor as ops_doctor

    with database():
        results = list(ops_doctor.examine())
        _print_results(results)
        for heading, of_account in ops_doctor.sequences(each=each):
            out.print(f"\n{heading}", markup=False)
            _print_results(of_account)
            results += of_account
    raise SystemExit(0 if all(result.is_well for result in results) else 1)


def _print_results(results: "list[Result]") -> None:
    for result in results:
        out.print("[green]ok[/]" if result.is_well else "[red]!![/]", end="")
        out.print(f"  {result.subject}: {result.sentence}", markup=False, highlight=False)


@app.command()
def simulate(
    sequence: Annotated[int, typer.Argument(help="The sequence's id.")],
    enter: Annotated[str | None, typer.Option(help='When they enter: "2026-10-30 14:20"; now if left out.')] = None,
    zone: Annotated[str | None, typer.Option(help="IANA name, of all times shown; the sequence's if left out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the timetable a new person would get. Touches no data."""
    from dripstone import clock
    from dripstone.ops import simulate as ops_simulate

    with ready_database():
        answer = ops_simulate.simulate(sequence, enter, zone, clock.now())
    if as_json:
        _answer(answer, as_json)
        return
    out.print(ops_simulate.table(answer))
    for remark in answer["remarks"]:
        out.print(remark, markup=False)


# --- People -----------------------------------------------------------------------------------------------------


@app.command("import")
def import_people(
    file: Annotated[str, typer.Argument(help="A CSV file; - is stdin.")],
    account: AccountOption = None,
    tag: Annotated[list[str] | None, typer.Option(help="Everybody gets this tag; it is made if need be.")] = None,
    form: Annotated[list[str] | None, typer.Option(help="Everybody is put on this form: name or id.")] = None,
    sequence: Annotated[list[str] | None, typer.Option(help="Everybody enters this sequence: name or id.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=TARGET, where the guess is wrong: a title, or a number from 1; and email, first_name, tags, "
            "created_at, skip or a custom field, which is made if need be."
        ),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="utf-8, windows-1252 …; guessed if left out.")] = None,
    separator: Annotated[str | None, typer.Option(help="comma, semicolon, tab or bar; guessed if left out.")] = None,
    header: Annotated[bool | None, typer.Option("--header/--no-header", help="Guessed if left out.")] = None,
    existing: Annotated[str, typer.Option(help="People on file: update, keep or skip.")] = "update",
    blanks: Annotated[str, typer.Option(help="A blank cell: keep what is known, or clear it.")] = "keep",
    fire_rules: Annotated[bool, typer.Option("--fire-rules", help="Rules fire on what the import does.")] = False,
    rejected: Annotated[str | None, typer.Option(help="Write rows that are not taken to this file.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what it would do, and leave no trace.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Ask nothing: everybody in the file has agreed to get mail.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Import people from a CSV file: counts, asks, and shows how far it is. Exit code 3 when rows were left out."""
    from dripstone.imports import import_words, verbs
    from dripstone.ops import importing

    separators = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
    given: dict[str, Any] = {"existing": existing, "blanks": blanks, "fire_rules": fire_rules}
    given |= {} if encoding is None else {"encoding": encoding}
    given |= {} if separator is None else {"separator": separators.get(separator, separator)}
    given |= {} if header is None else {"has_header": header}
    wishes = importing.Wishes(column or (), tag or (), form or (), sequence or (), given)
    if not (yes or dry_run) and (file == "-" or not sys.stdin.isatty()):
        fail("Nobody can be asked here whether to start: say --yes, or --dry-run first.")

    def agrees(row: "Import") -> bool:
        if not as_json:
            for line in import_words.effects(row):
                out.print(str(line), markup=False)
        if dry_run or not row.n_new + row.n_existing:
            return False
        return yes or typer.confirm(f"{verbs.CONSENT} Import them?", err=True)

    with ready_database(), _progress() as step:
        row = importing.import_file(
            _account(account), file, wishes, step, agrees, is_rehearsal=dry_run, rejected=rejected
        )
    if as_json:
        _answer(_import_row(row), as_json)
    elif row.run_at:
        for line in import_words.report(row):
            out.print(f"[green]{line}[/]" if not line.is_rejected else f"[red]{line}[/]")
    else:
        out.print("Nothing was changed.")
    if row.state == row.State.FAILED:
        fail(row.why)
    raise SystemExit(3 if row.n_rejected else 0)


@contextmanager
def _progress() -> Iterator["Step"]:
    """A bar on a terminal; elsewhere a line for each thing that is done. It leaves room for a question."""
    from rich.progress import Progress

    if not err.is_terminal:
        yield _lines()
        return
    bar, tasks = Progress(console=err, transient=True), {}

    def step(what: str, n: int, of: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what)
        bar.start()
        bar.update(tasks[what], completed=n, total=of or None)
        if of and n >= of:
            bar.stop()

    try:
        yield step
    finally:
        bar.stop()


def _lines() -> "Step":
    told: set[str] = set()

    def step(what: str, n: int, of: int) -> None:
        if what not in told:
            told.add(what)
            tell(f"{what} …")

    return step


def _import_row(row: "Import") -> dict[str, Any]:
    would = {"rows": row.n_rows, "new": row.n_new, "existing": row.n_existing, "unmailable": row.n_unmailable}
    did = {"made": row.n_made, "changed": row.n_changed, "entered": row.n_entered}
    import_id = row.pk if row.run_at else None  # one that has not run is gone
    return {"import_id": import_id, **would, "twice": row.n_twice, "rejected": row.n_rejected, **did}


# --- Accounts and keys ------------------------------------------------------------------------------------------


@accounts_app.command("create")
def create_account(
    name: Annotated[str, typer.Option(help="The account's name, as people see it.")],
    email: Annotated[str, typer.Option(help="Email address of its first user.")],
    time_zone: Annotated[str, typer.Option(help="IANA name, such as Europe/Paris.")] = "UTC",
    as_json: JsonOption = False,
) -> None:
    """Make an account with its first user and an API key. Password and key are shown once."""
    from dripstone import clock
    from dripstone.accounts import verbs

    with ready_database():
        account, user, password, key = verbs.create_account(name, email, time_zone, now=clock.now())
        answer = {"account_id": account.pk, "api_key": key, "user_email": user.email, "password": password}
    _answer(answer, as_json)


@accounts_app.command("update")
def update_account(
    account: AccountOption = None,
    name: Annotated[str | None, typer.Option(help="The account's name, as people see it.")] = None,
    postal_address: Annotated[str | None, typer.Option(help="Printed in every email, as the law asks.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="IANA name; for new sequences.")] = None,
    send_hour: Annotated[int | None, typer.Option(help="0 to 23; for new sequences.")] = None,
    per_second: Annotated[int | None, typer.Option(help="Most messages per second; 0: no limit.")] = None,
    per_day: Annotated[int | None, typer.Option(help="Most messages in any 24 hours; 0: no limit.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Change the given settings of an account, leave the others, and show them all."""
    from dripstone.accounts import verbs

    given = {"name": name, "postal_address": postal_address, "time_zone": time_zone, "send_hour": send_hour}
    given |= {"per_second": per_second, "per_day": per_day}
    with ready_database():
        row = verbs.update_account(_account(account), {key: one for key, one in given.items() if one is not None})
        answer = {"account_id": row.pk, **{key: getattr(row, key) for key in given}}
    _answer(answer, as_json)


@users_app.command("password")
def set_password(
    email: Annotated[str, typer.Argument(help="The address they sign in with.")],
    prompt: Annotated[bool, typer.Option("--prompt", help="Ask for the password instead of making one up.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give a user a new password, print it once, and end all their sessions."""
    from dripstone.accounts import verbs

    chosen = typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True) if prompt else None
    with ready_database():
        user, password = verbs.set_password(email, chosen)
        first = user.memberships.order_by("pk").first()
    answer = {"account_id": first.account_id if first else None, "user_email": user.email}
    _answer(answer if chosen else {**answer, "password": password}, as_json)


@users_app.command("address")
def set_address(
    email: Annotated[str, typer.Argument(help="The address they sign in with.")],
    new_email: Annotated[str, typer.Argument(help="The one they sign in with from now on.")],
    as_json: JsonOption = False,
) -> None:
    """Give a user another address to sign in with. No mail is sent, so be sure that it is theirs."""
    from dripstone.accounts import verbs

    with ready_database():
        user, before = verbs.correct_address(email, new_email)
    _answer({"user_email": user.email, "before": before}, as_json)


@users_app.command("invite")
def invite_user(
    email: Annotated[str, typer.Argument(help="The address that may use the link.")],
    account: AccountOption = None,
    role: Annotated[str, typer.Option(help="owner, editor or viewer.")] = "editor",
    as_json: JsonOption = False,
) -> None:
    """Invite somebody into an account, and print the link. It works once, within 7 days; no mail is sent."""
    from dripstone import clock
    from dripstone.accounts import invitations

    with ready_database():
        given = {"email_address": email, "role": role}
        row = invitations.invite(_account(account), given, None, clock.system_now())
        answer = {"account_id": row.account_id, "email_address": row.email, "role": row.role}
    link = invitations.link(row)
    if as_json:
        _answer({**answer, "expires_at": row.expires_at.isoformat(timespec="seconds"), "url": link}, as_json)
    else:
        out.print(link, markup=False)  # nothing else on stdout, so that it can be piped


@users_app.command("list")
def list_users(account: AccountOption = None, as_json: JsonOption = False) -> None:
    """List the people who can sign in to pages: a line for each account they are in, with their role there."""
    from dripstone.accounts import members

    with ready_database():
        rows = [
            {
                "user_email": user.email,
                "account_id": account_id,
                "role": role,
                "last_sign_in_at": user.last_login.isoformat(timespec="seconds") if user.last_login else None,
            }
            for user, account_id, role in members.everybody(account)
        ]
    if as_json:
        _answer({"users": rows}, as_json)
        return
    table = Table("address", "account", "role", "last signed in")
    for row in rows:
        table.add_row(*(str(value or "") for value in row.values()))
    out.print(table)


@keys_app.command("create")
def create_key(
    account: AccountOption = None,
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    full: Annotated[bool, typer.Option("--full", help="Also for what Kit keeps for OAuth: bulk, purchases.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an API key and print it. It is kept hashed, so this is the only time it is shown."""
    from dripstone import clock
    from dripstone.accounts import verbs

    with ready_database():
        owner = _account(account)
        key, plaintext = verbs.create_key(owner, name, clock.now(), has_full_access=full)
        answer = {"id": key.pk, "account_id": owner.pk, "name": key.name, "full_access": full, "api_key": plaintext}
    if as_json:
        _answer(answer, as_json)
    else:
        out.print(plaintext, markup=False)  # nothing else on stdout: KEY=$(dripstone keys create)


@keys_app.command("list")
def list_keys(account: AccountOption = None, as_json: JsonOption = False) -> None:
    """List API keys: what they are for and when they were last used, never the keys themselves."""
    from dripstone.accounts.models import ApiKey

    with ready_database():
        keys = ApiKey.objects.filter(**({"account_id": account} if account else {})).order_by("id")
        rows = [_key_row(key) for key in keys]
    if as_json:
        _answer({"keys": rows}, as_json)
        return
    table = Table("id", "account", "name", "ends in", "full access", "made", "last used", "revoked")
    for row in rows:
        table.add_row(*(str(value or "") for value in row.values()))
    out.print(table)


@keys_app.command("revoke")
def revoke_key(key_id: Annotated[int, typer.Argument(help="The id shown by keys list.")]) -> None:
    """Revoke an API key, at once and for good."""
    from dripstone import clock
    from dripstone.accounts.models import ApiKey

    with ready_database():
        if not ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=clock.now()):
            fail(f"There is no live key {key_id}; dripstone keys list shows them.")
    out.print(f"Key {key_id} is revoked.")


def _key_row(key: Any) -> dict[str, Any]:
    stamps = {at: getattr(key, at).isoformat(timespec="seconds") if getattr(key, at) else None
              for at in ("created_at", "last_used_at", "revoked_at")}  # fmt: skip
    return {"id": key.pk, "account_id": key.account_id, "name": key.name, "hint": key.hint,
            "full_access": key.has_full_access, **stamps}  # fmt: skip


@apps_app.command("create")
def create_app(
    name: Annotated[str, typer.Option(help="What people see when they are asked to allow it.")],
    redirect_uri: Annotated[list[str], typer.Option(help="Where they are sent afterwards; give it once for each.")],
    account: AccountOption = None,
    public: Annotated[bool, typer.Option("--public", help="One that can keep no secret.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an app, and print its client id and secret. It is kept hashed, so this is the only time it is shown."""
    from dripstone import clock
    from dripstone.oauth import applications

    given = {"name": name, "redirect_uris": redirect_uri, "client_type": "public" if public else "confidential"}
    with ready_database():
        row, secret = applications.create(_account(account), None, given, clock.now())
        answer = _app_row(row) | {"client_secret": secret or None}
    _answer(answer, as_json)


@apps_app.command("list")
def list_apps(account: AccountOption = None, as_json: JsonOption = False) -> None:
    """List apps, those that registered themselves too, with how many people allowed each what it still may."""
    from dripstone.oauth import applications

    with ready_database():
        rows = [_app_row(row) | {"allowed": row.n_consents} for row in applications.everybodys(account)]
    if as_json:
        _answer({"apps": rows}, as_json)
        return
    table = Table("id", "account", "name", "client id", "kind", "redirect URIs", "made", "allowed")
    for row in rows:
        shown = {**row, "redirect_uris": " ".join(row["redirect_uris"])}
        table.add_row(*("" if value is None else str(value) for value in shown.values()))
    out.print(table)


@apps_app.command("rotate")
def rotate_app(app_id: AppArgument, as_json: JsonOption = False) -> None:
    """Give an app another secret, and print it. The old one stops working at once."""
    from dripstone import clock
    from dripstone.oauth import applications

    with ready_database():
        row = applications.find_any(app_id)
        secret = applications.rotate_secret(row, clock.now())
    if as_json:
        _answer({"id": row.pk, "client_id": row.client_id, "client_secret": secret}, as_json)
    else:
        out.print(secret, markup=False)  # nothing else on stdout


@apps_app.command("delete")
def delete_app(app_id: AppArgument) -> None:
    """Delete an app. Whatever people allowed it ends at once."""
    from dripstone.oauth import applications

    with ready_database():
        row = applications.find_any(app_id)
        n_consents = row.n_consents
        applications.delete(row)
    out.print(f"App {app_id} is deleted; {n_consents} had allowed it, and that has ended.", markup=False)


@apps_app.command("allow")
def allow_app(
    app_id: AppArgument,
    user: Annotated[str, typer.Option(help="For whom it acts: the address they sign in with.")],
    account: AccountOption = None,
    scope: Annotated[str, typer.Option(help="read, write, or public, which is both.")] = "public",
    as_json: JsonOption = False,
) -> None:
    """Allow an app what a member of an account may, without a browser, and print its tokens. For tests and set-ups."""
    from dripstone import clock
    from dripstone.oauth import applications, tokens

    with ready_database():
        row, owner = applications.find_any(app_id), _account(account)
        given = tokens.give_out(owner, user, row, scope, clock.now())
    _answer(given, as_json)


def _app_row(row: Any) -> dict[str, Any]:
    return {"id": row.pk, "account_id": row.account_id, "name": row.name, "client_id": row.client_id,
            "client_type": row.client_type, "redirect_uris": row.redirect_uris.split(),
            "created_at": row.created_at.isoformat(timespec="seconds")}  # fmt: skip


def _account(account_id: int | None) -> "Account":
    """The account asked for, or the only one."""
    from dripstone.accounts.models import Account

    found = list(Account.objects.filter(**({"pk": account_id} if account_id else {})).order_by("id")[:2])
    if not found:
        fail(
            f"There is no account {account_id}."
            if account_id
            else "There is no account yet: dripstone accounts create."
        )
    if len(found) > 1:
        fail("There are several accounts; say which with --account.")
    return found[0]


def _answer(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    for name, value in answer.items():
        out.print(f"{name}: {value}", markup=False)
