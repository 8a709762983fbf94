"""Reasons why a message was not taken, for when no server's reply says why: each a code, with its words beside it.

Words are a clause, to stand after "because". engine/reasons.py has the other reasons of a delivery.
"""

from collections.abc import Mapping
from typing import Final, Literal

CONNECTION_REFUSED: Final = "connection_refused"
HOST_NOT_FOUND: Final = "host_not_found"
TLS_FAILED: Final = "tls_failed"
AUTH_FAILED: Final = "auth_failed"
NOT_OPENED: Final = "not_opened"
CUT_BEFORE_BODY: Final = "cut_before_body"
TIMEOUT_BEFORE_BODY: Final = "timeout_before_body"
NONSENSE_BEFORE_BODY: Final = "nonsense_before_body"
CUT_AFTER_BODY: Final = "cut_after_body"
TIMEOUT_AFTER_BODY: Final = "timeout_after_body"
NONSENSE_AFTER_BODY: Final = "nonsense_after_body"
BAD_RECIPIENT: Final = "bad_recipient"
BAD_SENDER: Final = "bad_sender"
SMTPUTF8_NOT_OFFERED: Final = "smtputf8_not_offered"
EIGHT_BIT_NOT_OFFERED: Final = "8bitmime_not_offered"
INBOX_NOT_WRITABLE: Final = "inbox_not_writable"
FLIGHT_LOG: Final = "flight_log"
LEASE_OVER: Final = "lease_over"
SENDER_CLOSED: Final = "sender_closed"
INTERNAL_ERROR: Final = "internal_error"

WORDS: Mapping[str, str] = {
    CONNECTION_REFUSED: "nothing listens at the mail server's address",
    HOST_NOT_FOUND: "the mail server's name does not exist",
    TLS_FAILED: "no encrypted connection to the mail server could be opened",
    AUTH_FAILED: "the mail server did not accept user name and password",
    NOT_OPENED: "no connection to the mail server could be opened",
    CUT_BEFORE_BODY: "the connection ended before the message left",
    TIMEOUT_BEFORE_BODY: "the mail server did not answer in time, before the message left",
    NONSENSE_BEFORE_BODY: "the mail server answered something that is not an SMTP reply, before the message left",
    CUT_AFTER_BODY: "the connection ended after the message had begun to leave",
    TIMEOUT_AFTER_BODY: "the mail server did not answer in time after the message had left",
    NONSENSE_AFTER_BODY: "the mail server answered something that is not an SMTP reply, after the message had left",
    BAD_RECIPIENT: "the address has no form that mail servers take",
    BAD_SENDER: "the sending address has no form that mail servers take",
    SMTPUTF8_NOT_OFFERED: "the mail server does not offer SMTPUTF8, which letters like these before the @ need",
    EIGHT_BIT_NOT_OFFERED: "the mail server takes only 7-bit messages, and this one has other bytes",
    INBOX_NOT_WRITABLE: "the local inbox could not be written",
    FLIGHT_LOG: "the worker could not write its flight log (is the disk full?)",
    LEASE_OVER: "the worker stood still for longer than its lease",
    SENDER_CLOSED: "the worker was stopping",
    INTERNAL_ERROR: "something went wrong in Dripstone itself; the log has the details",
}

Cause = Literal["cut", "timeout", "nonsense"]

_BEFORE_BODY: Mapping[Cause, str] = {
    "cut": CUT_BEFORE_BODY,
    "timeout": TIMEOUT_BEFORE_BODY,
    "nonsense": NONSENSE_BEFORE_BODY,
}
_AFTER_BODY: Mapping[Cause, str] = {
    "cut": CUT_AFTER_BODY,
    "timeout": TIMEOUT_AFTER_BODY,
    "nonsense": NONSENSE_AFTER_BODY,
}


def of_a_lost_connection(cause: Cause, *, has_body_started: bool) -> str:
    return (_AFTER_BODY if has_body_started else _BEFORE_BODY)[cause]
