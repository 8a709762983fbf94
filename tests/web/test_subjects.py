from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.web.subjects import readable
from tests.factories import MONDAY_9


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("Plain { text", "Plain { text"),
        ("Hello {{ subscriber.first_name }}", "Hello [first name]"),
        (
            "{% if subscriber.first_name != blank %}{{ subscriber.first_name }}, w{% else %}W{% endif %}rite",
            "[first name], write",
        ),
        ("{{ snippet.greeting }} {{ subscriber.first_name | upcase }}", "[greeting] [FIRST NAME]"),
        ("{{ 'now' | date: '%B' }} news", "November news"),
        ("Broken {{ subscriber.first_name", "Broken {{ subscriber.first_name"),
        ("{{ nothing }}", "{{ nothing }}"),
    ],
)
def test_it_names_what_each_person_will_read(source: str, read: str, now: datetime) -> None:
    assert readable(source, now) == read


@given(st.text(alphabet="{}%|. \\nsubscriberfirst_name'", max_size=60))
def test_it_reads_anything(source: str) -> None:
    assert isinstance(readable(source, MONDAY_9), str)
