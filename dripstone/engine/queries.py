"""The engine's hot SQL, one constant per query. PostgreSQL is the only dialect.

Sets are passed as text written by Python's C code: numbers as an array literal (`ids`), rows as JSON (`rows`), which
takes 0.2 to 1 µs an element. psycopg writes the elements of a list one by one in Python: 1 µs a number, 5 a text, 11 an
instant.

Lock order everywhere: sequence, subscribers, enrollments, deliveries, and inside each kind by id. Code that keeps it
cannot deadlock. SKIP LOCKED is only used where another process may as well do the same work on the row.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any


def ids(numbers: Iterable[int]) -> str:
    """For `= ANY(%(…)s::bigint[])`."""
    return f"{{{','.join(map(str, numbers))}}}"


def rows(names: Sequence[str], values: Iterable[Sequence[Any]]) -> str:
    """For `json_to_recordset(%(…)s)`: numbers, texts, instants, None."""
    return records(dict(zip(names, row, strict=True)) for row in values)


def records(values: Iterable[Mapping[str, Any]]) -> str:
    """The same, each row with its names; what is missing is null."""
    return json.dumps(list(values), default=datetime.isoformat)


# Where a walk over accounts begins, behind `after`: notices about accounts have account 0.
BEFORE_ALL = -1

# Sequences that may plan and have somebody due, all or those `among` these ids, and how many (up to `most`). One probe
# of the index enrollment_due for each active sequence: 1.4 µs.
SEQUENCES_WITH_DUE = """
SELECT s.id, s.account_id, due.n FROM sequences_sequence s
CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
    SELECT 1 FROM engine_enrollment e WHERE e.sequence_id = s.id AND e.due_at <= %(now)s LIMIT %(most)s) one) due
WHERE s.active AND s.deleted_at IS NULL AND s.edits = s.edits_done
  AND (%(among)s::bigint[] IS NULL OR s.id = ANY(%(among)s::bigint[])) AND due.n > 0
ORDER BY s.id
"""

# The first delivery of a list and the first notice of each account with an id above `after`, one account at a time: a
# probe of delivery_ready_of_account for each account with something planned (2.4 µs), of delivery_notice_of_account for
# each with a notice, however much of it waits. Read lazily: whoever takes only a few rows stops the walk. No column
# beside the index is asked for: with a filter on one, the planner may read and sort all that is planned.
_FIRST_OF_EACH_ACCOUNT = """
WITH RECURSIVE listed (account_id, ready_at) AS (
    (SELECT account_id, ready_at FROM engine_delivery
     WHERE status = 'planned' AND account_id > %(after)s ORDER BY account_id, ready_at LIMIT 1)
    UNION ALL
    SELECT next.* FROM listed CROSS JOIN LATERAL (
        SELECT account_id, ready_at FROM engine_delivery
        WHERE status = 'planned' AND account_id > listed.account_id ORDER BY account_id, ready_at LIMIT 1) next),
notice (account_id, ready_at) AS (
    (SELECT account_id, notice_ready_at FROM engine_delivery
     WHERE notice_ready_at IS NOT NULL AND account_id > %(after)s ORDER BY account_id, notice_ready_at LIMIT 1)
    UNION ALL
    SELECT next.* FROM notice CROSS JOIN LATERAL (
        SELECT account_id, notice_ready_at FROM engine_delivery
        WHERE notice_ready_at IS NOT NULL AND account_id > notice.account_id
        ORDER BY account_id, notice_ready_at LIMIT 1) next)
"""

# The same without broadcasts, which the claim passes over: nothing here can print one yet.
_FIRST_EMAIL_OF_EACH_ACCOUNT = f"""
{_FIRST_OF_EACH_ACCOUNT},
email (ready_at) AS (
    SELECT first.ready_at FROM listed CROSS JOIN LATERAL (
        SELECT ready_at FROM engine_delivery d
        WHERE d.account_id = listed.account_id AND d.status = 'planned' AND d.ready_at < %(parked)s
          AND d.broadcast_id IS NULL ORDER BY d.ready_at LIMIT 1) first)
"""  # noqa: S608

# When something is due next: a place of an active sequence, a retry or a notice (not before the server's gate opens),
# the end of a lease. For the virtual clock. Like the claim, it passes over broadcasts.
NEXT_INSTANT = f"""
{_FIRST_EMAIL_OF_EACH_ACCOUNT}
SELECT LEAST(
    (SELECT min(first.due_at) FROM sequences_sequence s
     CROSS JOIN LATERAL (SELECT e.due_at FROM engine_enrollment e
                         WHERE e.sequence_id = s.id AND e.due_at IS NOT NULL ORDER BY e.due_at LIMIT 1) first
     WHERE s.active AND s.deleted_at IS NULL),
    (SELECT GREATEST(min(ready_at), %(opens_at)s::timestamptz) FROM email HAVING count(*) > 0),
    (SELECT GREATEST(min(ready_at), %(opens_at)s::timestamptz) FROM notice HAVING count(*) > 0),
    (SELECT lease_until FROM engine_delivery WHERE status = 'sending' ORDER BY lease_until LIMIT 1))
"""  # noqa: S608

# How much is ready to be sent (up to `limit`), and how many jobs already wait to send it.
READY_AND_SEND_JOBS = f"""
{_FIRST_OF_EACH_ACCOUNT}
SELECT (SELECT count(*) FROM (SELECT 1 FROM listed CROSS JOIN LATERAL (
                                  SELECT 1 FROM engine_delivery d
                                  WHERE d.account_id = listed.account_id AND d.status = 'planned'
                                    AND d.ready_at <= %(now)s AND d.broadcast_id IS NULL LIMIT %(limit)s) of_account
                              WHERE listed.ready_at <= %(now)s
                              UNION ALL SELECT 1 FROM engine_delivery WHERE notice_ready_at <= %(now)s
                              LIMIT %(limit)s) ready),
       (SELECT count(*) FROM procrastinate_jobs
        WHERE status = 'todo' AND queue_name = 'send' AND task_name = 'dripstone.engine.tasks.send')
"""  # noqa: S608

# Whether a tick waits for a free worker. Successful jobs are deleted, so there are few.
IS_TICK_QUEUED = """
SELECT EXISTS (SELECT FROM procrastinate_jobs
               WHERE status = 'todo' AND queue_name = 'engine' AND task_name = 'dripstone.engine.tasks.tick')
"""

# Keeps edits of a sequence out until the transaction ends; any number of processes may hold this lock.
HOLD_SEQUENCE = """
SELECT active AND edits = edits_done FROM sequences_sequence WHERE id = %(sequence)s AND deleted_at IS NULL FOR SHARE
"""

# The same for all of these that are there, paused ones too: what a form adds (acts/sign_ups.py).
HOLD_SEQUENCES_ADDED = """
SELECT id FROM sequences_sequence
WHERE id = ANY(%(sequences)s::bigint[]) AND account_id = %(account)s AND deleted_at IS NULL ORDER BY id FOR SHARE
"""

# The same for all of these sequences that may plan. One that is being edited at this instant is passed over: the others
# must not wait for it, and it has its turn at the next tick.
HOLD_SEQUENCES = """
SELECT id FROM sequences_sequence
WHERE id = ANY(%(sequences)s::bigint[]) AND active AND edits = edits_done AND deleted_at IS NULL
ORDER BY id FOR SHARE SKIP LOCKED
"""

# Takes up to `limit` due places of each of these sequences, its oldest first. Index enrollment_due, in its order (the
# limit is a subquery for the reason given at CLAIM); it reads and locks what it takes.
TAKE_DUE = """
SELECT due.* FROM unnest(%(sequences)s::bigint[]) sequence (id)
CROSS JOIN LATERAL (
    SELECT e.id, e.sequence_id, e.subscriber_id, e.run, e.next_email_id, e.due_at FROM engine_enrollment e
    WHERE e.sequence_id = sequence.id AND e.due_at <= %(now)s
    ORDER BY e.due_at LIMIT (SELECT %(limit)s) FOR NO KEY UPDATE SKIP LOCKED) due
"""

# Writes one delivery per place (locked by the caller), planned or (with a reason) skipped, and puts the planned places
# in flight. The unique key delivery_once makes it idempotent. Returns the places that are not in flight now: skipped,
# or with a delivery of this email already.
PLAN = """
WITH place AS MATERIALIZED (
    SELECT e.id, e.account_id, e.sequence_id, e.subscriber_id, e.run, e.next_email_id, p.reason
    FROM json_to_recordset(%(places)s) AS p (id bigint, reason text) JOIN engine_enrollment e USING (id)),
made AS (
    INSERT INTO engine_delivery (account_id, sequence_id, subscriber_id, enrollment_id, run, email_id, status, reason,
                                 attempt, planned_at, ready_at, ended_at, worker, provider_id)
    SELECT account_id, sequence_id, subscriber_id, id, run, next_email_id,
           CASE WHEN reason = '' THEN 'planned' ELSE 'skipped' END, reason, 0, %(now)s,
           CASE WHEN reason = '' THEN %(now)s::timestamptz END, CASE WHEN reason <> '' THEN %(now)s::timestamptz END,
           '', ''
    FROM place
    ON CONFLICT (enrollment_id, run, email_id) DO NOTHING
    RETURNING enrollment_id, status),
flying AS (
    UPDATE engine_enrollment e SET due_at = NULL, in_flight = true FROM made
    WHERE e.id = made.enrollment_id AND made.status = 'planned'
    RETURNING e.id)
SELECT id FROM place WHERE id NOT IN (SELECT id FROM flying)
"""

SET_DUE = """
UPDATE engine_enrollment e SET due_at = u.due_at
FROM json_to_recordset(%(places)s) AS u (id bigint, due_at timestamptz) WHERE e.id = u.id
"""

# Due places whose next email is on hold: their date is kept instead (R22). Only workers of a version that knows no hold
# leave such places behind.
KEEP_DATES = """
UPDATE engine_enrollment SET held_due_at = due_at, due_at = NULL WHERE id = ANY(%(enrollments)s::bigint[])
"""

# R1 and R2 for a set of places: the next email (lowest position, published, no delivery in this run) and the anchor
# (end of the closest delivery before it in this run, never before entry). Before: in the order of SequenceEmail.order;
# of deleted emails at one position, the later end is the closer. `last` is when the latest delivery of the run ended.
# People who wait without a date for a deleted email get the anchor of that email too (R9). All by index delivery_once.
NEXT_EMAILS = """
SELECT e.id, e.account_id, e.subscriber_id, e.sequence_id, e.next_email_id, COALESCE(e.due_at, e.held_due_at),
       e.paused_at IS NOT NULL, e.held_due_at IS NOT NULL,
       c.position, c.published, c.deleted_at IS NOT NULL, c.held_at IS NOT NULL, c.released_at,
       c.delay_value, c.delay_unit, c.send_days,
       n.id, n.position, n.held_at IS NOT NULL, n.delay_value, n.delay_unit, n.send_days,
       GREATEST(e.anchored_at, (
           SELECT d.ended_at FROM engine_delivery d JOIN sequences_sequenceemail m ON m.id = d.email_id
           WHERE d.enrollment_id = e.id AND d.run = e.run AND d.ended_at IS NOT NULL
             AND m.position <= n.position
           ORDER BY m.position DESC, m.deleted_at IS NULL DESC, d.ended_at DESC LIMIT 1)),
       last.ended_at, s.hold, s.send_days, s.send_hour, s.time_zone, s.resumed_at,
       n.id IS NOT NULL OR EXISTS (SELECT 1 FROM sequences_sequenceemail m
                                   WHERE m.sequence_id = s.id AND m.published AND m.deleted_at IS NULL),
       CASE WHEN c.deleted_at IS NOT NULL AND e.due_at IS NULL AND e.held_due_at IS NULL THEN
           GREATEST(e.anchored_at, (
               SELECT d.ended_at FROM engine_delivery d JOIN sequences_sequenceemail m ON m.id = d.email_id
               WHERE d.enrollment_id = e.id AND d.run = e.run AND d.ended_at IS NOT NULL
                 AND (m.position, m.deleted_at IS NULL) <= (c.position, false)
               ORDER BY m.position DESC, m.deleted_at IS NULL DESC, d.ended_at DESC LIMIT 1)) END
FROM engine_enrollment e
JOIN sequences_sequence s ON s.id = e.sequence_id
LEFT JOIN sequences_sequenceemail c ON c.id = e.next_email_id
LEFT JOIN LATERAL (
    SELECT m.id, m.position, m.held_at, m.delay_value, m.delay_unit, m.send_days FROM sequences_sequenceemail m
    WHERE m.sequence_id = e.sequence_id AND m.published AND m.deleted_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM engine_delivery d
                      WHERE d.enrollment_id = e.id AND d.run = e.run AND d.email_id = m.id)
    ORDER BY m.position LIMIT 1) n ON true
LEFT JOIN LATERAL (
    SELECT max(d.ended_at) AS ended_at FROM engine_delivery d WHERE d.enrollment_id = e.id AND d.run = e.run
) last ON true
WHERE e.id = ANY(%(enrollments)s::bigint[])
"""

# Paused people, and the places `held` because their next email is on hold (R22), have no date: it is only kept.
SET_PLACES = """
UPDATE engine_enrollment e
SET next_email_id = u.next_email_id, in_flight = false,
    due_at = CASE WHEN e.paused_at IS NULL AND NOT e.id = ANY(%(held)s::bigint[]) THEN u.due_at END,
    held_due_at = CASE WHEN (e.paused_at IS NOT NULL OR e.id = ANY(%(held)s::bigint[])) AND u.completed_at IS NULL
                       THEN u.due_at END,
    paused_at = CASE WHEN u.completed_at IS NULL THEN e.paused_at END,
    status = CASE WHEN u.completed_at IS NULL THEN 'active' ELSE 'completed' END, completed_at = u.completed_at,
    left_after_id = CASE WHEN u.completed_at IS NOT NULL THEN (
        SELECT d.email_id FROM engine_delivery d
        WHERE d.enrollment_id = e.id AND d.run = e.run AND d.ended_at IS NOT NULL ORDER BY d.ended_at DESC LIMIT 1) END
FROM json_to_recordset(%(places)s)
     AS u (id bigint, next_email_id bigint, due_at timestamptz, completed_at timestamptz)
WHERE e.id = u.id AND e.status = 'active'
RETURNING e.id, e.left_after_id
"""

# The email that ended last in each place's run, for those who leave. By delivery_once.
LAST_ENDED = """
SELECT e.id, (SELECT d.email_id FROM engine_delivery d
              WHERE d.enrollment_id = e.id AND d.run = e.run AND d.ended_at IS NOT NULL
              ORDER BY d.ended_at DESC LIMIT 1)
FROM engine_enrollment e WHERE e.id = ANY(%(enrollments)s::bigint[])
"""

# People leave, and people come back in: places that are locked. Primary key; the ORM would take a
# hundred times as long.
REMOVE_PLACES = """
UPDATE engine_enrollment e
SET status = 'removed', removed_at = %(now)s, removed_reason = %(reason)s, left_after_id = gone.left_after,
    completed_at = NULL, due_at = NULL, next_email_id = NULL, in_flight = false, paused_at = NULL, held_due_at = NULL
FROM json_to_recordset(%(places)s) AS gone (id bigint, left_after bigint) WHERE e.id = gone.id
"""
REENTER_PLACES = """
UPDATE engine_enrollment e
SET status = back.status, run = back.run, source = %(source)s, door = %(door)s, entered_at = %(now)s,
    anchored_at = %(now)s, removed_at = back.removed_at, removed_reason = back.removed_reason, left_after_id = NULL,
    completed_at = NULL, due_at = NULL, next_email_id = NULL, in_flight = false, paused_at = NULL, held_due_at = NULL
FROM json_to_recordset(%(places)s) AS back (id bigint, status text, run int, removed_at timestamptz,
                                            removed_reason text) WHERE e.id = back.id
"""

# The people of a sequence, a batch at a time, from a given subscriber on. Index enrollment_once.
PEOPLE_OF_SEQUENCE = """
SELECT id, subscriber_id FROM engine_enrollment
WHERE sequence_id = %(sequence)s AND subscriber_id > %(after)s ORDER BY subscriber_id LIMIT %(limit)s
"""

# The people among them whom an edit may move. The row locks keep the tick out. Whoever is about to move (an email of
# theirs is being recorded, they are confirming) is waited for, and seen where they arrive: they may have been told
# where to go before the edit.
LOCK_PLACES = """
WITH place AS MATERIALIZED (
    SELECT id, status, in_flight FROM engine_enrollment
    WHERE id = ANY(%(enrollments)s::bigint[]) AND status IN ('unconfirmed', 'active') ORDER BY id FOR NO KEY UPDATE)
SELECT id FROM place WHERE status = 'active' AND NOT in_flight ORDER BY id
"""

INSERT_NOTES = """
INSERT INTO engine_note (enrollment_id, email_id, due_before, due_after, at, kind, reason, actor)
SELECT n.enrollment_id, n.email_id, n.due_before, n.due_after, %(now)s, %(kind)s, %(reason)s, %(actor)s
FROM json_to_recordset(%(notes)s)
     AS n (enrollment_id bigint, email_id bigint, due_before timestamptz, due_after timestamptz)
"""

# When the next delivery is ready; null: none is planned.
NEXT_READY = f"""
{_FIRST_EMAIL_OF_EACH_ACCOUNT}
SELECT LEAST((SELECT min(ready_at) FROM email), (SELECT min(ready_at) FROM notice))
"""  # noqa: S608

# Up to `limit` accounts with something ready, in the order of their ids.
ACCOUNTS_READY = f"""
{_FIRST_OF_EACH_ACCOUNT}
(SELECT account_id FROM listed WHERE ready_at <= %(ready_until)s LIMIT %(limit)s)
UNION
(SELECT account_id FROM notice WHERE ready_at <= %(ready_until)s LIMIT %(limit)s)
ORDER BY account_id LIMIT %(limit)s
"""  # noqa: S608

# planned → sending for this worker: of each account up to `share`, notices first, then what a sequence sends; of both,
# the oldest ready first. (Broadcasts are passed over.) The attempt number fences off earlier holders of the row.
# Indexes delivery_notice_of_account and delivery_ready_of_account, in their order: it reads and locks what it takes,
# and what others hold at this moment. The share is a subquery because the planner then counts on reading a part of what
# is ready, and needs no sort; told the number, it reads and sorts all of it. Nothing is taken while the breaker of the
# server is open: this is read from one row, once.
CLAIM = """
WITH ready AS MATERIALIZED (
    SELECT of_account.id FROM unnest(%(accounts)s::bigint[]) account (id)
    CROSS JOIN LATERAL (
        SELECT id FROM (
            SELECT id FROM engine_delivery
            WHERE account_id = account.id AND notice_ready_at <= %(ready_until)s AND planned_at <= %(planned_until)s
            ORDER BY notice_ready_at LIMIT (SELECT %(share)s) FOR NO KEY UPDATE SKIP LOCKED) notice
        UNION ALL
        SELECT id FROM (
            SELECT id FROM engine_delivery
            WHERE account_id = account.id AND status = 'planned' AND ready_at <= %(ready_until)s
              AND broadcast_id IS NULL AND COALESCE(unparked_at, planned_at) <= %(planned_until)s
            ORDER BY ready_at LIMIT (SELECT %(share)s) FOR NO KEY UPDATE SKIP LOCKED) email
        LIMIT (SELECT %(share)s)) of_account
    WHERE NOT EXISTS (SELECT 1 FROM senders_breaker WHERE server = %(server)s AND retry_at IS NOT NULL)
    LIMIT %(limit)s)
UPDATE engine_delivery d
SET status = 'sending', attempt = d.attempt + 1, ready_at = NULL, notice_ready_at = NULL,
    lease_until = %(lease_until)s, worker = %(worker)s
FROM ready WHERE d.id = ready.id
RETURNING d.id, d.attempt, d.account_id, d.sequence_id, d.subscriber_id, d.email_id, d.notice_id, d.untried
"""

# The places whose deliveries are about to end; broadcasts and notices have none. Index delivery's primary key.
LOCK_PLACES_OF = """
SELECT id FROM engine_enrollment
WHERE id IN (SELECT enrollment_id FROM engine_delivery WHERE id = ANY(%(deliveries)s::bigint[]))
ORDER BY id FOR NO KEY UPDATE
"""

# The people a batch goes to.
PEOPLE = """
SELECT id, account_id, email_address, first_name, fields, state FROM subscribers_subscriber
WHERE id = ANY(%(subscribers)s::bigint[])
"""

# sending → its end (or back to planned when ready_at is given), for the rows still held by the same attempt; the places
# are locked. A delivery that goes back untried keeps its reason and reply, unless there is a new reason. None that goes
# back has an edition: a worker of the release before may send it, and would leave it there. A writer that lost its
# lease finds another attempt or status and changes nothing. The last column says whether a place still waits for this
# delivery (it was neither taken out nor restarted meanwhile). (`= ANY` beside the join keeps the planner on the primary
# key: without it, it reads all of delivery_leased.)
END_ATTEMPTS = """
UPDATE engine_delivery d
SET status = u.status,
    reason = CASE WHEN u.untried > 0 AND u.reason IS NULL THEN d.reason ELSE COALESCE(u.reason, '') END,
    reply = CASE WHEN u.untried > 0 AND u.reason IS NULL THEN d.reply ELSE COALESCE(u.reply, '') END,
    untried = d.untried + COALESCE(u.untried, 0), lease_until = NULL, worker = '',
    ready_at = CASE WHEN d.notice_id IS NULL THEN u.ready_at END,
    notice_ready_at = CASE WHEN d.notice_id IS NOT NULL THEN u.ready_at END,
    provider_id = COALESCE(u.provider_id, ''),
    sent_at = CASE WHEN u.status = 'sent' THEN %(now)s END,
    ended_at = CASE WHEN u.ready_at IS NULL THEN %(now)s END,
    edition_id = CASE WHEN u.ready_at IS NULL THEN u.edition END
FROM json_to_recordset(%(outcomes)s)
     AS u (id bigint, attempt int, status text, reason text, provider_id text, ready_at timestamptz, untried int,
           reply text, edition bigint)
WHERE d.id = ANY(%(ids)s::bigint[]) AND d.id = u.id AND d.attempt = u.attempt AND d.status = 'sending'
RETURNING d.id, d.enrollment_id, d.account_id, d.subscriber_id, d.email_id, d.status, d.notice_id,
          (SELECT e.status = 'active' AND e.in_flight AND e.run = d.run FROM engine_enrollment e
           WHERE e.id = d.enrollment_id) IS TRUE
"""

# A delivery refused for now must not go again if its sequence, email or person was stopped meanwhile. It is parked (as
# by follow.park and acts/places.pause), or skipped if it will never go. The sequences are held (HOLD_SEQUENCES_OF) and
# the enrollments locked, so that no edit and no pause can slip in between. None of this applies to notices.
HOLD_SEQUENCES_OF = """
SELECT id FROM sequences_sequence
WHERE id IN (SELECT sequence_id FROM engine_delivery WHERE id = ANY(%(deliveries)s)) ORDER BY id FOR SHARE
"""

PARK_RETRIES = """
UPDATE engine_delivery d SET ready_at = %(parked)s
FROM engine_enrollment e, sequences_sequence s, sequences_sequenceemail m
WHERE d.id = ANY(%(deliveries)s) AND d.status = 'planned'
  AND e.id = d.enrollment_id AND s.id = d.sequence_id AND m.id = d.email_id
  AND (e.paused_at IS NOT NULL OR NOT s.active OR s.deleted_at IS NOT NULL OR NOT m.published
       OR m.held_at IS NOT NULL)
"""

SKIP_RETRIES = """
UPDATE engine_delivery d SET status = 'skipped', ready_at = NULL, ended_at = %(now)s,
       reason = CASE WHEN e.status = 'removed' THEN e.removed_reason WHEN e.run <> d.run THEN %(restarted)s
                     WHEN m.deleted_at IS NOT NULL THEN %(email_deleted)s ELSE %(added_again)s END
FROM engine_enrollment e, sequences_sequenceemail m
WHERE d.id = ANY(%(deliveries)s) AND d.status = 'planned'
  AND e.id = d.enrollment_id AND m.id = d.email_id
  AND (e.status <> 'active' OR e.run <> d.run OR NOT e.in_flight OR m.deleted_at IS NOT NULL)
RETURNING d.id, d.enrollment_id, d.account_id, d.subscriber_id, d.email_id, d.status, d.notice_id,
          e.status = 'active' AND e.in_flight AND e.run = d.run
"""

# planned → skipped for every delivery of some people's current places (removal, cancellation, restart).
SKIP_PLANNED = """
UPDATE engine_delivery SET status = 'skipped', reason = %(reason)s, ready_at = NULL, ended_at = %(now)s
WHERE enrollment_id = ANY(%(enrollments)s) AND status = 'planned'
"""

SKIP_PLANNED_NOTICES = """
UPDATE engine_delivery SET status = 'skipped', reason = %(reason)s, notice_ready_at = NULL, ended_at = %(now)s
WHERE notice_id = ANY(%(notices)s) AND status = 'planned'
"""

# Deliveries whose reader has been deleted since they were claimed (acts/forget.py). Primary keys of both tables.
FORGOTTEN = """
SELECT id FROM engine_delivery d
WHERE id = ANY(%(deliveries)s::bigint[]) AND subscriber_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM subscribers_subscriber s WHERE s.id = d.subscriber_id)
"""

# planned → skipped for these: nobody is there to get what was refused for now.
SKIP_FORGOTTEN = """
UPDATE engine_delivery SET status = 'skipped', reason = %(reason)s, ready_at = NULL, notice_ready_at = NULL,
       ended_at = %(now)s
WHERE id = ANY(%(deliveries)s::bigint[]) AND status = 'planned'
"""

DELETE_FORGOTTEN = "DELETE FROM engine_delivery WHERE id = ANY(%(deliveries)s::bigint[])"

# planned → skipped for deliveries that are ready: they count as sent when they were planned (acts/overdue.py). The
# places are locked.
SKIP_OVERDUE = """
UPDATE engine_delivery SET status = 'skipped', reason = %(reason)s, ready_at = NULL, ended_at = planned_at
WHERE enrollment_id = ANY(%(enrollments)s) AND status = 'planned' AND ready_at <= %(now)s
RETURNING enrollment_id
"""

# The same for broadcasts and notices, which have no place.
SKIP_OVERDUE_WITHOUT_A_PLACE = """
UPDATE engine_delivery SET status = 'skipped', reason = %(reason)s, ready_at = NULL, notice_ready_at = NULL,
       ended_at = planned_at
WHERE enrollment_id IS NULL AND (status = 'planned' AND ready_at <= %(now)s OR notice_ready_at <= %(now)s)
"""

# They have no slot either, and go once sending goes on.
PUT_OFF_OVERDUE_WITHOUT_A_PLACE = """
UPDATE engine_delivery
SET ready_at = CASE WHEN notice_id IS NULL THEN %(until)s::timestamptz END,
    notice_ready_at = CASE WHEN notice_id IS NOT NULL THEN %(until)s::timestamptz END
WHERE enrollment_id IS NULL AND (status = 'planned' AND ready_at <= %(now)s OR notice_ready_at <= %(now)s)
"""

# Abandoned rows in `sending`, for the rescue: their lease has run out, their worker is dead, or their batch was broken
# off. `worker` is "worker/batch number". Index delivery_leased; it holds only what is on its way now.
ABANDONED = """
SELECT id, attempt, split_part(worker, '/', 1), lease_until <= %(leases_until)s FROM engine_delivery
WHERE status = 'sending' AND (lease_until <= %(leases_until)s OR split_part(worker, '/', 1) = ANY(%(dead_workers)s)
                              OR worker = ANY(%(broken_off)s))
ORDER BY id LIMIT %(limit)s
"""

HOLDS = """
SELECT 1 FROM engine_delivery WHERE status = 'sending' AND %(name)s IN (worker, split_part(worker, '/', 1)) LIMIT 1
"""

# After the clock was set back by `seconds`: deliveries planned, or put off after a refusal, by the wrong clock wait no
# longer than they would have by the right one, and no lease is longer than a lease. Deliveries put off before that come
# early, and the earlier the more workers mend; that does no harm. Deliveries released after a pause wait for their
# slot, whatever the clock.
SHORTEN_WAITS = """
UPDATE engine_delivery SET ready_at = GREATEST(%(now)s, ready_at - %(seconds)s * interval '1 second')
WHERE status = 'planned' AND ready_at > %(now)s AND ready_at < %(parked)s
  AND (planned_at > %(now)s OR attempt > 0 AND unparked_at IS NULL)
"""

SHORTEN_WAITS_OF_NOTICES = """
UPDATE engine_delivery SET notice_ready_at = GREATEST(%(now)s, notice_ready_at - %(seconds)s * interval '1 second')
WHERE notice_ready_at > %(now)s
"""

SHORTEN_LEASES = """
UPDATE engine_delivery SET lease_until = %(longest)s WHERE status = 'sending' AND lease_until > %(longest)s
"""
