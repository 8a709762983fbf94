"""Fails when a model changed and no migration says so, or a migration and not the first schema. Reads files only: no
database is needed or touched."""

import os
import sys
import tempfile

import django
from django.core.management import call_command


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(DJANGO_SETTINGS_MODULE="dripstone.settings", DRIPSTONE_DATA=folder)
        os.environ.pop("DATABASE_URL", None)
        django.setup()
        # Without a database Django warns that it could not compare histories; there is none to compare.
        import warnings

        warnings.simplefilter("ignore", RuntimeWarning)
        call_command("makemigrations", "--check", "--dry-run", stdout=sys.stdout)
        from dripstone.ops import first_schema

        if not first_schema.is_current():
            sys.exit(
                "dripstone/ops/first_schema.sql is of other migrations: run .venv/bin/python script/first_schema.py"
            )


if __name__ == "__main__":
    main()
