"""A worker that is killed in flight. A module of its own: the process that runs it has no Django."""

import signal
from pathlib import Path

from dripstone.senders.flight import FlightLog


def fly_until_killed(directory: Path, ready: str) -> None:
    log = FlightLog(directory, "doomed")
    log.started(5, 1)
    Path(ready).touch()
    signal.pause()
