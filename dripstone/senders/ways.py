"""The ways out: what each scheme of DRIPSTONE_MAIL_URL means. This is the one place that lists them.

To add a sender:
  1. a file beside this one with a class that keeps the promises of base.Sender
  2. its line in WAYS, and in urls.py how its URL is read, when none of those there fits
  3. a route to it in tests/conformance/test_senders.py, which fails for a scheme it has none for
  4. docs/reference/mail-urls.md
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from dripstone.senders import urls
from dripstone.senders.base import Sender
from dripstone.senders.flight import FlightLog
from dripstone.senders.inbox import InboxSender
from dripstone.senders.memory import MemorySender
from dripstone.senders.smtp.sender import SmtpSender
from dripstone.senders.urls import MailUrl


@dataclass(frozen=True, slots=True)
class Way:
    """meaning    for the sentence about an unknown scheme; "": for tests, not offered to users
    read       the URL to a MailUrl, its options given by name; raises ValueError with a sentence
    open       the sender; connects with the first message
    options    names that may stand after the question mark
    is_local   nothing leaves the machine
    """

    meaning: str
    read: urls.Reading
    open: Callable[[MailUrl, FlightLog | None], Sender]
    options: tuple[str, ...] = ()
    is_local: bool = False


def _smtp(mail: MailUrl, flight: FlightLog | None) -> Sender:
    return SmtpSender(mail, flight=flight)


_SMTP_OPTIONS = ("ca", "connections", "connections_in_all", "helo", "per_day", "per_second", "verify")
WAYS = {
    "inbox": Way(
        "captured and shown at /inbox, nothing leaves the machine",
        urls.without_host,
        lambda mail, flight: InboxSender(flight),
        is_local=True,
    ),
    "smtp": Way("smtp://user:password@host:587", urls.smtp, _smtp, (*_SMTP_OPTIONS, "starttls")),
    "smtps": Way("smtps://user:password@host:465, encrypted from the first byte", urls.smtp, _smtp, _SMTP_OPTIONS),
    "memory": Way("", urls.named, lambda mail, flight: MemorySender.named(mail.host, flight), is_local=True),
}


@lru_cache(maxsize=16)
def parse(url: str) -> MailUrl:
    """Raises ValueError with a sentence that never repeats the URL: it may hold a password."""
    parts = urls.split(url)
    way = WAYS.get(parts.scheme)
    if way is None:
        offered = (f"{scheme}:// ({way.meaning})" for scheme, way in WAYS.items() if way.meaning)
        raise ValueError(f"DRIPSTONE_MAIL_URL must start with one of: {'; '.join(offered)}")
    return way.read(parts, urls.options(parts, way.options))


def sender_for(url: str, flight: FlightLog | None = None) -> Sender:
    """The sender that `url` names. Raises ValueError with a sentence."""
    mail = parse(url)
    return WAYS[mail.scheme].open(mail, flight)


def is_local(url: str) -> bool:
    """Nothing leaves the machine. False for a text that is no mail URL; senders/checks.py reports that."""
    way = WAYS.get(url.strip().partition(":")[0].lower())
    return way is not None and way.is_local
