import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django import template
from django.template import Context
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from dripstone import words
from dripstone.content import subjects
from dripstone.engine import reasons

register = template.Library()


@register.simple_tag(takes_context=True)
def instant(context: Context, at: datetime) -> SafeString:
    """A `<time>` on the wall clock of the page's `zone`; the footer of the page names it."""
    return _time(at, context["zone"], words.instant(at, context["zone"], context["now"]))


@register.simple_tag(takes_context=True)
def soon(context: Context, at: datetime) -> SafeString:
    """The same as people say it of these days: `today, 11:00`."""
    return _time(at, context["zone"], words.soon(at, context["zone"], context["now"]))


@register.simple_tag(takes_context=True)
def day(context: Context, at: datetime) -> SafeString:
    """Its day alone, where there is little room: `today`, `Wed 21 Oct`."""
    return _time(at, context["zone"], words.soon(at, context["zone"], context["now"]).rpartition(",")[0])


@register.simple_tag(takes_context=True)
def by_date(context: Context, at: datetime) -> SafeString:
    """The same with its date, whatever day it is."""
    return _time(at, context["zone"], words.by_date(at, context["zone"]))


@register.simple_tag(takes_context=True)
def wall_clock(context: Context, at: datetime) -> str:
    """For a field of kind datetime-local, in the page's `zone`."""
    return f"{at.astimezone(ZoneInfo(context['zone'])):%Y-%m-%dT%H:%M}"


def _time(at: datetime, zone: str, said: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        words.instant_in_full(at, zone),
        said,
    )


@register.filter
def number(value: int) -> str:
    """`1,200`."""
    return f"{value:,}"


@register.filter
def percent(rate: float | None) -> str:
    """`0.9%`, `12%`; "" where there is nothing to divide by."""
    return "" if rate is None else words.percent(rate)


@register.filter
def because(reason: str, names: reasons.Named | None = None) -> str:
    """A reason's code in words. names: of what excluded somebody (audience.names_of)."""
    return reasons.sentence(reason, names).rstrip(".")


@register.simple_tag
def subject(source: str) -> str:
    """A subject for reading, with the names of fields in place of their values."""
    return subjects.readable(source)


STATE_PILLS = {
    "active": ("good", "Active"),
    "inactive": ("wait", "Unconfirmed"),
    "cancelled": ("", "Unsubscribed"),
    "bounced": ("bad", "Refused at delivery"),
    "complained": ("bad", "Complained"),
}


@register.simple_tag
def state_pill(state: str) -> SafeString:
    """Of a person."""
    colour, label = STATE_PILLS[state]
    return format_html('<span class="pill {}">{}</span>', colour, label)


@register.filter
def count(number: int, noun: str) -> str:
    """`1 image`, `1,200 images`."""
    return words.count(number, noun)


@register.filter
def breakable(name: str) -> SafeString:
    """`subscriber.tag_added`, which may go on in the next line after a dot or an underscore."""
    return format_html_join("", "{}<wbr>", ((part,) for part in re.findall(r"[^._]*[._]|[^._]+$", name)))


@register.filter
def size(n_bytes: int) -> str:
    return words.size(n_bytes)


@register.simple_tag
def chips(source: str) -> SafeString:
    """The same with each name as a chip."""
    pieces = (
        (format_html('<span class="chip">{}</span>', part.text) if part.is_name else part.text,)
        for part in subjects.parts(source)
    )
    return format_html_join("", "{}", pieces)
