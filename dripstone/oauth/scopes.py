"""What an app may be allowed: to read, to write, or `public`, which is what Kit's clients ask for and means both."""

from collections.abc import Iterable

from dripstone.accounts.models import Membership

READ, WRITE, PUBLIC = "read", "write", "public"

# Each as the consent page and the metadata say it.
IN_WORDS = {
    READ: "See everything in the account: people and what is known of them, sequences, emails, and what was sent.",
    WRITE: "Change everything but settings, members and keys: add and tag people, write emails, and start sequences, "
    "which sends mail.",
}
_MEANING = {READ: {READ}, WRITE: {WRITE}, PUBLIC: {READ, WRITE}}


def meant(scope: Iterable[str]) -> frozenset[str]:
    """`read`, `write`, or both, of the names somebody asked for."""
    return frozenset().union(*(_MEANING.get(name, set()) for name in scope))


def allowed(scope: str, member: Membership) -> frozenset[str]:
    """What a token with this scope may do now: never more than the person who allowed it."""
    found = meant(scope.split())
    return found if member.may_edit else found - {WRITE}
