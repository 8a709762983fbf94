"""A time for answers that nobody reads. The server has none, so the system keeps it, for each connection."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

# A connection whose other side takes nothing for so long, while something waits to be sent, is closed. It goes by
# acknowledged bytes: slow readers, and answers of any length, have as long as they need.
UNREAD_SECONDS = 30

_LINUX_ONLY = getattr(socket, "TCP_USER_TIMEOUT", None)


def close_what_nobody_reads() -> None:
    """Holds for all connections that this process accepts from now on: they take the option from the socket that
    listens. Does nothing on systems without it."""
    if _LINUX_ONLY is not None:
        for listener in _listening():
            listener.setsockopt(socket.IPPROTO_TCP, _LINUX_ONLY, 1000 * UNREAD_SECONDS)


def _listening() -> Iterator[socket.socket]:
    """The sockets on which this process takes connections. The server has made them, and hands them to nobody."""
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # it was that of the listing itself
            if path.is_socket():
                with closing(socket.socket(fileno=os.dup(int(path.name)))) as one:
                    if one.family in (socket.AF_INET, socket.AF_INET6) and _takes_connections(one):
                        yield one


def _takes_connections(one: socket.socket) -> bool:
    return one.type == socket.SOCK_STREAM and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
