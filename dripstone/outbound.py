"""Calls an address that somebody gave us: the one way out to strangers. Never to this machine or its network.

A name is looked up once, every address it has is checked, and the connection goes to one of just these; the name is
only told to the server (Host, SNI). So a name that points elsewhere a moment later leads nowhere. Redirects are
answers like any other, proxies of the environment are not asked, TLS is verified. All of a call has ten seconds,
however slowly an answer drips, and only the beginning of an answer is read. `DRIPSTONE_CALL_HOSTS` names hosts that may
be private.

    outbound.check("https://example.com/hooks")        # at the door, without the network; raises Invalid
    answer = outbound.post(url, body, {"Content-Type": "application/json"})  # raises Failed

http.client speaks HTTP; this file makes the socket under it. Nothing here touches the database.
"""

import http.client
import io
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import idna
from django.conf import settings

from dripstone.errors import Invalid

CONNECT_SECONDS = 5.0  # to look the name up and to be connected, TLS included
WHOLE_SECONDS = 10.0  # the same and all of the answer
LONGEST_URL = 2_000  # characters
LONGEST_ANSWER = 16_384  # bytes that are read; the rest is left
MOST_ADDRESSES = 4  # of a name, tried one after the other
USER_AGENT = "Kit-Webhooks/2.0 (Dripstone)"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Iterable[str]]
"""The addresses of a name, as text; raises OSError. It may take as long as it likes: nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A sound URL. `host` is what the server is told: lower case, in ASCII, an IPv6 address without brackets."""

    is_secure: bool
    host: str
    port: int
    path: str  # with the query
    may_be_private: bool

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_secure else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes  # its first LONGEST_ANSWER bytes
    retry_after: str  # that header, or ""
    seconds: float

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Failed(Exception):
    """No answer. `reason` is a code, the text a sentence about it."""

    def __init__(self, reason: str, sentence: str) -> None:
        self.reason, self.sentence = reason, sentence
        super().__init__(sentence)


# --- At the door --------------------------------------------------------------------------------------------------


def check(url: str, member: str = "url") -> Target:
    """What a URL says. Raises Invalid, with a sentence that begins with the member's name.

    It asks no network: a name that leads to a private address passes here and is refused when it is called.
    """
    try:
        return _read(url)
    except _Unsound as problem:
        raise Invalid.member(member, f"{member} {problem}") from None


class _Unsound(Exception):
    pass


_NO_URL = "must be an address on the web, such as https://example.com/hooks"
_PRIVATE = "must be public: it leads to this machine or a private network"
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def _read(url: str) -> Target:
    if len(url) > LONGEST_URL:
        raise _Unsound(f"is too long (maximum is {LONGEST_URL} characters)")
    if any(letter.isspace() or not letter.isprintable() or letter in '\\<>"' for letter in url):
        raise _Unsound("must not contain blanks, quotes, backslashes or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # brackets that do not match, a port that is no number
        raise _Unsound(_NO_URL) from None
    if parts.scheme not in ("http", "https"):
        raise _Unsound("must begin with https:// or http://")
    if "@" in parts.netloc:
        raise _Unsound("must not contain a user name or password")
    if parts.fragment:
        raise _Unsound("must not contain a #")
    if not parts.hostname or port == 0:
        raise _Unsound(_NO_URL)
    is_secure = parts.scheme == "https"
    host, port = _host(parts.hostname), port or (443 if is_secure else 80)
    may_be_private = bool({(host, None), (host, port)} & settings.DRIPSTONE_CALL_HOSTS)
    if not may_be_private and _is_plainly_private(host):
        raise _Unsound(_PRIVATE)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]{}|^`")
    return Target(is_secure, host, port, f"{path}?{query}" if query else path, may_be_private)


def _host(name: str) -> str:
    """In one spelling. Numbers that only old libraries take for an address (`0177.1`, `2130706433`) are none."""
    if ":" in name:
        try:
            return str(ipaddress.IPv6Address(name))
        except ValueError:
            raise _Unsound(_NO_URL) from None
    try:
        ascii_name = name if name.isascii() else idna.encode(name, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise _Unsound(_NO_URL) from None
    ascii_name = ascii_name.lower().removesuffix(".")
    labels = ascii_name.split(".")
    if len(ascii_name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _Unsound(_NO_URL)
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(ascii_name))
        except ValueError:
            raise _Unsound(_NO_URL) from None
    return ascii_name


def _is_plainly_private(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return not is_public(address)
    return "." not in host or host.endswith(".localhost")


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


# --- Which addresses are public ------------------------------------------------------------------------------------

# Python's is_global depends on its version, so what must never be called stands here too (IANA's special-purpose
# registries). An IPv4 address inside an IPv6 one counts as that IPv4 address, where a gateway would take it for one.
_CLOSED_4 = [
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
_OPEN_6 = ipaddress.IPv6Network("2000::/3")  # all of today's global unicast
_CLOSED_6 = [
    ipaddress.IPv6Network(block)
    for block in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # NAT64, RFC 6052


def is_public(address: Address) -> bool:
    """Whether anybody on the internet may be called there."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in _CLOSED_4)
    if address in _TRANSLATED:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    is_open = address in _OPEN_6 and address.scope_id is None
    return is_open and not any(address in block for block in _CLOSED_6)


# --- The call -----------------------------------------------------------------------------------------------------


def post(url: str, body: bytes, headers: Mapping[str, str], resolve: Resolve | None = None) -> Answer:
    """One call. Raises Invalid for a URL that `check` refuses, Failed when there is no answer."""
    with Line(url, resolve) as line:
        return line.post(body, headers)


class Line:
    """Calls to one URL, one after the other, over one connection while the server keeps it. For one thread.

    A server may close a connection that it kept just as the next call begins. Then the call is made again over a new
    one, so a receiver may see it twice.
    """

    def __init__(self, url: str, resolve: Resolve | None = None) -> None:
        self.target = check(url)
        self._resolve = resolve or addresses_of
        self._connection: _Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.shut()
            self._connection = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises Failed."""
        begun = time.monotonic()
        try:
            return self._post(body, headers, begun)
        except Failed:
            self.close()
            raise
        except TimeoutError:
            self.close()
            raise Failed("timed_out", f"There was no whole answer within {WHOLE_SECONDS:.0f} seconds") from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Failed("broken_off", f"The connection broke off: {_said(error)}") from None

    def _post(self, body: bytes, headers: Mapping[str, str], begun: float) -> Answer:
        deadline = begun + WHOLE_SECONDS
        if self._connection is not None and self._connection.is_open:
            with suppress(ConnectionError):  # http.client's RemoteDisconnected is one
                return self._exchange(self._connection, body, headers, begun, deadline)
        self.close()
        self._connection = _connected(self.target, self._resolve, begun)
        return self._exchange(self._connection, body, headers, begun, deadline)

    def _exchange(
        self, connection: "_Connection", body: bytes, headers: Mapping[str, str], begun: float, deadline: float
    ) -> Answer:
        connection.timed.deadline = deadline
        ours = {"Host": self.target.authority, "User-Agent": USER_AGENT}
        connection.request("POST", self.target.path, body, {**ours, **headers})
        response = connection.getresponse()
        start = response.read(LONGEST_ANSWER)
        if not response.isclosed():  # there is more, or it cannot be told
            self.close()
        return Answer(response.status, start, response.getheader("Retry-After") or "", time.monotonic() - begun)


def _connected(target: Target, resolve: Resolve, begun: float) -> "_Connection":
    deadline = begun + CONNECT_SECONDS
    made = _reached(target, _checked(target, resolve, deadline), deadline)
    return _Connection(target, _Timed(made, deadline))


def _checked(target: Target, resolve: Resolve, deadline: float) -> list[Address]:
    """All addresses of the host, if all of them may be called."""
    literal = _address(target.host)
    found = [literal] if literal is not None else _looked_up(target, resolve, deadline)
    if not target.may_be_private and not all(is_public(address) for address in found):
        raise Failed("private", f"{target.host} leads to this machine or a private network, which is never called")
    return found[:MOST_ADDRESSES]


def _looked_up(target: Target, resolve: Resolve, deadline: float) -> list[Address]:
    """In a thread of its own: the system's look-up knows no time limit."""
    found: list[Address] = []
    problems: list[Exception] = []

    def look() -> None:
        try:
            found.extend(dict.fromkeys(map(ipaddress.ip_address, resolve(target.host, target.port))))
        except (OSError, UnicodeError, ValueError) as error:
            problems.append(error)

    thread = threading.Thread(target=look, name="look up", daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if thread.is_alive():
        raise Failed("unknown_host", f"The name {target.host} could not be looked up in time")
    if problems or not found:
        raise Failed("unknown_host", f"The name {target.host} leads nowhere")
    return found


def addresses_of(host: str, port: int) -> list[str]:
    """As the system resolves names. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _reached(target: Target, addresses: Iterable[Address], deadline: float) -> socket.socket:
    """A connection to the first address that takes one."""
    refused: Exception | None = None
    for address in addresses:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(_left(deadline))
            plain.connect((str(address), target.port))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return _secured(plain, target, deadline) if target.is_secure else plain
        except TimeoutError:
            plain.close()
            raise Failed("not_reached", f"There was no connection within {CONNECT_SECONDS:.0f} seconds") from None
        except OSError as error:
            plain.close()
            if isinstance(error, ssl.SSLError):
                raise Failed("insecure", f"The server's certificate or TLS is not sound: {_said(error)}") from None
            refused = error
    raise Failed("not_reached", f"There was no connection: {_said(refused)}")


def _secured(plain: socket.socket, target: Target, deadline: float) -> socket.socket:
    plain.settimeout(_left(deadline))
    return _trust().wrap_socket(plain, server_hostname=target.host)


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """The authorities that the machine trusts; OpenSSL's SSL_CERT_FILE names others."""
    return ssl.create_default_context()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _said(error: Exception | None) -> str:
    """What went wrong, for people: OpenSSL's words without its file names, never what the server sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "the handshake failed").replace("_", " ").lower()
    if isinstance(error, http.client.RemoteDisconnected):
        return "it was closed without an answer"
    if isinstance(error, http.client.HTTPException):
        return "the answer is no HTTP"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "for an unknown reason"


class _Connection(http.client.HTTPConnection):
    """Over a socket that is there. One that is lost is made again by us, with all checks, or not at all."""

    auto_open = 0

    def __init__(self, target: Target, timed: "_Timed") -> None:
        super().__init__(target.host, target.port)
        self.sock: Any = timed
        self.timed = timed

    @property
    def is_open(self) -> bool:
        return self.sock is not None

    def shut(self) -> None:
        self.close()
        self.timed.shut()


class _Timed:
    """A socket for http.client whose every read and write ends at the deadline: a limit per read would let an answer
    drip for ever. As with other sockets, `close` leaves it open for an answer that is still being read."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self.deadline = sock, deadline
        self._n_readers, self._is_closed = 0, False

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._sock.settimeout(_left(self.deadline))
            view = view[self._sock.send(view[:65_536]) :]

    def recv_into(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self.deadline))
        return self._sock.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        self._n_readers += 1
        return io.BufferedReader(_Reading(self))

    def close(self) -> None:
        self._is_closed = True
        self._close_if_unread()

    def has_read(self) -> None:
        self._n_readers -= 1
        self._close_if_unread()

    def _close_if_unread(self) -> None:
        if self._is_closed and self._n_readers <= 0:
            self._sock.close()

    def shut(self) -> None:
        self._sock.close()


class _Reading(io.RawIOBase):
    """What an answer is read from. Closing it leaves the connection open, for the next call."""

    def __init__(self, timed: _Timed) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._timed.has_read()
        super().close()
