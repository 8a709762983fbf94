"""Why a delivery did not go, why somebody left a sequence, why a date moved: each reason as a code, with its words.

The database and the API keep the code, and code compares it. Its words are a clause that follows "because". What an
owner writes about an act is not a reason: it stays in the note of the act. Neither is a mail server's answer:
`Delivery.reply` has it. Where there was no reply to the message, the reason comes from senders/reasons.py.

Some codes carry values after colons: "excluded:tag:3", "gave_up:connection_refused", "edits:5-7".
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from dripstone import words
from dripstone.senders import reasons as senders

# Of deliveries that were skipped, and of people who left.
EMAIL_DELETED: Final = "email_deleted"
SEQUENCE_DELETED: Final = "sequence_deleted"
FILTERED: Final = "filtered"
SKIPPED_BY_OWNER: Final = "skipped_by_owner"
MOVED_BY_OWNER: Final = "moved_by_owner"
REMOVED_BY_OWNER: Final = "removed_by_owner"
REMOVED_BY_RULE: Final = "removed_by_rule"
REMOVED_BY_AUTOMATION: Final = "removed_by_automation"
RESTARTED: Final = "restarted"
ADDED_AGAIN: Final = "added_again"
OVERDUE_SKIPPED: Final = "overdue_skipped"
SUBSCRIBER_INACTIVE: Final = "subscriber_inactive"
SUBSCRIBER_CANCELLED: Final = "subscriber_cancelled"
SUBSCRIBER_BOUNCED: Final = "subscriber_bounced"
SUBSCRIBER_COMPLAINED: Final = "subscriber_complained"
SUBSCRIBER_DELETED: Final = "subscriber_deleted"

# Of deliveries that failed, are unknown, or are tried again.
REFUSED: Final = "refused"
BOUNCED: Final = "bounced"
DEFERRED: Final = "deferred"
NO_ANSWER: Final = "no_answer"
GAVE_UP: Final = "gave_up"
WORKER_LOST: Final = "worker_lost"
STOPPED_BEFORE_BODY: Final = "worker_stopped_before_body"
STOPPED_AFTER_BODY: Final = "worker_stopped_after_body"
STOPPED_WITHOUT_LOG: Final = "worker_stopped_without_log"
STOPPED_BEFORE_RECORDING: Final = "worker_stopped_before_recording"
NO_MESSAGE: Final = "no_message"
NO_MAIL_SERVER: Final = "no_mail_server"
LIQUID_OVER_BUDGET: Final = "liquid_over_budget"
BAD_RECIPIENT, BAD_SENDER = senders.BAD_RECIPIENT, senders.BAD_SENDER

# Of notes about a date that moved.
TOO_LATE: Final = "too_late"
OVERDUE_MOVED: Final = "overdue_moved"

WORDS: Mapping[str, str] = {
    EMAIL_DELETED: "the email was deleted",
    SEQUENCE_DELETED: "the sequence was deleted",
    FILTERED: "it goes only to some people, and they are not among them",
    SKIPPED_BY_OWNER: "the owner skipped it",
    REMOVED_BY_RULE: "a rule took them out of the sequence",
    REMOVED_BY_AUTOMATION: "an automation took them out of the sequence",
    MOVED_BY_OWNER: "the owner moved them to another email",
    REMOVED_BY_OWNER: "the owner took them out of the sequence",
    RESTARTED: "they were started again from the beginning",
    ADDED_AGAIN: "they were taken out of the sequence and added again meanwhile",
    OVERDUE_SKIPPED: "it was overdue after the engine had stood still, and the operator chose to treat it as sent",
    SUBSCRIBER_INACTIVE: "they have not confirmed their address",
    SUBSCRIBER_CANCELLED: "they unsubscribed",
    SUBSCRIBER_BOUNCED: "their address does not take mail any more",
    SUBSCRIBER_COMPLAINED: "they reported an email as spam",
    SUBSCRIBER_DELETED: "they were deleted",
    REFUSED: "the mail server refused it for good",
    BOUNCED: "the mail server says that the address does not exist",
    DEFERRED: "the mail server refused it for now",
    NO_ANSWER: "no final answer came",
    GAVE_UP: "three days of tries were in vain",
    WORKER_LOST: "its worker was lost on the way",
    STOPPED_BEFORE_BODY: "its worker stopped before the message began to leave",
    STOPPED_AFTER_BODY: "its worker stopped after the message had begun to leave",
    STOPPED_WITHOUT_LOG: "its worker stopped, and its flight log does not say whether the message had begun to leave",
    NO_MESSAGE: "what it said is no longer kept",
    NO_MAIL_SERVER: "it is about accounts, and no mail server is set through which it could leave",
    LIQUID_OVER_BUDGET: "its Liquid takes more work than one message may take",
    STOPPED_BEFORE_RECORDING: "its worker stopped before it had written down the answer",
    TOO_LATE: "it was more than six hours late, so it waits for the next allowed day and hour",
    OVERDUE_MOVED: "it was overdue after the engine had stood still, and the operator chose to wait for the next "
    "allowed day and hour",
    **senders.WORDS,
}

# What codes with values look like, for the documentation.
FORMS = ("excluded:KIND:ID", "exclusion_gone:KIND:ID", "gave_up:REASON", "edits:FIRST-LAST")

_MEMBERSHIPS = {
    "tag": "they have the tag {}",
    "form": "they signed up through the form {}",
    "sequence": "they are or were in the sequence {}",
    "segment": "they are in the segment {}",
}
_EXCLUDED = re.compile(rf"(excluded|exclusion_gone):({'|'.join(_MEMBERSHIPS)}):(\d+)")
_EDITS = re.compile(r"edits:(\d+)-(\d+)")

Source = tuple[str, int]
"""("tag", 3): what excludes somebody."""

Named = Mapping[Source, str]
"""A source → its name."""


def subscriber_is(state: str) -> str:
    """They may not be mailed: `state` of Subscriber, any but active."""
    return f"subscriber_{state}"


def excluded(kind: str, source_id: int) -> str:
    """By a tag, form, sequence or segment (R14)."""
    return f"excluded:{kind}:{source_id}"


def exclusion_gone(kind: str, source_id: int) -> str:
    """By a tag, form, sequence or segment that was deleted, or by a segment that names something that was: by that,
    everybody is excluded."""
    return f"exclusion_gone:{kind}:{source_id}"


def source_in(reason: str) -> Source | None:
    """`excluded:tag:3` → ("tag", 3)."""
    found = _EXCLUDED.fullmatch(reason)
    return (found[2], int(found[3])) if found else None


def is_exclusion_gone(reason: str) -> bool:
    found = _EXCLUDED.fullmatch(reason)
    return found is not None and found[1] == "exclusion_gone"


def filtered(readers: str) -> str:
    """The words of FILTERED where it is known to whom the email goes: “people who have the tag VIP”."""
    return f"it goes only to {readers}"


def gave_up(reason: str) -> str:
    """After three days in vain. `reason`: of the last try."""
    return f"{GAVE_UP}:{reason}" if reason else GAVE_UP


def is_given_up(reason: str) -> bool:
    return reason.partition(":")[0] == GAVE_UP


def last_try(reason: str) -> str:
    """`gave_up:connection_refused` → "connection_refused"; any other reason as it is."""
    return reason.partition(":")[2] or DEFERRED if is_given_up(reason) else reason


def edits(first: int, last: int) -> str:
    """Of a note: what SequenceEdit.number counts, from `first` to `last`."""
    return f"edits:{first}-{last}"


def edits_in(reason: str) -> range:
    """`edits:5-7` → 5, 6, 7; nothing in any other reason."""
    found = _EDITS.fullmatch(reason)
    return range(int(found[1]), int(found[2]) + 1) if found else range(0)


# --- Words ------------------------------------------------------------------------------------------------------


def because(reason: str, names: Named | None = None) -> str:
    """The clause after "because". A reason from before codes (docs/operations/upgrade.md) is quoted.

    names  of the sources in `reason` (audience.names_of); one that is missing is gone
    """
    if source := source_in(reason):
        return (gone if is_exclusion_gone(reason) else exclusion)(source, names or {})
    if is_given_up(reason) and reason != GAVE_UP:
        return f"{WORDS[GAVE_UP]}, the last time because {because(last_try(reason))}"
    if edits_in(reason):
        return "the sequence was edited"
    return WORDS.get(reason) or f"of this: {words.reply(reason)}"


def exclusion(source: Source, names: Named) -> str:
    """`they have the tag “VIP”, which this sequence excludes`."""
    kind, source_id = source
    name = names.get(source)
    called = words.title(name) if name else f"number {source_id}, which is gone now"
    return f"{_MEMBERSHIPS[kind].format(called)}, which this sequence excludes"


def gone(source: Source, names: Named) -> str:
    """`the sequence excludes the tag number 3, which was deleted, and so everybody`."""
    kind, source_id = source
    name = names.get(source)
    called = words.title(name) if name else f"number {source_id}"
    why = "in which something is gone" if kind == "segment" and name else "which was deleted"
    return f"the sequence excludes the {kind} {called}, {why}, and so everybody"


def sentence(reason: str, names: Named | None = None) -> str:
    """`They have the tag “VIP”, which this sequence excludes.`; "" for no reason."""
    clause = because(reason, names) if reason else ""
    return f"{clause[:1].upper()}{clause[1:]}." if clause else ""


def last_said(reason: str, reply: str) -> str:
    """The last of several tries: `the last reply was “451 later”`, or why no reply came."""
    return (
        f"the last reply was {words.reply(reply)}" if reply else f"the last failed because {because(last_try(reason))}"
    )


def sources_in(reasons: Iterable[str]) -> set[Source]:
    return set(filter(None, map(source_in, reasons)))
