"""The flight log: which bodies had started to leave, and which had their final reply, when a worker died.

Takes: a directory on a local disk and the worker's id. Leaves behind: one small file or two per worker.
A crash here means: the last line may be torn, which `read` passes over; a body never leaves before its line is
whole, so what has no line has not left.

It guards against the death of a process, not of the machine: the kernel keeps what `write` accepted, so there is no
fsync (which would cost more than sending). After a power cut the newest lines may be missing.

A line is `s <delivery> <attempt>` (the body is about to start) or `e <delivery> <attempt> <kind>` (final reply). It is
kept until `settled` is called: the outcome is then in the database. A batch may wait minutes for one slow reply while
others fill file after file, and a message without a line would be taken for never begun.
"""

import contextlib
import fcntl
import os
import re
import threading
from collections.abc import Container, Iterable
from pathlib import Path
from typing import NamedTuple

from dripstone.senders.base import Kind

ROTATE_AT_BYTES = 4_000_000  # about 80,000 messages
FILE = re.compile(r"(?P<worker>[\w.@-]+)\.(?P<generation>\d+)\.flight")
LINE = re.compile(rb"(?P<mark>[se]) (?P<delivery>\d+) (?P<attempt>\d+)(?: (?P<kind>sent|temporary|permanent|unknown))?")

Key = tuple[int, int]


class FlightLog:
    """One process's log, for all its threads.

    The file is locked for as long as the process lives, so others on this machine can see that it does.
    """

    def __init__(self, directory: Path, worker: str, *, rotate_at: int = ROTATE_AT_BYTES) -> None:
        """Raises ValueError for a worker id that cannot be a file name, OSError when it cannot be written."""
        if not FILE.fullmatch(f"{worker}.1.flight"):
            raise ValueError(f"The worker id {worker!r} may only have letters, digits and . _ @ -")
        directory.mkdir(parents=True, exist_ok=True)
        self._directory, self._worker, self._rotate_at = directory, worker, rotate_at
        self._generation = max((f.generation for f in _files(directory) if f.worker == worker), default=0)
        self._unsettled: dict[Key, bytes] = {}  # the newest line of each
        self._fd = -1
        self._lock = threading.Lock()
        self._next_file()

    def started(self, delivery_id: int, attempt: int) -> None:
        """To be called before the first byte of the body. OSError: not written, so do not send."""
        line = b"s %d %d\n" % (delivery_id, attempt)
        with self._lock:
            self._write(line)
            self._unsettled[delivery_id, attempt] = line

    def ended(self, delivery_id: int, attempt: int, kind: Kind) -> None:
        """To be called when the final reply is in. A failure here costs an `unknown`, never a second message."""
        line = b"e %d %d %b\n" % (delivery_id, attempt, kind.encode())
        with self._lock, contextlib.suppress(OSError):
            self._unsettled[delivery_id, attempt] = line
            self._write(line)

    def settled(self, keys: Iterable[Key]) -> None:
        """Their outcomes are in the database, so the log need not keep them. Unknown ones are ignored."""
        with self._lock, contextlib.suppress(OSError):
            for key in keys:
                self._unsettled.pop(key, None)
            if self._size > self._rotate_at:
                self._next_file()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _write(self, line: bytes) -> None:
        written = os.write(self._fd, line)
        self._size += written
        if written != len(line):  # the disk is full; what follows must not stick to the torn piece
            with contextlib.suppress(OSError):
                os.write(self._fd, b"\n")
            raise OSError("the flight log could not be written whole: is the disk full?")

    def _next_file(self) -> None:
        """Go on in a new file, carrying over what is not settled; keep the one before it, drop the older ones."""
        fd = os.open(self._path(self._generation + 1), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)  # waits only for another process that is just looking (_is_locked)
        carried = b"".join(self._unsettled.values())
        if carried and os.write(fd, carried) != len(carried):
            os.close(fd)
            self._path(self._generation + 1).unlink()
            raise OSError("the flight log could not be written whole: is the disk full?")
        self.close()
        self._fd, self._generation, self._size = fd, self._generation + 1, len(carried)
        if self._generation > 2:
            self._path(self._generation - 2).unlink(missing_ok=True)

    def _path(self, generation: int) -> Path:
        return self._directory / f"{self._worker}.{generation}.flight"


class _File(NamedTuple):
    worker: str
    generation: int
    path: Path


def read(directory: Path, of: Container[str] | None = None) -> dict[Key, str]:
    """What these workers' logs say (None: all of them).

    (delivery_id, attempt) → "started" (the body was leaving, no final reply) or the kind of its final reply.

    A message that is absent had not started, provided that its worker is in `workers(directory)`. About a worker
    without a file (another machine, a lost disk) this says nothing: its messages must be taken for `unknown`.
    """
    flights: dict[Key, str] = {}
    for file in _files(directory):
        if of is not None and file.worker not in of:
            continue
        with contextlib.suppress(FileNotFoundError):  # its worker has just rotated it away
            _read_into(flights, file.path.read_bytes())
    return flights


def _read_into(flights: dict[Key, str], content: bytes) -> None:
    for line in content.split(b"\n")[:-1]:  # after the last newline: nothing, or a torn line
        if (found := LINE.fullmatch(line)) is not None:
            kind = found["kind"].decode() if found["kind"] else "started"
            flights[int(found["delivery"]), int(found["attempt"])] = kind


def workers(directory: Path) -> dict[str, bool]:
    """Every worker with a log in this directory, and whether its process still lives."""
    alive: dict[str, bool] = {}
    for file in _files(directory):
        alive[file.worker] = alive.get(file.worker, False) or _is_locked(file.path)
    return alive


def forget(directory: Path, worker: str) -> None:
    """Remove the log of a dead worker, once no delivery is `sending` in its name. A living worker's log stays."""
    if not workers(directory).get(worker, False):
        for file in _files(directory):
            if file.worker == worker:
                file.path.unlink(missing_ok=True)


def _files(directory: Path) -> list[_File]:
    """In the order in which they were written, per worker."""
    names = directory.iterdir() if directory.is_dir() else ()
    found = ((FILE.fullmatch(path.name), path) for path in names)
    return sorted(_File(m["worker"], int(m["generation"]), path) for m, path in found if m)


def _is_locked(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)
