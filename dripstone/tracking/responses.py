"""Records what came back from a delivery."""

from datetime import datetime
from typing import Literal

from django.db import connection

Stamp = Literal["delivered_at", "opened_at", "clicked_at", "unsubscribed_at", "bounced_at", "complained_at"]

_STAMP = """
INSERT INTO tracking_response (delivery_id, account_id, subscriber_id, email_id, {stamp})
VALUES (%(delivery)s, %(account)s, %(subscriber)s, %(email)s, %(now)s)
ON CONFLICT (delivery_id) DO UPDATE SET {stamp} = EXCLUDED.{stamp} WHERE tracking_response.{stamp} IS NULL
"""


def stamp(
    what: Stamp, delivery_id: int, now: datetime, *, account_id: int, subscriber_id: int, email_id: int | None
) -> bool:
    """Stamp the delivery with `now`. False if it had this stamp before: the first time stays."""
    parameters = {"delivery": delivery_id, "account": account_id, "subscriber": subscriber_id, "email": email_id}
    with connection.cursor() as cursor:
        cursor.execute(_STAMP.format(stamp=what), parameters | {"now": now})
        is_first: bool = cursor.rowcount == 1
    return is_first
