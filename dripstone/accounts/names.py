"""Names that people give to things, and the keys made of them: what code and Liquid say, unique in an account."""

import re
import unicodedata
from collections.abc import Collection

from dripstone.accounts.models import Account


def key_for(name: str, joint: str, otherwise: str) -> str:
    """Lower-case ASCII: "Último nombre" → "ultimo_nombre".

    joint      stands between the words, `_` or `-`
    otherwise  the key when no letter is left
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", joint, ascii_name.lower()).strip(joint) or otherwise


def free_key(wanted: str, joint: str, taken: Collection[str]) -> str:
    """Names that differ may give the same key: the second gets 2 at its end."""
    key, number = wanted, 2
    while key in taken:
        key, number = f"{wanted}{joint}{number}", number + 1
    return key


def lock(account_id: int) -> None:
    """Until the transaction ends, other writers who lock the account wait: two at once could take the same key."""
    Account.objects.select_for_update(no_key=True).get(pk=account_id)
