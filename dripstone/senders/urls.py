"""DRIPSTONE_MAIL_URL: from text to a sender, or to a sentence that says what is wrong with it."""

from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dripstone.senders.base import Sender
from dripstone.senders.flight import FlightLog
from dripstone.senders.limits import MAX_PER_DAY, MAX_PER_SECOND, NO_LIMIT, Limit

SCHEMES = {
    "inbox": "captured and shown at /inbox, nothing leaves the machine",
    "smtp": "smtp://user:password@host:587",
    "smtps": "smtps://user:password@host:465, encrypted from the first byte",
    "memory": "tests only",
}
OPTIONS = {
    "inbox": (),
    "memory": (),
    "smtp": ("ca", "connections", "connections_in_all", "helo", "per_day", "per_second", "starttls", "verify"),
    "smtps": ("ca", "connections", "connections_in_all", "helo", "per_day", "per_second", "verify"),
}
DEFAULT_PORTS = {"smtp": 25, "smtps": 465}
MAX_CONNECTIONS = 1000
MAX_CONNECTIONS_IN_ALL = 100_000
ENCODE_HINT = "Characters such as / : @ # ? in a user name or password must be percent-encoded."


@dataclass(frozen=True, slots=True)
class MailUrl:
    """A checked mail URL. starttls: True required, False never, None when offered."""

    scheme: str
    host: str = ""
    port: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    connections: int = 10
    starttls: bool | None = None
    verify: bool = True
    ca: str = ""
    helo: str = ""
    limit: Limit = NO_LIMIT  # of the server, for all workers together
    connections_in_all: int | None = None  # of all workers; None: each has its own `connections`

    @property
    def server(self) -> str:
        """What breaker, pace and shares call it; without user and password."""
        return f"{self.scheme}://{self.host}:{self.port}" if self.port else f"{self.scheme}://{self.host}"


def sender_for(url: str, flight: FlightLog | None = None) -> Sender:
    """The sender that `url` names. Raises ValueError with a sentence. Connects with the first message."""
    mail = parse(url)
    if mail.scheme == "memory":
        from dripstone.senders.memory import MemorySender

        sender = MemorySender.named(mail.host)
        sender.flight = flight
        return sender
    if mail.scheme == "inbox":
        from dripstone.senders.inbox import InboxSender  # Django models: not before the apps are ready

        return InboxSender(flight)
    from dripstone.senders.smtp.sender import SmtpSender

    return SmtpSender(mail, flight=flight)


@lru_cache(maxsize=16)
def parse(url: str) -> MailUrl:
    """Raises ValueError with a sentence that never repeats the URL: it may hold a password."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        raise ValueError(f"DRIPSTONE_MAIL_URL is not a URL. {ENCODE_HINT}") from None
    if parts.scheme not in SCHEMES:
        raise ValueError(f"DRIPSTONE_MAIL_URL must start with one of: {_known_schemes()}")
    options = _options(parts)
    if parts.scheme == "inbox":
        if parts.netloc or parts.path.strip("/"):
            raise ValueError("DRIPSTONE_MAIL_URL: inbox:// takes nothing after the two slashes")
        return MailUrl("inbox")
    if parts.scheme == "memory":
        return MailUrl("memory", parts.netloc)
    return _smtp(parts, options)


def _smtp(parts: SplitResult, options: dict[str, str]) -> MailUrl:
    if not parts.hostname:
        raise ValueError(
            f"DRIPSTONE_MAIL_URL needs a host name, as in {parts.scheme}://mail.example.com. {ENCODE_HINT}"
        )
    if parts.path.strip("/") or parts.fragment:
        raise ValueError(f"DRIPSTONE_MAIL_URL has something after the host name that does not belong. {ENCODE_HINT}")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(username) != bool(password):
        raise ValueError("DRIPSTONE_MAIL_URL needs both a user name and a password, or neither")
    helo = options.get("helo", "")
    if helo and not (helo.isascii() and helo.isprintable() and " " not in helo):
        raise ValueError("DRIPSTONE_MAIL_URL: helo must be a host name without spaces")
    return MailUrl(
        parts.scheme,
        parts.hostname,
        _port(parts),
        username,
        password,
        _number(options, "connections", MAX_CONNECTIONS) or 10,
        _switch(options, "starttls"),
        _switch(options, "verify") is not False,
        options.get("ca", ""),
        helo,
        Limit(_number(options, "per_second", MAX_PER_SECOND), _number(options, "per_day", MAX_PER_DAY)),
        _number(options, "connections_in_all", MAX_CONNECTIONS_IN_ALL),
    )


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    known = OPTIONS[parts.scheme]
    if unknown := sorted(set(options) - set(known)):
        after = f"known are: {', '.join(known)}" if known else f"{parts.scheme}:// has none"
        raise ValueError(f"DRIPSTONE_MAIL_URL has the unknown option {unknown[0]!r}; {after}")
    return options


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port is None:
        return DEFAULT_PORTS[parts.scheme]
    if not 1 <= port <= 65_535:
        raise ValueError(f"DRIPSTONE_MAIL_URL: the port must be a number from 1 to 65535. {ENCODE_HINT}")
    return port


def _number(options: dict[str, str], name: str, highest: int) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= highest):
        raise ValueError(f"DRIPSTONE_MAIL_URL: {name} must be a number from 1 to {highest}")
    return int(text)


def _switch(options: dict[str, str], name: str) -> bool | None:
    value = options.get(name)
    if value not in (None, "0", "1"):
        raise ValueError(f"DRIPSTONE_MAIL_URL: {name} must be 0 or 1")
    return None if value is None else value == "1"


def _known_schemes() -> str:
    return "; ".join(f"{scheme}:// ({meaning})" for scheme, meaning in SCHEMES.items() if scheme != "memory")
