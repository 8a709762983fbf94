"""Names of tags and labels of fields are composed (NFC) and lose what cannot be seen, as new ones do.

Where another one of the account has that name, it stays as it is: two tags are not merged in silence. Keys stay.
"""

import unicodedata
from typing import Any

from django.db import IntegrityError, migrations, transaction

INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))
TABLES = (("subscribers_tag", "name"), ("subscribers_customfield", "label"))


def name_alike(apps: Any, schema_editor: Any) -> None:
    for table, column in TABLES:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(f"SELECT id, {column} FROM {table} WHERE {column} ~ '[^\\x01-\\x7f]' ORDER BY id")
            rows = cursor.fetchall()
        for pk, name in rows:
            plain = unicodedata.normalize("NFC", name.translate(INVISIBLE))
            if plain != name and plain.strip():
                _rename(schema_editor.connection, table, column, pk, plain)


def _rename(connection: Any, table: str, column: str, pk: int, plain: str) -> None:
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE {table} t SET {column} = %(plain)s WHERE id = %(pk)s AND NOT EXISTS (
                    SELECT 1 FROM {table} o
                    WHERE o.account_id = t.account_id AND o.id <> t.id AND lower(o.{column}) = lower(%(plain)s))
                """,
                {"plain": plain, "pk": pk},
            )
    except IntegrityError:
        pass  # another one got the name meanwhile


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("subscribers", "0007_left_through")]
    operations = [migrations.RunPython(name_alike, migrations.RunPython.noop)]
