"""Plain text from HTML."""

from hypothesis import given
from hypothesis import strategies as st

from dripstone.content.text import html_to_text, text_template


def test_it_reads_like_a_letter() -> None:
    html = (
        "<style>p{}</style><h1>Hello</h1><p>One   two<br>three</p><ul><li>first</li><li>second</li></ul>"
        '<p>See <a href="https://example.com/?a=1&amp;b=2">the page</a>.</p><!-- hidden -->'
        '<p><a href="https://x.org">https://x.org</a> <img src="i.png" alt="A cave"></p>'
    )
    assert html_to_text(html) == (
        "Hello\n\nOne two\nthree\n\n  * first\n  * second\n\nSee the page (https://example.com/?a=1&b=2).\n\n"
        "https://x.org A cave"
    )


def test_a_linked_image_becomes_its_alternative_and_the_url() -> None:
    assert html_to_text('<a href="https://x.org"><img src="i" alt="Shop"></a>') == "Shop (https://x.org)"
    assert html_to_text('<a href="https://x.org"><img src="i"></a>') == "https://x.org"


def test_layout_tables_make_no_columns() -> None:
    html = "<table><tr><td><table><tr><td><p>Hello</p></td></tr></table></td></tr><tr><td>a</td><td>b</td></tr></table>"
    assert html_to_text(html) == "Hello\n\na b"


def test_liquid_survives() -> None:
    html = '<p>{% if subscriber.a > 1 %}A &amp; B{% endif %} <a href="{{ url | append: "x" }}">go</a></p>'
    assert text_template(html) == '{% if subscriber.a > 1 %}A & B{% endif %} go ({{ url | append: "x" }})'


def test_liquid_between_rows_keeps_its_place() -> None:
    html = "<table>{% for i in (1..2) %}<tr><td>{{ i }}</td></tr>{% endfor %}</table>"
    text = text_template(html)
    assert text is not None
    assert text.index("{% for") < text.index("{{ i }}") < text.index("{% endfor")


def test_white_space_control_does_not_join_paragraphs() -> None:
    assert text_template("<p>a</p>{%- if x -%}<p>b {{- c -}} d</p>{%- endif -%}<p>e</p>") == (
        "a\n\n{% if x %}\n\nb {{- c -}} d\n\n{% endif %}\n\ne"
    )


def test_liquid_torn_apart_is_noticed() -> None:
    assert text_template('<div style="display:none">{% if a %}</div>x{% endif %}') is None


TAGS = st.sampled_from(["<p>", "</div>", "<table>", "<a href=", "<!--", "x", "&#0;", "<", "<ul><li>", "<img alt=y>"])


@given(st.text() | st.lists(TAGS).map("".join))
def test_it_never_raises(html: str) -> None:
    assert isinstance(html_to_text(html), str)
