"""The pages of forms: the list, one of them, what it asks and says, its end; and who complained."""

from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.test import Client

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.conditions import segments
from dripstone.engine import identity
from dripstone.engine.acts import sign_ups as acts
from dripstone.engine.models import Notice
from dripstone.events import causes
from dripstone.stats import forms as stats
from dripstone.subscribers import fields, forms
from dripstone.subscribers.forms import Origin
from dripstone.subscribers.models import Form, SignUp, Subscriber
from dripstone.subscribers.sign_ups import Asked
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag


@pytest.fixture
def form(account: Account) -> Form:
    return make_form(account)


def make_form(account: Account, **values: Any) -> Form:
    return forms.create(account.pk, {"name": "Footer", **values}, MONDAY_9, sequence_ids=values.get("sequence_ids", ()))


def sign_up(form: Form, address: str, page: str = "", **utm: str) -> None:
    acts.ask(form, Asked(address, origin=Origin.told(page, utm)), clock.now())


def read(browser: Client, path: str, **query: str) -> str:
    return browser.get(path, query, follow=True).content.decode()


def path(form: Form, rest: str = "") -> str:
    return f"/forms/{form.pk}{rest}"


# --- The list ---------------------------------------------------------------------------------------------------------


def test_an_empty_list_leads_to_the_first_form(alice: Client) -> None:
    page = read(alice, "/forms")
    assert "No forms yet" in page and 'href="/forms/new"' in page


def test_it_says_what_each_form_does_and_who_came(alice: Client, account: Account) -> None:
    sequence, tag = make_sequence(account, name="Caves"), make_tag(account, name="Reader")
    single = make_form(account, opt_in="single", sequence_ids=[sequence.pk], tag_ids=[tag.pk])
    sign_up(single, "ann@example.org")
    sign_up(make_form(account, name="Header"), "bob@example.org")
    [header, footer] = alice.get("/forms").context["rows"]
    assert footer.facts == "Single opt-in · adds the tag “Reader” and the sequence “Caves”"
    assert (footer.people.active, footer.people.unconfirmed, footer.people.this_week) == (1, 0, 1)
    assert header.facts == "Double opt-in"
    assert (header.people.active, header.people.unconfirmed, header.people.this_week) == (0, 1, 1)


def test_archived_and_deleted_ones_stand_apart(alice: Client, account: Account, form: Form) -> None:
    forms.set_status(make_form(account, name="Old"), Form.Status.ARCHIVED)
    forms.set_status(make_form(account, name="Gone"), Form.Status.TRASHED)
    for view, name in (("", "Footer"), ("archived", "Old"), ("deleted", "Gone"), ("nonsense", "Footer")):
        assert [row.form.name for row in alice.get("/forms", {"view": view}).context["rows"]] == [name]


def test_the_week_is_counted_to_a_bound(alice: Client, form: Form, monkeypatch: Any) -> None:
    monkeypatch.setattr(stats, "MOST_IN_WEEK", 2)
    for number in range(4):
        sign_up(form, f"a{number}@example.org")
    assert alice.get("/forms").context["rows"][0].people.week_in_words == "2+"


# --- A new one --------------------------------------------------------------------------------------------------------


def test_one_makes_a_form_for_a_sequence(alice: Client, account: Account) -> None:
    sequence = make_sequence(account)
    answer = alice.post("/forms/new", {"name": "Footer", "opt_in": "single", "sequence_ids": str(sequence.pk)})
    made = Form.objects.get()
    assert answer["Location"] == path(made, "/settings")
    assert (made.opt_in, made.sequence_ids) == ("single", [sequence.pk])


def test_a_form_needs_no_sequence_and_a_name(alice: Client, account: Account) -> None:
    refused = alice.post("/forms/new", {"name": " ", "opt_in": "double", "sequence_ids": ""})
    assert refused.status_code == 422
    assert "Name can" in refused.content.decode()
    alice.post("/forms/new", {"name": "Footer", "opt_in": "double", "sequence_ids": ""})
    assert Form.objects.get().sequence_ids == []


# --- One form ---------------------------------------------------------------------------------------------------------


def test_it_shows_what_to_paste(alice: Client, account: Account) -> None:
    field, _ = fields.create(account.pk, {"label": "Company"}, MONDAY_9, cause=causes.OWNER)
    form = make_form(account, button="Go & see", field_ids=[field.pk])
    embed = alice.get(path(form)).context["embed"]
    assert f'<form action="http://127.0.0.1:8000/f/{form.uid}" method="post">' in embed
    assert f'name="fields[{field.name}]"' in embed and "<button>Go &amp; see</button>" in embed
    assert "script" not in embed
    assert f"/f/{form.uid}/index.js" in alice.get(path(form)).context["script"]


def test_it_says_that_people_were_turned_away(alice: Client, form: Form) -> None:
    assert "asked to come back later" not in read(alice, path(form))
    forms.note_crowd(form, clock.now())
    assert "asked to come back later" in read(alice, path(form))
    Form.objects.update(crowded_at=clock.now() - timedelta(days=8))
    assert "asked to come back later" not in read(alice, path(form))


def test_it_counts_where_people_came_from(alice: Client, form: Form) -> None:
    for number, page in enumerate(
        ["https://A.example/x", "https://u@a.example:81/?utm_source=mail", "", "https://b.example"]
    ):
        sign_up(form, f"a{number}@example.org", page)
    assert stats.sources(form.pk) == {
        "site": [stats.Source("a.example", 2), stats.Source("b.example", 1), stats.Source(None, 1)],
        "utm_source": [stats.Source(None, 3), stats.Source("mail", 1)],
        "utm_campaign": [stats.Source(None, 4)],
    }
    page = read(alice, path(form, "/sources"))
    assert "a.example" in page and "utm_source" in page and "utm_campaign" not in page
    part = alice.get(path(form, "/sources"), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part and "b.example" in part


def test_what_robots_invent_is_bounded(form: Form) -> None:
    for number in range(stats.MOST_SOURCES + 5):
        sign_up(form, f"a{number}@example.org", f"https://s{number}.example/")
    assert len(stats.sources(form.pk)["site"]) == stats.MOST_SOURCES


# --- What it asks and says --------------------------------------------------------------------------------------------


def settings_of(account: Account, **values: Any) -> dict[str, Any]:
    usual = {"name": "Footer", "opt_in": "double", "hourly_limit": "1000", "asks_first_name": "on", "is_plain": "false"}
    return usual | dict.fromkeys((*forms.LINES, *forms.TEXTS, *forms.URLS, *forms.IDS), "") | values


def test_everything_is_written_on_one_page(alice: Client, account: Account, form: Form) -> None:
    tags, sequence = [make_tag(account).pk, make_tag(account).pk], make_sequence(account)
    given = settings_of(account, heading="Caves", thanks_url="https://a.example/", is_plain="true", hourly_limit="7")
    answer = alice.post(path(form, "/settings"), given | {"tag_ids": ["", *tags], "sequence_ids": ["", sequence.pk]})
    assert answer["Location"] == path(form, "/settings")
    form.refresh_from_db()
    assert (form.heading, form.thanks_url, form.is_plain, form.hourly_limit) == ("Caves", "https://a.example/", True, 7)
    assert (set(form.tag_ids), form.sequence_ids) == (set(tags), [sequence.pk])
    alice.post(path(form, "/settings"), settings_of(account))
    form.refresh_from_db()
    assert (form.heading, form.tag_ids, form.is_plain) == ("", [], False)


def test_a_mistake_keeps_what_was_typed(alice: Client, account: Account, form: Form) -> None:
    tag = make_tag(account)
    given = settings_of(account, heading="Caves <b>", thanks_url="nonsense", tag_ids=["", tag.pk])
    answer = alice.post(path(form, "/settings"), given)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Thanks url must be the address of a page" in page
    assert 'value="Caves &lt;b&gt;"' in page and f'value="{tag.pk}" checked' in page
    form.refresh_from_db()
    assert (form.heading, form.tag_ids) == ("", [])


def test_the_page_is_shown_as_it_is_typed(alice: Client, account: Account, form: Form) -> None:
    shown = alice.post(path(form, "/preview"), settings_of(account, heading="Caves", view="page"))
    assert "<h1>Caves</h1>" in shown.content.decode()
    assert 'type="button"' in shown.content.decode(), "it sends nothing"
    assert "frame-ancestors 'self'" in shown["Content-Security-Policy"]
    assert (shown["X-Frame-Options"], shown["X-Robots-Tag"]) == ("SAMEORIGIN", "noindex, nofollow")
    refused = alice.post(path(form, "/preview"), settings_of(account, thanks_url="nonsense"))
    assert "must be the address of a page" in refused.content.decode()
    form.refresh_from_db()
    assert form.heading == ""


def test_the_mail_is_shown_as_it_is_typed(alice: Client, account: Account, form: Form) -> None:
    given = settings_of(account, confirmation_text="Ja? <b>", view="mail")
    shown = alice.post(path(form, "/preview"), given)
    assert "Ja? &lt;b&gt;" in shown.content.decode()
    assert identity.example_confirm_url() in shown.content.decode()
    assert "sandbox" in shown["Content-Security-Policy"]


def test_a_test_goes_to_whoever_asks(alice: Client, form: Form) -> None:
    forms.update(form, {"confirmation_subject": "Da?"}, sequence_ids=())
    assert "A test is on its way to alice@example.com" in alice.post(path(form, "/test"), follow=True).content.decode()
    notice = Notice.objects.get()
    assert (notice.email_address, notice.subject, notice.kind) == ("alice@example.com", "[Test] Da?", "test")
    mail = message_from_bytes(bytes(notice.message), policy=policy.default)
    assert identity.example_confirm_url() in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert not SignUp.objects.exists()


# --- Its end ----------------------------------------------------------------------------------------------------------


def test_it_is_archived_and_taken_into_use_again(alice: Client, form: Form) -> None:
    assert "Archived" in alice.post(path(form, "/archiving"), {"archived": "true"}, follow=True).content.decode()
    form.refresh_from_db()
    assert form.status == "archived"
    alice.post(path(form, "/archiving"), {"archived": "false"})
    form.refresh_from_db()
    assert form.status == "active"


def test_deleting_asks_and_says_what_asks_who_is_on_it(alice: Client, account: Account, form: Form) -> None:
    make_sequence(account, name="Caves", exclude_subscriber_sources=[{"type": "form", "ids": [form.pk]}])
    make_sequence(account, name="Other", exclude_subscriber_sources=[{"type": "tag", "ids": [form.pk]}])
    condition = {"type": "form", "operator": "in", "ids": [form.pk]}
    segments.create(account.pk, {"name": "Fans", "filter": {"conditions": [condition]}}, MONDAY_9)
    page = read(alice, path(form, "/deletion"))
    assert "Caves" in page and "Fans" in page and "Other" not in page
    form.refresh_from_db()
    assert form.status == "active"
    alice.post(path(form, "/deletion"))
    form.refresh_from_db()
    assert form.status == "trashed"


# --- Who complained ---------------------------------------------------------------------------------------------------


def test_an_owner_says_why_somebody_is_mailed_again(alice: Client, account: Account) -> None:
    person = make_subscriber(account, state="complained")
    answer = alice.post(f"/people/{person.pk}/reinstatement", {"why": " "})
    assert (answer.status_code, "Why can" in answer.content.decode()) == (422, True)
    alice.post(f"/people/{person.pk}/reinstatement", {"why": "She called"})
    assert Subscriber.objects.get().state == "active"


def test_there_is_nothing_to_take_back_for_others(alice: Client, account: Account) -> None:
    person = make_subscriber(account, state="bounced")
    assert "nothing to take back" in read(alice, f"/people/{person.pk}/reinstatement")
    assert alice.post(f"/people/{person.pk}/reinstatement", {"why": "because"}).status_code == 422
    assert Subscriber.objects.get().state == "bounced"
