"""Django system checks of ours, with ids of their own. Run by `doctor`, at the start of `up`, and by the tests."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import ERROR, CheckMessage, Error, Warning, register, run_checks

from dripstone.engine import process
from dripstone.senders import flight, ways


def errors() -> Iterator[str]:
    """What would stop a start, and what to do about it."""
    for message in run_checks():
        if message.level >= ERROR:
            yield f"{message.msg} {message.hint or ''}".strip()


def data_problem() -> Iterator[str]:
    """Why workers could not start on this machine: they write down what leaves before it leaves."""
    if why := flight.problem(process.flights()):
        yield (
            f"Workers cannot write in {settings.DRIPSTONE_DATA} ({why}); set DRIPSTONE_DATA to a folder this user may "
            "write to."
        )


@register()
def settings_are_spelled_right(**_: Any) -> list[CheckMessage]:
    """W001: a DRIPSTONE_ variable that is no setting."""
    return [
        Warning(
            f"{name} is not a setting of Dripstone and is ignored.",
            hint=f"Did you mean {guess}?" if guess else "See docs/reference/settings.md.",
            id="dripstone.W001",
        )
        for name, guess in settings.DRIPSTONE_MISTYPED.items()
    ]


@register()
def virtual_time_stays_at_home(**_: Any) -> list[CheckMessage]:
    """E001: a virtual clock with a real way out would mail people at made-up times."""
    if not settings.DRIPSTONE_VIRTUAL_CLOCK or ways.is_local(settings.DRIPSTONE_MAIL_URL):
        return []
    if "@" not in settings.DRIPSTONE_MAIL_URL and _is_local(settings.DRIPSTONE_MAIL_URL):
        return []  # a sink on this machine: rehearsals and benchmarks
    return [
        Error(
            "DRIPSTONE_VIRTUAL_CLOCK is on while DRIPSTONE_MAIL_URL sends real mail.",
            hint="Unset one of them: with a virtual clock, use inbox:// or a mail server on this machine.",
            id="dripstone.E001",
        )
    ]


@register()
def public_url_is_public(**_: Any) -> list[CheckMessage]:
    """W002: links in real mail that only work on this machine."""
    if ways.is_local(settings.DRIPSTONE_MAIL_URL) or _is_local(settings.DRIPSTONE_MAIL_URL):
        return []
    if not _is_local(settings.DRIPSTONE_URL):
        return []
    return [
        Warning(
            f"DRIPSTONE_URL is {settings.DRIPSTONE_URL}: unsubscribe links in your mail lead nowhere for others.",
            hint="Set DRIPSTONE_URL to the address people reach, such as https://mail.example.com",
            id="dripstone.W002",
        )
    ]


def _is_local(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:  # no URL: senders/checks.py says so
        return False
    return host in ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104  (compared, not bound)
