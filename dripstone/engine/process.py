"""This process as a worker: its name, its flight log, its sender, its desk, its batches. Made on first use, kept for
its life."""

import itertools
import os
import secrets
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from dripstone.engine.desk import Desk
from dripstone.senders import shares, ways
from dripstone.senders.base import Sender
from dripstone.senders.flight import FlightLog, Key


@dataclass(frozen=True, slots=True)
class Process:
    worker: str
    sender: Sender
    flight: FlightLog
    desk: Desk = field(default_factory=Desk)


_lock = threading.Lock()
_current: Process | None = None
_numbers = itertools.count(1)
_broken_off: set[str] = set()
_retiring = threading.Event()
_hindered = threading.Event()


def current() -> Process:
    """A forked child is a different worker from its parent, so call this after the fork."""
    global _current
    with _lock:
        if _current is None:
            worker = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
            flight = FlightLog(flights(), worker)
            _current = Process(worker, ways.sender_for(settings.DRIPSTONE_MAIL_URL, flight), flight)
        return _current


def close() -> None:
    """Finish the messages on the wire and close connections. For a worker that stops, and for tests."""
    global _current
    with _lock:
        process, _current = _current, None
        _retiring.clear()
    if process is not None:
        process.sender.close()
        if ways.parse(settings.DRIPSTONE_MAIL_URL).connections_in_all is not None:
            shares.give_back(process.worker)


def retire() -> None:
    """Finish the messages on the wire within the sender's grace, answer the rest, and begin nothing more. The process
    keeps its name."""
    _retiring.set()
    if _current is not None:
        _current.desk.close()
        _current.sender.close(for_good=True)


def is_retiring() -> bool:
    return _retiring.is_set()


def hinder(why: str) -> None:
    """What keeps this process from sending (senders/hindrances.py); "": nothing does."""
    if why:
        _hindered.set()
    else:
        _hindered.clear()


def is_hindered() -> bool:
    return _hindered.is_set()


@contextmanager
def batch(worker: str) -> Iterator[str]:
    """The name under which a batch is claimed, "worker/number". If an exception ends it early, rescue.py settles it.

    The name exists before the claim, so that rescue.py also finds rows whose claim was committed but never answered.
    """
    name = f"{worker}/{next(_numbers)}"
    try:
        yield name
    except BaseException:
        _broken_off.add(name)
        raise


def broken_off() -> set[str]:
    """Batches of this process that were broken off and may still hold rows."""
    return set(_broken_off)


def forget(batch_name: str) -> None:
    """The batch holds no rows any more."""
    _broken_off.discard(batch_name)


def settled(keys: Iterable[Key]) -> None:
    """The outcomes of these attempts are in the database now."""
    if _current is not None:
        _current.flight.settled(keys)


def flights() -> Path:
    """Where this machine's workers keep their flight logs."""
    return Path(settings.DRIPSTONE_DATA) / "flights"


def _host() -> str:
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in socket.gethostname())
