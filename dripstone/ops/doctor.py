"""`dripstone doctor`: looks at everything an operator may get wrong, and says what to do."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from django.conf import settings
from django.core import checks as django_checks
from django.db import connection
from django.db.models import Count

from dripstone import clock, words
from dripstone.automations import standing as automations
from dripstone.calls import standing
from dripstone.engine import pulse
from dripstone.engine.models import Delivery
from dripstone.explain import disk
from dripstone.explain.findings import NOTICE, Finding
from dripstone.explain.health import CHOSEN, Health
from dripstone.explain.health import of as health_of
from dripstone.explain.health import server_finding as health_server_finding
from dripstone.ops import flow, readiness
from dripstone.rules import standing as rules
from dripstone.senders import ways
from dripstone.sequences.models import Sequence
from dripstone.subscribers import remembered, spellings

LEAST_POSTGRESQL = 14
MOST_TOLD = 20
RULES_LAG_SECONDS = 60
LARGEST_CLOCK_GAP_SECONDS = 5


@dataclass(frozen=True)
class Result:
    """One thing looked at. `sentence` says how it stands, or what to do."""

    subject: str
    is_well: bool
    sentence: str


def examine() -> Iterator[Result]:
    """One result per subject. Needs a database that answers."""
    looks: tuple[Callable[[], Result], ...] = (
        _settings, _server, _schema, _engine, _clocks, _disk, _mail_server, _account_mail, _mail_flow,
        _rules, _automations, _webhooks, _sums, _spellings, _secret_key,
    )  # fmt: skip
    for look in looks:
        yield look()


def _settings() -> Result:
    problems = [f"{message.msg} {message.hint or ''}".strip() for message in django_checks.run_checks()]
    return Result("settings", not problems, " ".join(problems) or f"read; mail goes to {_mail_scheme()}")


def _mail_scheme() -> str:
    """Without user, password and host: this is pasted into bug reports."""
    return str(settings.DRIPSTONE_MAIL_URL).split("://", 1)[0] + "://"


def _server() -> Result:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'), "
            "pg_size_pretty(pg_database_size(current_database()))"
        )
        return _of_server(*cursor.fetchone())


def _of_server(number: int, version: str, size: str) -> Result:
    """The number, since a version may read `19beta1`."""
    kind, is_well = "your server" if settings.DATABASE_URL else "embedded", number >= LEAST_POSTGRESQL * 10000
    mend = "" if is_well else f": Dripstone needs {LEAST_POSTGRESQL} or newer"
    return Result("database", is_well, f"PostgreSQL {version} ({kind}), {size}{mend}")


def _schema() -> Result:
    n_pending = readiness.n_pending_migrations()
    missing = f"{words.count(n_pending, 'migration')} missing: dripstone migrate"
    return Result("schema", not n_pending, missing if n_pending else "ok")


def _engine() -> Result:
    if not _is_migrated():
        return Result("engine", False, "nothing to run on before dripstone migrate")
    last_seen, now = pulse.last_heartbeat(), clock.system_now()
    if last_seen is None:
        return Result("engine", False, "no worker runs, so nothing is sent: dripstone up, or dripstone worker")
    silent = (now - last_seen).total_seconds()
    return Result("engine", silent < pulse.ENGINE_SILENT_SECONDS, f"a worker was last seen {silent:.0f} s ago")


def _clocks() -> Result:
    """Dates and leases are by the clocks of the machines that work, heartbeats by the database's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        database, machine = cursor.fetchone()[0], clock.system_now()
    beat_at = pulse.read().beat_at if _is_migrated() and not clock.is_virtual() else None
    ahead = (machine - database).total_seconds()
    return _of_clocks(ahead, (beat_at - database).total_seconds() if beat_at else None)


def _of_clocks(machine_ahead: float, beat_ahead: float | None) -> Result:
    """Seconds before the database's clock. A worker's last beat is a moment old, unless its clock is ahead; one that
    is behind does not show."""
    found = []
    if abs(machine_ahead) >= LARGEST_CLOCK_GAP_SECONDS:
        found.append(f"this machine's clock is {_apart(machine_ahead)} the database's")
    if beat_ahead is not None and beat_ahead >= LARGEST_CLOCK_GAP_SECONDS:
        found.append(f"a worker's clock is, or was, {_apart(beat_ahead)} the database's")
    if not found:
        return Result("clocks", True, f"this machine and the database are {abs(machine_ahead):.1f} s apart")
    mend = "emails go, and leases end, by the workers' clocks: have all machines follow NTP"
    return Result("clocks", False, f"{' and '.join(found)}; {mend}")


def _apart(ahead: float) -> str:
    return f"{abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'}"


def _disk() -> Result:
    free = disk.free_bytes()
    return Result("disk", not disk.problem(), f"{free / 1e9:.1f} GB free for {settings.DRIPSTONE_DATA}")


def _mail_server() -> Result:
    """The one mail goes out through now; never its user or password."""
    if not _is_migrated():
        return Result("mail server", False, "unknown before dripstone migrate")
    finding = health_server_finding()
    sentence = f"{finding.sentence} {finding.mend_by}" if finding else "takes mail, as far as is known"
    return Result("mail server", finding is None, sentence)


def _account_mail() -> Result:
    """Without a mail server it is as it should be: pages name the commands that do the same."""
    if ways.is_local(settings.DRIPSTONE_MAIL_URL):
        return Result("mail about accounts", True, "none without a mail server; commands do the same")
    if not settings.DRIPSTONE_FROM:
        return Result(
            "mail about accounts", False, "DRIPSTONE_FROM is not set although a mail server is: nobody can be invited "
            "by mail, or get a new password. Set it, for instance to Dripstone <accounts@example.com>"
        )  # fmt: skip
    return Result("mail about accounts", True, f"comes from {settings.DRIPSTONE_FROM[1]}")


def _mail_flow() -> Result:
    """The same as /healthz says."""
    if not _is_migrated():
        return Result("mail", False, "unknown before dripstone migrate")
    now = clock.now()
    stop, in_words = flow.stopped(now), flow.in_words(pulse.overdue(now), now)
    return Result("mail", not stop, f"{stop} {in_words}".strip())


def _rules() -> Result:
    """They fire within a second, unless no worker runs or none has room."""
    if not _is_migrated():
        return Result("rules", False, "unknown before dripstone migrate")
    found, now = rules.now(others_listen=automations.are_listening()), clock.now()
    waits = (now - found.oldest).total_seconds() if found.oldest else 0.0
    on = words.count(found.n_on, "rule is on", "rules are on")
    if waits < RULES_LAG_SECONDS:
        return Result("rules", True, f"{on}; none is behind")
    mend = "see that a worker runs, and that it has a processor to itself"
    n_events = words.count(found.n_events, "event")
    return Result("rules", False, f"{on}; {n_events} wait to be read, the oldest for {waits:,.0f} s: {mend}")


def _automations() -> Result:
    """People walk within a second of their time, unless no worker runs or none has room."""
    if not _is_migrated():
        return Result("automations", False, "unknown before dripstone migrate")
    now = clock.now()
    found = automations.now(now)
    waits = (now - found.oldest).total_seconds() if found.oldest else 0.0
    active = words.count(found.n_active, "automation is active", "automations are active")
    if waits < RULES_LAG_SECONDS:
        return Result("automations", True, f"{active}; nobody is late")
    mend = "see that a worker runs, and that it has a processor to itself"
    return Result("automations", False, f"{active}; {words.people(found.n_due)} late, by up to {waits:,.0f} s: {mend}")


def _webhooks() -> Result:
    """Receivers are their owners' affair, so one that fails is told and is no fault of the server's."""
    if not _is_migrated():
        return Result("webhooks", False, "unknown before dripstone migrate")
    found, now = standing.now(), clock.now()
    waits = (now - found.oldest).total_seconds() if found.oldest else 0.0
    new = words.count(found.n_new, "delivery", "deliveries")
    told = f"{new} not tried yet, the oldest for {waits:.0f} s; " if found.n_new else ""
    failing = words.count(found.n_failing, "receiver")
    told += f"{found.n_again:,} to be tried again; {failing} failing, {found.n_switched_off:,} switched off for it"
    return Result("webhooks", True, told)


def _sums() -> Result:
    """Every delivery planned ends once, or is on its way. Exact, so it reads the whole table: seconds for millions."""
    if not _is_migrated():
        return Result("deliveries", False, "unknown before dripstone migrate")
    rows = Delivery.objects.values("status").annotate(n=Count("id"))
    counts = {row["status"]: row["n"] for row in rows.order_by("status")}
    told = ", ".join(f"{n:,} {status}" for status, n in counts.items())
    n_unknown = counts.get(Delivery.Status.UNKNOWN, 0)
    mend = f". It is not known whether {n_unknown:,} arrived: their owners decide (docs/how-to/decide-about-unknown.md)"
    return Result("deliveries", not n_unknown, f"{told or 'none yet'}{mend if n_unknown else ''}")


def _spellings() -> Result:
    """People whose address is kept in another spelling than look-ups use. Reads the whole table of people."""
    if not _is_migrated():
        return Result("addresses", False, "unknown before dripstone migrate")
    found = list(spellings.misspelt())
    if not found:
        return Result("addresses", True, "each mailbox is one person's")
    told = "; ".join(
        f"subscriber {one.subscriber_id} of account {one.account_id}"
        + (f" has the mailbox of subscriber {one.same_as}" if one.same_as else " is kept in an old spelling")
        for one in found[:MOST_TOLD]
    )
    more = f"; and {len(found) - MOST_TOLD:,} more" if len(found) > MOST_TOLD else ""
    return Result("addresses", False, f"{told}{more}. Both get mail: see docs/decisions/addresses.md")


def _secret_key() -> Result:
    """Whether the addresses of deleted people who must not be mailed are recognised (subscribers/remembered.py)."""
    if not _is_migrated():
        return Result("secret key", False, "unknown before dripstone migrate")
    if n := remembered.n_unreadable():
        whose = words.count(n, "deleted person", "deleted people")
        return Result("secret key", False, f"it was another one when {whose} had to be remembered: an import may mail "
                      "them. Give the server its old key (docs/decisions/forgetting.md)")  # fmt: skip
    return Result("secret key", True, "recognises every deleted person who must not be mailed")


def _is_migrated() -> bool:
    return readiness.n_pending_migrations() == 0


# --- Sequences --------------------------------------------------------------------------------------------------

OF_ACCOUNT = frozenset({"no_postal_address"})  # reported once, not with every sequence
ELSEWHERE = OF_ACCOUNT | {"engine_silent", "sending_halted", "server_left_alone"}  # `examine` has a line about each
AT_ONCE = 500  # sequences; their emails are in memory while they are looked at
FEW = 5  # sequences of an account without a finding that have a line each; more of them share one


def sequences(*, each: bool = False) -> Iterator[tuple[str, list[Result]]]:
    """Per account: its heading, and how its sequences stand (explain/health.py).

    each   a line for every sequence, however many are well
    """
    for _, group in groupby(_healths(), key=lambda one: one.sequence.account_id):
        of_account = list(group)
        account = of_account[0].sequence.account
        shared = [Result("account", False, _told(one)) for one in of_account[0].findings if one.code in OF_ACCOUNT]
        n_well = sum(1 for one in of_account if not _own(one))
        folds = n_well > FEW and not each
        results = [_of_sequence(one) for one in of_account if _own(one) or not folds]
        if folds:
            results.append(
                Result(words.count(n_well, "sequence"), True, "nothing is wrong with them (--each lists them)")
            )
        yield f"{account.name} (account {account.pk})", shared + results


def _healths() -> Iterator[Health]:
    """Every sequence of the installation, by account."""
    if not _is_migrated():
        return
    rows = Sequence.objects.filter(deleted_at=None).order_by("account_id", "pk")
    for ids in _batches(list(rows.values_list("pk", flat=True))):
        batch = rows.filter(pk__in=ids).select_related("account", "sending_address", "email_template")
        yield from health_of(batch, clock.now(), clock.system_now())


def _batches(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), AT_ONCE):
        yield ids[start : start + AT_ONCE]


def _own(one: Health) -> list[Finding]:
    return [finding for finding in one.findings if finding.code not in ELSEWHERE]


def _of_sequence(one: Health) -> Result:
    """Everything found, each on its own line with what mends it; what goes out next when there is nothing."""
    own = _own(one)
    subject = f"sequence {one.sequence.pk} {one.sequence.name}"
    is_well = all(finding.severity == NOTICE or finding.code in CHOSEN for finding in own)
    if not own:
        return Result(subject, True, one.sentence if one.is_healthy else "nothing of its own is wrong")
    return Result(subject, is_well, "".join(f"\n      {_told(finding)}" for finding in own))


def _told(finding: Finding) -> str:
    """The sentence, then the call or the setting."""
    if finding.mend is None:
        return f"{finding.sentence} {finding.mend_by}".rstrip()
    body = f" {json.dumps(finding.mend.body, ensure_ascii=False)}" if finding.mend.body else ""
    return f"{finding.sentence} Mend: {finding.mend.method} {finding.mend.path}{body}"
