"""How calls stand, all accounts together: for metrics and `doctor`. Read from partial indexes of what is on its way."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

# calls_call_fresh (with planned_at of the rows), calls_call_again, calls_call_leased, calls_receiver_failing. The last
# one reads all receivers, which are few.
_STANDING = """
SELECT (SELECT count(*) FROM calls_call WHERE status = 'planned' AND attempt = 0),
       (SELECT min(planned_at) FROM calls_call WHERE status = 'planned' AND attempt = 0),
       (SELECT count(*) FROM calls_call WHERE status = 'planned' AND attempt > 0),
       (SELECT count(*) FROM calls_call WHERE status = 'sending'),
       (SELECT count(*) FROM calls_receiver WHERE failing_since IS NOT NULL AND off = '' AND deleted_at IS NULL),
       (SELECT count(*) FROM calls_receiver WHERE off = 'failing' AND deleted_at IS NULL)
"""


@dataclass(frozen=True, slots=True)
class Standing:
    n_new: int  # not tried yet
    oldest: datetime | None  # of these
    n_again: int  # wait for another attempt
    n_sending: int
    n_failing: int  # receivers that have taken nothing since a failure
    n_switched_off: int  # receivers that failed for days


def now() -> Standing:
    with connection.cursor() as cursor:
        cursor.execute(_STANDING)
        return Standing(*cursor.fetchone())
