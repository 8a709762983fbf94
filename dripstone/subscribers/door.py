"""How many sign-ups the door of forms takes in an hour: from one network, and by one form.

The counts are rows in PostgreSQL, one per network or form and five minutes, so that all web processes count together.
An attack from many networks adds a row for each, and no more than the forms take in all: what is refused is not
counted. What an address gets is limited by its sign-ups themselves (engine/acts/sign_ups.py), whatever stands here.

Accepted sloppiness: requests in flight at the same instant do not see each other.
"""

import ipaddress
from datetime import datetime
from typing import Literal

from django.conf import settings
from django.db import connection

from dripstone.subscribers.models import Form

SLOT = 300  # seconds
SLOTS = 12  # an hour of them
OF_NETWORK = 100

# Purpose: count a sign-up unless the hour is full for its network or its form; both sums without it come back. Primary
# key (who, slot): at most 24 rows are read; 0.3 ms. In a transaction of its own, since all sign-ups of a form meet in
# one row.
_COUNT = """
WITH used AS (
    SELECT coalesce(sum(n) FILTER (WHERE who = %(network)s), 0) AS of_network,
           coalesce(sum(n) FILTER (WHERE who = %(form)s), 0) AS of_form
    FROM sign_up_counts WHERE who IN (%(network)s, %(form)s) AND slot > %(slot)s - %(slots)s),
counted AS (
    INSERT INTO sign_up_counts AS c (who, slot, n)
    SELECT who, %(slot)s, 1 FROM (VALUES (%(network)s::text), (%(form)s::text)) counting (who), used
    WHERE used.of_network < %(most_of_network)s AND used.of_form < %(most_of_form)s
    ORDER BY who
    ON CONFLICT (who, slot) DO UPDATE SET n = c.n + 1)
SELECT of_network, of_form FROM used
"""
# Purpose: forget what left the hour; once per process and slot. A scan of the table, which holds an hour.
_FORGET = "DELETE FROM sign_up_counts WHERE slot <= %s"

_forgot = 0  # the slot in which this process did


def full(form: Form, network: str, now: datetime) -> Literal["", "network", "form"]:
    """Counts a sign-up, or says which hour is full.

    now   of the machine's clock: the limits are about robots, not about rehearsed time
    """
    if settings.DRIPSTONE_RATE_LIMITS is None:
        return ""
    slot = int(now.timestamp()) // SLOT
    _forget(slot)
    values: dict[str, str | int] = {"network": f"network {part_of(network)}", "form": f"form {form.pk}"}
    values |= {"slot": slot, "slots": SLOTS, "most_of_network": OF_NETWORK, "most_of_form": form.hourly_limit}
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)
        of_network, of_form = cursor.fetchone()
    if of_network >= OF_NETWORK:
        return "network"
    return "form" if of_form >= form.hourly_limit else ""


def part_of(network: str) -> str:
    """An address of IPv6 stands for the 64 bits that its owner can choose from as they like."""
    try:
        address = ipaddress.ip_address(network)
    except ValueError:
        return network
    if address.version == 4:
        return network
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _forget(slot: int) -> None:
    global _forgot
    if slot != _forgot:
        _forgot = slot
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [slot - SLOTS])
