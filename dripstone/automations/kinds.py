"""Kinds of nodes. Pure.

{"id": "pause", "kind": "wait", "for": {"days": 3}, "next": "morning"}
"""

from typing import Final

SEQUENCE: Final = "sequence"
WAIT: Final = "wait"
TAG: Final = "tag"
UNTAG: Final = "untag"
FIELD: Final = "field"
FORM: Final = "form"
UNSUBSCRIBE: Final = "unsubscribe"
CONDITION: Final = "condition"
SPLIT: Final = "split"
EVENT: Final = "event"
MOVE: Final = "move"
CALL: Final = "call"
MAIL_OWNER: Final = "mail_owner"

ALL = (SEQUENCE, WAIT, TAG, UNTAG, FIELD, FORM, UNSUBSCRIBE, CONDITION, SPLIT, EVENT, MOVE, CALL, MAIL_OWNER)

ACTS: Final = frozenset({TAG, UNTAG, FIELD, FORM, UNSUBSCRIBE, CALL, MAIL_OWNER})
"""Those whose settings are an action of triggers/what.py: `{"kind": node.kind, **node.settings}`."""

# `wait` of a sequence node
COMPLETED: Final = "completed"
LAST_EMAIL: Final = "last_email"  # they go on after the last published email, and keep their place
SEQUENCE_WAITS = (COMPLETED, LAST_EMAIL, False)

IN: Final = "in"
OUT: Final = "out"
WAYS = (IN, OUT)  # `way` of a move

UNITS = ("minutes", "hours", "days", "weeks")  # of `for` and `within`
