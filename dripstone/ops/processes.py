"""Child processes that cannot outlive their parent, the signals that stop them, and the ports they want."""

import ctypes
import errno
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import django

_PR_SET_PDEATHSIG = 1
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 60.0  # a child that lived this long starts again without a pause


# Forked on Linux: a child then starts in milliseconds, with everything imported and its memory shared. Forking is not
# safe under macOS's libraries, so elsewhere a child begins from nothing.
_context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


@dataclass
class Child:
    """One process of `dripstone up`, started again when it ends by itself."""

    name: str
    run: Callable[[], None]  # runs until SIGTERM; importable by name
    process: BaseProcess | None = None
    started: float = 0.0  # time.monotonic
    pause: float = 0.0  # seconds; doubles with every quick end
    due: float = field(default=0.0)  # time.monotonic of the next start

    def start(self) -> None:
        self.process = _context.Process(target=_begin, args=(self.name, self.run, os.getpid()), name=self.name)
        self.process.start()
        self.started = time.monotonic()

    def has_ended(self) -> bool:
        return self.process is not None and not self.process.is_alive()

    def plan_restart(self) -> float:
        """Notes when to start again, and returns the pause in seconds: 1, 2, 4 … 30; 1 again after a healthy minute."""
        has_lived = time.monotonic() - self.started > HEALTHY_SECONDS
        self.pause = FIRST_PAUSE_SECONDS if has_lived or not self.pause else min(self.pause * 2, LONGEST_PAUSE_SECONDS)
        self._kill_session()
        self.due, self.process = time.monotonic() + self.pause, None
        return self.pause

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.is_alive():
            self.process.terminate()

    def make_sure_it_stopped(self, give_up_at: float) -> bool:
        """Waits until `give_up_at` (time.monotonic), then kills its whole session. True: it stopped by itself."""
        if self.process is None:
            return True
        self.process.join(max(0.0, give_up_at - time.monotonic()))
        has_stopped = not self.process.is_alive()
        self._kill_session()
        return has_stopped

    def _kill_session(self) -> None:
        """Whatever is left of it: a web server's own workers, for instance."""
        assert self.process is not None and self.process.pid is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()


def _begin(name: str, run: Callable[[], None], parent: int) -> None:
    """In the child: a session of its own, the usual signals, and no life without the parent."""
    # Ctrl-C on the terminal reaches the parent alone, which then tells its children.
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    ask_to_die_with_parent()
    _stop_when_gone(parent)
    django.setup()  # nothing to do when forked
    run()


def ask_to_die_with_parent() -> None:
    """In a new child: have Linux send SIGTERM when the parent's thread that started us is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop_when_gone(parent: int) -> None:
    """The same for other systems, and for a parent that went before we asked: look every second, in a thread."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    if sys.platform != "linux" or os.getppid() != parent:
        threading.Thread(target=watch, name="parent-watch", daemon=True).start()


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event set by Ctrl-C, SIGTERM, or the terminal going away. The second signal ends the process as usual."""
    stopping = threading.Event()
    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()
        for name in names:
            signal.signal(name, signal.default_int_handler)

    before = {name: signal.signal(name, stop) for name in names}
    try:
        yield stopping
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def port_problem(host: str, port: int) -> str | None:
    """Why we cannot listen there, as a sentence; None when we can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return _bind_sentence(error, host, port)
        except (UnicodeError, TypeError):  # longer than a name may be, with an empty part, or no text
            return f"{host} is not an address of this machine."
    return None


def _bind_sentence(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use by another program."
    if error.errno == errno.EACCES:
        return f"Port {port} on {host} is not open to this user."
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{host} is not an address of this machine."
    return f"Port {port} on {host} cannot be used: {error.strerror}."
