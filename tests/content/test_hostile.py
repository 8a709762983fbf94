"""Sources made to hang or crash a worker. Each of these took minutes, or the process with it, at some point."""

from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter

import pytest

from dripstone.content.compile import EmailSource, Envelope, Person, compile_email
from dripstone.content.liquid import check
from dripstone.content.liquid_cost import OverBudget

HOSTILE = {
    "white space in tags": ("{{" + " " * 3900 + "}}") * 50,
    "blocks that never end": "{% raw %}" * 20_000,
    "tags that never end": "{{" * 100_000,
    "a loop over many tags": "{% for i in (1..10000) %}" + "{% if 1 == 2 %}x{% endif %}" * 1000 + "{% endfor %}",
    "deep tables": "<table><tr><td>" * 10_000,
    "deep divs": "<div>" * 20_000,
    "unclosed styles": "<style>" * 20_000,
    "unclosed tags": "<a " * 50_000,
    "mixed quotes": "<a \"'" * 20_000,
    "body tags": "<body \"'" * 20_000,
    "comments": "<!--" * 50_000,
    "deep rules": "<style>" + ".a{" * 60_000,
    "groups in a rule of many selectors": "<style>" + ".a," * 5_000 + ".b{" + "@media all{top:0}" * 2_000 + "}</style>",
    "deep layers": "<style>" + "@layer a{" * 20_000,
    "CSS for everyone": "<style>b { font-family: '" + "x" * 100_000 + "' }</style>" + "<b></b>" * 5_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sources_cost_no_more_than_others(name: str) -> None:
    source = HOSTILE[name]
    started = perf_counter()
    check(source)
    email = compile_email(EmailSource(subject="Hi", from_name="Ann", from_address="ann@example.com", content=source))
    with suppress(OverBudget):
        email.render(
            Person(1, "bob@example.com"), Envelope("1@x", datetime(2026, 1, 2, tzinfo=UTC), "https://x.org/u/1")
        )
    assert perf_counter() - started < 10  # a second on a laptop; the point is that it is not minutes
