"""How a mail URL can be read: to a MailUrl, or to a sentence that says what is wrong. ways.py chooses the reading."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from dripstone.senders.limits import MAX_PER_DAY, MAX_PER_SECOND, NO_LIMIT, Limit

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


Options = dict[str, str]
Reading = Callable[[SplitResult, Options], MailUrl]


def split(url: str) -> SplitResult:
    """Raises ValueError with a sentence, as all readers here do; it never repeats the URL, which may hold a
    password."""
    try:
        return urlsplit(url.strip())
    except ValueError:
        raise ValueError(f"DRIPSTONE_MAIL_URL is not a URL. {ENCODE_HINT}") from None


def options(parts: SplitResult, known: tuple[str, ...]) -> Options:
    found = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(found) - set(known)):
        after = f"known are: {', '.join(sorted(known))}" if known else f"{parts.scheme}:// has none"
        raise ValueError(f"DRIPSTONE_MAIL_URL has the unknown option {unknown[0]!r}; {after}")
    return found


# --- Readings ---------------------------------------------------------------------------------------------------


def without_host(parts: SplitResult, options: Options) -> MailUrl:
    if parts.netloc or parts.path.strip("/"):
        raise ValueError(f"DRIPSTONE_MAIL_URL: {parts.scheme}:// takes nothing after the two slashes")
    return MailUrl(parts.scheme)


def named(parts: SplitResult, options: Options) -> MailUrl:
    return MailUrl(parts.scheme, parts.netloc)


def smtp(parts: SplitResult, options: Options) -> MailUrl:
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


def _number(options: Options, name: str, highest: int) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not (re.fullmatch(r"[0-9]{1,15}", text) and 1 <= int(text) <= highest):
        raise ValueError(f"DRIPSTONE_MAIL_URL: {name} must be a number from 1 to {highest}")
    return int(text)


def _switch(options: Options, name: str) -> bool | None:
    value = options.get(name)
    if value not in (None, "0", "1"):
        raise ValueError(f"DRIPSTONE_MAIL_URL: {name} must be 0 or 1")
    return None if value is None else value == "1"
