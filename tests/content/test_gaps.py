"""Empty values are seen in a preview, and never in what is sent."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dripstone.content import gaps
from dripstone.content.compile import EmailSource, Envelope, Person, Rendered, SnippetSource, compile_email

ENVELOPE = Envelope("1@example.com", datetime(2026, 1, 2, tzinfo=UTC), "https://example.com/u/1")
NOOR = Person(1, "noor@example.com", "Noor", {"city": None})


def render(content: str = "", gap: str = gaps.GAP, **parts: Any) -> Rendered:
    parts = {"subject": "Hello", **parts}
    values: Any = {"from_name": "Ann", "from_address": "ann@example.com", "content": content}
    source = EmailSource(**values, **parts)
    return compile_email(source).render(NOOR, ENVELOPE, gap=gap)


def test_a_gap_is_marked_where_a_value_is_empty() -> None:
    content = "<p>Near {{ subscriber.city }} or {{ subscriber.first_name }}</p>"
    rendered = render(content, subject="{{ subscriber.city }}!")
    assert gaps.in_text(rendered.subject) == "(empty)!"
    assert "Near (empty) or Noor" in gaps.in_text(rendered.text)
    assert f"Near {gaps.SHOWN} or Noor" in gaps.in_html(rendered.html)


def test_a_snippet_shows_its_gaps() -> None:
    rendered = render("{{ snippet.place }}", snippets={"place": SnippetSource("inline", "in {{ subscriber.city }}")})
    assert "in (empty)" in gaps.in_text(rendered.text)


def test_it_is_sent_without_marks() -> None:
    assert gaps.GAP.encode() not in render("<p>{{ subscriber.city }}</p>", gap="").data


@pytest.mark.parametrize(
    "content",
    [
        '{% if subscriber.city == blank %}nowhere{% endif %}{{ subscriber.city | default: "there" }}',
        "{% capture place %}{{ subscriber.city }}{% endcapture %}{% if place == blank %}nowhere{% endif %}",
        "{{ snippet.unknown }}{{ address }}{{ subscriber.first_name }}",
    ],
)
def test_what_depends_on_a_value_comes_out_as_when_it_is_sent(content: str) -> None:
    assert render(content).html == render(content, gap="").html


def test_nothing_is_shown_within_tags_comments_and_style_sheets() -> None:
    html = f'<a href="/{gaps.GAP}">x</a><!-- {gaps.GAP} --><style>p{{color:{gaps.GAP}}}</style><p>{gaps.GAP}</p>'
    shown = f'<a href="/">x</a><!--  --><style>p{{color:}}</style><p>{gaps.SHOWN}</p>'
    assert gaps.in_html(html) == shown
