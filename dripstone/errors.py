"""Everything the domain refuses, in one tree. Domain code raises these; `api/errors.py` alone knows HTTP.

DripstoneError
├── BadRequest          the request cannot be read at all (malformed JSON, invalid UTF-8)
├── Unauthorized        no credential, or one we do not know
│   ├── Expired         an access token whose time is over
│   └── NotFullAccess   a known key, for what Kit keeps for OAuth
├── Forbidden           a known credential that may not do this
│   └── OutOfScope      an access token that was given for less
├── NotFound            no such thing in this account (it may exist in another one)
├── Conflict            someone else changed it first
│   ├── Busy            the same is being done right now; try again
│   └── Unseen          it touches people, and what it would do to them was not looked at, or has changed since
├── PreconditionFailed  it has changed since the caller asked about it (If-Match)
├── TooLarge            the body is bigger than we read
├── TooSlow             the body did not come in time
├── Unavailable         not now: the database is away, or too much waits; try again
└── Invalid             readable, but wrong: every problem listed, one sentence each
"""

from collections.abc import Sequence

Problem = tuple[str | None, str]
"""The member it is about (`fields.company`), None when it is about no one member; the sentence."""


class DripstoneError(Exception):
    """Something went wrong."""

    def __init__(self, messages: Sequence[str] | str | None = None) -> None:
        """`messages`: one sentence or a list of them; the class docstring when there is nothing better to say."""
        if messages is None:
            messages = [(type(self).__doc__ or "Something went wrong.").strip()]
        self.messages: list[str] = [messages] if isinstance(messages, str) else list(messages)
        super().__init__(*self.messages)

    def __str__(self) -> str:
        return "; ".join(self.messages)


class BadRequest(DripstoneError):
    """The request could not be read"""


class Unauthorized(DripstoneError):
    """The access token is invalid"""


class Expired(Unauthorized):
    """The access token expired"""


class NotFullAccess(Unauthorized):
    """This needs an API key with full access, or OAuth"""

    def __init__(self) -> None:
        """Kit's sentence first, which programs compare."""
        super().__init__([str(Unauthorized.__doc__), str(NotFullAccess.__doc__)])


class Forbidden(DripstoneError):
    """You do not have access to this"""


class OutOfScope(Forbidden):
    """You do not have sufficient permissions to access this resource. Please contact support."""


class NotFound(DripstoneError):
    """Not Found"""


class Conflict(DripstoneError):
    """It was changed by someone else meanwhile"""


class Busy(Conflict):
    """It is being done right now; try again in a moment"""


class Unseen(Conflict):
    """It touches people: look at what it would do to them, and send the token of that along"""


class PreconditionFailed(DripstoneError):
    """It has changed meanwhile"""


class TooLarge(DripstoneError):
    """The request body is too large"""


class TooSlow(DripstoneError):
    """The request body did not arrive in time"""


class Unavailable(DripstoneError):
    """The database does not answer right now; try again in a few seconds"""


class Invalid(DripstoneError):
    """The request is invalid"""

    def __init__(self, messages: Sequence[str] | str | None = None, *, problems: Sequence[Problem] = ()) -> None:
        """`problems` in place of `messages`, so that a form can say each beside its field."""
        super().__init__([sentence for _, sentence in problems] or messages)
        self.problems: list[Problem] = list(problems) or [(None, sentence) for sentence in self.messages]

    @classmethod
    def member(cls, name: str, sentence: str) -> "Invalid":
        return cls(problems=[(name, sentence)])
