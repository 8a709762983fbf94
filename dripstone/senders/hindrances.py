"""What keeps a worker from sending, told to those who ask /healthz on any machine.

A worker that cannot write its flight log takes no mail, so from outside it looks like one with nothing to do.
A crash here means that the last word stands for a minute longer.
"""

import time
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from dripstone.senders import flight
from dripstone.senders.models import Hindrance

log = structlog.get_logger(__name__)

COUNTS_FOR = timedelta(seconds=60)
SECONDS_BETWEEN_WORDS = 20.0


class Watch:
    """One worker's looks at the folder of its flight log."""

    def __init__(self, worker: str, flights: Path) -> None:
        self._worker, self._flights = worker, flights
        self._why, self._said, self._said_at = "", "", 0.0

    def look(self) -> str:
        """Why the worker cannot send; "" when it can. It should take no mail then: tries in vain would put it off."""
        why = flight.problem(self._flights)
        if why and why != self._why:
            log.error("flight_log_failed", error=why)
        self._why = why
        return why

    def tell(self, now: datetime) -> None:
        """What the last look found, into the database, when it is news or was said a while ago.

        now  the machine's instant (clock.system_now)
        """
        if self._why == self._said and not (self._why and time.monotonic() - self._said_at > SECONDS_BETWEEN_WORDS):
            return
        if self._why:
            sentence = f"A worker cannot write its flight log ({self._why}), so it sends nothing: see to its disk."
            row = {"sentence": sentence, "seen_at": now}
            Hindrance.objects.update_or_create(worker=self._worker, defaults=row)
        else:
            Hindrance.objects.filter(worker=self._worker).delete()
        Hindrance.objects.filter(seen_at__lt=now - COUNTS_FOR).delete()  # of workers that are gone
        self._said, self._said_at = self._why, time.monotonic()


def current(now: datetime) -> list[str]:
    """A sentence for each kind."""
    rows = Hindrance.objects.filter(seen_at__gt=now - COUNTS_FOR)
    return sorted(set(rows.values_list("sentence", flat=True)))
