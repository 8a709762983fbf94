"""What is left of deleted people who must not be mailed again: a keyed hash of the address, and why.

Whoever unsubscribed, bounced or complained, and is deleted, must not become mailable by the next import. The address
itself goes; its hash tells whether an address that comes in is that one. It is made with the server's secret key, so
that nobody who gets the table can find out whose it is by hashing all addresses they know.

    forget.forget          remember_all(…)    the person goes, the row comes
    subscribe.upsert       takes the state over; lift(…): the person is there, the row goes
    subscribe.update       must_be_free(…)
    a form they sign up on says by itself that somebody wants mail: the person comes in as above, and R20 has the rest
A crash here means nothing: each is part of the caller's transaction.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.db import connection

from dripstone import signing
from dripstone.errors import Invalid
from dripstone.subscribers.models import Remembered, State

STATES = (State.CANCELLED, State.BOUNCED, State.COMPLAINED)
WHY = {
    State.CANCELLED: "they unsubscribed",
    State.BOUNCED: "it does not take mail any more",
    State.COMPLAINED: "they reported an email as spam",
}

# Purpose: people who go. By remembered_once, in its order, so that two who delete do not wait for each other.
_REMEMBER_ALL = """
INSERT INTO subscribers_remembered (account_id, digest, key, state, since)
SELECT DISTINCT ON (digest) %(account)s, digest, %(key)s, state, since
FROM unnest(%(digests)s::bytea[], %(states)s::text[], %(since)s::timestamptz[]) AS gone (digest, state, since)
ORDER BY digest
ON CONFLICT (account_id, digest) DO UPDATE SET key = EXCLUDED.key, state = EXCLUDED.state, since = EXCLUDED.since
"""
# Purpose: some of those who came back as they were remembered. By remembered_once.
_LIFT_ALL = "DELETE FROM subscribers_remembered WHERE account_id = %s AND digest = ANY(%s) RETURNING digest"

_KIND = "remembered"
_KEY_BYTES = 8


def digest_of(account_id: int, address: str) -> bytes:
    """address   as given.plain_address writes it"""
    return signing.fingerprint(_KIND, f"{account_id}\0{address}")


def key() -> bytes:
    """Tells the secret key of today from others."""
    return signing.fingerprint(f"{_KIND} key", "")[:_KEY_BYTES]


def remember(account_id: int, address: str, state: str, since: datetime) -> None:
    remember_all(account_id, [(address, State(state), since)])


def remember_all(account_id: int, people: Collection[tuple[str, State, datetime]]) -> None:
    """people   address, state, and since when, of each. Who was remembered before is remembered as they went last."""
    if not people:
        return
    values: dict[str, Any] = {
        "account": account_id,
        "key": key(),
        "digests": [digest_of(account_id, address) for address, _, _ in people],
        "states": [state.value for _, state, _ in people],
        "since": [since for _, _, since in people],
    }
    with connection.cursor() as cursor:
        cursor.execute(_REMEMBER_ALL, values)


def state_of(account_id: int, address: str) -> State | None:
    """As whom the address would come in; None: nothing is known of it."""
    rows = Remembered.objects.filter(account_id=account_id, digest=digest_of(account_id, address))
    found = rows.values_list("state", flat=True).first()
    return None if found is None else State(found)


def lift(account_id: int, address: str) -> bool:
    """Nothing is remembered of the address any more. False: nothing was."""
    rows = Remembered.objects.filter(account_id=account_id, digest=digest_of(account_id, address))
    return rows.delete()[0] > 0


def lift_all(account_id: int, addresses: Iterable[str]) -> set[str]:
    """The same for many. Returns those of which something was remembered."""
    by_digest = {digest_of(account_id, address): address for address in addresses}
    if not by_digest:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_LIFT_ALL, [account_id, list(by_digest)])
        return {by_digest[bytes(digest)] for (digest,) in cursor.fetchall()}


def must_be_free(account_id: int, address: str) -> None:
    """Before somebody on file gets the address. Raises Invalid."""
    state = state_of(account_id, address)
    if state is not None:
        sentence = f"Email address belongs to somebody who was deleted, and must not be mailed: {WHY[state]}"
        raise Invalid.member("email_address", sentence)


def n_unreadable() -> int:
    """How many were made with another secret key, so that no address is recognised by them."""
    return Remembered.objects.exclude(key=key()).count()
