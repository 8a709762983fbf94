"""Programs of PostgreSQL's on Dripstone's database: for backups, and for looking around."""

import os
import subprocess

from django.conf import settings

from dripstone import embedded
from dripstone.errors import Invalid

# What libpq reads, by the names of Django's dictionary.
_VARIABLES = {"HOST": "PGHOST", "PORT": "PGPORT", "NAME": "PGDATABASE", "USER": "PGUSER", "PASSWORD": "PGPASSWORD"}


def run(command: list[str]) -> int:
    """The program's exit code."""
    try:
        return subprocess.run(command, env=_environment(), check=False).returncode
    except FileNotFoundError as error:
        raise Invalid(f"There is no program {command[0]} on this machine.") from error


def _environment() -> dict[str, str]:
    database = settings.DATABASES["default"]
    found = {variable: str(database[name]) for name, variable in _VARIABLES.items() if database[name]}
    if "sslmode" in database["OPTIONS"]:
        found["PGSSLMODE"] = str(database["OPTIONS"]["sslmode"])
    # Programs must be of the server's version: ours fit the embedded one, those on PATH a server of yours.
    ours, theirs = str(embedded.programs()), os.environ.get("PATH", "")
    path = os.pathsep.join([theirs, ours] if settings.DATABASE_URL else [ours, theirs])
    return os.environ | found | {"PATH": path}
