"""What each count must be equal to: the rows that are there, plus the ledger of those that were deleted.

This is the only place that counts by scanning. It names tables of packages to its right and imports none of them;
tests/tallies holds each query against what those packages write.
"""

from collections.abc import Mapping

from dripstone.tallies.models import Kind

_WEEK = "to_char(date_trunc('week', {at} AT TIME ZONE 'UTC'), 'YYYY-MM-DD')"
_WHY_LEFT = "CASE status WHEN 'completed' THEN 'completed' ELSE removed_reason END"

# subject_id, label, n
TRUTH: Mapping[Kind, str] = {
    Kind.PEOPLE: "SELECT account_id, state, count(*) FROM subscribers_subscriber GROUP BY 1, 2",
    Kind.TAGGED: """
        SELECT t.tag_id, s.state, count(*) FROM subscribers_tagging t
        JOIN subscribers_subscriber s ON s.id = t.subscriber_id GROUP BY 1, 2""",
    Kind.ON_FORM: """
        SELECT f.form_id, s.state, count(*) FROM subscribers_formsubscription f
        JOIN subscribers_subscriber s ON s.id = f.subscriber_id GROUP BY 1, 2""",
    Kind.PLACES: "SELECT sequence_id, status, count(*) FROM engine_enrollment GROUP BY 1, 2",
    Kind.WAITING: """
        SELECT next_email_id, status, count(*) FROM engine_enrollment
        WHERE status = 'active' AND next_email_id IS NOT NULL GROUP BY 1, 2""",
    Kind.LISTED: """
        SELECT e.sequence_id, s.state, count(*) FROM engine_enrollment e
        JOIN subscribers_subscriber s ON s.id = e.subscriber_id
        WHERE e.status <> 'removed'
           OR e.removed_reason IN ('subscriber_cancelled', 'subscriber_bounced', 'subscriber_complained')
              AND s.state IN ('cancelled', 'bounced', 'complained') GROUP BY 1, 2""",
    Kind.LEFT: f"""
        SELECT sequence_id, COALESCE(left_after_id, 0) || ':' || {_WHY_LEFT}, count(*) FROM engine_enrollment
        WHERE status IN ('completed', 'removed') GROUP BY 1, 2""",  # noqa: S608
    Kind.LEFT_IN_WEEK: f"""
        SELECT sequence_id, {_WEEK.format(at="COALESCE(completed_at, removed_at)")} || ':' || {_WHY_LEFT}, count(*)
        FROM engine_enrollment WHERE status IN ('completed', 'removed') GROUP BY 1, 2""",  # noqa: S608
    Kind.CAME_IN_WEEK: f"""
        SELECT sequence_id, {_WEEK.format(at="entered_at")} || ':' || COALESCE(NULLIF(door, ''), source), count(*)
        FROM engine_enrollment GROUP BY 1, 2""",  # noqa: S608
    Kind.SKIPPED: """
        SELECT email_id, reason, count(*) FROM engine_delivery
        WHERE status = 'skipped' AND email_id IS NOT NULL GROUP BY 1, 2""",
    Kind.DELIVERIES: """
        SELECT email_id, status, count(*) FROM engine_delivery
        WHERE status NOT IN ('planned', 'sending') AND email_id IS NOT NULL GROUP BY 1, 2""",
    Kind.SENT_IN_WEEK: f"""
        SELECT email_id, {_WEEK.format(at="sent_at")}, count(*)
        FROM engine_delivery WHERE status = 'sent' AND email_id IS NOT NULL GROUP BY 1, 2""",  # noqa: S608
    Kind.RESPONSES: """
        SELECT email_id, label, count(*) FROM tracking_response
        CROSS JOIN LATERAL (VALUES ('unsubscribed', unsubscribed_at), ('bounced', bounced_at),
                                   ('complained', complained_at)) stamp (label, at)
        WHERE email_id IS NOT NULL AND at IS NOT NULL GROUP BY 1, 2""",
}

LEDGER: Mapping[Kind, Kind] = {
    Kind.DELIVERIES: Kind.DELIVERIES_GONE,
    Kind.SKIPPED: Kind.SKIPPED_GONE,
    Kind.SENT_IN_WEEK: Kind.SENT_IN_WEEK_GONE,
    Kind.RESPONSES: Kind.RESPONSES_GONE,
}
