"""Why a call failed, as codes, with their words for people (docs/reference/webhooks.md lists them)."""

REFUSED = "refused"
GONE = "gone"
GIVEN_UP = "given_up"
SWITCHED_OFF = "switched_off"
DELETED = "deleted"
PRIVATE, UNKNOWN_HOST, NOT_REACHED = "private", "unknown_host", "not_reached"  # outbound.Failed, these too
INSECURE, TIMED_OUT, BROKEN_OFF = "insecure", "timed_out", "broken_off"
UNSOUND, NO_SECRET = "unsound", "no_secret"

WORDS = {
    REFUSED: "The receiver answered with an error",
    GONE: "The receiver answered 410: it does not want this any more",
    GIVEN_UP: "All eight attempts failed",
    SWITCHED_OFF: "The receiver was switched off",
    DELETED: "The receiver was deleted",
    PRIVATE: "The address leads to this machine or a private network",
    UNKNOWN_HOST: "The name of the host leads nowhere",
    NOT_REACHED: "There was no connection to the receiver",
    INSECURE: "The certificate or TLS of the receiver is not sound",
    TIMED_OUT: "There was no whole answer in time",
    BROKEN_OFF: "The connection broke off",
    UNSOUND: "The address is not one that may be called",
    NO_SECRET: "Its secret was sealed with another secret key of this server; rotate it",
}
