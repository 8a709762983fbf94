"""Checking, analysing and rendering Liquid."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dripstone.content.liquid import HTML, PLAIN, TEXT, check, clean, parse, pieces, snippet_cycle, variables
from dripstone.content.liquid_render import State, TolerantEnvironment, render

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

FRAGMENTS = st.sampled_from(
    [
        "{{ subscriber.first_name }}",
        "{{ subscriber.first_name | default: 'you' | upcase }}",
        "{{ subscriber.n | divided_by: 0 }}",
        "{{ subscriber.n | times: subscriber.n | plus: 'x' }}",
        "{{ subscriber.text | date: '%Y-%m-%d' }}",
        "{{ subscriber.text | split: '' | sort | join: subscriber.text }}",
        "{{ subscriber.text | replace: '', subscriber.text }}",
        "{{ subscriber.text | truncate: subscriber.n }}",
        "{{ subscriber.text | slice: subscriber.n, -3 }}",
        "{{ subscriber.text | base64_decode }}",
        "{{ subscriber.text | url_decode | safe }}",
        "{{ subscriber.text | map: 'a' | first }}",
        "{{ subscriber[subscriber.text] }}",
        "{{ nothing.at.all | sum | round: subscriber.n }}",
        "{{ 'now' | date: subscriber.text }}",
        "{% if subscriber.text < 3 %}",
        "{% if subscriber.text contains subscriber.n %}",
        "{% for i in (1..subscriber.n) %}",
        "{% for c in subscriber %}",
        "{% for c in subscriber.text limit: subscriber.text %}",
        "{% endif %}",
        "{% endfor %}",
        "{% else %}",
        "{% break %}",
        "{% continue %}",
        "{% assign x = subscriber.text | append: x %}",
        "{% capture y %}",
        "{% endcapture %}",
        "{{ x }}{{ y }}",
        "{% cycle 'a', subscriber.text %}",
        "{% tablerow a in (1..3) cols: subscriber.n %}",
        "{% endtablerow %}",
        "{% increment z %}",
        "{% case subscriber.n %}{% when 1 %}one{% else %}other{% endcase %}",
        "{% raw %}{{ {% endraw %}",
        "{% comment %} {{ {% endcomment %}",
        "{%- liquid\n assign q = 3\n echo q | times: subscriber.n -%}",
        "{{",
        "}}",
        "{%",
        "text & <b>bold</b>\n",
    ]
)
VALUES = (
    st.none() | st.text(max_size=30) | st.sampled_from(["3", "-1", "1e400", "9" * 5000, "now", "2026-02-30", "\x00"])
)


@settings(max_examples=400, deadline=None)
@given(st.lists(FRAGMENTS, max_size=8).map("".join), VALUES, VALUES, VALUES)
def test_it_never_raises_for_liquid_that_was_accepted(
    source: str, name: str | None, text: str | None, number: str | None
) -> None:
    if check(source):
        return
    values = {"subscriber": {"first_name": name, "text": text, "n": number}}
    for environment in (HTML, PLAIN, TEXT):
        state = State(NOON)
        assert isinstance(render(parse(environment, source), values, state), str)
        assert all("\n" not in warning for warning in state.warnings)


@given(st.lists(FRAGMENTS | st.text(), max_size=8).map("".join))
def test_the_pieces_of_a_source_are_the_source(source: str) -> None:
    assert "".join(piece.text for piece in pieces(source)) == source


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("Hi {{ subscriber.first_name", "is never closed, line 1"),
        ("\n\n{{ a | shout }}", "unknown filter 'shout', line 3"),
        ("{% if a %}", "endif"),
        ("a\n{% fi %}", "unknown tag fi, line 2"),
        ("{% include 'secrets' %}", "unknown tag include"),
        ("{% render 'secrets' %}", "unknown tag render"),
        ("{{ a ! b }}", "unknown operator"),
        ("{% raw %}", "is never closed"),
        ("{{ " + " " * 100_000, "is never closed"),
        ("{% if a %}" * 40 + "{% endif %}" * 40, "nesting"),
    ],
)
def test_it_says_what_is_wrong_with_broken_liquid(source: str, problem: str) -> None:
    (sentence,) = check(source, "subject")
    assert sentence.startswith("Invalid Liquid in subject: ")
    assert problem in sentence


def test_it_accepts_what_creators_write() -> None:
    assert check("{{ snippet.welcome-message }} {{ snippet['welcome-message'] | default: \"x\" }}") == []
    assert check("{% if subscriber.first_name != blank %}Hi{% else %}Ho{% endif %} body { color: red }") == []


def test_it_finds_snippets_and_fields() -> None:
    found = variables(
        "{{ snippet.welcome-message }}{{ snippet['bye'] }}{{ subscriber.first_name }}{{ subscriber.email_address }}"
        "{{ subscriber.city | upcase | default: 'town' }}{% if subscriber.pet %}{{ subscriber.pet }}{% endif %}"
        "{{ unsubscribe_url }}{{ typo }}{% for x in subscriber.list %}{{ x }}{% endfor %}"
    )
    assert found.snippets == {"welcome-message", "bye"}
    assert found.fields == {"first_name", "city", "pet", "list"}
    assert found.without_default == {"first_name"}
    assert found.unknown == {"typo"}


def test_broken_liquid_refers_to_nothing() -> None:
    assert variables("{{ snippet.a").snippets == frozenset()


def test_it_finds_circular_snippets() -> None:
    stored = {"b": "{{ snippet.c }}", "c": "{{ snippet.a }}", "d": "plain"}
    assert snippet_cycle("a", "{{ snippet.d }}{{ snippet.b }}", stored.get) == ["a", "b", "c", "a"]
    assert snippet_cycle("a", "{{ snippet.a }}", stored.get) == ["a", "a"]
    assert snippet_cycle("a", "{{ snippet.d }}{{ snippet.missing }}", stored.get) == []


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in (1..100000000) %}x{% endfor %}",
        "{% for i in (1..9000) %}{% for j in (1..9000) %}x{% endfor %}{% endfor %}",
        "{% for i in (1..9000) %}{% endfor %}" * 200,
        "{{ 'aa'" + " | replace: 'a', 'aaaaaaaaa'" * 12 + " }}",
        "{% assign x = 9999999 %}{% for i in (1..5000) %}{% assign x = x | times: x %}{% endfor %}",
        "{% assign x = 'ab' %}{% for i in (1..5000) %}{% assign x = x | append: x %}{% endfor %}",
        "{{ (1..1000000000) | join: ',' }}",
        "{% if (1..1000000000) contains 'x' %}{% endif %}",
        "{% assign big = '1000000000' %}{% if (1..big) contains 0.5 %}{% endif %}",
    ],
)
def test_work_is_bounded(source: str) -> None:
    state = State(NOON)
    assert len(render(parse(TEXT, source), {}, state)) < 100_000
    assert state.warnings


def test_a_failing_piece_takes_nothing_else_with_it() -> None:
    state = State(NOON)
    source = "a{{ 1 | divided_by: 0 }}b{% if 'x' < 1 %}never{% endif %}c"
    assert render(parse(HTML, source), {}, state) == "abc"
    assert len(state.warnings) == 2


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        (HTML, "Tom & <i>&lt;b&gt;&amp;Co&lt;/b&gt;!</i>"),
        (PLAIN, "Tom &amp; &lt;i&gt;&lt;b&gt;&amp;Co&lt;/b&gt;!&lt;/i&gt;"),
        (TEXT, "Tom & <i><b>&Co</b>!</i>"),
    ],
)
def test_values_are_escaped_once_where_they_become_html(environment: TolerantEnvironment, shown: str) -> None:
    values = {"subscriber": {"first_name": "<b>&Co</b>"}}
    for source in (
        "Tom & <i>{{ subscriber.first_name | append: '!' }}</i>",
        "Tom & <i>{{ subscriber.first_name | escape | append: '!' }}</i>",
        "{% capture x %}Tom & <i>{{ subscriber.first_name }}!</i>{% endcapture %}{{ x }}",
        "Tom & <i>{% cycle subscriber.first_name %}!</i>",
    ):
        assert render(parse(environment, source), values, State(NOON)) == shown


def test_now_is_the_messages_date() -> None:
    source = "{{ 'now' | date: '%F' }} {{ '1 May' | date: '%F' }} {{ 0 | date: '%Y' }} {{ 'x' | date: '%Y' }}"
    assert render(parse(TEXT, source), {}, State(NOON)) == "2026-03-01 2026-05-01 1970 x"


def test_empty_output_is_warned_about_unless_it_has_a_default() -> None:
    state = State(NOON)
    source = "{{ subscriber.a }}{{ subscriber.b | default: 'x' }}{{ subscriber.c | upcase }}{{ d }}"
    assert render(parse(HTML, source), {"subscriber": {"a": None, "b": None, "c": ""}}, state) == "x"
    assert list(state.warnings) == [f"{name} is empty or unknown" for name in ("subscriber.a", "subscriber.c", "d")]


def test_it_cleans_what_mail_cannot_carry() -> None:
    assert clean("a\x00b\r\nc\rd\x1b\ud800é\t") == "ab\nc\ndé\t"
