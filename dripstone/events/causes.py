"""Why something happened: the chain of causes that an event carries, from the outermost to the last.

It begins with an act from outside: `owner`, `api`, `subscriber` (their own click), or what people come in by: `form 2`,
`import 4`, `bulk 9`, `rule`, `automation` … What acts upon an event adds itself: ("api", "rule 7", "automation 3"). A
chain ends where time passes: what a wait, a date or an email sets off has no cause before it, and begins with ().
"""

Cause = tuple[str, ...]

NONE: Cause = ()  # time, or what an email's end brings with it
OWNER: Cause = ("owner",)  # at a page
API: Cause = ("api",)
SUBSCRIBER: Cause = ("subscriber",)  # through a link in an email


def of_actor(actor: str) -> Cause:
    """The cause of an act that leaves a note: who writes notes is the owner at a page, or a credential of the API."""
    return OWNER if actor == "owner" else API
