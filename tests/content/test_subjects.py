import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.content.subjects import LONGEST, Part, parts, readable


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("Plain { text", "Plain { text"),
        ("Hello {{ subscriber.first_name }}", "Hello [first name]"),
        (
            "{% if subscriber.first_name != blank %}{{ subscriber.first_name }}, w{% else %}W{% endif %}rite",
            "[first name], write",
        ),
        ("{{ snippet.greeting }} {{ subscriber.first_name | upcase }}", "[greeting] [first name]"),
        ("{{ snippet.24-7 }}", "[24-7]"),
        ("{% case subscriber.city %}{% when 'Rome' %}Ciao{% else %}Hi{% endcase %}", "Ciao"),
        ("{% unless subscriber.city %}Where?{% endunless %}", "Where?"),
        ("{% for i in (1..3) %}so {% endfor %}long", "so long"),
        ("{%- liquid\n assign a = 1\n echo subscriber.city -%}", "[city]"),
        ("{{ 'now' | date: '%B' }} news", "{{ 'now' | date: '%B' }} news"),
        ("{{ 'Good' }} news", "Good news"),
        ("{% assign x = 1 %}{% comment %}no{% endcomment %}", "{% assign x = 1 %}{% comment %}no{% endcomment %}"),
        ("Broken {{ subscriber.first_name", "Broken {{ subscriber.first_name"),
        ("{{ nothing }}", "{{ nothing }}"),
    ],
)
def test_it_names_what_each_person_will_read(source: str, read: str) -> None:
    assert readable(source) == read


def test_it_sets_names_apart() -> None:
    assert parts("Hello {{ subscriber.first_name }}, [sic]") == [
        Part("Hello "),
        Part("first name", is_name=True),
        Part(", [sic]"),
    ]


def test_no_liquid_runs() -> None:
    grow = "{% assign s = 'ab' %}" + "{% assign s = s | append: s %}" * 13 + "{% assign l = s | split: '' %}"
    assert readable(grow + "{% for i in (1..500) %}{{ l }}{% endfor %}") == "{{ l }}"


def test_what_is_very_long_is_not_even_parsed() -> None:
    assert readable("{{ subscriber.a }}" * 50_000) == ("{{ subscriber.a }}" * 50_000)[:LONGEST] + "…"


@given(st.text(alphabet="{}%|. \\nsubscriberfirst_name'", max_size=60))
def test_it_reads_anything(source: str) -> None:
    assert isinstance(readable(source), str)
