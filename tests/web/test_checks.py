"""What the checks found, with a link to where it is mended: beside a sequence, and about an email."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.urls import resolve

from dripstone import explain
from dripstone.accounts.models import Account
from dripstone.explain.findings import ERROR, Finding
from dripstone.sequences.models import Sequence
from dripstone.web import checks
from tests.conftest import VirtualClock
from tests.factories import make_email, make_enrollment, make_sequence, make_subscriber, make_tag

SOURCES = Path(explain.__file__).parent.glob("health*.py")


def codes() -> Iterator[str]:
    """Of every `Finding("code", …)` in the source."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                code = node.args[0]
                assert isinstance(code, ast.Constant)
                yield str(code.value)


CODES = sorted(set(codes()))


@pytest.fixture
def sequence(account: Account, clock: VirtualClock) -> Sequence:
    return make_sequence(account, {"content": "<p>Hello</p>"}, name="Caves")


@pytest.mark.parametrize("code", CODES)
def test_every_finding_leads_to_where_it_is_mended(code: str, sequence: Sequence) -> None:
    url, label = checks.mend(Finding(code, ERROR, "", email_id=sequence.emails.get().pk), sequence)
    assert resolve(url.partition("#")[0].partition("?")[0])
    assert label


def test_no_way_leads_to_a_finding_that_there_is_not() -> None:
    assert set(checks._MENDING) == set(CODES)
    assert set(CODES) >= checks.OF_THE_OPERATOR


def test_they_come_after_the_page_and_without_javascript_as_a_page(alice: Client, sequence: Sequence) -> None:
    page = alice.get(f"/sequences/{sequence.pk}").content.decode()
    assert f'hx-get="/sequences/{sequence.pk}/checks"' in page
    assert f'<a href="/sequences/{sequence.pk}/checks">' in page
    whole = alice.get(f"/sequences/{sequence.pk}/checks").content.decode()
    part = alice.get(f"/sequences/{sequence.pk}/checks", headers={"HX-Request": "true", "HX-Target": "checks"})
    assert "<html" in whole
    assert "<html" not in part.content.decode()
    for text in (whole, part.content.decode()):
        assert "Nobody is inside, so there is nobody to send to." in text
        assert f'<a href="/sequences/{sequence.pk}/people/new">Add somebody</a>' in text


def test_links_lead_to_the_field_itself(alice: Client, sequence: Sequence) -> None:
    Sequence.objects.filter(pk=sequence.pk).update(active=False)
    page = alice.get(f"/sequences/{sequence.pk}/checks").content.decode()
    assert f'<a href="/sequences/{sequence.pk}/settings#f-active">Let it run</a>' in page
    assert 'id="f-active"' in alice.get(f"/sequences/{sequence.pk}/settings").content.decode()


def test_a_sound_sequence_says_what_was_looked_at(alice: Client, account: Account, sequence: Sequence) -> None:
    make_enrollment(sequence, make_subscriber(account))
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now())")
    page = alice.get(f"/sequences/{sequence.pk}/checks").content.decode()
    assert "All is well. The sender is verified; the postal address" in page


def test_the_week_is_a_chart_and_a_table(alice: Client, account: Account, sequence: Sequence) -> None:
    make_email(sequence, position=1)
    make_enrollment(sequence, make_subscriber(account))
    page = alice.get(f"/sequences/{sequence.pk}/week").content.decode()
    assert '<th scope="row">Tuesday, 24 November</th><td>1</td>' in page
    assert '<th scope="row">Wednesday, 25 November</th><td>1</td>' in page
    assert "2 emails to the people inside now" in page
    assert "<svg" in page
    part = alice.get(f"/sequences/{sequence.pk}/week", headers={"HX-Request": "true", "HX-Target": "week"})
    assert "<html" not in part.content.decode()


def test_a_paused_sequence_sends_nothing_in_any_week(alice: Client, account: Account, clock: VirtualClock) -> None:
    paused = make_sequence(account, {}, active=False)
    make_enrollment(paused, make_subscriber(account))
    assert "Nothing goes out as things stand." in alice.get(f"/sequences/{paused.pk}/week").content.decode()


def test_who_is_left_out_is_named(alice: Client, account: Account, sequence: Sequence) -> None:
    tags = [make_tag(account, name=f"tag {number}").pk for number in range(7)]
    Sequence.objects.filter(pk=sequence.pk).update(exclude_subscriber_sources=[{"type": "tag", "ids": tags}])
    assert (
        "tags tag 0, tag 1, tag 2, tag 3, tag 4 and 2 more" in alice.get(f"/sequences/{sequence.pk}").content.decode()
    )


def test_three_are_shown_at_first_and_how_many_more_there_are(
    alice: Client, account: Account, clock: VirtualClock
) -> None:
    emails = [{"content": f"<p>{{{{ subscriber.field_{number} }}}}</p>"} for number in range(5)]
    sequence = make_sequence(account, *emails)
    page = alice.get(f"/sequences/{sequence.pk}/checks", headers={"HX-Request": "true", "HX-Target": "checks"})
    shown, _, folded = page.content.decode().partition("<summary>")
    n_folded = folded.partition("</details>")[0].count("<li>")
    assert shown.count('class="mark') == 3
    assert folded.startswith(f"{n_folded} more<") and n_folded >= 2
