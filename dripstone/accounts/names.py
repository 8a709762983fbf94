"""Names that people give to things, and the keys made of them: what code and Liquid say, unique in an account."""

import re
import unicodedata
from collections.abc import Collection

from dripstone.accounts.models import Account

# What cannot be seen and says nothing: zero-width space, word joiner, byte-order mark, soft hyphen. The zero-width
# joiners stay: emoji and some scripts are written with them.
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))
# Letters that are no other letter with a mark, in the spelling of Rails' parameterize.
_LETTERS = str.maketrans(
    {
        **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "þ": "th", "Þ": "Th"},
        **{"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ł": "l", "Ł": "L", "ħ": "h", "Ħ": "H", "ŧ": "t", "Ŧ": "T"},
        **{"ı": "i", "ĸ": "k", "ŋ": "ng", "Ŋ": "NG"},
    }
)


def plain(name: str) -> str:
    """The form in which names are kept that must not look the same: composed (NFC), without what cannot be seen."""
    return unicodedata.normalize("NFC", name.translate(_INVISIBLE))


def key_for(name: str, joint: str, otherwise: str) -> str:
    """Lower-case ASCII: "Último nombre" → "ultimo_nombre", "Größe" → "grosse".

    joint      stands between the words, `_` or `-`
    otherwise  the key when no letter is left
    """
    ascii_name = unicodedata.normalize("NFKD", name).translate(_LETTERS).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", joint, ascii_name.lower()).strip(joint) or otherwise


def free_key(wanted: str, joint: str, taken: Collection[str]) -> str:
    """Names that differ may give the same key: the second gets 2 at its end."""
    key, number = wanted, 2
    while key in taken:
        key, number = f"{wanted}{joint}{number}", number + 1
    return key


class FreeKeys:
    """The keys that `free_key` gives to one name after the other; each number is looked at once."""

    def __init__(self, joint: str, taken: Collection[str]) -> None:
        self._joint, self._taken = joint, set(taken)
        self._next: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        key, number = wanted, self._next.get(wanted, 2)
        while key in self._taken:
            key, number = f"{wanted}{self._joint}{number}", number + 1
        self._next[wanted] = number
        self._taken.add(key)
        return key


def lock(account_id: int) -> None:
    """Until the transaction ends, other writers who lock the account wait: two at once could take the same key."""
    Account.objects.select_for_update(no_key=True).get(pk=account_id)
