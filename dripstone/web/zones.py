"""Time zones to choose from."""

from functools import cache
from zoneinfo import available_timezones

_OLD = ("Etc/", "SystemV/", "US/", "Canada/", "Brazil/", "Chile/", "Mexico/", "posix", "right/")


@cache
def names() -> list[str]:
    """IANA names of places, and UTC. Others may be typed."""
    return ["UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith(_OLD))]
