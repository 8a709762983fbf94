"""Writes dripstone/ops/first_schema.sql anew, on a throwaway PostgreSQL."""

import os
import tempfile

from dripstone import embedded


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, embedded.throwaway() as url:
        os.environ.update(DJANGO_SETTINGS_MODULE="dripstone.settings", DRIPSTONE_DATA=folder, DATABASE_URL=url)
        import django

        django.setup()
        from django.db import connection

        from dripstone.ops import first_schema

        first_schema.write(connection)


if __name__ == "__main__":
    main()
