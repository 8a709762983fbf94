"""People by what somebody types: the beginning of their address, or of words of their name.

Every look-up reads a range of an index and stops when it has enough, so it takes a millisecond among a million people,
whether nobody or everybody is called so.
"""

from django.db import connection

from dripstone.postgresql import folded
from dripstone.subscribers.models import NameWord, Subscriber

# Purpose: people whose address begins so, in the order of its characters. By subscriber_by_prefix, which serves it
# whatever the database's collation.
_BY_ADDRESS = """
SELECT id FROM subscribers_subscriber
WHERE account_id = %s AND email_address ~>=~ %s AND email_address ~<~ %s ORDER BY email_address USING ~<~ LIMIT %s
"""

# Purpose: of some people, those in whose name each word begins a word. By their keys; 3 µs each.
_OF_THEM = """
SELECT id FROM subscribers_subscriber
WHERE account_id = %s AND id = ANY(%s::bigint[]) AND dripstone_folded(first_name) ~ ALL(%s::text[])
"""

LOOKED_AT = 2_000  # people with the rarest of several words: beyond, the others are not looked for


def people(account_id: int, typed: str, most: int) -> list[Subscriber]:
    """Whole rows, in the order of `ids`."""
    return in_order(ids(account_id, typed, most))


def ids(account_id: int, typed: str, most: int) -> list[int]:
    """At most so many: first those whose address begins with what was typed, by address; then those in whose name each
    typed word begins a word, by that word. Accents and capitals do not count in names."""
    return ids_with(account_id, typed, folded.words(typed), most)


def ids_with(account_id: int, typed: str, words: list[str], most: int) -> list[int]:
    """The same, of a text whose words are known."""
    found = _by_address(account_id, typed, most) if len(typed.split()) == 1 else []
    if len(found) < most and words:
        named = _by_name(account_id, words, most + len(found))
        found = list(dict.fromkeys([*found, *named]))
    return found[:most]


def by_address(account_id: int, typed: str, most: int) -> list[Subscriber]:
    return in_order(_by_address(account_id, typed, most))


def in_order(ids: list[int]) -> list[Subscriber]:
    rows = Subscriber.objects.in_bulk(ids)
    return [rows[pk] for pk in ids if pk in rows]


def _by_address(account_id: int, typed: str, most: int) -> list[int]:
    begins = typed.replace("\0", "").strip().lower()
    if not begins:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_BY_ADDRESS, [account_id, begins, folded.end_of(begins), most])
        return [pk for (pk,) in cursor.fetchall()]


def _by_name(account_id: int, words: list[str], most: int) -> list[int]:
    if len(words) == 1:
        return _with_word(account_id, words[0], most)
    rarest = min((_with_word(account_id, word, LOOKED_AT) for word in words), key=len)
    with connection.cursor() as cursor:
        cursor.execute(_OF_THEM, [account_id, rarest, [folded.beginning(word) for word in words]])
        meant = {pk for (pk,) in cursor.fetchall()}
    return [pk for pk in rarest if pk in meant][:most]


def _with_word(account_id: int, word: str, most: int) -> list[int]:
    """By the key of NameWord alone. Whoever has two such words stands there twice, hence some more."""
    rows = NameWord.objects.filter(account_id=account_id, word__gte=word, word__lt=folded.end_of(word))
    found = rows.order_by("word", "subscriber_id").values_list("subscriber_id", flat=True)[: 2 * most]
    return list(dict.fromkeys(found))[:most]
