"""This process as a worker: its name, its flight log, its sender. Made on first use, kept for its life."""

import os
import secrets
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from dripstone.senders import shares, urls
from dripstone.senders.base import Sender
from dripstone.senders.flight import FlightLog
from dripstone.senders.urls import sender_for


@dataclass(frozen=True, slots=True)
class Process:
    worker: str
    sender: Sender


_lock = threading.Lock()
_current: Process | None = None


def current() -> Process:
    """A forked child is another worker than its parent: ask after the fork."""
    global _current
    with _lock:
        if _current is None:
            worker = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
            flight = FlightLog(flights(), worker)
            _current = Process(worker, sender_for(settings.DRIPSTONE_MAIL_URL, flight))
        return _current


def close() -> None:
    """Finish what is on the wire and give back connections. For a worker that stops, and for tests."""
    global _current
    with _lock:
        process, _current = _current, None
    if process is not None:
        process.sender.close()
        if urls.parse(settings.DRIPSTONE_MAIL_URL).connections_in_all is not None:
            shares.give_back(process.worker)


def flights() -> Path:
    """Where this machine's workers keep their flight logs."""
    return Path(settings.DRIPSTONE_DATA) / "flights"


def _host() -> str:
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in socket.gethostname())
