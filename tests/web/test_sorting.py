"""Pages of tags, custom fields and segments: made, renamed, where each is used, and what its deletion stops."""

from typing import Any

import pytest
from django.test import Client

from dripstone.accounts.models import Account
from dripstone.content import snippets
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.sequences.models import Sequence
from dripstone.subscribers import fields, forms
from dripstone.subscribers.models import CustomField, Segment, Subscriber, Tag
from dripstone.tallies import verbs as tallies
from tests.automations.drawing import automation, course, tagging, wait
from tests.factories import MONDAY_9, make_email, make_enrollment, make_sequence, make_subscriber, make_tag
from tests.rules.making import tag_added
from tests.web.reading import hidden_members


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


@pytest.fixture
def vip(account: Account, clock: Any) -> Tag:
    people = [make_subscriber(account), make_subscriber(account), make_subscriber(account, state="inactive")]
    return make_tag(account, *people, name="VIP")


def company(account: Account) -> CustomField:
    return fields.create(account.pk, {"label": "Company"}, MONDAY_9, cause=causes.OWNER)[0]


def segment(account: Account, name: str, condition: dict[str, Any]) -> Segment:
    return Segment.objects.create(account=account, name=name, filter=condition, created_at=MONDAY_9)


def excluding(account: Account, kind: str, pk: int) -> Sequence:
    sources = [{"type": kind, "ids": [pk]}]
    sequence = make_sequence(account, {"delay_value": 2}, {}, name="Course", exclude_subscriber_sources=sources)
    make_enrollment(sequence, make_subscriber(account))
    return sequence


# --- Tags ---------------------------------------------------------------------------------------------------------


def test_tags_are_listed_with_their_people_and_found(alice: Client, account: Account, vip: Tag) -> None:
    make_tag(account, name="Podcast")
    excluding(account, "tag", vip.pk)
    page = text(alice.get("/tags"))
    assert "VIP" in page and "Podcast" in page
    assert '<td class="n" data-label="People">3</td>' in page
    assert "1 exclusion" in page
    found = text(alice.get("/tags", {"q": "pod"}))
    assert "Podcast" in found and ">VIP<" not in found
    assert "No tag has “nothing like it” in its name" in text(alice.get("/tags", {"q": "nothing like it"}))


def test_a_tag_is_made_once(alice: Client, account: Account) -> None:
    assert "Nobody has it yet" in text(alice.post("/tags", {"name": "VIP"}, follow=True))
    assert "There is a tag “VIP” already" in text(alice.post("/tags", {"name": "vip"}, follow=True))
    assert account.tags.count() == 1
    assert Event.objects.get(type="tag.created").cause == ["owner"]


@pytest.mark.parametrize(("path", "member"), [("/tags", "name"), ("/fields", "label")])
def test_one_without_a_name_is_refused(alice: Client, path: str, member: str) -> None:
    answer = alice.post(path, {member: " "})
    assert answer.status_code == 422
    assert "can&#x27;t be blank" in text(answer)


def test_a_tag_is_renamed_and_leads_to_its_people(alice: Client, account: Account, vip: Tag) -> None:
    make_tag(account, name="Podcast")
    page = text(alice.get(f"/tags/{vip.pk}"))
    assert "People have it" in page
    assert "filter=%7B%22type%22%3A%22tags%22%2C%22ids%22%3A%5B" in page
    assert "Renamed." in text(alice.post(f"/tags/{vip.pk}", {"name": "Best readers"}, follow=True))
    answer = alice.post(f"/tags/{vip.pk}", {"name": "podcast"})
    assert answer.status_code == 422
    assert "Name has already been taken" in text(answer)
    assert "<h1>Best readers</h1>" in text(answer)


def test_the_people_of_a_field_are_those_who_have_a_value(alice: Client, account: Account) -> None:
    field, _ = fields.create(account.pk, {"label": "City"}, MONDAY_9, cause=causes.OWNER)
    make_subscriber(account, email_address="rome@example.org", fields={str(field.pk): "Rome"})
    make_subscriber(account, email_address="without@example.org", fields={str(field.pk): ""})
    page = text(alice.get(f"/fields/{field.pk}"))
    link = page.split('href="/people?filter=')[1].split('"')[0]
    people = text(alice.get(f"/people?filter={link}"))
    assert "rome@example.org" in people and "without@example.org" not in people


def test_the_people_of_a_tag_are_those_who_have_it(alice: Client, account: Account, vip: Tag) -> None:
    make_subscriber(account, email_address="without@example.org")
    page = text(alice.get(f"/tags/{vip.pk}"))
    link = page.split('href="/people?filter=')[1].split('"')[0]
    people = text(alice.get(f"/people?filter={link}"))
    assert "without@example.org" not in people
    assert all(person.email_address in people for person in Subscriber.objects.filter(taggings__tag=vip))


def test_a_tag_says_where_it_is_used_also_through_segments(alice: Client, account: Account, vip: Tag) -> None:
    inner = segment(account, "Our best", {"type": "tags", "ids": [vip.pk]})
    outer = segment(account, "Our best in Rome", {"all": [{"type": "segments", "ids": [inner.pk]}]})
    sequence = excluding(account, "segment", outer.pk)
    page = text(alice.get(f"/tags/{vip.pk}"))
    assert f'href="/segments/{inner.pk}">Our best</a>' in page
    assert "through the segment “Our best”" in page
    assert f'href="/sequences/{sequence.pk}/settings">Course</a>' in page


def test_a_deletion_says_whose_mail_stops_and_then_deletes(alice: Client, account: Account, vip: Tag) -> None:
    sequence = excluding(account, "tag", vip.pk)
    page = alice.get(f"/tags/{vip.pk}/deletion")
    assert "3 people have it, and stay on the list without it." in text(page)
    assert "person is inside “Course”, and everybody is excluded from it: they pass over all emails" in text(page)
    assert "2 published emails, the next was to go Wed 25 Nov, 09:00" in text(page)
    assert f'href="/sequences/{sequence.pk}/settings">Change it first' in text(page)
    assert Tag.objects.filter(pk=vip.pk).exists()
    assert "is deleted" in text(alice.post(f"/tags/{vip.pk}/deletion", hidden_members(page), follow=True))
    assert not Tag.objects.filter(pk=vip.pk).exists()
    assert Event.objects.get(type="tag.deleted").subject_id == vip.pk
    assert not Event.objects.filter(type="subscriber.tag_removed").exists()
    assert tallies.differences() == []


def test_an_email_whose_filter_names_it_is_told_too(alice: Client, account: Account, vip: Tag) -> None:
    """Only as long as its sequence does not exclude everybody anyway."""
    sequence = make_sequence(account, {"delay_value": 2}, {"subject": "For the best"}, name="Course")
    sequence.emails.filter(position=1).update(filter={"type": "tags", "ids": [vip.pk]})
    make_enrollment(sequence, make_subscriber(account))
    assert "For the best" in text(alice.get(f"/tags/{vip.pk}"))
    assert "1 filter" in text(alice.get("/tags"))
    page = text(alice.get(f"/tags/{vip.pk}/deletion"))
    assert '<b class="many">1</b><div>person inside may come to “For the best”, and nobody gets it any more' in page
    sequence.exclude_subscriber_sources = [{"type": "tag", "ids": [vip.pk]}]
    sequence.save()
    page = text(alice.get(f"/tags/{vip.pk}/deletion"))
    assert "everybody is excluded from it" in page
    assert "may come to" not in page


def test_forms_that_add_a_tag_or_ask_for_a_field_are_named(alice: Client, account: Account, vip: Tag) -> None:
    form = forms.create(account.pk, {"name": "Sign up"}, MONDAY_9)
    field = company(account)
    form.tag_ids, form.field_ids = [vip.pk], [field.pk]
    form.save()
    for path in (f"/tags/{vip.pk}", f"/fields/{field.pk}"):
        assert f'href="/forms/{form.pk}/settings">Sign up</a>' in text(alice.get(path))


@pytest.mark.parametrize("kind", ["tag", "field", "segment"])
def test_a_deletion_is_asked_about_again_when_it_is_used_elsewhere_by_now(
    alice: Client, account: Account, vip: Tag, kind: str
) -> None:
    everybody, city = segment(account, "Everybody", {"all": []}), company(account)
    of_city = {"type": "custom_field", "subscriber_custom_field_id": city.pk, "comparison": "is_set"}
    asked: dict[str, tuple[int, dict[str, Any]]] = {
        "tag": (vip.pk, {"type": "tags", "ids": [vip.pk]}),
        "field": (city.pk, of_city),
        "segment": (everybody.pk, {"type": "segments", "ids": [everybody.pk]}),
    }
    pk, named = asked[kind]
    path = f"/{kind}s/{pk}/deletion"
    members = hidden_members(alice.get(path))
    segment(account, "New", named)
    answer = alice.post(path, members)
    assert answer.status_code == 409
    assert "It is used elsewhere by now, so nothing was deleted yet." in text(answer)
    assert alice.post(path, hidden_members(answer)).status_code == 302


def test_one_that_nothing_uses_is_asked_about_too(alice: Client, account: Account) -> None:
    tag = make_tag(account)
    assert "Nobody has it." in text(alice.get(f"/tags/{tag.pk}/deletion"))
    assert alice.post(f"/tags/{tag.pk}/deletion").status_code == 409
    assert Tag.objects.filter(pk=tag.pk).exists()


# --- Custom fields ------------------------------------------------------------------------------------------------


def printing(account: Account, source: str) -> None:
    make_email(make_sequence(account, name="Letters"), position=0, subject="Your firm", content=source)


def test_a_field_says_which_texts_print_it(alice: Client, account: Account) -> None:
    field = company(account)
    printing(account, "<p>{{ subscriber.company | upcase }}</p>")
    given = {"name": "Greeting", "snippet_type": "inline", "content": "{% if subscriber.company %}x{% endif %}"}
    snippets.create(account.pk, given, MONDAY_9)
    page = text(alice.get(f"/fields/{field.pk}"))
    assert "Your firm" in page and "Greeting" in page
    assert "{{ subscriber.company }}" in page
    assert "1 email, 1 snippet" in text(alice.get("/fields"))


def test_what_makes_up_the_key_is_named_as_unknown(alice: Client, account: Account) -> None:
    field = company(account)
    printing(account, "{% assign plan = 'company' %}{{ subscriber[plan] }}")
    page = text(alice.get(f"/fields/{field.pk}"))
    assert "These print a field whose name they make up for each reader, so this one, perhaps:" in page
    assert "Your firm" in page


def test_a_field_that_is_printed_is_renamed_only_after_a_warning(alice: Client, account: Account) -> None:
    field = company(account)
    printing(account, "{{ subscriber.company }}")
    page = alice.post(f"/fields/{field.pk}", {"label": "Firm"})
    assert 'Texts that have <code class="tag">{{ subscriber.company }}</code> print nothing there' in text(page)
    assert "{{ subscriber.firm }}" in text(page)
    field.refresh_from_db()
    assert field.key == "company"
    assert "Renamed." in text(alice.post(f"/fields/{field.pk}", hidden_members(page), follow=True))
    field.refresh_from_db()
    assert (field.label, field.key) == ("Firm", "firm")


def test_a_label_of_the_same_key_needs_no_warning(alice: Client, account: Account) -> None:
    field = company(account)
    printing(account, "{{ subscriber.company }}")
    assert "Renamed." in text(alice.post(f"/fields/{field.pk}", {"label": "company!"}, follow=True))


def test_a_field_nothing_prints_is_renamed_at_once(alice: Client, account: Account) -> None:
    field = company(account)
    assert "Renamed." in text(alice.post(f"/fields/{field.pk}", {"label": "Firm"}, follow=True))


def test_a_field_is_deleted_with_everybodys_value(alice: Client, account: Account) -> None:
    field = company(account)
    person = make_subscriber(account, fields={str(field.pk): "Acme"})
    printing(account, "{{ subscriber.company }}")
    page = alice.get(f"/fields/{field.pk}/deletion")
    assert "Everybody&#x27;s value for it goes" in text(page)
    assert "Texts that print it print nothing in its place." in text(page)
    alice.post(f"/fields/{field.pk}/deletion", hidden_members(page))
    person.refresh_from_db()
    assert person.fields == {}


# --- Segments -----------------------------------------------------------------------------------------------------


def test_a_field_is_counted_after_the_page(alice: Client, account: Account) -> None:
    field = company(account)
    make_subscriber(account, fields={str(field.pk): "Acme"})
    make_subscriber(account, fields={str(field.pk): ""})
    counting = f"/fields/{field.pk}/count"
    assert f'hx-get="{counting}"' in text(alice.get("/fields")) and f'hx-get="{counting}"' in text(
        alice.get(f"/fields/{field.pk}")
    )
    assert "1 person has a value for it now." in text(alice.get(counting))
    part = text(alice.get(counting, headers={"HX-Target": "n-people"}))
    assert part.startswith("<span") and "1 person has a value" in part
    assert text(alice.get(counting, headers={"HX-Target": f"count-{field.pk}"})) == "1"
    Subscriber.objects.all().delete()
    assert "nobody" in text(alice.get(counting, headers={"HX-Target": f"count-{field.pk}"}))


def test_segments_are_counted_after_the_list(alice: Client, account: Account, vip: Tag) -> None:
    one = segment(account, "VIPs", {"type": "tags", "ids": [vip.pk]})
    assert f'hx-get="/segments/{one.pk}/count"' in text(alice.get("/segments"))
    assert text(alice.get(f"/segments/{one.pk}/count", headers={"HX-Target": f"count-{one.pk}"})) == "3"
    assert "3 people are in it now." in text(alice.get(f"/segments/{one.pk}/count"))


def test_segments_are_listed_in_words(alice: Client, account: Account, vip: Tag) -> None:
    segment(account, "Our best", {"type": "tags", "ids": [vip.pk]})
    page = text(alice.get("/segments"))
    assert "People who have the tag “VIP”" in page


def test_a_segment_is_written_and_counted(alice: Client, account: Account, vip: Tag) -> None:
    condition = f'{{"type": "tags", "ids": [{vip.pk}]}}'
    assert "People who" in text(alice.get("/segments/new", {"filter": condition}))
    answer = alice.post("/segments/new", {"name": "Our best", "filter": condition}, follow=True)
    assert "The segment “Our best” is saved." in text(answer)
    made = Segment.objects.get()
    assert "3 people are in it now." in text(alice.get(f"/segments/{made.pk}/count"))


def test_a_refused_segment_keeps_what_was_said(alice: Client, account: Account, vip: Tag) -> None:
    answer = alice.post("/segments/new", {"name": " ", "filter": f'{{"type": "tags", "ids": [{vip.pk}]}}'})
    assert answer.status_code == 422
    assert "have the tag “VIP”" in text(answer)
    assert "can&#x27;t be blank" in text(answer)


def test_a_segment_that_is_used_is_changed_only_after_its_effect_was_shown(
    alice: Client, account: Account, vip: Tag
) -> None:
    best = segment(account, "Our best", {"type": "tags", "ids": [vip.pk]})
    excluding(account, "segment", best.pk)
    active = '{"type": "subscriber_state", "states": ["active"]}'
    page = alice.post(f"/segments/{best.pk}", {"name": "Our best", "filter": active})
    assert "Change who is in “Our best”?" in text(page)
    assert '<b class="many">1</b><div>falls out</div>' in text(page)
    assert '<b class="many">1</b><div>comes in</div>' in text(page)
    best.refresh_from_db()
    assert best.filter["type"] == "tags"
    assert "Saved." in text(alice.post(f"/segments/{best.pk}", hidden_members(page), follow=True))
    best.refresh_from_db()
    assert best.filter["type"] == "subscriber_state"


def test_a_new_name_alone_is_saved_at_once(alice: Client, account: Account, vip: Tag) -> None:
    best = segment(account, "Our best", {"type": "tags", "ids": [vip.pk]})
    excluding(account, "segment", best.pk)
    filter = hidden_members(alice.get(f"/segments/{best.pk}"))["filter"][-1]
    assert "Saved." in text(alice.post(f"/segments/{best.pk}", {"name": "Best", "filter": filter}, follow=True))


def test_viewers_see_no_forms(viewer: Client, account: Account, vip: Tag) -> None:
    best = segment(account, "Our best", {"type": "tags", "ids": [vip.pk]})
    for path in ("/tags", f"/tags/{vip.pk}", f"/fields/{company(account).pk}", "/fields", f"/segments/{best.pk}"):
        page = text(viewer.get(path))
        assert "Delete…" not in page and "Rename" not in page and "Make the" not in page and ">Save<" not in page


# --- In automations -----------------------------------------------------------------------------------------------


def test_automations_that_name_it_are_told_on_its_page_and_before_it_goes(
    alice: Client, account: Account, vip: Tag
) -> None:
    one = automation(account, wait("w", "t"), tagging("t", vip), when=tag_added(vip), is_on=False)
    page = text(alice.get(f"/tags/{vip.pk}"))
    assert f'<a href="/automations/{one.pk}">After the course</a>' in page
    assert "it lets people in, at 1 step" in page and "Inactive" in page
    assert "1 automation" in text(alice.get("/tags"))
    asked = alice.get(f"/tags/{vip.pk}/deletion")
    assert "The automation “After the course” names it: entries that wait for it rest" in text(asked)
    automation(account, tagging("t", vip), name="Meanwhile")
    assert "It is used elsewhere by now" in text(alice.post(f"/tags/{vip.pk}/deletion", hidden_members(asked)))


def test_automations_that_name_a_form_or_a_sequence_are_told(alice: Client, account: Account) -> None:
    sequence, form = make_sequence(account, {}), forms.create(account.pk, {"name": "News"}, MONDAY_9)
    automation(account, course("go", sequence), when={"trigger": "form_joined", "form_id": form.pk})
    for path in (f"/sequences/{sequence.pk}/settings", f"/forms/{form.pk}"):
        page = text(alice.get(path))
        assert "Automations that name it" in page and "After the course" in page, path
    assert "After the course" in text(alice.get(f"/forms/{form.pk}/deletion"))
    asked = text(alice.post(f"/sequences/{sequence.pk}/deletion"))
    assert "The automation “After the course” names it" in asked
