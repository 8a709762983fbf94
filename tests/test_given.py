"""The same mistake is told in the same sentence through JSON, a form and a line of a CSV file."""

import csv
import io
import json
import timeit
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from dripstone.errors import Invalid, Problem
from dripstone.given import ABSENT, Checked, FromText, Given, as_number, instant_of, is_address
from dripstone.subscribers import subscribe
from dripstone.words import WEEKDAYS

# Every kind of member: how it is read, what JSON may hold for it. Text says each of these values as well.
READERS: dict[str, Any] = {
    "flag": lambda read: read.flag("member"),
    "whole_number": lambda read: read.whole_number("member", 0, 23),
    "id": lambda read: read.id("member"),
    "ids": lambda read: read.ids_or_null("member"),
    "choice": lambda read: read.choice("member", ("inline", "block")),
    "choice_or_null": lambda read: read.choice_or_null("member", ("inline", "block")),
    "words": lambda read: read.words("member", 5),
    "name": lambda read: read.name("member"),
    "text": lambda read: read.text("member"),
    "text_or_null": lambda read: read.text_or_null("member", 5),
    "address": lambda read: read.address("member"),
    "decimal": lambda read: read.decimal("member", -90, 90),
    "instant": lambda read: read.instant("member"),
    "time_zone": lambda read: read.time_zone("member"),
    "days": lambda read: read.days("member"),
    "texts": lambda read: read.texts("member", 2),
}
text = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["", " ", "x" * 256, "a\0b"])
words = st.text("abcxyz", min_size=1, max_size=8)
numbers = st.integers() | st.integers(-2, 30) | st.sampled_from([2**63 - 1, 2**63])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "flag": st.booleans() | st.none() | words,
    "whole_number": numbers | st.none() | words,
    "id": numbers | st.none() | words,
    "ids": st.none() | st.lists(numbers | words, min_size=1, max_size=3),
    "choice": st.sampled_from(["inline", "block", None]) | words,
    "choice_or_null": st.sampled_from(["inline", "block", None]) | words,
    "words": text,
    "name": text,
    "text": text,
    "text_or_null": text,
    "address": text | st.emails() | st.sampled_from(["bea@x.test", " Bea@example.org ", "x" * 250 + "@a.io"]),
    "decimal": st.floats(-100, 100).map(lambda number: round(number, 3)) | numbers | st.none() | words,
    "instant": st.datetimes().map(str) | st.datetimes(timezones=st.timezones()).map(str) | st.none() | words,
    "time_zone": st.sampled_from(["Europe/Paris", "UTC", "Mars", ""]),
    "days": st.none() | st.lists(st.sampled_from([*WEEKDAYS, "someday"]), min_size=1, max_size=3),
    "texts": st.dictionaries(words, text, max_size=3),
}


def said(value: Any) -> Any:
    """A value as people and spreadsheets write it."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return ",".join(said(item) for item in value)
        case dict():
            return {key: said(item) for key, item in value.items()}
        case _:
            return str(value)


def read(kind: str, members: Given) -> tuple[dict[str, Any], list[Problem]]:
    checked = Checked(members, required=("member",), labels={"member": "Member"})
    READERS[kind](checked)
    return checked.values, checked.problems


def through_json(value: Any) -> Given:
    given_value: Given = json.loads(json.dumps({"member": value}))
    return given_value


def through_form(value: Any) -> Given:
    form = QueryDict(mutable=True)
    form["member"] = value
    return FromText(QueryDict(form.urlencode()).dict())


def through_csv(value: Any) -> Given:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["member"])
    writer.writeheader()
    writer.writerow({"member": value})
    file.seek(0)
    (line,) = csv.DictReader(file)
    return FromText(line)


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_one_mistake_has_one_sentence(kind: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    in_json = read(kind, through_json(value))
    if isinstance(value, dict):  # a form's or a file's columns, put together under one member
        assert read(kind, FromText({"member": said(value)})) == in_json
        return
    assert read(kind, through_form(said(value))) == in_json
    assert read(kind, through_csv(said(value))) == in_json


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
def test_every_problem_has_its_members_name(kind: str, data: st.DataObject) -> None:
    values, problems = read(kind, {"member": data.draw(VALUES[kind] | st.floats(allow_nan=False) | st.lists(text))})
    assert values or problems
    assert all(name is not None and name.split(".")[0].split("[")[0] == "member" for name, _ in problems)
    assert all(sentence.startswith(("Member", "member")) for _, sentence in problems)


@pytest.mark.parametrize(
    ("kind", "value", "sentence"),
    [
        ("flag", "true", "Member must be true or false"),
        ("flag", 1, "Member must be true or false"),
        ("whole_number", "9", "Member must be an integer between 0 and 23"),
        ("whole_number", True, "Member must be an integer between 0 and 23"),
        ("whole_number", 9.0, "Member must be an integer between 0 and 23"),
        ("id", "9", "Member must be an id"),
        ("days", "monday,friday", 'Member must be an array of days, such as ["monday", "friday"]'),
        ("texts", "a", "Member must be an object"),
        ("words", 3, "Member must be a string"),
    ],
)
def test_json_is_taken_at_its_word(kind: str, value: Any, sentence: str) -> None:
    assert read(kind, {"member": value}) == ({}, [("member", sentence)])


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("flag", "on", True),
        ("flag", "TRUE", True),
        ("flag", "0", False),
        ("whole_number", " 9 ", 9),
        ("ids", "3, 4", [3, 4]),
        ("ids", ["3", "4"], [3, 4]),  # what is ticked in a form
        ("ids", "", None),
        ("days", "friday, monday", [0, 4]),
        ("days", ["friday", "monday"], [0, 4]),
        ("text_or_null", "", ""),
        ("choice_or_null", "", None),
    ],
)
def test_text_becomes_the_kind_of_value_that_is_wanted(kind: str, value: Any, expected: Any) -> None:
    assert read(kind, FromText(member=value)) == ({"member": expected}, [])


@pytest.mark.parametrize("written", ["1_000", "1.5", "1e3", "+3", "٣", "--3", "-", "9" * 5000])
def test_what_json_would_not_call_an_integer_stays_text(written: str) -> None:
    assert as_number(written) == written


def test_members_that_are_not_read_are_ignored() -> None:
    checked = Checked({"other": object()})
    checked.flag("member")
    assert (checked.take("member"), checked.sound()) == (ABSENT, {})


def test_a_problem_inside_names_the_way_to_it() -> None:
    checked = Checked(FromText(filter={"conditions": [{"type": "tag", "ids": "3,x"}]}))
    part = checked.part("filter")
    assert part
    inside = part.inside("conditions[0]", part.take("conditions")[0])
    assert inside
    inside.ids_or_null("ids")
    where = "filter.conditions[0].ids[1]"
    assert checked.problems == [(where, f"{where} must be an id")]


def test_refused_together_and_each_sentence_once() -> None:
    checked = Checked({"a": 3})
    checked.words("a")
    checked.words("a")
    checked.refuse("b", "Something else")
    with pytest.raises(Invalid) as refused:
        checked.sound()
    assert refused.value.problems == [("a", "a must be a string"), ("b", "Something else")]
    assert refused.value.messages == ["a must be a string", "Something else"]
    assert Invalid("Sequence is inactive").problems == [(None, "Sequence is inactive")]


@pytest.mark.parametrize("address", ["bea@mail.test", "bea@example.com", "bea+1@x.example"])
def test_test_domains_are_addresses_everywhere(address: str) -> None:
    assert is_address(address)


def test_a_line_of_an_import_is_checked_in_microseconds() -> None:
    """A million lines in well under five minutes of one core. Measured: 50 µs, more than half of it the address."""
    line = FromText(email_address="bea@example.org", first_name="Bea", fields={"company": "Acme", "city": ""})
    n = 200
    seconds = min(timeit.repeat(lambda: subscribe.check(line, is_new=True), number=n, repeat=5)) / n
    assert seconds < 0.000_5, seconds


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-23", "2026-11-23T00:00:00+00:00"),
        ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00+00:00"),
        ("2026-11-23 09:00:00", "2026-11-23T09:00:00+00:00"),
        ("2026-11-23T09:00:00 01:00", "2026-11-23T08:00:00+00:00"),
        ("0001-01-01T00:00:00+14:00", None),
        ("2026-02-30", None),
        ("20261123", None),
        (20261123, None),
    ],
)
def test_an_instant_has_one_reading(text: Any, instant: str | None) -> None:
    found = instant_of(text)
    assert (found.isoformat() if found else None) == instant
