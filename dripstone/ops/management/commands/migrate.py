"""Django's command, which begins a new database with all of its tables at once (ops/first_schema.py)."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from dripstone.ops import first_schema

_OTHERWISE = ("app_label", "plan", "check_unapplied", "fake", "fake_initial", "prune")


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if not any(options[name] for name in _OTHERWISE):
            first_schema.lay(connections[options["database"]])
        super().handle(*args, **options)
