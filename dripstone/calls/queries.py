"""The SQL of calls: every statement with its purpose and its index. All of them work on sets."""

# Calls to be made for the first time. Written once.
PLAN = """
INSERT INTO calls_call (id, receiver_id, account_id, url, about, n_events, body, subscriber_ids, status, attempt,
                        restarted_at_attempt, claims, planned_at, next_attempt_at, reason)
SELECT COALESCE(id, nextval('calls_call_id_seq')), receiver_id, account_id, url, about, n_events,
       convert_to(body, 'UTF8'), subscriber_ids, 'planned', 0, 0, 0,
       planned_at, next_attempt_at, ''
FROM json_to_recordset(%(calls)s) AS c (
    id bigint, receiver_id bigint, account_id bigint, url text, about text, n_events smallint, body text,
    subscriber_ids bigint[], planned_at timestamptz, next_attempt_at timestamptz)
"""

# Receivers with something to do, found by skipping through a partial index from one receiver to the next: what they
# wait for is not counted. `kind` is the condition of that index (calls_call_fresh, calls_call_again).
_LISTED = """
WITH RECURSIVE listed AS (
    (SELECT receiver_id, {due} AS due FROM calls_call WHERE {kind} AND receiver_id > %(after)s
     ORDER BY receiver_id, {due} LIMIT 1)
    UNION ALL
    SELECT following.receiver_id, following.due FROM listed CROSS JOIN LATERAL (
        SELECT receiver_id, {due} AS due FROM calls_call WHERE {kind} AND receiver_id > listed.receiver_id
        ORDER BY receiver_id, {due} LIMIT 1) following),
"""

# Up to `limit` receivers to send to: no account with more than it may have at once, each account's first before
# anybody's second.
_FAIR = """
due AS (SELECT r.id, r.account_id FROM listed JOIN calls_receiver r ON r.id = listed.receiver_id
        WHERE {is_due} AND r.off = '' AND r.deleted_at IS NULL AND r.id <> ALL(%(busy)s::bigint[])),
fair AS (SELECT id, row_number() OVER (PARTITION BY account_id ORDER BY id)
                    + COALESCE((%(in_flight)s::jsonb ->> account_id::text)::int, 0) AS place FROM due)
SELECT id FROM fair WHERE place <= %(most_of_account)s ORDER BY place, id LIMIT %(limit)s
"""

_FRESH = "status = 'planned' AND attempt = 0"
_AGAIN = "status = 'planned' AND attempt > 0"

RECEIVERS_FRESH = _LISTED.format(kind=_FRESH, due="id") + _FAIR.format(
    is_due="(r.lane_until IS NULL OR r.lane_until < %(machine_now)s)"
)
RECEIVERS_AGAIN = _LISTED.format(kind=_AGAIN, due="next_attempt_at") + _FAIR.format(is_due="listed.due <= %(now)s")

# Opens a lane at each of these receivers, if nobody has one. Primary key.
OPEN_LANES = """
UPDATE calls_receiver SET lane = lane + 1, lane_until = %(lease_until)s
WHERE id IN (SELECT id FROM calls_receiver WHERE id = ANY(%(receivers)s::bigint[]) AND off = '' AND deleted_at IS NULL
             AND (lane_until IS NULL OR lane_until < %(machine_now)s) ORDER BY id FOR UPDATE SKIP LOCKED)
RETURNING id, lane
"""

CLOSE_LANES = """
UPDATE calls_receiver r SET lane_until = NULL
FROM unnest(%(receivers)s::bigint[], %(lanes)s::bigint[]) AS ended (id, lane)
WHERE r.id = ended.id AND r.lane = ended.lane
"""

# Takes the next calls of each of these receivers: so many, and no more bytes than a thread should hold. By
# calls_call_fresh, calls_call_again.
_CLAIM = """
UPDATE calls_call c
SET status = 'sending', claims = c.claims + 1, lease_until = %(lease_until)s, next_attempt_at = NULL
FROM calls_receiver r
WHERE r.id = c.receiver_id AND c.id IN (
    SELECT next.id FROM unnest(%(receivers)s::bigint[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT id FROM (
            SELECT id, sum(n_bytes) OVER (ORDER BY {order}) - n_bytes AS n_bytes_before FROM (
                SELECT id, next_attempt_at, octet_length(body) AS n_bytes
                FROM calls_call WHERE receiver_id = wanted.id AND {what}
                ORDER BY {order} LIMIT %(most)s FOR UPDATE SKIP LOCKED) locked) counted
        WHERE n_bytes_before < %(most_bytes)s) next)
RETURNING c.id, c.claims, c.attempt, c.restarted_at_attempt, c.receiver_id, c.account_id, r.kind,
          CASE WHEN c.url = '' THEN r.url ELSE c.url END, c.body, r.secret, r.previous_secret,
          r.previous_secret_expires_at
"""
CLAIM_FRESH = _CLAIM.format(what=_FRESH, order="id")
CLAIM_AGAIN = _CLAIM.format(what=f"{_AGAIN} AND next_attempt_at <= %(now)s", order="next_attempt_at, id")

# Records outcomes whose claim still holds, with their attempts. Primary key.
RECORD = """
WITH outcome AS (
    SELECT * FROM json_to_recordset(%(outcomes)s) AS o (
        id bigint, claims int, status text, reason text, next_attempt_at timestamptz, at timestamptz, seconds float,
        answer_status int, answer text, why text, sentence text)),
moved AS (
    UPDATE calls_call c
    SET status = o.status, reason = o.reason, attempt = c.attempt + 1, lease_until = NULL,
        next_attempt_at = o.next_attempt_at, ended_at = CASE WHEN o.next_attempt_at IS NULL THEN o.at END
    FROM outcome o WHERE c.id = o.id AND c.claims = o.claims AND c.status = 'sending'
    RETURNING c.id, c.receiver_id, c.attempt),
tried AS (
    INSERT INTO calls_attempt (call_id, number, at, seconds, answer_status, answer, reason, sentence)
    SELECT moved.id, moved.attempt, o.at, o.seconds, o.answer_status, o.answer, o.why, o.sentence
    FROM moved JOIN outcome o USING (id))
SELECT DISTINCT ON (moved.receiver_id) moved.receiver_id, o.status = 'done', o.at
FROM moved JOIN outcome o USING (id) ORDER BY moved.receiver_id, o.at DESC, moved.id DESC
"""

# Since when each of these receivers fails. Writes only where that changes. Primary key.
NOTE_HEALTH = """
UPDATE calls_receiver r SET failing_since = CASE WHEN seen.is_well THEN NULL ELSE seen.at END
FROM unnest(%(receivers)s::bigint[], %(is_well)s::boolean[], %(at)s::timestamptz[]) AS seen (id, is_well, at)
WHERE r.id = seen.id AND (r.failing_since IS NOT NULL) = seen.is_well
"""

# What was claimed and not begun goes back as it was.
GIVE_BACK = """
UPDATE calls_call c SET status = 'planned', lease_until = NULL, next_attempt_at = %(now)s
FROM unnest(%(calls)s::bigint[], %(claims)s::int[]) AS kept (id, claims)
WHERE c.id = kept.id AND c.claims = kept.claims AND c.status = 'sending'
"""

# What dead processes held: nobody knows whether it arrived, so it is made again. calls_call_leased.
RESCUE = """
UPDATE calls_call SET status = 'planned', lease_until = NULL, next_attempt_at = %(now)s
WHERE id IN (SELECT id FROM calls_call WHERE status = 'sending' AND lease_until < %(machine_now)s
             ORDER BY lease_until LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""

# What a receiver that is switched off or deleted will not get. calls_call_fresh and calls_call_again.
END_WAITING = """
UPDATE calls_call SET status = 'failed', reason = %(reason)s, next_attempt_at = NULL, ended_at = %(now)s
WHERE receiver_id = %(receiver)s AND status = 'planned'
"""

# The owner sends ended calls of a receiver again: `calls`, or (null) all that failed, ten thousand at a time. Their
# attempts are counted anew. Primary key, or calls_call_failed.
SEND_AGAIN = """
UPDATE calls_call SET status = 'planned', reason = '', ended_at = NULL, next_attempt_at = %(now)s,
                      restarted_at_attempt = attempt
WHERE id IN (SELECT id FROM calls_call WHERE receiver_id = %(receiver)s AND status IN ('done', 'failed')
                 AND CASE WHEN %(calls)s::bigint[] IS NULL THEN status = 'failed' ELSE id = ANY(%(calls)s::bigint[]) END
             ORDER BY id LIMIT 10000 FOR NO KEY UPDATE)
"""

# When something is due next, for the virtual clock. Reads what is planned.
NEXT_INSTANT = """
SELECT min(c.next_attempt_at) FROM calls_call c JOIN calls_receiver r ON r.id = c.receiver_id
WHERE c.status = 'planned' AND c.next_attempt_at > %(after)s AND r.off = '' AND r.deleted_at IS NULL
"""
