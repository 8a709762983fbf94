"""Liquid's `date` filter against independent computations: GNU date where it knows the directive as Ruby does."""

import os
import subprocess
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dripstone.content.liquid import HTML, TEXT, parse
from dripstone.content.liquid_dates import moment, written
from dripstone.content.liquid_render import State, render

NEW_YORK = ZoneInfo("America/New_York")
# The same zones as the C library reads them, so that no time zone files are needed.
ZONES = {
    "UTC": "UTC0",
    "America/New_York": "EST5EDT,M3.2.0,M11.1.0",
    "Europe/Berlin": "CET-1CEST,M3.5.0,M10.5.0/3",
    "Asia/Kolkata": "IST-5:30",
    "America/Sao_Paulo": "<-03>3",
}
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=6000)).map(lambda since: datetime(2020, 1, 1, tzinfo=UTC) + since)
FLAGS = st.lists(st.sampled_from("-_0^"), max_size=2).map("".join)
DIRECTIVES = st.builds(
    "%{}{}{}".format,
    FLAGS,
    st.sampled_from(["", "", "1", "3", "10"]),
    st.sampled_from("YCymdejHkIlMSuwGgVUWsAaBbhpZFDTRr"),
) | st.sampled_from(
    [
        "%N",
        "%z",
        "%10z",
        "%3N",
        "%6N",
        "%9N",
        "%n",
        "%t",
        "%%",
        "%:z",
        "%::z",
        "%P",
        "%c",
        "%x",
        "%X",
        "%Ey",
        "%#Z",
        "%#p",
        "%Q",
        "é",
    ]
)


def shown(source: str, now: datetime, **values: Any) -> str:
    return render(parse(TEXT, source), {"now": now, "today": now.date(), **values}, State(now))


@settings(max_examples=60)
@given(INSTANTS, st.sampled_from(sorted(ZONES)), st.lists(DIRECTIVES, min_size=1, max_size=12))
def test_it_writes_what_gnu_date_writes(instant: datetime, zone: str, directives: list[str]) -> None:
    form = "|".join(directives)
    environment = {**os.environ, "TZ": ZONES[zone], "LC_ALL": "C"}
    asked = ["date", "-d", f"@{instant.timestamp():.6f}", f"+[{form}]"]
    answer = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    assert "[" + written(instant.astimezone(ZoneInfo(zone)), form) + "]\n" == answer.stdout


@given(INSTANTS, st.sampled_from(sorted(ZONES)), st.integers(-(10**9), 10**9))
def test_seconds_since_1970_are_the_same_in_every_zone_and_come_back(instant: datetime, zone: str, later: int) -> None:
    now = instant.astimezone(ZoneInfo(zone))
    assert shown("{{ 'now' | date: '%s' }}", now) == str(int(instant.timestamp()))
    assert shown("{{ now | date: '%s' }}", now) == str(int(instant.timestamp()))
    there = (instant + timedelta(seconds=later)).astimezone(ZoneInfo(zone))
    source = "{{ 'now' | date: '%s' | plus: later | date: '%Y-%m-%d %H:%M:%S %z' }}"
    assert shown(source, now, later=later) == f"{there:%Y-%m-%d %H:%M:%S %z}"


@pytest.mark.parametrize("machine", ["UTC0", "EST5EDT", "IST-5:30"])
def test_the_zone_of_the_machine_does_not_matter(machine: str) -> None:
    code = (
        "from datetime import datetime; from zoneinfo import ZoneInfo; from dripstone.content.liquid_dates import *\n"
        "now = datetime(2026, 11, 23, 22, 29, tzinfo=ZoneInfo('America/New_York'))\n"
        "print([written(moment(value, now), '%s %F %R') for value in ('now', now.date(), 0, '2026-07-01 10:00')])"
    )
    asked = [os.sys.executable, "-c", code]  # type: ignore[attr-defined]
    answer = subprocess.run(asked, env={**os.environ, "TZ": machine}, capture_output=True, text=True, check=True)
    right = [
        "1795490940 2026-11-23 22:29",
        "1795410000 2026-11-23 00:00",
        "0 1969-12-31 19:00",
        "1782914400 2026-07-01 10:00",
    ]
    assert answer.stdout == f"{right}\n"


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC), "%-d.%-m. %e|%k|%l|%P|%p", "2.1.  2| 3| 3|am|AM"),
        (
            datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
            "%L %N %3N %12N %6L",
            "678 678901000 678 678901000000 678901",
        ),
        (
            datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
            "%j %-j %u %w %C %h %^a %10Y %_10d",
            "002 2 5 5 20 Jan FRI 0000002026          2",
        ),
        (
            datetime(2026, 1, 2, 15, 4, tzinfo=UTC),
            "%^P %#P %#p %v %+",
            "PM PM pm  2-JAN-2026 Fri Jan  2 15:04:00 UTC 2026",
        ),
        (datetime(2026, 1, 2, tzinfo=NEW_YORK), "%z %:z %::z %Z %%|%n|%t", "-0500 -05:00 -05:00:00 EST %|\n|\t"),
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=5))), "%Z%z", "+0500"),
        (datetime(2026, 1, 2, tzinfo=UTC), "%! %E %Q 100% %:d %999Y %", "%! %E %Q 100% %:d %999Y %"),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), "%s", "-1"),
        (datetime(987, 1, 2, tzinfo=UTC), "%Y %y %C %G", "0987 87 09 0987"),
    ],
)
def test_it_writes_what_ruby_writes(value: datetime, form: str, text: str) -> None:
    assert written(value, form) == text


NOW = datetime(2026, 11, 30, 22, 29, tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("now", "2026-11-30 22:29 -0500"),
        ("TODAY", "2026-11-30 22:29 -0500"),
        (date(2026, 7, 1), "2026-07-01 00:00 -0400"),
        (datetime(2026, 7, 1, 12), "2026-07-01 12:00 -0400"),  # noqa: DTZ001
        (datetime(2026, 7, 1, 12, tzinfo=UTC), "2026-07-01 12:00 +0000"),
        (0, "1969-12-31 19:00 -0500"),
        (-86400, "1969-12-30 19:00 -0500"),
        ("1795490940", "2026-11-23 22:29 -0500"),
        ("2026-07-01", "2026-07-01 00:00 -0400"),
        ("2026-07-01 10:20", "2026-07-01 10:20 -0400"),
        ("July 1, 2026 3pm", "2026-07-01 15:00 -0400"),
        ("2026-07-01T10:20:30Z", "2026-07-01 10:20 +0000"),
        ("2026-07-01T10:20:30+05:30", "2026-07-01 10:20 +0530"),
        ("2026-07-01 10:20 PDT", "2026-07-01 10:20 -0700"),
        ("2026-03-08 02:30", "2026-03-08 03:30 -0400"),  # the hour that the clock change skips
        ("10:20", "2026-11-30 10:20 -0500"),
        ("February", "2026-02-01 00:00 -0500"),
        ("12 Feb", "2026-02-12 00:00 -0500"),
        ("", None),
        ("soon", None),
        ("Friday", None),
        ("-5", None),
        ("1795490940.5", None),
        (1.5, None),
        (True, None),
        (None, None),
        (10**15, None),
        ("9" * 30, None),
        ("٣", None),
        ("2026-13-45", None),
        ("1" * 200_000, None),
        ([1], None),
    ],
)
def test_what_names_an_instant(value: object, text: str | None) -> None:
    found = moment(value, NOW)
    assert (found and written(found, "%F %R %z")) == text


def test_what_is_no_date_and_an_empty_form_leave_the_value_as_it_is() -> None:
    assert (
        shown("{{ 'soon' | date: '%Y' }} {{ 1.5 | date: '%Y' }} {{ 'now' | date: '' }} {{ x | date: '%Y' }}.", NOW)
        == "soon 1.5 now ."
    )


def test_a_form_of_the_creator_may_have_markup_and_one_of_a_person_not() -> None:
    template = parse(HTML, "{{ 'now' | date: '<b>%Y</b>' }} {{ 'now' | date: form }}")
    assert render(template, {"form": "<i>%Y</i>"}, State(NOW)) == "<b>2026</b> &lt;i&gt;2026&lt;/i&gt;"


@given(st.text() | st.integers() | st.floats() | st.dates() | st.datetimes(), st.text() | st.text("%-_0^#:EO19azLNsZ+"))
def test_it_never_raises(value: object, form: str) -> None:
    found = moment(value, NOW)
    assert found is None or isinstance(written(found, form), str)
