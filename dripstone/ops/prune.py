"""Deletes what no rule, page or link can need again: old events and deliveries, captured mail, ended jobs.

Takes       tables that only grow, and how long to keep rows (DRIPSTONE_KEEP_…_DAYS; docs/decisions/retention.md)
Leaves      the rows a rule, a page or a link may still need; a statement deletes one batch, and locks nothing else.
            After each it rests: nothing waits for it, and the workers that send share the machine
A crash here means some batches are gone and the others are not: the next time goes on. Two at once do no harm.
"""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from procrastinate import sql
from procrastinate.contrib.django import app
from procrastinate.jobs import Status

from dripstone import clock
from dripstone.accounts import invitations, limits, repeats, sessions, sign_in
from dripstone.automations import log as automations
from dripstone.bulk import actions, jobs
from dripstone.content import precompiled
from dripstone.engine import counters, process
from dripstone.imports import upkeep
from dripstone.oauth import registration, tokens
from dripstone.rules import log as rules
from dripstone.senders import pace
from dripstone.subscribers import sign_ups

log = structlog.get_logger(__name__)

BATCH = 1000  # rows looked at per statement: some 30 ms when all of them go
REST = 3.0  # times as long as the batch took (docs/decisions/retention.md)
KEEP_JOBS = timedelta(days=7)  # that failed: long enough to look at them; the others go when they are done

# A batch walks along the ids, which are given in order of time, and stops at rows that are too young. Rows that stay
# are read again the next time.
_WALK = """
WITH span AS (SELECT {columns} FROM {table} WHERE id > %(after)s ORDER BY id LIMIT %(limit)s),
     old AS (SELECT span.id FROM span {joins} WHERE {is_old}),
     gone AS ({act}){also}
SELECT (SELECT max(id) FROM span), (SELECT min({begun}) < %(cutoff)s FROM span), (SELECT count(*) FROM gone)
"""
_DELETE = "DELETE FROM {table} WHERE id IN (SELECT id FROM old) RETURNING id"
_COUNT = "SELECT id FROM old"

# What could not be done goes with its job.
_FAILURES = ", with_it AS (DELETE FROM bulk_failure WHERE job_id IN (SELECT id FROM old))"

# What came back from a delivery goes with it, in the same statement.
_RESPONSES = ", with_it AS (DELETE FROM tracking_response WHERE delivery_id IN (SELECT id FROM old))"


# So do the attempts of a call, and what a receiver wanted to hear.
_ATTEMPTS = ", with_it AS (DELETE FROM calls_attempt WHERE call_id IN (SELECT id FROM old))"
_HEARERS = (
    ", endpoints AS (DELETE FROM webhooks_endpoint WHERE receiver_id IN (SELECT id FROM old))"
    ", webhooks AS (DELETE FROM webhooks_webhook WHERE receiver_id IN (SELECT id FROM old))"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A table, and which of its rows may go.

    setting  how many days rows are kept; or the number itself, where nobody may choose
    begun    the column that grows along the ids
    """

    name: str
    table: str
    setting: str | int
    columns: str
    begun: str
    is_old: str
    joins: str = ""
    also: str = ""  # another part of the statement that deletes


KINDS = (
    Kind(
        # Of earlier runs and of deleted sequences; R1, R2 and R12 look at the current run only. Of broadcasts and
        # notices, all; and what a worker of an older version recorded of somebody who had been deleted.
        name="deliveries",
        table="engine_delivery",
        setting="DRIPSTONE_KEEP_DELIVERIES_DAYS",
        columns="id, enrollment_id, sequence_id, run, planned_at, ended_at, status",
        begun="planned_at",
        joins="LEFT JOIN engine_enrollment e ON e.id = span.enrollment_id"
        " LEFT JOIN sequences_sequence s ON s.id = span.sequence_id",
        is_old="span.ended_at < %(cutoff)s AND span.status <> 'unknown'"
        " AND (e.id IS NULL OR span.run < e.run OR s.deleted_at < %(cutoff)s)",
        also=_RESPONSES,
    ),
    Kind(
        name="notices",  # whose delivery has gone
        table="engine_notice",
        setting="DRIPSTONE_KEEP_DELIVERIES_DAYS",
        columns="id, asked_at",
        begun="asked_at",
        is_old="span.asked_at < %(cutoff)s"
        " AND NOT EXISTS (SELECT 1 FROM engine_delivery d WHERE d.notice_id = span.id)",
    ),
    Kind(
        # Of deleted sequences, when no delivery names one any more. Of the others somebody may still be asked about.
        name="editions",
        table="engine_edition",
        setting="DRIPSTONE_KEEP_DELIVERIES_DAYS",
        columns="id, email_version_id, made_at",
        begun="made_at",
        joins="JOIN sequences_emailversion v ON v.id = span.email_version_id"
        " JOIN sequences_sequenceemail m ON m.id = v.email_id JOIN sequences_sequence s ON s.id = m.sequence_id",
        is_old="s.deleted_at < %(cutoff)s"
        " AND NOT EXISTS (SELECT 1 FROM engine_delivery d WHERE d.email_id = m.id AND d.edition_id = span.id)",
    ),
    Kind(
        # That nobody was sent and that another has followed.
        name="versions of emails",
        table="sequences_emailversion",
        setting="DRIPSTONE_KEEP_DELIVERIES_DAYS",
        columns="id, email_id, number, published_at",
        begun="published_at",
        is_old="span.published_at < %(cutoff)s"
        " AND NOT EXISTS (SELECT 1 FROM engine_edition e WHERE e.email_version_id = span.id)"
        " AND EXISTS (SELECT 1 FROM sequences_emailversion v WHERE v.email_id = span.email_id"
        " AND v.number > span.number AND v.published_at < %(cutoff)s)",
    ),
    Kind(
        name="versions of templates",
        table="content_templateversion",
        setting="DRIPSTONE_KEEP_DELIVERIES_DAYS",
        columns="id, template_id, number, saved_at",
        begun="saved_at",
        is_old="span.saved_at < %(cutoff)s"
        " AND NOT EXISTS (SELECT 1 FROM engine_edition e WHERE e.template_version_id = span.id)"
        " AND EXISTS (SELECT 1 FROM content_templateversion v WHERE v.template_id = span.template_id"
        " AND v.number > span.number AND v.saved_at < %(cutoff)s)",
    ),
    Kind(
        name="versions of snippets",
        table="content_snippetversion",
        setting="DRIPSTONE_KEEP_DELIVERIES_DAYS",
        columns="id, account_id, snippet_id, number, saved_at",
        begun="saved_at",
        is_old="span.saved_at < %(cutoff)s AND NOT EXISTS (SELECT 1 FROM engine_edition e"
        " WHERE e.account_id = span.account_id AND span.id = ANY(e.snippet_versions))"
        " AND EXISTS (SELECT 1 FROM content_snippetversion v WHERE v.snippet_id = span.snippet_id"
        " AND v.number > span.number AND v.saved_at < %(cutoff)s)",
    ),
    Kind(
        name="events",
        table="events_event",
        setting="DRIPSTONE_KEEP_EVENTS_DAYS",
        columns="id, occurred_at",
        begun="occurred_at",
        is_old="span.occurred_at < %(cutoff)s",
    ),
    Kind(
        name="event numbers",  # of events that are gone; a reader's place among the numbers is none of them
        table="events_number",
        setting="DRIPSTONE_KEEP_EVENTS_DAYS",
        columns="id, (SELECT occurred_at FROM events_event v WHERE v.id = event_id) AS occurred_at",
        begun="COALESCE(occurred_at, '-infinity')",
        is_old="span.occurred_at IS NULL",
    ),
    Kind(
        name="sign-ups",
        table="subscribers_signup",
        setting=sign_ups.KEPT_DAYS,
        columns="id, asked_at",
        begun="asked_at",
        is_old="span.asked_at < %(cutoff)s",
    ),
    Kind(
        name="kept answers",
        table="accounts_keptanswer",
        setting=repeats.KEPT_DAYS,
        columns="id, answered_at",
        begun="answered_at",
        is_old="span.answered_at < %(cutoff)s",
    ),
    Kind(
        name="bulk jobs",  # that have ended
        table="bulk_job",
        setting=jobs.KEPT_DAYS,
        columns="id, asked_at, ended_at",
        begun="asked_at",
        is_old="span.ended_at < %(cutoff)s",
        also=_FAILURES,
    ),
    Kind(
        # What bulk actions changed, once it may not be undone any more.
        name="changes in bulk",
        table="bulk_change",
        setting=actions.KEPT_CHANGES_DAYS,
        columns="id, action_id, at",
        begun="at",
        joins="JOIN bulk_action a ON a.id = span.action_id",
        is_old="a.ended_at < %(cutoff)s AND a.state <> 'undoing'",
    ),
    Kind(
        # As long as the events that name them. Their changes have gone before.
        name="bulk actions",
        table="bulk_action",
        setting="DRIPSTONE_KEEP_EVENTS_DAYS",
        columns="id, asked_at, ended_at, state",
        begun="asked_at",
        is_old="span.ended_at < %(cutoff)s AND span.state <> 'undoing'"
        " AND NOT EXISTS (SELECT 1 FROM bulk_change c WHERE c.action_id = span.id)",
    ),
    Kind(
        # That have ended, or that wait for a receiver that was deleted.
        name="webhook deliveries",
        table="calls_call",
        setting="DRIPSTONE_KEEP_CALLS_DAYS",
        columns="id, receiver_id, planned_at, ended_at",
        begun="planned_at",
        joins="JOIN calls_receiver r ON r.id = span.receiver_id",
        is_old="COALESCE(span.ended_at, r.deleted_at) < %(cutoff)s",
        also=_ATTEMPTS,
    ),
    Kind(
        name="webhooks",  # that were deleted, and whose deliveries have gone
        table="calls_receiver",
        setting="DRIPSTONE_KEEP_CALLS_DAYS",
        columns="id, created_at, deleted_at",
        begun="created_at",
        is_old="span.deleted_at < %(cutoff)s AND NOT EXISTS (SELECT 1 FROM calls_call c WHERE c.receiver_id = span.id)",
        also=_HEARERS,
    ),
    Kind(
        name="firings",  # of rules that are there
        table="rules_firing",
        setting=rules.KEPT_DAYS,
        columns="id, at",
        begun="at",
        is_old="span.at < %(cutoff)s",
    ),
    Kind(
        name="steps",  # of automations that are there
        table="automations_step",
        setting=automations.KEPT_DAYS,
        columns="id, at",
        begun="at",
        is_old="span.at < %(cutoff)s",
    ),
    Kind(
        name="captured messages",
        table="senders_capturedmessage",
        setting="DRIPSTONE_KEEP_INBOX_DAYS",
        columns="id, sent_at",
        begun="sent_at",
        is_old="span.sent_at < %(cutoff)s",
    ),
)


@dataclass(frozen=True, slots=True)
class Pruned:
    name: str
    n_gone: int  # or would be, in a rehearsal
    cutoff: datetime | None  # None: they are kept for ever


def everything(
    now: datetime, *, rehearse: bool = False, after_batch: Callable[[], None] = lambda: None
) -> list[Pruned]:
    """One after the other. `rehearse` only counts. In a worker that is told to stop it ends with the batch."""
    done = [Pruned("imports", upkeep.forget_old(now, rehearse=rehearse, after_batch=after_batch), now - upkeep.KEPT)]
    for kind in KINDS:
        done.append(_prune(kind, now, rehearse, after_batch))
        if process.is_retiring():
            return done
    if not rehearse:
        _until_none(rules.delete_some_of_deleted_rules)
        _until_none(automations.delete_some_of_deleted)
        _delete_ended_jobs()
        SessionStore.clear_expired()
        sign_in.forget_old_failures(clock.system_now())
        sessions.forget_unused(clock.system_now())
        invitations.forget_ended(clock.system_now())
        tokens.forget_old(now)
        registration.forget_unused(now)
        limits.forget_idle()
        precompiled.forget_unused(now)
        counters.forget_minutes(now)
        n_meters = pace.forget_unused(now)
        log.info("pruned", meters=n_meters, **{re.sub(r"\W", "_", one.name): one.n_gone for one in done})
    return done


def _until_none(delete_some: Callable[[int], int]) -> None:
    """What was of something that is deleted, in batches."""
    n_gone = 1
    while n_gone and not process.is_retiring():
        began = time.monotonic()
        n_gone = delete_some(BATCH)
        time.sleep(REST * (time.monotonic() - began))


def _delete_ended_jobs() -> None:
    """Procrastinate's own statement; its method for it is for callers with an event loop."""
    hours = int(KEEP_JOBS.total_seconds() // 3600)
    ended = [status.value for status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.ABORTED)]
    app.connector.execute_query(query=sql.queries["delete_old_jobs"], nb_hours=hours, queue=None, statuses=ended)


def _prune(kind: Kind, now: datetime, rehearse: bool, after_batch: Callable[[], None]) -> Pruned:
    days = kind.setting if isinstance(kind.setting, int) else getattr(settings, kind.setting)
    if not days:
        return Pruned(kind.name, 0, None)
    cutoff = now - timedelta(days=days)
    n_gone = 0
    for n in _batches(kind, cutoff, rehearse):
        n_gone += n
        after_batch()
        if process.is_retiring():
            break
    return Pruned(kind.name, n_gone, cutoff)


def _batches(kind: Kind, cutoff: datetime, rehearse: bool) -> Iterator[int]:
    """Rows gone per batch. Each statement is a transaction of its own."""
    query = _WALK.format(
        columns=kind.columns,
        table=kind.table,
        joins=kind.joins,
        is_old=kind.is_old,
        begun=kind.begun,
        act=(_COUNT if rehearse else _DELETE).format(table=kind.table),
        also="" if rehearse else kind.also,
    )
    after: int | None = 0
    has_old: bool | None = True
    while has_old:
        began = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(query, {"after": after, "limit": BATCH, "cutoff": cutoff})
            after, has_old, n_gone = cursor.fetchone()
        took = time.monotonic() - began
        yield n_gone
        if not rehearse:
            time.sleep(REST * took)
