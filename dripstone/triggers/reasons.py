"""Why an action passed somebody by, as codes, with their words for people."""

from typing import Final

ALREADY_SO: Final = "already_so"
THING_GONE: Final = "thing_gone"
NOT_MAILABLE: Final = "not_mailable"
MUST_CONFIRM: Final = "must_confirm"
NOT_RENDERED: Final = "not_rendered"
NO_ROOM: Final = "no_room"
ADDRESS_REFUSED: Final = "address_refused"
NO_SENDER: Final = "no_sender"
PERSON_GONE: Final = "person_gone"

WORDS = {
    ALREADY_SO: "It was so already",
    THING_GONE: "What it is about was deleted",
    NOT_MAILABLE: "This person may not be mailed",
    MUST_CONFIRM: "This person was asked to confirm first",
    NOT_RENDERED: "Its Liquid takes too much work for this person",
    NO_ROOM: "The values of this person have no room for it",
    ADDRESS_REFUSED: "The address to call is not one that may be called",
    NO_SENDER: "The account has no default sending address",
    PERSON_GONE: "This person was deleted",
}
