"""What goes out: the calendar, a day with its people, why nothing goes, who is not counted."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.engine.acts import edits, places
from dripstone.engine.models import Delivery
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Tagging
from dripstone.web.pages import forecast
from tests.automations.drawing import automation, stands, wait
from tests.automations.drawing import course as walked
from tests.conftest import VirtualClock
from tests.driving import Engine
from tests.factories import make_account, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.web.reading import text_of

NOON = timedelta(hours=3)


@pytest.fixture
def course(account: Account, engine: Engine) -> Sequence:
    """On Monday at 04:00 in New York: three people, of whom each gets an email a day, but none at weekends."""
    sequence = make_sequence(account, *[{"subject": f"Letter {n}"} for n in "abcde"], send_days=[0, 1, 2, 3, 4])
    for name in ("Ann", "Bo", "Cy"):
        make_enrollment(sequence, make_subscriber(account, first_name=name), engine.clock.now())
    return sequence


def numbers(page: Any) -> dict[str, int]:
    return {cell.date.isoformat(): cell.n for cell in page.context["cells"] if cell.n}


def test_the_calendar_begins_today_and_counts_what_the_engine_then_sends(
    alice: Client, course: Sequence, engine: Engine
) -> None:
    page = alice.get("/forecast")
    assert [cell.date.isoformat() for cell in page.context["cells"]][:2] == ["2026-11-23", "2026-11-24"]
    assert len(page.context["cells"]) == 30
    shown = numbers(page)
    assert shown == {f"2026-11-{day}": 3 for day in (24, 25, 26, 27, 30)}
    engine.run_until(engine.clock.now() + timedelta(days=29))
    assert Delivery.objects.filter(status="sent").count() == sum(shown.values())


def test_a_day_says_who_gets_what_and_leads_to_all_of_them(alice: Client, course: Sequence, account: Account) -> None:
    for n in range(4):
        make_enrollment(course, make_subscriber(account, first_name=f"Di{n}"))
    [batch] = alice.get("/forecast/2026-11-24").context["batches"]
    assert (batch.at, batch.n, batch.email.subject, batch.more) == ("09:00", 7, "Letter a", 4)
    page = alice.get(batch.everybody_url)
    assert page.context["n"] == len(page.context["people"]) == 7


def test_everybody_is_listed_by_cursor(alice: Client, course: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "PER_PAGE", 2)
    url = f"/forecast/2026-11-24/emails/{course.emails.get(position=0).pk}"
    first = alice.get(url)
    second = alice.get(f"{url}?after={first.context['next_after']}")
    names = [place.subscriber.first_name for page in (first, second) for place in page.context["people"]]
    assert (names, second.context["next_after"]) == (["Ann", "Bo", "Cy"], None)


def test_it_says_why_nothing_goes_on_a_saturday(alice: Client, course: Sequence) -> None:
    page = alice.get("/forecast/2026-11-28")
    assert [why.sentence for why in page.context["why_few"]] == [
        "“Course” sends on weekdays: the next 3 emails go on Monday, 30 November."
    ]
    assert "Why nothing on Saturday?" in page.content.decode()


def test_emails_that_count_in_hours_wait_for_no_day(alice: Client, account: Account, engine: Engine) -> None:
    by_hours = {"subject": "b", "delay_value": 6, "delay_unit": "hours"}
    letters: list[dict[str, Any]] = [{"subject": "a"}, by_hours, {"subject": "c"}]
    sequence = make_sequence(account, *letters, send_days=[4, 0])
    for _ in range(2):
        make_enrollment(sequence, make_subscriber(account), engine.clock.now())
    said = [why.sentence for why in alice.get("/forecast/2026-11-28").context["why_few"]]
    assert said == ["“Course” sends on Mondays and Fridays: the next 2 emails go on Monday, 30 November."]


def test_on_a_day_like_others_it_explains_nothing(alice: Client, course: Sequence) -> None:
    assert alice.get("/forecast/2026-11-25").context["is_few"] is False


def test_who_is_not_counted_is_said(alice: Client, account: Account, course: Sequence, now: Any) -> None:
    paused = make_sequence(account, {}, name="Old", active=False)
    make_enrollment(paused, make_subscriber(account), now, "bulk")
    make_enrollment(course, make_subscriber(account, state="inactive"))
    tagged = make_subscriber(account)
    tag = make_tag(account, tagged)
    make_enrollment(course, tagged)
    Sequence.objects.filter(pk=course.pk).update(exclude_subscriber_sources=[{"type": "tag", "ids": [tag.pk]}])
    places.pause(make_enrollment(course, make_subscriber(account)).pk, "owner", "", now)
    held = make_sequence(account, {"subject": "Held"}, name="Other")
    make_enrollment(held, make_subscriber(account))
    edits.hold_email(account, held.pk, held.emails.get().pk, now, "owner")
    said = {why.sentence for why in alice.get("/forecast").context["left_out"]}
    assert said == {
        "1 person in “Old”, which is paused.",
        "1 person in “Course” who has yet to confirm their address.",
        "1 person in “Course”, left out by its exclusions.",
        "1 person in “Course” whom somebody paused.",
        "1 person waits for “Held” of “Other”, which is on hold.",
    }


def test_whom_an_email_passes_by_is_said(alice: Client, account: Account, now: Any) -> None:
    tag = make_tag(account, make_subscriber(account), name="VIP")
    sequence = make_sequence(account, {}, {"subject": "Secret"}, {}, name="Club")
    vip = Tagging.objects.get(tag=tag).subscriber
    edits.filter_email(
        account, sequence.pk, sequence.emails.get(position=1).pk, {"filter": {"type": "tags", "ids": [tag.pk]}}, now
    )
    for person in (vip, make_subscriber(account), make_subscriber(account)):
        make_enrollment(sequence, person)
    past = make_enrollment(sequence, make_subscriber(account))
    places.move_to(past.pk, sequence.emails.get(position=2).pk, "owner", "", now)
    said = [why.sentence for why in alice.get("/forecast").context["left_out"]]
    assert said == ["2 people whom “Secret” of “Club” passes by: it is for people who have the tag “VIP”."]


def test_when_nothing_goes_at_all_the_checks_say_why(alice: Client, account: Account) -> None:
    sequence = make_sequence(account, {"published": False})
    make_enrollment(sequence, make_subscriber(account))
    page = alice.get("/forecast").content.decode()
    assert "Nothing goes out in the next 30 days" in page
    assert "Nothing is published: its only email is a draft." in page


def test_an_account_without_people_is_told_so(alice: Client) -> None:
    assert "There is nobody inside any sequence yet" in alice.get("/forecast").content.decode()


def test_one_sequence_alone_is_shown(alice: Client, account: Account, course: Sequence) -> None:
    other = make_sequence(account, {}, name="Other")
    make_enrollment(other, make_subscriber(account))
    assert alice.get("/forecast").context["total"] == 16
    page = alice.get(f"/forecast?sequence={other.pk}")
    assert page.context["total"] == 1
    assert all(f"sequence={other.pk}" in cell.url for cell in page.context["cells"])


def test_a_sequence_of_somebody_else_is_not_found(alice: Client, course: Sequence) -> None:
    strange = make_sequence(make_account("Mallory"))
    for wanted in (strange.pk, "x", 10**20):
        assert alice.get(f"/forecast?sequence={wanted}").status_code == 404


@pytest.mark.parametrize("day", ["2026-11-22", "2026-12-23", "tomorrow", "2026-11-31", "20261124"])
def test_other_days_are_not_found(alice: Client, course: Sequence, day: str) -> None:
    assert alice.get(f"/forecast/{day}").status_code == 404


def test_where_many_are_inside_the_page_comes_first(
    alice: Client, course: Sequence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "AT_ONCE", 2)
    page = alice.get("/forecast")
    assert "cells" not in page.context
    links = set(re.findall(r'hx-get="(/forecast[^"]+)"', page.content.decode()))
    assert links == {"/forecast/calendar", "/forecast/2026-11-23", "/forecast/uncounted"}
    for url in links:  # without JavaScript each is a page
        alone = alice.get(url).content.decode()
        part = alice.get(url, headers={"HX-Target": url.rpartition("/")[2] if "2026" not in url else "day"})
        assert "<h1>" in alone
        assert "<h1>" not in part.content.decode()


def test_what_is_on_its_way_goes_now(alice: Client, account: Account, clock: VirtualClock) -> None:
    sequence = make_sequence(account, {"delay_value": 0})
    make_enrollment(sequence, make_subscriber(account), clock.now())
    [batch] = alice.get("/forecast/2026-11-23").context["batches"]
    assert batch.at == "now"


def test_whom_automations_bring_is_counted_and_not_named(alice: Client, account: Account, engine: Engine) -> None:
    sequence = make_sequence(account, {"subject": "Hello", "delay_value": 0})
    one = automation(account, wait("w", "go"), walked("go", sequence))
    for _ in range(2):
        stands(one, make_subscriber(account), "w", ends_at=engine.clock.now() + timedelta(days=1))
    assert numbers(alice.get("/forecast")) == {"2026-11-24": 2}
    day = alice.get("/forecast/2026-11-24")
    [batch] = day.context["batches"]
    assert (batch.n, batch.n_coming, batch.more, batch.people) == (2, 2, 0, [])
    assert "2 whom an automation brings there" in text_of(day)
    everybody = text_of(alice.get(batch.everybody_url))
    assert "2 of them are not in the sequence yet" in everybody and "Nobody gets it on that day" not in everybody
