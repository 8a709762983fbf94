"""/sequences/…/emails/…: a draft is kept, seen, published; two writers see both texts."""

import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.engine.models import Notice
from dripstone.sequences import drafts
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import CustomField
from tests.factories import MONDAY_9, make_enrollment, make_sequence, make_subscriber
from tests.web.reading import hidden_members

pytestmark = pytest.mark.django_db


@pytest.fixture
def sequence(account: Account) -> Sequence:
    first = {"subject": "Five lines", "content": "<p>Hello {{ subscriber.first_name }}</p>", "delay_value": 0}
    return make_sequence(account, first, {"delay_value": 2}, name="Letters")


@pytest.fixture
def email(sequence: Sequence) -> SequenceEmail:
    return SequenceEmail.objects.get(sequence=sequence, position=0)


def path(email: SequenceEmail, more: str = "") -> str:
    return f"/sequences/{email.sequence_id}/emails/{email.pk}{more}"


def save(browser: Client, email: SequenceEmail, revision: str | None = None, **members: Any) -> Any:
    """As the page's script does it."""
    given = {"revision": drafts.of(email).revision if revision is None else revision, "tab": "t1", **members}
    return browser.post(path(email), given, headers={"Accept": "application/json"})


def now(email: SequenceEmail) -> drafts.Draft:
    return drafts.of(SequenceEmail.objects.get(pk=email.pk))


# --- Writing ------------------------------------------------------------------------------------------------------


def test_the_page_holds_what_is_written(alice: Client, email: SequenceEmail) -> None:
    page = alice.get(path(email)).content.decode()
    assert ">Five lines</textarea>" in page
    assert "&lt;p&gt;Hello {{ subscriber.first_name }}&lt;/p&gt;</textarea>" in page
    assert "People get version 1" in page


def test_it_offers_the_accounts_fields_snippets_and_links(
    alice: Client, account: Account, email: SequenceEmail
) -> None:
    CustomField.objects.create(account=account, key="home_town", label="Home <b>town", created_at=MONDAY_9)
    page = alice.get(path(email)).content.decode()
    assert 'data-liquid="{{ subscriber.home_town }}" data-fallback>Home &lt;b&gt;town' in page
    assert 'data-liquid="{{ unsubscribe_url }}"' in page


def test_a_save_reaches_nobody_until_it_is_published(alice: Client, email: SequenceEmail) -> None:
    answer = save(alice, email, content="<p>New</p>", subject="Six lines").json()
    assert answer["is_changed"] and answer["is_sound"]
    assert "Changed since published" in answer["standing"]
    assert now(email).values["content"] == "<p>New</p>"
    email.refresh_from_db()
    assert email.subject == "Five lines"
    alice.post(path(email, "/draft/publication"), {"revision": answer["revision"]})
    email.refresh_from_db()
    assert (email.subject, email.content) == ("Six lines", "<p>New</p>")


def test_what_cannot_be_published_is_kept_and_said(alice: Client, email: SequenceEmail) -> None:
    answer = save(alice, email, content="{{ broken", subject="").json()
    assert not answer["is_sound"]
    assert now(email).values["content"] == "{{ broken"
    page = alice.get(path(email)).content.decode()
    assert "is never closed" in page
    assert "can&#x27;t be blank" in page
    refused = alice.post(path(email, "/draft/publication"), {"revision": answer["revision"]}, follow=True)
    assert "is never closed" in refused.content.decode()
    assert now(email).values["content"] == "{{ broken"


def test_without_a_script_it_comes_back_and_says_so(alice: Client, email: SequenceEmail) -> None:
    answer = alice.post(path(email), {"revision": drafts.of(email).revision, "content": "<p>New</p>"}, follow=True)
    assert answer.redirect_chain == [(path(email), 302)]
    assert "Saved. People get it when you publish." in answer.content.decode()


def test_publishing_without_a_script_takes_the_text_along(alice: Client, email: SequenceEmail) -> None:
    given = {"revision": drafts.of(email).revision, "tab": "", "subject": "Seven lines", "content": "x"}
    answer = alice.post(path(email, "/draft/publication"), given, follow=True)
    assert "Published. People get this from now on." in answer.content.decode()
    email.refresh_from_db()
    assert email.subject == "Seven lines"


def test_it_asks_before_a_publication_that_mails_somebody(
    alice: Client, account: Account, sequence: Sequence, email: SequenceEmail
) -> None:
    SequenceEmail.objects.filter(pk=email.pk).update(published=False)
    make_enrollment(sequence, make_subscriber(account, first_name="Noor"))
    email.refresh_from_db()
    given = {"revision": drafts.of(email).revision, "tab": "", "content": "<p>Now</p>"}
    asked = alice.post(path(email, "/draft/publication"), given)
    assert "Noor" in asked.content.decode()
    email.refresh_from_db()
    assert (email.published, email.content) == (False, "<p>Now</p>")  # kept, and not published
    assert "content" not in hidden_members(asked)
    alice.post(path(email, "/draft/publication"), hidden_members(asked))
    email.refresh_from_db()
    assert email.published


def test_discarding_goes_back_to_what_is_published(alice: Client, email: SequenceEmail) -> None:
    revision = save(alice, email, content="<p>New</p>").json()["revision"]
    alice.post(path(email, "/draft/discarding"), {"revision": revision})
    assert not now(email).is_changed


def test_a_long_letter_fits_through_the_door() -> None:
    from dripstone.front import sizes

    assert sizes.limit("/sequences/1/emails/2") == sizes.limit("/sequences/1/emails/2/draft/publication") == 2_000_000


# --- Two people ---------------------------------------------------------------------------------------------------


def test_who_comes_second_gets_both_texts_and_overwrites_nothing(
    alice: Client, editor: Client, email: SequenceEmail
) -> None:
    begun = drafts.of(email).revision
    save(editor, email, begun, content="<p>Theirs</p>")
    answer = save(alice, email, begun, content="<p>Mine</p>", tab="t2")
    assert answer.status_code == 409
    told = answer.json()
    assert told["theirs"]["content"] == "<p>Theirs</p>"
    assert f"{now(email).saved_by} changed this email meanwhile" in told["html"]
    assert "<ins>Mine</ins>" in told["html"] and "<del>Theirs</del>" in told["html"]
    assert now(email).values["content"] == "<p>Theirs</p>"
    save(alice, email, told["revision"], content="<p>Mine, after all</p>")
    assert now(email).values["content"] == "<p>Mine, after all</p>"


def test_both_texts_without_a_script(alice: Client, editor: Client, email: SequenceEmail) -> None:
    begun = drafts.of(email).revision
    save(editor, email, begun, content="<p>Theirs</p>")
    answer = alice.post(path(email), {"revision": begun, "content": "<p>Mine</p>", "subject": "Five lines", "tab": ""})
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "&lt;p&gt;Mine&lt;/p&gt;</textarea>" in page and "&lt;p&gt;Theirs&lt;/p&gt;</textarea>" in page
    alice.post(path(email), {**hidden_members(answer), "content": "<p>Both</p>"})
    assert now(email).values["content"] == "<p>Both</p>"


def test_a_publication_over_somebody_elses_save_is_refused(alice: Client, editor: Client, email: SequenceEmail) -> None:
    begun = save(alice, email, content="<p>Mine</p>").json()["revision"]
    save(editor, email, begun, content="<p>Theirs</p>")
    answer = alice.post(path(email, "/draft/publication"), {"revision": begun}, headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == path(email)
    email.refresh_from_db()
    assert "Hello" in str(email.content)


# --- Seeing it ----------------------------------------------------------------------------------------------------


def test_the_preview_shows_the_draft_as_a_real_person(alice: Client, account: Account, email: SequenceEmail) -> None:
    save(alice, email, content="<p>Dear {{ subscriber.first_name }} of {{ subscriber.town }}</p>")
    noor = make_subscriber(account, first_name="Noor", email_address="noor@example.org")
    body = alice.get(path(email, f"/preview/body?as={noor.pk}"))
    html = body.content.decode()
    assert "Dear Noor of <span" in html and "(empty)</span>" in html
    assert "sandbox" in body["Content-Security-Policy"] and "script-src" not in body["Content-Security-Policy"]
    assert body["X-Frame-Options"] == "SAMEORIGIN"
    panel = alice.get(path(email, f"/preview?as={noor.pk}&view=text")).content.decode()
    assert "Dear Noor of (empty)" in panel
    assert "noor@example.org" in panel


def test_it_begins_with_somebody_inside_the_sequence(
    alice: Client, account: Account, sequence: Sequence, email: SequenceEmail
) -> None:
    assert "Robin (invented)" in alice.get(path(email)).content.decode()
    make_enrollment(sequence, make_subscriber(account, first_name="Inside"))
    make_subscriber(account, first_name="Outside")
    assert "<b>Inside</b>" in alice.get(path(email)).content.decode()


@pytest.mark.parametrize("wanted", ["x", "0", "99999999999999999999", "١", "-1"])
def test_nobody_else_can_be_previewed(alice: Client, email: SequenceEmail, wanted: str) -> None:
    assert alice.get(path(email, "/preview/body"), {"as": wanted}).status_code == 404


def test_another_accounts_person_cannot_be_previewed(alice: Client, email: SequenceEmail) -> None:
    from tests.factories import make_account

    stranger = make_subscriber(make_account("Mallory"))
    assert alice.get(path(email, f"/preview?as={stranger.pk}")).status_code == 404


def test_broken_liquid_is_said_in_place_of_a_preview(alice: Client, email: SequenceEmail) -> None:
    save(alice, email, content="{% if %}")
    panel = alice.get(path(email, "/preview")).content.decode()
    assert "It can’t be shown like this." in panel
    assert alice.get(path(email, "/preview/body")).status_code == 200


def test_dark_and_light_are_the_letters_own(alice: Client, email: SequenceEmail) -> None:
    dark = alice.get(path(email, "/preview/body?view=dark")).content.decode()
    light = alice.get(path(email, "/preview/body?view=phone")).content.decode()
    assert "prefers-color-scheme" not in dark + light
    assert "@media (min-width: 0)" in dark and "@media (max-width: 0)" in light


def test_people_are_found_by_the_beginning_of_their_address(
    alice: Client, account: Account, email: SequenceEmail
) -> None:
    for name in ("noor", "noah", "anna", "no%r"):
        make_subscriber(account, email_address=f"{name}@example.org")
    found = alice.get(path(email, "/preview/people"), {"q": "NO"}).content.decode()
    assert re.findall(r"(\S+)@example.org", found) == ["no%r", "noah", "noor"]
    assert "noor" not in alice.get(path(email, "/preview/people"), {"q": "no%"}).content.decode()
    assert "No address begins with “zz”." in alice.get(path(email, "/preview/people"), {"q": "zz"}).content.decode()


def test_a_test_goes_to_members_alone(alice: Client, account: Account, email: SequenceEmail) -> None:
    save(alice, email, subject="Six lines")
    answer = alice.post(path(email, "/test"), {"to": ["alice@example.com"]}, follow=True)
    assert "A test is on its way to alice@example.com." in answer.content.decode()
    assert "Six lines" in Notice.objects.get().subject
    refused = alice.post(path(email, "/test"), {"to": ["stranger@example.com"]}, follow=True)
    assert "must be addresses of users of this account" in refused.content.decode()
    assert Notice.objects.count() == 1


def test_checks_lead_to_their_place(alice: Client, account: Account, email: SequenceEmail) -> None:
    account.postal_address = ""
    account.save()
    save(alice, email, content='<img src="https://example.com/a.png">')
    checks = alice.get(path(email, "/checks")).content.decode()
    assert 'href="#f-content" data-find="https://example.com/a.png"' in checks
    assert "no postal address" in checks


# --- Versions -----------------------------------------------------------------------------------------------------


def publish(alice: Client, email: SequenceEmail, **members: str) -> None:
    revision = save(alice, SequenceEmail.objects.get(pk=email.pk), **members).json()["revision"]
    alice.post(path(email, "/draft/publication"), {"revision": revision})


def test_two_versions_stand_side_by_side(alice: Client, email: SequenceEmail) -> None:
    publish(alice, email, content="<p>Second</p>")
    page = alice.get(path(email, "/versions")).content.decode()
    assert "Version 2" in page and "alice@example.com" in page
    assert "<ins>Second</ins>" in page
    assert "Second" in alice.get(path(email, "/versions/2/body")).content.decode()
    assert "Hello" in alice.get(path(email, "/versions/1/body")).content.decode()
    for wrong in ("/versions?left=9", "/versions?right=x", "/versions/9/body"):
        assert alice.get(path(email, wrong)).status_code == 404


def test_a_version_comes_back_as_a_draft(alice: Client, email: SequenceEmail) -> None:
    publish(alice, email, content="<p>Second</p>")
    alice.post(path(email, "/versions/1/restoration"), {"revision": now(email).revision})
    assert "Hello" in now(email).values["content"]
    email.refresh_from_db()
    assert email.content == "<p>Second</p>"
    assert alice.post(path(email, "/versions/9/restoration"), {"revision": ""}).status_code == 404


def test_what_was_never_published_has_no_versions(alice: Client, email: SequenceEmail) -> None:
    SequenceEmail.objects.filter(pk=email.pk).update(published=False)
    assert "Nothing was published yet" in alice.get(path(email, "/versions")).content.decode()


# --- What it costs ------------------------------------------------------------------------------------------------


def test_its_queries_do_not_grow(alice: Client, account: Account, sequence: Sequence, email: SequenceEmail) -> None:
    make_enrollment(sequence, make_subscriber(account, first_name=None))
    alice.get(path(email))
    with CaptureQueriesContext(connection) as few:
        alice.get(path(email))
    for number in range(20):
        CustomField.objects.create(account=account, key=f"f{number}", label=f"F{number}", created_at=MONDAY_9)
        make_enrollment(sequence, make_subscriber(account, first_name=None))
    with CaptureQueriesContext(connection) as many:
        alice.get(path(email))
    assert len(many) == len(few), json.dumps([one["sql"][:120] for one in many.captured_queries], indent=1)
