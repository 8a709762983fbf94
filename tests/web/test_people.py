"""The list of people: whom it shows, in what order, with what beside them."""

import json
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account, Membership
from dripstone.engine import transitions
from dripstone.engine.models import Delivery, Enrollment
from dripstone.events import causes
from dripstone.subscribers import forms, subscribe, tags
from dripstone.subscribers.models import Subscriber
from dripstone.web.pages import people as pages
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.web.making import make_delivery
from tests.web.reading import hidden_members, text_of


def shown(client: Client, query: str = "") -> str:
    response = client.get(f"/people{query}")
    assert response.status_code == 200
    return text_of(response)


def names(client: Client, query: str = "") -> list[str | None]:
    return [row.person.first_name for row in client.get(f"/people{query}").context["rows"]]


def filtered(condition: Any) -> str:
    return f"?filter={quote(json.dumps(condition))}"


def told(client: Client, person: Subscriber) -> str:
    """What comes next for them."""
    for row in client.get("/people").context["rows"]:
        if row.person == person:
            coming = row.cells[0].coming
            text = " ".join(coming.text.split())
            return f"{coming.sequence.name} · {text}" if coming.sequence else text
    raise AssertionError(person)


def people(account: Account, *first_names: str, **values: Any) -> list[Subscriber]:
    return [make_subscriber(account, first_name=name, **values) for name in first_names]


# --- Whom it shows ------------------------------------------------------------------------------------------------


def test_the_newest_come_first_by_name_with_their_address_below(alice: Client, account: Account) -> None:
    make_subscriber(account, first_name="Ann", email_address="ann@example.org")
    make_subscriber(account, first_name="", email_address="bob@example.org")
    page = shown(alice)
    assert page.index("bob@example.org") < page.index("Ann") < page.index("ann@example.org")


def test_nobody_else_sees_them(account: Account, mallory: Client) -> None:
    people(account, "Ann")
    assert "Ann" not in shown(mallory)


def test_fifty_stand_on_a_page_and_every_page_is_reached(alice: Client, account: Account) -> None:
    people(account, *(f"N{number:03}" for number in range(120)))
    first = alice.get("/people").context["page"]
    second = alice.get(f"/people{first.older}").context["page"]
    third = alice.get(f"/people{second.older}").context["page"]
    found = [person.first_name for page in (first, second, third) for person in page.rows]
    assert found == [f"N{number:03}" for number in reversed(range(120))]
    assert third.older == ""
    assert alice.get(f"/people{third.newer}").context["page"].rows == second.rows


def test_a_page_of_a_filter_leads_to_its_next(alice: Client, account: Account) -> None:
    people(account, *(f"N{number}" for number in range(60)))
    condition = {"type": "subscriber_state", "states": ["active"]}
    older = alice.get(f"/people{filtered(condition)}").context["page"].older
    assert len(alice.get(f"/people{older}").context["page"].rows) == 10


def test_each_state_has_its_view_with_its_count(alice: Client, account: Account) -> None:
    people(account, "Ann", "Bea")
    people(account, "Bo", state="inactive")
    people(account, "Ruth", state="bounced")
    choices = {choice.label: choice.n for choice in alice.get("/people").context["choices"]}
    assert choices == {
        "Everybody": 4, "Active": 2, "Unconfirmed": 1, "Unsubscribed": 0, "Refused at delivery": 1, "Complained": 0
    }  # fmt: skip
    assert names(alice, "?state=bounced") == ["Ruth"]
    assert "Refused at delivery" in shown(alice, "?state=bounced")


def test_counts_of_everybody_do_not_stand_beside_a_filter(alice: Client, account: Account) -> None:
    people(account, "Ann")
    choices = alice.get("/people?q=ann").context["choices"]
    assert {choice.n for choice in choices} == {None}


def test_people_are_found_by_the_beginning_of_their_address(alice: Client, account: Account) -> None:
    make_subscriber(account, first_name="Ann", email_address="ann@example.org")
    make_subscriber(account, first_name="Joe", email_address="joe@example.org")
    assert names(alice, "?q=AN") == ["Ann"]
    assert "Nobody is found by “nn@”" in shown(alice, "?q=nn@")
    assert names(alice, "?q=%00") == ["Joe", "Ann"]


def test_a_filter_a_state_and_a_search_hold_together(alice: Client, account: Account) -> None:
    [ann, bea] = people(account, "Ann", "Bea")
    [ada] = people(account, "Ada", state="inactive")
    tag = make_tag(account, ann, ada)
    query = filtered({"type": "tags", "ids": [tag.pk]})
    assert names(alice, query) == ["Ada", "Ann"]
    assert names(alice, f"{query}&state=active") == ["Ann"]
    assert names(alice, f"{query}&q={ada.email_address}") == ["Ada"]
    assert names(alice, f"{query}&q={bea.email_address}") == []


def test_who_was_found_is_counted_apart_and_exactly(alice: Client, account: Account) -> None:
    [ann, _, _] = people(account, "Ann", "Bea", "Cy")
    query = filtered({"type": "tags", "ids": [make_tag(account, ann).pk]})
    page = alice.get(f"/people{query}")
    assert f'hx-get="/people/count{page.context["query"]}"'.replace("&", "&amp;") in page.content.decode()
    assert "1 of 3 people" in text_of(alice.get(f"/people/count{query}"))
    part = alice.get(f"/people/count{query}", headers={"HX-Target": "count"})
    assert text_of(part) == "1 of 3"


@pytest.mark.django_db(transaction=True)
def test_what_takes_longer_than_a_page_comes_after_it(
    alice: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else holds the table, so that nobody is found within the page's time."""
    people(account, "Ann")
    monkeypatch.setattr(pages, "LARGE", 0)
    query = filtered({"type": "email_address", "comparison": "contains", "value": "@"})
    other = connection.copy()
    with closing(other), other.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE subscribers_subscriber IN ACCESS EXCLUSIVE MODE")
        page = alice.get(f"/people{query}")
    assert "Looking through 1 people" in text_of(page)
    assert "Ann" in text_of(alice.get(page.context["long"]))
    assert "Ann" in text_of(alice.get(f"/people{query}", headers={"HX-Target": "people"}))


def test_empty_pages_say_what_will_be_here(alice: Client, viewer: Client, account: Account) -> None:
    assert "Nobody here yet" in shown(alice)
    assert "Add a person" in shown(alice)
    assert "Add a person" not in shown(viewer)
    people(account, "Ann")
    assert "Nobody is meant by this" in shown(alice, "?state=bounced")


# --- What comes next ----------------------------------------------------------------------------------------------


def test_the_next_email_is_told_with_its_date(alice: Client, account: Account, clock: VirtualClock) -> None:
    course = make_sequence(account, {"delay_value": 0}, {"delay_value": 1}, name="Write better emails")
    [ann] = people(account, "Ann")
    place = make_enrollment(course, ann)
    first, second = course.emails.order_by("position")
    Enrollment.objects.filter(pk=place.pk).update(next_email=second, due_at=MONDAY_9 + timedelta(hours=7))
    assert told(alice, ann) == "Write better emails · email 2 today, 11:00"
    Enrollment.objects.filter(pk=place.pk).update(next_email=first, due_at=MONDAY_9)
    assert told(alice, ann) == "Write better emails · email 1 right away"


def test_of_several_sequences_the_next_date_is_told(alice: Client, account: Account, clock: VirtualClock) -> None:
    [ann] = people(account, "Ann")
    for name, days in (("Slow", 5), ("Quick", 1)):
        make_enrollment(make_sequence(account, {"delay_value": days}, name=name), ann)
    [row] = alice.get("/people").context["rows"]
    assert row.cells[0].coming.sequence.name == "Quick"
    assert row.cells[0].coming.n_others == 1
    assert "and in 1 other sequence" in shown(alice)


def test_who_has_no_date_is_told_why(alice: Client, account: Account, clock: VirtualClock, now: datetime) -> None:
    course = make_sequence(account, {"delay_value": 1}, {"delay_value": 1}, name="Caves")
    [ann] = people(account, "Ann")
    assert told(alice, ann) == "is in no sequence"
    place = make_enrollment(course, ann)
    course.emails.filter(position=0).update(held_at=now, held_by="alice")
    Enrollment.objects.filter(pk=place.pk).update(due_at=None, held_due_at=now)
    assert told(alice, ann) == "Caves · email 1 is on hold, so they wait"
    course.emails.update(published=False, held_at=None)
    assert told(alice, ann) == "Caves · email 1 is a draft, so they wait"
    Enrollment.objects.filter(pk=place.pk).update(in_flight=True, held_due_at=None)
    assert told(alice, ann) == "Caves · email 1 is on its way"
    Enrollment.objects.filter(pk=place.pk).update(in_flight=False, paused_at=now)
    assert told(alice, ann) == "Caves · email 1 waits: paused for this person"
    Enrollment.objects.filter(pk=place.pk).update(paused_at=None, held_due_at=None)
    course.active = False
    course.save()
    assert told(alice, ann) == "Caves · email 1 waits: the sequence is paused"


def test_who_is_through_is_told_since_when(alice: Client, account: Account, clock: VirtualClock, now: datetime) -> None:
    course = make_sequence(account, {"delay_value": 1}, name="Caves", hold=True)
    [ann] = people(account, "Ann")
    place = make_enrollment(course, ann)
    Enrollment.objects.filter(pk=place.pk).update(next_email=None, due_at=None)
    assert told(alice, ann) == "Caves · waits at the end"
    course.emails.update(published=False)
    assert told(alice, ann) == "Caves · waits until something is published"
    Enrollment.objects.filter(pk=place.pk).update(status="completed", completed_at=now - timedelta(days=7))
    assert told(alice, ann) == "Caves · completed Mon 16 Nov"
    transitions.remove([place.pk], "removed_by_owner", now)
    assert told(alice, ann) == "Caves · left today"


def test_who_gets_no_mail_is_told_why_and_since_when(alice: Client, account: Account, clock: VirtualClock) -> None:
    friday = MONDAY_9 - timedelta(days=3)
    [bo] = people(account, "Bo", state="inactive", created_at=friday)
    assert told(alice, bo) == "waits for confirmation since Friday"
    course = make_sequence(account, {"delay_value": 1}, {"delay_value": 1}, name="Caves")
    for leave, said in (
        (transitions.cancel, "Caves · unsubscribed after email 1, yesterday"),
        (transitions.bounce, "Caves · refused at delivery after email 1, yesterday"),
        (transitions.complain, "Caves · reported an email as spam after email 1, yesterday"),
    ):
        [person] = people(account, "Ann")
        sent: Delivery = make_delivery(make_enrollment(course, person))
        leave(person.pk, MONDAY_9 - timedelta(days=1), delivery_id=sent.pk, cause=causes.SUBSCRIBER)
        assert told(alice, person) == said
    [gone] = people(account, "Zoe")
    transitions.cancel(gone.pk, MONDAY_9, cause=causes.OWNER)
    assert told(alice, gone) == "unsubscribed, today"


def test_a_page_of_many_takes_as_many_queries_as_one_of_few(alice: Client, account: Account, now: datetime) -> None:
    courses = [make_sequence(account, {"delay_value": 1}, name=f"Course {number}") for number in range(3)]

    def n_queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            alice.get("/people")
        return len(captured)

    def more(n: int) -> None:
        for number in range(n):
            [person] = people(account, f"N{number}")
            make_tag(account, person)
            for course in courses:
                make_enrollment(course, person)
            left = make_subscriber(account)
            transitions.bounce(left.pk, now)

    more(1)
    few = n_queries()
    more(12)
    assert n_queries() == few


# --- Columns ------------------------------------------------------------------------------------------------------


def test_tags_stand_in_the_order_they_came_and_not_all(alice: Client, account: Account, now: datetime) -> None:
    [ann] = people(account, "Ann")
    for number in range(7):
        tag, _ = tags.create(account.pk, {"name": f"tag {number}"}, now, cause=causes.OWNER)
        tags.add(tag, ann, now, cause=causes.OWNER)
    assert "tag 0, tag 1, tag 2, tag 3, tag 4 and more" in shown(alice)


def test_where_people_came_from_is_their_first_form_or_what_made_them(
    alice: Client, account: Account, clock: VirtualClock, now: datetime
) -> None:
    for cause, said in ((causes.API, "API"), (causes.OWNER, "added by hand"), (("import 4",), "an import")):
        address = f"{said.split()[0].lower()}@example.org"
        person = subscribe.upsert(account.pk, {"email_address": address}, now, cause=cause).subscriber
        assert f"today {said}" in shown(alice, f"?q={address}")
    form = forms.create(account.pk, {"name": "Newsletter"}, now)
    forms.add(form, person, {}, now, cause=causes.API)
    assert "today form Newsletter" in shown(alice, "?q=an@")


def test_a_member_chooses_the_columns_for_themselves(
    alice: Client, viewer: Client, account: Account, now: datetime
) -> None:
    city = account.custom_fields.create(label="City", key="city", name="ck", created_at=now)
    people(account, "Ann", fields={str(city.pk): "Łódź"})
    assert "Łódź" not in shown(viewer)
    answer = viewer.post("/people/columns", {"columns": [f"field:{city.pk}", "nonsense"], "query": "?state=active"})
    assert answer["Location"] == "/people?state=active"
    page = viewer.get("/people")
    assert [column.label for column in page.context["columns"]] == ["City"]
    assert "Łódź" in text_of(page)
    assert "Łódź" not in shown(alice)
    city.delete()
    assert viewer.get("/people").context["columns"] == []


def test_columns_lead_back_into_this_site_only(alice: Client, account: Account) -> None:
    for query in ("//evil.example", "https://evil.example", "@evil.example"):
        assert alice.post("/people/columns", {"query": query})["Location"] == "/people"
    assert Membership.objects.get(user__email="alice@example.com").people_columns == []


def test_fields_of_another_account_are_no_columns(alice: Client, account: Account, mallory: Client) -> None:
    city = account.custom_fields.create(label="City", key="city", name="ck", created_at=MONDAY_9)
    mallory.post("/people/columns", {"columns": [f"field:{city.pk}"]})
    assert mallory.get("/people").context["columns"] == []


# --- Segments -----------------------------------------------------------------------------------------------------


def test_a_segment_is_a_place_to_begin(alice: Client, account: Account, mallory: Client) -> None:
    [ann, _] = people(account, "Ann", "Bea")
    tag = make_tag(account, ann, name="Course")
    condition = {"type": "tags", "ids": [tag.pk]}
    segment = account.segments.create(name="Readers", filter=condition, created_at=MONDAY_9)
    page = alice.get(f"/people?segment={segment.pk}")
    assert [row.person for row in page.context["rows"]] == [ann]
    assert "People who have the tag “Course”" in text_of(page)
    assert 'value="Change"' not in page.content.decode()
    assert mallory.get(f"/people?segment={segment.pk}").status_code == 404
    everybody = filtered({"all": []})
    assert len(names(alice, f"{everybody}&segment={segment.pk}")) == 2


def test_a_segment_as_it_was_kept_before_conditions_is_read(alice: Client, account: Account) -> None:
    [ann, _] = people(account, "Ann", "Bea")
    tag = make_tag(account, ann, name="Course")
    old = {"match": "all", "conditions": [{"type": "tag", "operator": "in", "ids": [tag.pk]}]}
    segment = account.segments.create(name="Readers", filter=old, created_at=MONDAY_9)
    page = alice.get(f"/people?segment={segment.pk}")
    assert [row.person for row in page.context["rows"]] == [ann]
    assert not page.context["editor"].is_changed


def test_a_filter_is_kept_under_a_name(alice: Client, account: Account) -> None:
    [ann, _] = people(account, "Ann", "Bea")
    condition = {"type": "tags", "ids": [make_tag(account, ann, name="Course").pk]}
    page = alice.get(f"/people{filtered(condition)}")
    assert "Save as a segment" in text_of(page)
    naming = alice.get(f"/people/segment{filtered(condition)}")
    assert "People who have the tag “Course”" in text_of(naming)
    kept = {"name": "Readers", "filter": hidden_members(naming)["filter"][-1]}
    saved = alice.post("/people/segment", kept, follow=True)
    assert "“Readers” is a segment from now on" in text_of(saved)
    assert [row.person for row in saved.context["rows"]] == [ann]
    assert account.segments.get().filter == condition


def test_a_name_that_is_missing_is_asked_for_and_the_filter_stays(alice: Client, account: Account) -> None:
    condition = {"type": "subscriber_state", "states": ["active"]}
    refused = alice.post("/people/segment", {"name": " ", "filter": json.dumps(condition)})
    assert refused.status_code == 422
    assert "can't be blank" in text_of(refused)
    assert "People who are active" in text_of(refused)
    assert json.loads(hidden_members(refused)["filter"][-1]) == condition
    assert not account.segments.exists()


def test_everybody_may_be_a_segment_and_viewers_keep_none(alice: Client, viewer: Client, account: Account) -> None:
    assert viewer.post("/people/segment", {"name": "All", "filter": ""}).status_code == 403
    alice.post("/people/segment", {"name": "All", "filter": ""})
    assert account.segments.get().filter == {"all": []}


def test_a_segment_names_only_what_is_there(alice: Client, account: Account, mallory: Client) -> None:
    tag = make_tag(account)
    kept = {"name": "Theirs", "filter": json.dumps({"type": "tags", "ids": [tag.pk]})}
    assert mallory.post("/people/segment", kept).status_code == 422


def test_people_are_found_by_the_words_of_their_name(alice: Client, account: Account) -> None:
    people(account, "Zoë Laurent", "Łukasz", "Ann")
    assert names(alice, "?q=laur") == ["Zoë Laurent"]
    assert names(alice, "?q=zoe") == ["Zoë Laurent"]
    assert names(alice, "?q=lukasz") == ["Łukasz"]
