"""The flight log: which bodies had started to leave, and which had their final reply, when a worker died.

Takes: a directory on a local disk and the worker's id. Leaves behind: one small file per worker.
A crash here means: the line that was being written is whole or missing, because no line crosses a page. A body never
leaves before its line is whole, so what has no line in a whole log has not left.

It guards against the death of a process, not of the machine: the kernel keeps what `write` accepted, so there is no
fsync (which would cost more than sending). Hence a log counts only for as long as the machine runs that wrote it.

A line is `s <delivery> <attempt>` (the body is about to start) or `e <delivery> <attempt> <kind>` (final reply), 64
bytes with blanks, a check sum and a newline. The check sum includes that of the line before, so that lines can neither
change nor go missing between others. The file has its full length from the start, zeros behind the last line: one that
was cut is too short. The first line, the header, says the format, the start of the machine, the length and the worker.

A line is kept until `settled` is called: the outcome is then in the database. A batch may wait minutes for one slow
reply while others fill file after file, and a message without a line would be taken for never begun.
"""

import contextlib
import errno
import fcntl
import functools
import os
import re
import stat
import threading
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from dripstone.senders import flight_before
from dripstone.senders.base import Kind

N_BYTES = 4_000_000  # of a file: more than 30,000 messages
MOST_BYTES = 64_000_000  # what is longer was not written by us, and is not read
HEADER_BYTES, LINE_BYTES = 512, 64  # a page has room for a whole number of them
FILE = re.compile(r"(?P<worker>[\w.@-]+)\.flightlog")
HEADER_TEXT = b"dripstone flight log 2, machine %b, %d bytes, worker %b"
HEADER = re.compile(
    rb"dripstone flight log 2, machine (?P<machine>[\w.-]+), (?P<n_bytes>\d{1,10}) bytes, worker (?P<worker>\S+)"
)
CHECK = re.compile(rb" ([0-9a-f]{8})\n")
LINE = re.compile(
    rb"(?P<mark>[se]) (?P<delivery>\d{1,19}) (?P<attempt>\d{1,19})(?: (?P<kind>sent|temporary|permanent|unknown))?"
)

Key = tuple[int, int]


class FlightLog:
    """One process's log, for all its threads.

    The file is locked for as long as the process lives, so others on this machine can see that it does.
    """

    def __init__(self, directory: Path, worker: str, *, n_bytes: int = N_BYTES, machine: str | None = None) -> None:
        """Raises ValueError for a worker id that cannot be a file name, OSError when it cannot be written."""
        if not FILE.fullmatch(f"{worker}.flightlog"):
            raise ValueError(f"The worker id {worker!r} may only have letters, digits and . _ @ -")
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / f"{worker}.flightlog"
        if self._path.exists():
            raise FileExistsError(f"{self._path} is another process's: a worker id is used once")
        self._header = HEADER_TEXT % ((machine or machine_start()).encode(), n_bytes, worker.encode())
        self._n_bytes = n_bytes
        self._unsettled: dict[Key, bytes] = {}  # the newest line of each
        self._held: list[bytes] = []  # lines that go with the next one
        self._fd, self._at, self._check = -1, 0, 0  # where the next line goes, and the check sum before it
        self._lock = threading.Lock()
        self._next_file(1)

    def started(self, delivery_id: int, attempt: int) -> None:
        """To be called before the first byte of the body. OSError: not written, so do not send."""
        line = b"s %d %d" % (delivery_id, attempt)
        with self._lock:
            self._write(line)
            self._unsettled[delivery_id, attempt] = line

    def ended(self, delivery_id: int, attempt: int, kind: Kind, *, is_held: bool = False) -> None:
        """To be called when the final reply is in. A failure here costs an `unknown`, never a second message.

        is_held  the line goes with the next one, in one write, or with `flush`, which the caller calls in a moment
        """
        line = b"e %d %d %b" % (delivery_id, attempt, kind.encode())
        with self._lock:
            self._unsettled[delivery_id, attempt] = line
            self._held.append(line)
        if not is_held:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            with self._lock, contextlib.suppress(OSError):
                self._write()

    def settled(self, keys: Iterable[Key]) -> None:
        """Their outcomes are in the database, so the log need not keep them. Unknown ones are ignored."""
        with self._lock:
            for key in keys:
                self._unsettled.pop(key, None)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _write(self, *lines: bytes) -> None:
        """What is held and these, in one write."""
        lines, self._held = (*self._held, *lines), []
        if self._at + LINE_BYTES * len(lines) > self._n_bytes:
            self._next_file(len(lines))
        text, check = b"", self._check
        for line in lines:
            whole, check = _checked(line, check, LINE_BYTES)
            text += whole
        _write_at(self._fd, text, self._at)  # if this fails, the next lines take its place
        self._at += len(text)
        self._check = check

    def _next_file(self, n_lines: int) -> None:
        """Go on in a new file with room for so many lines, carrying over what is not settled. It takes the place of the
        one before it when it is locked and whole, so at any instant there is one, and it says everything."""
        new = self._path.with_suffix(".new")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.ftruncate(fd, self._n_bytes)
            at, check = self._carry_over(fd, n_lines)
            os.replace(new, self._path)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd, self._at, self._check = fd, at, check

    def _carry_over(self, fd: int, n_lines: int) -> tuple[int, int]:
        """Returns where the next line goes, and the check sum before it."""
        text, check = _checked(self._header, 0, HEADER_BYTES)
        for line in self._unsettled.values():
            whole, check = _checked(line, check, LINE_BYTES)
            text += whole
        if len(text) + LINE_BYTES * n_lines > self._n_bytes:
            raise OSError("the flight log is full of messages whose outcomes could not be recorded")
        _write_at(fd, text, 0)
        return len(text), check


def problem(directory: Path) -> str:
    """Why no log can be written there; "" when one can."""
    probe = directory / f"probe.{os.getpid()}.{threading.get_ident()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(bytes(LINE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        return str(error.strerror)
    return ""


def _checked(text: bytes, before: int, n_bytes: int) -> tuple[bytes, int]:
    """The line for `text`, and its check sum. `before`: the check sum of the line before."""
    check = crc32(text, before)
    return b"%b %08x\n" % (text.ljust(n_bytes - 10), check), check


def _write_at(fd: int, text: bytes, at: int) -> None:
    if os.pwrite(fd, text, at) != len(text):
        raise OSError("the flight log could not be written whole: is the disk full?")


@functools.cache
def machine_start() -> str:
    """Another one after every start of this machine: what the kernel had not yet put on the disk is lost then."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux
        import psutil

        return f"started-{psutil.boot_time():.0f}"


# --- Reading ----------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    """What logs say.

    flights  (delivery_id, attempt) → "started" (the body was leaving, no final reply) or the kind of its final reply
    silent   worker → why its log says nothing about a message that `flights` lacks: it may have left

    With any other worker whose log was read, a message that `flights` lacks had not started.
    """

    flights: dict[Key, str]
    silent: dict[str, str]


def read(directory: Path, of: Iterable[str] | None = None) -> Said:
    """What these workers' logs say (None: all of `workers`).

    About a worker that is not in `workers(directory)` (another machine, a lost disk) they say nothing at all.
    """
    said = Said({}, {})
    for worker in workers(directory) if of is None else of:
        try:
            flights, silence = _read(directory, worker)
        except OSError as error:
            flights, silence = {}, f"it cannot be read: {error.strerror}"
        said.flights.update(flights)
        if silence:
            said.silent[worker] = silence
    return said


def _read(directory: Path, worker: str) -> tuple[dict[Key, str], str]:
    """Its flights, and why they may not be all."""
    if before := flight_before.files(directory).get(worker):
        return flight_before.read([_content(path) for path in before])
    content = _content(directory / f"{worker}.flightlog")
    header, *lines = _texts(content)
    return _flights(lines), _silence(worker, len(content), header, lines)


def _content(path: Path) -> bytes:
    """Raises OSError when that is no file of ours."""
    with _opened(path) as fd, open(fd, "rb", closefd=False) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def _texts(content: bytes) -> Iterator[bytes | None]:
    """What stands in the header, and then in each line. None: it was damaged, or the one before it is missing."""
    content = content.rstrip(b"\0")
    at, before, n_bytes = 0, 0, HEADER_BYTES
    while at == 0 or at < len(content):
        line = content[at : at + n_bytes]
        text = line[:-10].rstrip(b" ")
        whole, before = _checked(text, before, n_bytes)
        yield text if line == whole else None
        if found := CHECK.fullmatch(line[-10:]):
            before = int(found[1], 16)  # the line behind a damaged one may still hold
        at, n_bytes = at + n_bytes, LINE_BYTES


def _flights(lines: Iterable[bytes | None]) -> dict[Key, str]:
    flights: dict[Key, str] = {}
    for line in lines:
        if line is not None and (found := LINE.fullmatch(line)):
            kind = found["kind"].decode() if found["kind"] else "started"
            flights[int(found["delivery"]), int(found["attempt"])] = kind
    return flights


def _silence(worker: str, n_bytes: int, header: bytes | None, lines: Collection[bytes | None]) -> str:
    """Why a log does not count as whole; "" if it does."""
    said = HEADER.fullmatch(header or b"")
    if said is None or said["worker"] != worker.encode():
        return "it has no header of its worker's"
    if said["machine"] != machine_start().encode():
        return "the machine was started anew since"
    if int(said["n_bytes"]) != n_bytes:
        return "it was cut"
    return "it is damaged" if None in lines else ""


def workers(directory: Path) -> dict[str, bool]:
    """Every worker with a log in this directory that can be read, and whether its process still lives."""
    alive: dict[str, bool] = {}
    for worker, path in _files(directory):
        with contextlib.suppress(OSError):  # gone meanwhile, or `unreadable`
            alive[worker] = _is_locked(path) or alive.get(worker, False)
    return alive


def unreadable(directory: Path) -> dict[str, str]:
    """Name of what should be a log but is a folder, say, or is not ours → why it cannot be read."""
    why: dict[str, str] = {}
    for _, path in _files(directory):
        try:
            with _opened(path):
                pass
        except FileNotFoundError:
            pass
        except OSError as error:
            why[path.name] = str(error.strerror)
    return why


def forget(directory: Path, worker: str) -> None:
    """Remove the log of a dead worker, once no delivery is `sending` in its name. Others stay: a living worker's, and
    what is no log."""
    if workers(directory).get(worker) is False:
        for its, path in _files(directory):
            if its == worker:
                with contextlib.suppress(OSError):  # the next look tries again
                    path.unlink(missing_ok=True)
                    path.with_suffix(".new").unlink(missing_ok=True)


def _files(directory: Path) -> list[tuple[str, Path]]:
    """Each with its worker's name."""
    try:
        paths = list(directory.iterdir())
    except OSError:  # not made yet, or not ours to read
        return []
    before = [(worker, path) for worker, its in flight_before.files(directory).items() for path in its]
    return before + [(found["worker"], path) for path in paths if (found := FILE.fullmatch(path.name))]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Yields its descriptor. Raises OSError for what is not a file; nobody is waited for at a FIFO."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        yield fd
    finally:
        os.close(fd)


def _is_locked(path: Path) -> bool:
    """Whether its worker lives. Raises OSError when that cannot be seen."""
    while True:
        with _opened(path) as fd:
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            if os.path.samestat(os.fstat(fd), path.lstat()):
                return False  # else its worker has just gone on in a new file
