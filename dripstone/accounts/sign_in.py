"""Check a password, and slow down guessers.

Failures are rows, so the limits hold over several web processes. Three limits at once: for one address from one
network (somebody who forgot), for one network (one guesser, many addresses), and for one address from anywhere (many
guessers). The last is higher: otherwise a guesser could lock the owner out. With patience and many networks one still
could, so a browser from which somebody has signed in before holds a token, and counts by itself: for it neither the
address's limit nor its network's failures stand in the way, while it has no more tries than any network.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth import authenticate
from django.db.models import Count, Q
from django.http import HttpRequest

from dripstone import signing
from dripstone.accounts.models import SignInFailure, User

WINDOW = timedelta(minutes=15)
PAIR_LIMIT = 10
NETWORK_LIMIT = 50
ADDRESS_LIMIT = 100


class TooManyFailures(Exception):
    """Too many wrong passwords: whether this one is right is not looked at."""


def check(request: HttpRequest, email: str, password: str, network: str, now: datetime, token: str = "") -> User | None:
    """The user these open, or None. Unknown addresses cost as much time as known ones.

    now    of the machine's clock: the limit is about guessers, not about rehearsed time
    token  what the browser holds of `token_for`, if anything
    Raises TooManyFailures.
    """
    address_hash = _hash(email)
    known = signing.read(_kind(address_hash), token)
    network = f"browser {known[0]}" if known else network
    # Written before the password is looked at, so that attempts side by side count each other.
    attempt = SignInFailure.objects.create(address_hash=address_hash, network=network, failed_at=now)
    if _is_over(address_hash, network, now, is_known=bool(known)):
        attempt.delete()  # refused attempts do not prolong the wait
        raise TooManyFailures
    user = authenticate(request, username=email, password=password)
    if not isinstance(user, User):
        return None
    _forget(address_hash, network, now)
    return user


def forgive(email: str) -> None:
    """Forget all failures of an address: its password is another one now."""
    SignInFailure.objects.filter(address_hash=_hash(email)).delete()


def _hash(email: str) -> str:
    return hashlib.sha256(email.encode("utf-8", "surrogatepass")).hexdigest()


def token_for(email: str) -> str:
    """For the browser that has just signed in with this address. It opens nothing, and is worth nothing with another
    address."""
    return signing.make(_kind(_hash(email)), secrets.randbits(63))


def _kind(address_hash: str) -> str:
    return f"browser of {address_hash}"


def _is_over(address_hash: str, network: str, now: datetime, *, is_known: bool) -> bool:
    same_address, same_network = Q(address_hash=address_hash), Q(network=network)
    counts = SignInFailure.objects.filter(same_address | same_network, failed_at__gt=now - WINDOW).aggregate(
        pair=Count("id", filter=same_address & same_network),
        network=Count("id", filter=same_network),
        address=Count("id", filter=same_address),
    )
    is_besieged = counts["address"] > ADDRESS_LIMIT and not is_known
    return bool(counts["pair"] > PAIR_LIMIT or counts["network"] > NETWORK_LIMIT or is_besieged)


def _forget(address_hash: str, network: str, now: datetime) -> None:
    """Delete the failures of somebody who knew the password after all, and those too old to count."""
    mine = Q(address_hash=address_hash, network=network)
    SignInFailure.objects.filter(mine | Q(failed_at__lte=now - WINDOW)).delete()


def forget_old_failures(now: datetime) -> None:
    """Those too old to count; `now` of the machine's clock."""
    SignInFailure.objects.filter(failed_at__lte=now - WINDOW).delete()


# --- Asking for mail --------------------------------------------------------------------------------------------------

ASKS_OF_NETWORK = 20
ASKS_FOR_ADDRESS = 3


def may_ask(email: str, network: str, now: datetime) -> bool:
    """Counts one question for a mail with a link (a new password, an account), and whether it may be answered by one.

    Within a window, an address gets three mails, whoever asks: more are silently none, so that nobody learns which
    addresses are users', and nobody fills a stranger's mailbox. Raises TooManyFailures for a network that asks for
    many.
    """
    address_hash, network = _hash(f"mail to {email}"), f"asks from {network}"
    asks = SignInFailure.objects.filter(failed_at__gt=now - WINDOW)
    if asks.filter(network=network).count() >= ASKS_OF_NETWORK:
        raise TooManyFailures
    SignInFailure.objects.create(address_hash=address_hash, network=network, failed_at=now)
    return asks.filter(address_hash=address_hash).count() <= ASKS_FOR_ADDRESS
