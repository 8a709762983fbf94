"""Checking, analysing and rendering Liquid."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liquid.builtin.expressions._tokenize import _keywords

from dripstone.content.liquid import (
    HTML,
    MAX_LIQUID,
    MAX_SOURCE,
    PLAIN,
    TEXT,
    check,
    check_new,
    clean,
    parse,
    pieces,
    snippet_problem,
    variables,
)
from dripstone.content.liquid_cost import OverBudget
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
        with suppress(OverBudget):  # the one way to be given up
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


# What the keys of snippets and fields may be: a digit first, dashes, words that Liquid uses itself.
ODD_KEYS = ["2024-offer", "24-7", "2024", "2fa", "7-day-plan", "1-2-3", "a-1", "größe", *sorted(_keywords)]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_any_key_works_as_kit_writes_it(key: str) -> None:
    values = {"snippet": {key: "offer"}, "subscriber": {key: "2"}}
    sources = (
        f"{{{{ snippet.{key} }}}}",
        f"{{{{snippet.{key}}}}}",
        f"{{{{- snippet.{key} -}}}}",
        f"{{{{-snippet.{key}-}}}}",
        f"{{{{ snippet.{key} | default: 'x' }}}}",
        f"{{{{ snippet['{key}'] }}}}",
        f"{{% if subscriber.{key} == '2' and subscriber.{key} != blank %}}{{{{ snippet.{key} }}}}{{% endif %}}",
        f"{{% assign x = snippet.{key} %}}{{{{ x }}}}",
        f"{{% liquid\n echo snippet.{key}\n%}}",
        f"{{% for i in (1..subscriber.{key}) limit:1 %}}{{{{ snippet.{key} }}}}{{% endfor %}}",
    )
    for source in sources:
        assert check(source) == []
        assert render(parse(TEXT, source), values, State(NOON)) == "offer", source
        assert variables(source).snippets == {key}


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("{{ 'snippet.24-7' }} {{ \"a.blank\" }}", "snippet.24-7 a.blank"),
        ("snippet.24-7 {% raw %}{{ snippet.24-7 }}{% endraw %}", "snippet.24-7 {{ snippet.24-7 }}"),
        ("{% comment %}{{ snippet.24-7 }}{% endcomment %}x", "x"),
        ("{{ 1.5 | plus: 2.25 }} {{ -1.5 | abs }}", "3.75 1.5"),
        ("{% for i in (1..3) %}{{ i }}{% endfor %}", "123"),
        ("{% for i in list limit:2 %}{{ i }}{% endfor %}", "ab"),
        ("{{ list.first }}{{ list[1] }}{{ list.size }}", "ab3"),
        ("{% if 2 == 2.0 and true %}yes{% endif %}", "yes"),
    ],
)
def test_odd_keys_change_no_other_liquid(source: str, shown: str) -> None:
    assert render(parse(TEXT, source), {"list": ["a", "b", "c"]}, State(NOON)) == shown


def test_what_is_new_must_not_be_too_long_and_what_was_saved_may_shrink() -> None:
    assert check_new("x" * (MAX_SOURCE + 1)) == ["content is too long (maximum is 200000 characters)"]
    assert check_new("é" * MAX_SOURCE) == []
    assert check_new("x" * 300_000, saved="y" * 300_000) == []
    assert check_new("x" * 300_001, saved="y" * 300_000) == ["content is too long (maximum is 200000 characters)"]
    assert check_new("x" * 11, "preview_text", most=10) == ["preview_text is too long (maximum is 10 characters)"]
    tags = "{{ a }}" * (MAX_LIQUID // 7 + 1)
    assert check_new(tags) == ["content has too much Liquid (maximum is 50000 characters in its tags)"]
    assert check_new(tags, saved=tags + "{{ a }}") == []
    assert check_new("{% raw %}" + tags + "{% endraw %}" + "<p>text</p>" * 9_000) == []


def test_snippets_that_use_each_other_are_bounded_together() -> None:
    stored = {f"s{n}": "x" * 100_000 + f"{{{{ snippet.s{n + 1} }}}}" for n in range(20)}
    said = "A snippet and all that it uses may have at most 500000 characters"

    def contents(keys: set[str]) -> dict[str, str]:
        return {key: stored[key] for key in keys & set(stored)}

    assert snippet_problem("a", "{{ snippet.s0 }}", contents) == said
    assert snippet_problem("a", "{{ snippet.s16 }}", contents) == ""


@pytest.mark.parametrize(
    ("condition", "is_numeric"),
    [
        ("{% if subscriber.age > 18 %}{% endif %}", True),
        ("{% if 18.5 <= subscriber.age %}{% endif %}", True),
        ("{% unless subscriber.age == 18 %}{% endunless %}", True),
        ("{% if a %}{% elsif subscriber.age != 18 or a %}{% endif %}", True),
        ("{% case subscriber.age %}{% when 18, 19 %}{% endcase %}", True),
        ("{% if subscriber.age > '18' %}{% endif %}", False),
        ("{% assign age = subscriber.age | plus: 0 %}{% if age > 18 %}{% endif %}", False),
        ("{% if subscriber.id > 18 %}{% endif %}", False),
        ("{% case subscriber.age %}{% when '18' %}{% endcase %}", False),
    ],
)
def test_it_finds_fields_that_are_compared_with_numbers(condition: str, is_numeric: bool) -> None:
    assert variables(condition).as_numbers == ({"age"} if is_numeric else frozenset())


@pytest.mark.parametrize(
    "condition", ["f > 18", "f >= 18", "f < 18", "f <= 18", "18 > f", "18 < f", "f == 18", "n < list"]
)
def test_text_and_numbers_have_no_order_and_else_comes(condition: str) -> None:
    values = {"f": "20", "n": 3, "list": ["a"]}
    assert render(parse(HTML, f"{{% if {condition} %}}if{{% else %}}else{{% endif %}}"), values, State(NOON)) == "else"


def test_a_field_that_was_made_a_number_can_be_compared() -> None:
    source = "{% assign age = f | plus: 0 %}{% if age > 18 %}if{% else %}else{% endif %}"
    assert render(parse(HTML, source), {"f": "20"}, State(NOON)) == "if"
    assert render(parse(HTML, source), {"f": "2"}, State(NOON)) == "else"


def test_tags_are_stripped_as_kit_strips_them() -> None:
    source = "{{ f | strip_html }}"
    html = "<p>Hi <b>you</b></p><script>if (a < b) {}</script><style>p {}</style><!-- no --><br/>1 < 2 <unclosed"
    assert render(parse(TEXT, source), {"f": html}, State(NOON)) == "Hi you1 < 2 <unclosed"


def test_broken_liquid_refers_to_nothing() -> None:
    assert variables("{{ snippet.a").snippets == frozenset()


def test_it_finds_circular_snippets() -> None:
    stored = {"b": "{{ snippet.c }}", "c": "{{ snippet.a }}", "d": "plain"}
    circle = "A snippet cannot contain itself: "

    def contents(keys: set[str]) -> dict[str, str]:
        return {key: stored[key] for key in keys & set(stored)}

    assert snippet_problem("a", "{{ snippet.d }}{{ snippet.b }}", contents) == circle + "a → b → c → a"
    assert snippet_problem("a", "{{ snippet.a }}", contents) == circle + "a → a"
    assert snippet_problem("a", "{{ snippet.d }}{{ snippet.missing }}", contents) == ""


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
