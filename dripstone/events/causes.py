"""Why something happened: each event has a chain of causes, from the outermost to the last.

It begins with an act from outside: `owner`, `api`, `subscriber` (their own click), or what people come in by: `form 2`,
`import 4`, `bulk 9`, `rule`, `automation` … A rule or automation that acts on an event adds itself: ("api", "rule 7",
"automation 3"). A chain ends when time passes: an event set off by a wait, a date or an email has no earlier cause, and
begins with ().
"""

Cause = tuple[str, ...]

NONE: Cause = ()  # set off by time, or by the end of an email
OWNER: Cause = ("owner",)  # at a page
API: Cause = ("api",)
SUBSCRIBER: Cause = ("subscriber",)  # through a link in an email


def form(form_id: int) -> Cause:
    return (f"form {form_id}",)


def of_actor(actor: str) -> Cause:
    """The cause of an act that leaves a note: a credential of the API calls itself "API key …"; anybody else is a
    person at a page or a command, called by their address or "owner"."""
    return API if actor.startswith("API ") else OWNER
