"""Automations on pages: the list, one as a picture and as sentences, its log, and who stands where."""

import re
from datetime import timedelta
from typing import Any
from xml.dom import minidom

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.automations import reasons, verbs
from dripstone.automations.models import Automation, Node
from dripstone.engine import enroll
from dripstone.subscribers.models import Subscriber
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_sequence, make_subscriber
from tests.web.reading import text_of
from tests.web.walks import make_automation, make_step, make_walk, make_way, passed, switch_on

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def at_nine(clock: VirtualClock) -> None:
    """MONDAY_9."""


@pytest.fixture
def automation(account: Account) -> Automation:
    made = make_automation(account)
    switch_on(made)
    return made


@pytest.fixture
def noor(account: Account) -> Subscriber:
    return make_subscriber(account, first_name="Noor", email_address="noor@example.org")


def picture(answer: Any) -> str:
    [svg] = re.findall(r"<svg[^>]*data-top.*?</svg>", answer.content.decode(), re.DOTALL)
    minidom.parseString(svg)  # it is well formed
    return " ".join(svg.split())


def box(answer: Any, title: str) -> str:
    """The part of the picture that is about one step."""
    return next(part for part in picture(answer).split('<g class="box ')[1:] if f">{title}<" in part)


# --- The list -----------------------------------------------------------------------------------------------------


def test_the_list_says_what_each_is_and_how_many_are_inside(alice: Client, account: Account) -> None:
    assert "No automation yet" in text_of(alice.get("/automations"))
    one = make_automation(account)
    switch_on(one)
    Automation.objects.filter(pk=one.pk).update(n_left=112)
    make_automation(account, name="Win back")
    for node in ("", "pause", "pause"):
        make_walk(one, make_subscriber(account), node)
    page = text_of(alice.get("/automations"))
    assert "After the course Active" in page and "Win back Off" in page
    assert "When somebody gets the tag “course 0”: 5 steps 3 112 never" in page


def test_the_list_says_who_did_not_enter_this_week_and_why(
    alice: Client, account: Account, automation: Automation, noor: Subscriber
) -> None:
    for reason in (reasons.INSIDE_ALREADY, reasons.INSIDE_ALREADY, reasons.NEVER_AGAIN):
        make_step(automation, noor, "not_entered", reason=reason)
    make_step(automation, noor, "not_entered", reason=reasons.TOO_DEEP, at=MONDAY_9 - timedelta(days=8))
    page = text_of(alice.get("/automations"))
    assert "3 times because they were inside already (2), they have been through it before" in page
    assert "ten rules" not in page


def test_the_list_is_searched_and_filtered(alice: Client, account: Account, automation: Automation) -> None:
    make_automation(account, name="Win back")
    assert "Win back" in text_of(alice.get("/automations", {"q": "win"}))
    assert "After the course" not in text_of(alice.get("/automations", {"q": "win"}))
    assert "After the course" in text_of(alice.get("/automations", {"status": "active"}))
    assert "Win back" not in text_of(alice.get("/automations", {"status": "active"}))
    assert "No automation is like that" in text_of(alice.get("/automations", {"status": "paused"}))


def test_it_is_found_by_its_name(alice: Client, automation: Automation, mallory: Client) -> None:
    link = f'href="/automations/{automation.pk}"'
    assert link in alice.get("/search", {"q": "after the"}).content.decode()
    assert link not in mallory.get("/search", {"q": "after the"}).content.decode()


# --- One ----------------------------------------------------------------------------------------------------------


def test_its_head_tells_of_those_who_did_not_enter_only_if_there_are_any(
    alice: Client, automation: Automation, noor: Subscriber
) -> None:
    assert "did not enter" not in text_of(alice.get(f"/automations/{automation.pk}"))
    make_step(automation, noor, "not_entered", reason=reasons.INSIDE_ALREADY)
    assert "1 time this week somebody did not enter, why?" in text_of(alice.get(f"/automations/{automation.pk}"))


def test_picture_and_sentences_say_the_same(alice: Client, account: Account, automation: Automation) -> None:
    answer = alice.get(f"/automations/{automation.pk}")
    said = text_of(answer)
    assert "When somebody gets the tag “course 0” ." in said
    assert "1 . Put them into the sequence “Write better emails” , and wait until they have completed it." in said
    assert "Yes 3 . Add the tag “reader" in said and "Not within 2 days 4 . Wait 3 days." in said
    assert "5 . Wait until the person buys something, unless that is so already. To mend Then they leave." in said
    assert picture(answer).count('<g class="box ') == 6
    for title in ("Gets tag “course 0”", "Write better emails", "Wait 3 days", "Buys something"):
        assert box(answer, title)
    assert ">Not within 2 days<" in picture(answer) or ">not within 2 days<" in picture(answer)
    assert picture(answer).count('<g class="out">') == 1


def test_what_a_sentence_names_leads_there(alice: Client, automation: Automation) -> None:
    sequence_id = automation.nodes.get(key="welcome").settings["sequence_id"]
    page = alice.get(f"/automations/{automation.pk}").content.decode()
    assert f'<a href="/sequences/{sequence_id}">“Write better emails”</a>' in page


def test_counts_stand_on_the_boxes_and_lead_to_the_people(
    alice: Client, account: Account, automation: Automation
) -> None:
    for node in ("", "pause", "pause"):
        make_walk(automation, make_subscriber(account), node)
    make_walk(automation, make_subscriber(account), "sold", left_at=MONDAY_9, left_because=reasons.END)
    answer = alice.get(f"/automations/{automation.pk}")
    assert f"/automations/{automation.pk}/people?node=pause" in box(answer, "Wait 3 days")
    assert "2 people stand here" in box(answer, "Wait 3 days")
    assert f"/automations/{automation.pk}/people?node=." in box(answer, "Gets tag “course 0”")
    assert "stand here" not in box(answer, "Buys something")
    assert "3 people inside" in text_of(answer)


def test_a_deleted_step_is_shown_while_somebody_stands_there(
    alice: Client, account: Account, automation: Automation
) -> None:
    Node.objects.filter(automation=automation, key="pause").update(deleted_at=MONDAY_9, leads_to="sold")
    Node.objects.filter(automation=automation, key="bought").update(exits={"yes": "thanks", "no": "sold"})
    assert "Wait 3 days" not in picture(alice.get(f"/automations/{automation.pk}"))
    make_walk(automation, make_subscriber(account), "pause")
    answer = alice.get(f"/automations/{automation.pk}")
    assert "is-gone" in box(answer, "Wait 3 days").split('"')[0]
    assert "Taken out, but people still stand here" in text_of(answer)


def test_its_state_is_said_in_words(alice: Client, automation: Automation) -> None:
    def said(status: str) -> str:
        Automation.objects.filter(pk=automation.pk).update(status=status)
        return text_of(alice.get(f"/automations/{automation.pk}"))

    assert "After the course Active" in said("active")
    assert "People enter and wait at the entry" in said("paused")
    assert "Nobody enters and nobody walks." in said("inactive")


def test_findings_stand_beside_and_at_their_step(alice: Client, account: Account) -> None:
    lost = {"id": "lost", "kind": "tag", "tag_id": 0, "next": None}
    one = make_automation(account)
    Node.objects.filter(automation=one, key="thanks").update(settings={"tag_id": lost["tag_id"]})
    answer = alice.get(f"/automations/{one.pk}")
    assert "Step 3," in text_of(answer)
    assert 'class="finding error"' in picture(answer) or 'class="finding warning"' in picture(answer)


def test_a_name_is_never_markup(alice: Client, account: Account) -> None:
    one = make_automation(account, name="<b>Course</b>")
    sequence_id = one.nodes.get(key="welcome").settings["sequence_id"]
    account.sequences.filter(pk=sequence_id).update(name="<script>alert(1)</script>")
    page = alice.get(f"/automations/{one.pk}").content.decode()
    assert "<script>alert" not in page and "<b>Course" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_an_automation_without_steps_is_a_picture_too(alice: Client, account: Account) -> None:
    one = verbs.create(account, {"name": "Empty", "entries": [], "start": None, "nodes": []}, MONDAY_9)
    answer = alice.get(f"/automations/{one.pk}")
    assert box(answer, "Nobody enters by itself")
    assert "Then they leave." in text_of(answer)


def test_it_is_copied(alice: Client, automation: Automation, mallory: Client) -> None:
    answer = alice.post(f"/automations/{automation.pk}/copy", follow=True)
    assert "This is the copy. It is off, and nobody is inside." in text_of(answer)
    assert Automation.objects.count() == 2
    assert mallory.post(f"/automations/{automation.pk}/copy").status_code == 404


def test_looking_at_it_takes_the_same_queries_however_many_steps(
    alice: Client, account: Account, automation: Automation, django_assert_max_num_queries: Any
) -> None:
    for node in ("", "welcome", "pause"):
        make_walk(automation, make_subscriber(account), node)
    with django_assert_max_num_queries(40):
        alice.get(f"/automations/{automation.pk}")


# --- The log ------------------------------------------------------------------------------------------------------


def test_the_log_says_what_happened_and_the_way(
    alice: Client, automation: Automation, noor: Subscriber, account: Account
) -> None:
    make_way(automation, noor)
    make_step(automation, noor, "not_entered", reason=reasons.INSIDE_ALREADY)
    page = text_of(alice.get(f"/automations/{automation.pk}/log"))
    assert "Noor noor@example.org Did not enter, because they were inside already" in page
    assert "Went on, because they completed the sequence" in page
    assert "Wait 3 days: waits here" in page


def test_the_log_is_asked_by_what_step_and_person(
    alice: Client, account: Account, automation: Automation, noor: Subscriber
) -> None:
    ben = make_subscriber(account, first_name="Ben", email_address="ben@example.org")
    make_way(automation, noor)
    make_step(automation, ben, "not_entered", reason=reasons.NEVER_AGAIN)
    make_step(automation, ben, "entered", "", run=1)
    log = f"/automations/{automation.pk}/log"

    def rows(**asked: str) -> list[str]:
        return re.findall(r"<th scope=\"row\".*?>(\w+)</a>", alice.get(log, asked).content.decode())

    assert rows() == ["Ben", "Ben", "Noor", "Noor"]
    assert rows(what="not_entered") == ["Ben"]
    assert rows(what="walked") == ["Noor"]
    assert rows(person="ben@example.org") == ["Ben", "Ben"]
    assert rows(node="pause") == ["Noor"], "where they came to"
    assert rows(node="bought") == ["Noor"], "which they passed"
    assert rows(node=".") == ["Ben"], "at the entry"
    assert rows(what="nonsense", node="gone") == []
    assert "Nobody on the list has this address" in text_of(alice.get(log, {"person": "who@example.org"}))
    assert "Where ben@example.org stands, and why" in text_of(alice.get(log, {"person": "ben@example.org"}))


def test_the_log_is_paged(alice: Client, automation: Automation, noor: Subscriber) -> None:
    for _ in range(51):
        make_step(automation, noor, "not_entered", reason=reasons.INSIDE_ALREADY)
    answer = alice.get(f"/automations/{automation.pk}/log", {"what": "not_entered"})
    older = re.search(r'rel="next" href="([^"]+)"', answer.content.decode())
    assert older is not None
    query = older[1].replace("&amp;", "&")
    assert len(alice.get(f"/automations/{automation.pk}/log{query}").context["lines"]) == 1


def test_what_is_gone_since_is_said(alice: Client, automation: Automation, noor: Subscriber) -> None:
    make_step(automation, noor, "walked", "", path=[passed("vanished")])
    Subscriber.objects.filter(pk=noor.pk).delete()
    page = text_of(alice.get(f"/automations/{automation.pk}/log"))
    assert "deleted since" in page and "vanished" in page


# --- Who stands where ---------------------------------------------------------------------------------------------


def test_people_are_listed_by_where_they_stand(
    alice: Client, account: Account, automation: Automation, noor: Subscriber
) -> None:
    make_walk(automation, noor, "pause", ends_at=MONDAY_9 + 24 * HOUR)
    make_walk(automation, make_subscriber(account, first_name="Ben", state="inactive"), "")
    people = f"/automations/{automation.pk}/people"
    everybody = text_of(alice.get(people))
    assert "Everybody 2 The entry 1 Wait 3 days 1" in everybody
    assert "unconfirmed: walks once they confirm" in everybody
    waiting = text_of(alice.get(people, {"node": "pause"}))
    assert "Noor" in waiting and "Ben" not in waiting and "Tomorrow, 04:00" in waiting
    assert "Ben" in text_of(alice.get(people, {"node": "."}))
    assert "Nobody stands here" in text_of(alice.get(people, {"node": "gone"}))


def test_while_it_does_not_run_nobody_has_a_date(alice: Client, automation: Automation, noor: Subscriber) -> None:
    make_walk(automation, noor, "pause", ends_at=MONDAY_9 + HOUR)
    Automation.objects.filter(pk=automation.pk).update(status="paused")
    assert "waits until it runs again" in text_of(alice.get(f"/automations/{automation.pk}/people"))


def test_an_address_leads_to_the_person_on_the_picture(alice: Client, automation: Automation, noor: Subscriber) -> None:
    people = f"/automations/{automation.pk}/people"
    answer = alice.get(people, {"person": "NOOR@example.org"})
    assert answer["Location"] == f"{people}/{noor.pk}"
    assert "Nobody on the list has the address who@example.org" in text_of(
        alice.get(people, {"person": "who@example.org"})
    )


# --- One person ---------------------------------------------------------------------------------------------------


def test_a_person_is_shown_on_the_picture(alice: Client, automation: Automation, noor: Subscriber) -> None:
    make_way(automation, noor, at=MONDAY_9 - HOUR)
    answer = alice.get(f"/automations/{automation.pk}/people/{noor.pk}")
    looks = {
        title: box(answer, title).split('"')[0] for title in ("Wait 3 days", "Write better emails", "Buys something")
    }
    assert "is-here" in looks["Wait 3 days"] and "is-passed" in looks["Write better emails"]
    assert looks["Buys something"] == "event"
    assert "since today, 03:00" in box(answer, "Wait 3 days")
    assert "4 . Wait 3 days. Here now since today, 03:00" in text_of(answer)


def test_of_somebody_who_has_left_the_way_is_shown(alice: Client, automation: Automation, noor: Subscriber) -> None:
    walk = make_way(automation, noor)
    walk.left_at, walk.left_because = MONDAY_9, reasons.BY_HAND
    walk.save()
    answer = alice.get(f"/automations/{automation.pk}/people/{noor.pk}")
    assert "Has left" in text_of(answer) and "is-here" not in picture(answer)
    assert "is-passed" in box(answer, "Wait 3 days").split('"')[0]


def test_of_somebody_outside_it_says_why(alice: Client, automation: Automation, noor: Subscriber) -> None:
    answer = alice.get(f"/automations/{automation.pk}/people/{noor.pk}")
    assert "Was never inside" in text_of(answer) and "Why not inside?" in text_of(answer)


def test_a_persons_page_has_their_automations(alice: Client, automation: Automation, noor: Subscriber) -> None:
    make_way(automation, noor)
    assert f'hx-get="/people/{noor.pk}/automations"' in alice.get(f"/people/{noor.pk}").content.decode()
    part = alice.get(f"/people/{noor.pk}/automations", headers={"HX-Target": "automations-of-person"})
    assert "After the course Inside" in text_of(part) and "<html" not in part.content.decode()
    whole = text_of(alice.get(f"/people/{noor.pk}/automations"))
    assert "Went on, because they completed the sequence" in whole


def test_nobody_elses_automation_is_there(
    mallory: Client, automation: Automation, noor: Subscriber, alice: Client
) -> None:
    for path in ("", "/log", "/people", "/people/new", f"/people/{noor.pk}"):
        assert mallory.get(f"/automations/{automation.pk}{path}").status_code == 404
    stranger = make_subscriber(Account.objects.get(name="Mallory"))
    assert alice.get(f"/automations/{automation.pk}/people/{stranger.pk}").status_code == 404


def test_a_door_leads_to_its_automation(alice: Client, account: Account, automation: Automation) -> None:
    sequence = make_sequence(account, {"delay_value": 0})
    gone = (f"automation {automation.pk + 99}",)
    for cause in ((f"automation {automation.pk}",), gone):
        enroll.add(sequence, [make_subscriber(account).pk], "automation", MONDAY_9, cause=cause)
    for path in (f"/sequences/{sequence.pk}", f"/sequences/{sequence.pk}/report"):
        page = alice.get(path).content.decode()
        assert re.search(rf'<a href="/automations/{automation.pk}">[Bb]y the automation “After the course”</a>', page)
        assert f"/automations/{automation.pk + 99}" not in page
