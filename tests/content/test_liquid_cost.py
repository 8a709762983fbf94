"""No Liquid costs more than its budget: by what is charged, and (with much room, so that it cannot flake) in CPU."""

from collections.abc import Callable
from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dripstone.content.compile import EmailSource, Envelope, Person, SnippetSource, compile_email
from dripstone.content.liquid import HTML, PLAIN, TEXT, check, parse, variables
from dripstone.content.liquid_cost import FILTERS, ITEM, MAX_STEPS, OverBudget, size
from dripstone.content.liquid_render import State, render

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENVELOPE = Envelope("1@example.com", NOON, "https://example.com/u/1")
MUCH_CPU = 2.0  # seconds; a whole budget takes some 0.1

TEXT_OF_8192 = "{% assign s = 'a' %}" + "{% assign s = s | append: s %}" * 13
TEXT_OF_128K = "{% assign s = 'a' %}" + "{% assign s = s | append: s %}" * 17
LIST_OF_512 = "{% assign s = 'a' %}" + "{% assign s = s | append: s %}" * 9 + "{% assign l = s | split: '' %}"
DATES_OF_128K = "{% assign f = '1 2 ' %}" + "{% assign f = f | append: f %}" * 15


def cost(source: str, values: dict[str, object] | None = None) -> int:
    """Steps that rendering takes. Raises OverBudget."""
    state = State(NOON)
    began = process_time()
    try:
        render(parse(HTML, source), values or {}, state)
    finally:
        assert process_time() - began < MUCH_CPU
    return MAX_STEPS - state.steps


@pytest.mark.parametrize(
    "source",
    [
        LIST_OF_512 + "{% for i in (1..1000) %}{{ l }}{% endfor %}",
        LIST_OF_512 + "{% for i in (1..9000) %}{% if l contains 'b' %}x{% endif %}{% endfor %}",
        LIST_OF_512 + "{% for i in (1..9000) %}{% if l == l %}x{% endif %}{% endfor %}",
        LIST_OF_512 + "{% for i in (1..9000) %}{% case l %}{% when s, l %}x{% endcase %}{% endfor %}",
        LIST_OF_512 + "{% for i in (1..9000) %}{% cycle l, s %}{% endfor %}",
        LIST_OF_512 + "{% for i in (1..500) %}{% for j in l %}{{ j }}{% endfor %}{% endfor %}",
        LIST_OF_512 + "{% tablerow i in (1..500) %}{% tablerow j in l %}{{ j }}{% endtablerow %}{% endtablerow %}",
        TEXT_OF_8192 + "{% for i in (1..9000) %}{% if s contains 'ab' %}x{% endif %}{% endfor %}",
        TEXT_OF_8192 + "{% for i in (1..9000) %}{% assign t = s | append: i %}{% endfor %}",
        TEXT_OF_8192 + "{% for i in (1..9000) %}{% capture t %}{{ s }}{{ t }}{% endcapture %}{% endfor %}",
        TEXT_OF_8192 + "{% for i in (1..9000) %}{{ nothing[s] }}{% endfor %}",
        TEXT_OF_128K + "{% assign t = s | append: 'b' %}{% assign u = s | prepend: 'b' %}{{ u | remove_last: t }}",
        *(LIST_OF_512 + "{% for i in (1..9000) %}{% assign q = l | FILTER %}{% endfor %}".replace("FILTER", one)
          for one in ("where: 'a', 'b'", "map: 'a'", "sort", "sort_natural: 'a'", "uniq", "join: ', '", "reject: 'a'",
                      "compact", "has: 'a', l", "map: l", "reverse")),
        DATES_OF_128K + "{% assign z = f | date: '%Y' %}",
        DATES_OF_128K + "{{ 'now' | date: f }}" * 9,
        *(TEXT_OF_128K + "{% for i in (1..500) %}{{ s | FILTER }}{% endfor %}".replace("FILTER", one)
          for one in ("strip_html", "escapejs", "url_encode", "url_decode", "replace: 'a', 'b'", "upcase",
                      "newline_to_br", "escape_once", "truncatewords: 3", "split: 'a' | size", "base64_encode")),
        "{% for i in (1..9000) %}{% for j in (1..9000) %}x{% endfor %}{% endfor %}",
        "{% for i in (1..9000) %}{% endfor %}" * 200,
        "{% for i in (1..10000) %}{% increment x %}{% decrement y %}{% endfor %}" * 9,
        "{% for i in (1..10000) %}" + "{% if 1 == 2 %}x{% endif %}" * 1000 + "{% endfor %}",
        "{% for i in (1..10000) %}{% if a" + " or a" * 250 + " %}x{% endif %}{% endfor %}",
        "{% for i in (1..10000) %}{% case 1 %}{% when 2" + ", 2" * 1000 + " %}x{% endcase %}{% endfor %}",
        "{% for i in (1..10000) %}{{ 'a' | append: 'b'" + ", 'b'" * 700 + " }}{% endfor %}",
        "{% for i in (1..10000) %}{{ 1 | divided_by: 0 }}{% endfor %}",
        "{% for i in (1..10000) %}{% for j in (1..10000) reversed %}{% break %}{% endfor %}{% endfor %}",
        "{% for i in (1..10000) %}{% for j in (1..10000) limit: 1 offset: 9990 %}{% endfor %}{% endfor %}",
        "{% for i in (1..10000) %}{{ a" + ".b" * 1900 + " }}{% endfor %}",
        "{% for i in (1..9000) %}{% assign q = subscriber | concat: l %}{{ q }}{% endfor %}",
    ],
)  # fmt: skip
def test_what_would_take_too_long_goes_over_the_budget(source: str) -> None:
    assert check(source) == []
    with pytest.raises(OverBudget):
        cost(source, {"subscriber": {f"field_{n}": "x" * 1_000 for n in range(140)}, "l": []})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% for i in (1..100000000) %}x{% endfor %}", "the range is too long (maximum is 10000)"),
        ("{% assign n = '1000000000' %}{% if (1..n) contains 0.5 %}{% endif %}", "the range is too long"),
        (TEXT_OF_8192 + "{{ s | append: s | split: '' | size }}", "the list is too long (maximum is 10000 items)"),
        (TEXT_OF_128K + "{{ s | append: s }}", "the text grows too long"),
        ("{{ 'aa'" + " | replace: 'a', 'aaaaaaaaa'" * 12 + " }}", "the text grows too long"),
        ("{% assign x = 99999 %}{{ x" + " | times: x" * 300 + " }}", "the number is too large"),
    ],
)
def test_one_value_that_grows_too_large_comes_out_empty(source: str, said: str) -> None:
    state = State(NOON)
    assert render(parse(TEXT, f"a{source}b"), {}, state) == "ab"
    (warning,) = state.warnings
    assert f"came out empty: {said}" in warning


def test_a_chain_of_blanks_is_evaluated_once() -> None:
    assert cost("{% if blank" + " == blank" * 250 + " == nothing %}x{% endif %}") < 2_000


def test_what_costs_too_much_is_named() -> None:
    with pytest.raises(OverBudget) as raised:
        cost("<p>Dear {{ name }}</p>" + LIST_OF_512 + "\n{% for i in (1..9000) %}{{ l }}{% endfor %}")
    assert raised.value.where == "{% for i in (1..9000) %}"


def test_every_filter_has_its_cost() -> None:
    assert set(FILTERS) == set(HTML.filters) == set(TEXT.filters) == set(PLAIN.filters)


def test_sizes_count_what_is_inside() -> None:
    assert size("four") == 4
    assert size(["a", ["bc", 3]]) == 4 * ITEM + 3
    assert size({"a": "bcd"}) == 3 * ITEM + 4
    assert size(range(100)) == 100 * ITEM
    with pytest.raises(OverBudget):
        size([{"field": "x" * 60_000}] * 1_000)


# --- Generated ----------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["s", "l", "q", "subscriber", "subscriber.long", "subscriber.n", "forloop", "(1..900)", "'ab '"]
)
CALLS = st.sampled_from(
    [
        *(
            "append: s",
            "prepend: q",
            "split: ''",
            "split: ' '",
            "join: s",
            "join: ', '",
            "concat: l",
            "where: 'a', 'b'",
        ),
        *("map: 'a'", "map: s", "sort", "sort_natural", "uniq", "sum", "reverse", "compact", "has: 'a'", "reject: s"),
        *("replace: 'a', s", "replace: '', 'ab'", "replace_last: s, 'a'", "remove: q", "remove_last: s", "upcase"),
        *("date: '%c'", "date: s", "times: 99999", "times: q", "plus: q", "size", "first", "last", "slice: 0, 999999"),
        *("escape", "escapejs", "url_encode", "url_decode", "strip_html", "newline_to_br", "truncate: 9999, s"),
        *("truncatewords: 9999", "base64_encode", "base64_decode", "squish", "default: s", "find_index: 'a', s"),
    ]
)
VALUES = st.builds(lambda name, calls: " | ".join([name, *calls]), NAMES, st.lists(CALLS, max_size=5))
CONDITIONS = st.builds(
    lambda left, operator, right: f"{left} {operator} {right}",
    NAMES,
    st.sampled_from(["contains", "==", "!=", "<", ">=", "and", "or"]),
    NAMES,
)
LEAVES = st.one_of(
    st.builds(lambda value: f"{{{{ {value} }}}}", VALUES),
    st.builds(lambda value: f"{{% assign s = {value} %}}", VALUES),
    st.builds(lambda value: f"{{% assign l = {value} %}}", VALUES),
    st.builds(lambda value: f"{{% assign q = {value} %}}", VALUES),
    st.just("{% assign s = s | append: s %}" * 8),
    st.just("{% cycle s, q %}{% increment n %}<p>some text & more</p>"),
    st.just("{{ snippet.a }}{{ snippet.b }}"),
    st.just("{% break %}"),
)


def _blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, min_size=1, max_size=4).map("".join)
    return st.one_of(
        st.builds(lambda over, body: f"{{% for i in {over} %}}{body}{{% endfor %}}", NAMES, body),
        st.builds(lambda over, body: f"{{% for i in {over} reversed %}}{body}{{% endfor %}}", NAMES, body),
        st.builds(lambda over, body: f"{{% for j in {over} offset: 890 %}}{body}{{% endfor %}}", NAMES, body),
        st.builds(lambda over, body: f"{{% tablerow i in {over} cols:3 %}}{body}{{% endtablerow %}}", NAMES, body),
        st.builds(lambda asked, body: f"{{% if {asked} %}}{body}{{% else %}}{body}{{% endif %}}", CONDITIONS, body),
        st.builds(lambda body: f"{{% capture q %}}{body}{{% endcapture %}}", body),
        st.builds(lambda body: f"{{% ifchanged %}}{body}{{% endifchanged %}}", body),
        st.builds(lambda name, body: f"{{% case s %}}{{% when {name}, q %}}{body}{{% endcase %}}", NAMES, body),
    )


HOSTILE = st.lists(st.recursive(LEAVES, _blocks, max_leaves=12), min_size=1, max_size=6).map("".join)
PEOPLE = st.sampled_from(["", "a", "a b " * 50, "<a <!-- " * 2_000, "1 2 " * 4_000, "ß😀" * 8_000])


@settings(max_examples=200, deadline=None)
@given(HOSTILE, PEOPLE)
def test_no_liquid_costs_more_than_the_budget(source: str, text: str) -> None:
    values: dict[str, object] = {
        "s": "ab ",
        "l": ["a", "b"],
        "subscriber": {"long": text, "n": "7", **{f"f{n}": "x" for n in range(140)}},
    }
    for attempt in _attempts(lambda: render(parse(HTML, source), values, State(NOON))):
        assert attempt == _attempts(lambda: render(parse(HTML, source), values, State(NOON)))[0]


@settings(max_examples=40, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, PEOPLE)
def test_no_email_costs_more_than_the_budget(content: str, first: str, second: str, text: str) -> None:
    """From saving to sending, with snippets that use each other."""
    began = process_time()
    sources = [content, first, second]
    problems = [problem for source in sources for problem in check(source)]
    used = [variables(source) for source in sources]
    assert len(used) == 3
    assert process_time() - began < MUCH_CPU
    if problems:
        return
    email = compile_email(
        EmailSource(
            subject=content[:900] if not check(content[:900]) else "Hi",
            preview_text=content,
            content=f"<p>{content}</p>",
            from_name="Ann",
            from_address="ann@example.com",
            snippets={"a": SnippetSource("block", first), "b": SnippetSource("inline", second)},
        )
    )
    person = Person(1, "bob@example.com", text, {"long": text, "n": "3"})
    outcomes = _attempts(lambda: email.written(person, ENVELOPE)[0])
    assert outcomes == _attempts(lambda: email.written(person, ENVELOPE)[0])


def _attempts(act: Callable[[], object]) -> list[object]:
    """What comes out, or that it was too much: the same at every attempt."""
    began = process_time()
    try:
        result = act()
    except OverBudget as error:
        result = (error.part, error.where)
    assert process_time() - began < MUCH_CPU
    return [result]


# --- Ordinary mail ------------------------------------------------------------------------------------------------


def test_ordinary_mail_is_nowhere_near_the_budget() -> None:
    lists = (
        "{% assign items = 'tea,bread,jam' | split: ',' %}<ul>{% for one in items %}<li>{{ one }}</li>{% endfor %}</ul>"
    )
    letter = "<p>Dear {{ subscriber.first_name | default: 'you' | capitalize }}, {{ 'now' | date: '%B' }}</p>" + lists
    assert cost(letter) < MAX_STEPS / 100
    assert cost(letter + "<p>What a long page this is.</p>" * 3_500) < MAX_STEPS / 20
    states = " or ".join(f"subscriber.state == 'S{n}'" for n in range(50))
    assert cost(f"{{% if {states} %}}Taxes{{% endif %}}") < MAX_STEPS / 100
    words = (
        "{% capture article %}"
        + "word " * 3_000
        + "{% endcapture %}{{ article | split: ' ' | size | divided_by: 200 }}"
    )
    assert cost(words) < MAX_STEPS / 10
    table = "{% for i in (1..300) %}<tr><td>{{ i }}</td>{% if i == 3 %}<td>three</td>{% endif %}</tr>{% endfor %}"
    assert cost(table) < MAX_STEPS / 10
