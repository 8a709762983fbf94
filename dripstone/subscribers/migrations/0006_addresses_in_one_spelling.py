"""Addresses with letters beyond ASCII, or a domain written `xn--…`, get the one spelling that look-ups use.

Where somebody else of the account has that spelling, the row stays as it is: two people are not merged in silence, and
`dripstone doctor` names them.
"""

import unicodedata
from typing import Any

from django.db import IntegrityError, migrations, transaction
from email_validator import EmailNotValidError, validate_email

BATCH = 10_000

_SUSPECTS = """
SELECT id, email_address FROM subscribers_subscriber
WHERE id > %s AND (email_address ~ '[^\\x01-\\x7f]' OR email_address LIKE '%%xn--%%') ORDER BY id LIMIT %s
"""
_RENAME = """
UPDATE subscribers_subscriber s SET email_address = %(plain)s WHERE id = %(id)s AND NOT EXISTS (
    SELECT 1 FROM subscribers_subscriber o WHERE o.account_id = s.account_id AND o.email_address = %(plain)s)
"""


def spell_alike(apps: Any, schema_editor: Any) -> None:
    connection, after = schema_editor.connection, 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_SUSPECTS, [after, BATCH])
            rows = cursor.fetchall()
        for subscriber_id, address in rows:
            plain = _plain(address)
            if plain != address:
                _rename(connection, subscriber_id, plain)
        if len(rows) < BATCH:
            return
        after = rows[-1][0]


def _rename(connection: Any, subscriber_id: int, plain: str) -> None:
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(_RENAME, {"id": subscriber_id, "plain": plain})
    except IntegrityError:
        pass  # somebody with that address has come in meanwhile


def _plain(address: str) -> str:
    """given.plain_address as of this migration."""
    try:
        found = validate_email(address, check_deliverability=False, test_environment=True).normalized
    except (EmailNotValidError, UnicodeError):
        return address
    return unicodedata.normalize("NFC", found.lower())


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("subscribers", "0005_without_shorter_indexes")]
    operations = [migrations.RunPython(spell_alike, migrations.RunPython.noop)]
