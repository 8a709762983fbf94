"""An engine to drive by hand: virtual time, mail kept in memory. conftest.py makes the fixture of it."""

from dataclasses import dataclass
from datetime import datetime

from dripstone.engine import virtual
from dripstone.engine.models import Delivery
from dripstone.senders.memory import MemorySender
from dripstone.subscribers.models import Subscriber
from tests.conftest import VirtualClock


@dataclass
class Engine:
    clock: VirtualClock
    mail: MemorySender

    def run(self) -> dict[str, int]:
        """Whatever is due at this instant."""
        return self.run_until(self.clock.now())

    def run_until(self, instant: datetime) -> dict[str, int]:
        return dict(virtual.advance_to(instant, 0))

    def history(self, person: Subscriber) -> list[tuple[str, str, datetime]]:
        """(subject, status, when it ended) of everything this person had, in order."""
        rows = Delivery.objects.filter(subscriber=person, ended_at__isnull=False).order_by("ended_at", "pk")
        columns = rows.values_list("email__subject", "status", "ended_at")
        return [(subject, status, at) for subject, status, at in columns if at]

    def sent(self, person: Subscriber) -> list[tuple[str, datetime]]:
        return [(subject, at) for subject, status, at in self.history(person) if status == "sent"]
