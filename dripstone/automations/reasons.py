"""Why somebody did not enter, went on, passed a node or left, as `Step.reason`, `Walk.left_because` and the entries of
`Step.path` keep it. Codes are on the wire: none changes its meaning. Their words: explain/walk_words.py

An entry of a path is {"node": "a", "what": ACTED, "reason": ""}; of a fork also "exit": "yes", "no", "otherwise", "0" …
"""

from typing import Final

# --- Why somebody did not enter, in the order in which it is asked --------------------------------------------------

INSIDE_ALREADY: Final = "inside_already"  # A1
IN_ITS_OWN_CHAIN: Final = "in_its_own_chain"  # the event comes of what this automation did (A16)
TOO_DEEP: Final = "too_deep"  # so many rules and automations lie between the event and what began it
NOT_RUNNING: Final = "not_running"  # it is inactive, and somebody was sent into it
NOT_MAILABLE: Final = "not_mailable"  # cancelled, bounced or complained (A2)
NEVER_AGAIN: Final = "never_again"  # `reenter` is never, and an earlier run got past the entry
TOO_OFTEN: Final = "too_often"  # ten times in 24 hours by something else than an act of outside
OUR_MISTAKE: Final = "our_mistake"  # an error of Dripstone's own, which its log has; nothing was done

NOT_ENTERED = (
    INSIDE_ALREADY,
    IN_ITS_OWN_CHAIN,
    TOO_DEEP,
    NOT_RUNNING,
    NOT_MAILABLE,
    NEVER_AGAIN,
    TOO_OFTEN,
    OUR_MISTAKE,
)

# --- Why somebody goes on from where they stood ---------------------------------------------------------------------

STARTED: Final = "started"  # from the entry, where they had waited
GOES_ON: Final = "goes_on"  # from a node that had not been done yet: put there, or after a hundred nodes in one step
WAIT_OVER: Final = "wait_over"
WITHIN_OVER: Final = "within_over"
HAPPENED: Final = "happened"  # the event
CONDITION_MET: Final = "condition_met"
SEQUENCE_COMPLETED: Final = "sequence_completed"
SEQUENCE_END_REACHED: Final = "sequence_end_reached"  # its last email has gone, and they stay in it
SEQUENCE_LEFT: Final = "sequence_left"  # they were taken out of it: by hand, a rule, another automation
SEQUENCE_GONE: Final = "sequence_gone"  # it was deleted
NODE_GONE: Final = "node_gone"  # the event node's thing was deleted, or the node itself
NOT_LET_IN: Final = "not_let_in"  # the automation that they were sent into did not admit them

# --- In a path: what became of a node -------------------------------------------------------------------------------

LEFT_BEHIND: Final = "left_behind"  # where they stood, of a pull or a move
OVER: Final = "over"  # where they stood: its wait has ended
ACTED: Final = "acted"
PASSED: Final = "passed"  # and why, of triggers/reasons.py or below
WENT: Final = "went"  # by the `exit` named
WAITS: Final = "waits"  # here they stand now
LEAVES: Final = "leaves"  # and why; the node is the last they were at, "" the entry
PUT_OFF: Final = "put_off"  # here they stand now: a hundred nodes are enough for one step

ACTED_BEFORE: Final = "acted_before"  # it acts once in a run (A3)
MET_ALREADY: Final = "met_already"  # what the trigger leaves behind is so now
COMPLETED_BEFORE: Final = "completed_before"  # the sequence, which does not repeat
IN_THE_PAST: Final = "in_the_past"  # the instant of a wait
NO_DATE: Final = "no_date"  # the field has none that can be read
THING_GONE: Final = "thing_gone"  # what it is about was deleted

# --- Why somebody left ----------------------------------------------------------------------------------------------

END: Final = "end"  # nothing comes next
UNSUBSCRIBED: Final = "unsubscribed"  # by a node
STATE_CANCELLED: Final = "state_cancelled"
STATE_BOUNCED: Final = "state_bounced"
STATE_COMPLAINED: Final = "state_complained"
BY_HAND: Final = "by_hand"  # also of a step: moved by hand
BY_MOVE: Final = "by_move"  # sent out by a rule, in bulk or by another automation
MOVED_ON: Final = "moved_on"  # into another automation, by a node of this one
NEW_RUN: Final = "new_run"  # moved back by hand: another run begins
REMOVED_BY_EDIT: Final = "removed_by_edit"
OVERDUE: Final = "overdue"  # too long, when it was switched on again
AUTOMATION_DELETED: Final = "automation_deleted"

COMPLETES = (END, UNSUBSCRIBED)
"""Whoever leaves because of these has completed it; the others have not."""

LEFT = (
    END,
    UNSUBSCRIBED,
    STATE_CANCELLED,
    STATE_BOUNCED,
    STATE_COMPLAINED,
    BY_HAND,
    BY_MOVE,
    MOVED_ON,
    NEW_RUN,
    REMOVED_BY_EDIT,
    OVERDUE,
    AUTOMATION_DELETED,
)

# --- Why somebody was moved -----------------------------------------------------------------------------------------

BY_EDIT: Final = "by_edit"  # the node where they stood was deleted

ALL = (
    *NOT_ENTERED,
    STARTED,
    GOES_ON,
    WAIT_OVER,
    WITHIN_OVER,
    HAPPENED,
    CONDITION_MET,
    SEQUENCE_COMPLETED,
    SEQUENCE_END_REACHED,
    SEQUENCE_LEFT,
    SEQUENCE_GONE,
    NODE_GONE,
    NOT_LET_IN,
    ACTED_BEFORE,
    MET_ALREADY,
    COMPLETED_BEFORE,
    IN_THE_PAST,
    NO_DATE,
    THING_GONE,
    *LEFT,
    BY_EDIT,
)


def state_is(state: str) -> str:
    """They may not be mailed any more: `state` of Subscriber."""
    return f"state_{state}"
