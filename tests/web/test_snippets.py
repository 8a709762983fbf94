"""Snippets on pages: written, shown, used where, asked about before a change reaches people."""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.content import snippets
from dripstone.content.models import Snippet
from dripstone.sequences.models import EmailDraft
from dripstone.web import sampling
from tests.factories import make_email, make_enrollment, make_sequence, make_subscriber
from tests.web.reading import hidden_members

HTMX = {"HX-Request": "true", "HX-Target": "ask"}


def make_snippet(account: Account, now: datetime, name: str = "Footer", content: str = "Bye", **values: Any) -> Snippet:
    return snippets.create(account.pk, {"name": name, "snippet_type": "inline", "content": content} | values, now)


@pytest.fixture
def footer(account: Account, now: datetime) -> Snippet:
    return make_snippet(account, now)


@pytest.fixture
def reader(account: Account, footer: Snippet) -> None:
    """Somebody who is still to get an email with the footer."""
    sequence = make_sequence(account, {"subject": "Caves", "content": "{{ snippet.footer }}"}, name="Course")
    make_enrollment(sequence, make_subscriber(account))


def typed(snippet: Snippet, text: str, **more: str) -> dict[str, str]:
    return {"name": snippet.name, "text": text, "version": str(snippet.version)} | more


def test_one_is_written_and_found_by_its_tag(alice: Client, account: Account) -> None:
    page = alice.post(
        "/snippets/new", {"name": "The offer", "text": "<p>Now</p>", "snippet_type": "block"}, follow=True
    )
    made = account.snippets.get()
    assert (made.key, made.value_html, made.snippet_type) == ("the-offer", "<p>Now</p>", "block")
    assert "{{ snippet.the-offer }}" in page.content.decode()
    listed = alice.get("/snippets", {"q": "the-o"}).content.decode()
    assert "The offer" in listed and "No snippet has" in alice.get("/snippets", {"q": "zzz"}).content.decode()


@pytest.mark.parametrize("kind", ["inline", "block"])
def test_what_is_refused_stays_typed(alice: Client, account: Account, kind: str) -> None:
    given = {"name": "", "text": "Hello {{ subscriber.", "snippet_type": kind}
    answer = alice.post("/snippets/new", given)
    page = answer.content.decode()
    assert answer.status_code == 422 and "Hello {{ subscriber." in page and 'href="#f-text"' in page
    assert "can&#x27;t be blank" in page and "document_attributes" not in page and "value_html" not in page
    part = alice.post("/snippets/new", given, headers=HTMX).content.decode()
    assert part.strip().startswith("<div") and "Nothing was saved yet" in part


def test_a_change_that_reaches_nobody_is_saved_at_once(alice: Client, footer: Snippet) -> None:
    alice.post(f"/snippets/{footer.pk}", typed(footer, "So long"))
    footer.refresh_from_db()
    assert (footer.content, footer.version) == ("So long", 2)


def test_a_change_that_reaches_people_is_asked_about_once(alice: Client, footer: Snippet, reader: None) -> None:
    question = alice.post(f"/snippets/{footer.pk}", typed(footer, "So long"))
    page = question.content.decode()
    assert "Change “Footer” in 1 published email?" in page and "Caves" in page and "Save the change" in page
    footer.refresh_from_db()
    assert footer.content == "Bye"
    members = {name: values[-1] for name, values in hidden_members(question).items() if name != "csrfmiddlewaretoken"}
    assert members["text"] == "So long"
    assert alice.post(f"/snippets/{footer.pk}", members).status_code == 302
    footer.refresh_from_db()
    assert footer.content == "So long"


def test_a_new_name_is_not_asked_about(alice: Client, footer: Snippet, reader: None) -> None:
    alice.post(f"/snippets/{footer.pk}", typed(footer, "Bye", name="End"))
    footer.refresh_from_db()
    assert (footer.name, footer.key, footer.version) == ("End", "footer", 1)


def test_line_ends_of_browsers_change_nothing(alice: Client, account: Account, now: datetime, reader: None) -> None:
    lines = make_snippet(account, now, "Lines", "a\nb")
    assert alice.post(f"/snippets/{lines.pk}", typed(lines, "a\r\nb")).status_code == 302
    lines.refresh_from_db()
    assert (lines.content, lines.version) == ("a\nb", 1)


def test_it_is_asked_again_when_other_emails_have_it_by_then(
    alice: Client, account: Account, footer: Snippet, reader: None
) -> None:
    question = alice.post(f"/snippets/{footer.pk}", typed(footer, "So long"))
    seen = hidden_members(question)["seen"][0]
    make_email(make_sequence(account), position=0, content="{{ snippet.footer }}")
    again = alice.post(f"/snippets/{footer.pk}", typed(footer, "So long", seen=seen)).content.decode()
    assert "in 2 published emails?" in again and "Other emails have it by now" in again
    footer.refresh_from_db()
    assert footer.content == "Bye"


def test_the_question_is_a_dialog_where_there_are_scripts(alice: Client, footer: Snippet, reader: None) -> None:
    answer = alice.post(f"/snippets/{footer.pk}", typed(footer, "So long"), headers=HTMX)
    assert answer.content.decode().strip().startswith("<form") and "HX-Target" in answer["Vary"]
    seen = hidden_members(answer)["seen"][0]
    done = alice.post(f"/snippets/{footer.pk}", typed(footer, "So long", seen=seen), headers=HTMX)
    assert done["HX-Redirect"] == f"/snippets/{footer.pk}"


def test_whoever_goes_back_finds_what_was_typed(alice: Client, footer: Snippet, reader: None) -> None:
    page = alice.post(f"/snippets/{footer.pk}", typed(footer, "So long", act="back")).content.decode()
    assert "So long</textarea>" in page


def test_of_two_who_write_nobody_loses_words(alice: Client, footer: Snippet) -> None:
    mine = typed(footer, "Mine")
    alice.post(f"/snippets/{footer.pk}", typed(footer, "Theirs"))
    answer = alice.post(f"/snippets/{footer.pk}", mine)
    page = answer.content.decode()
    assert answer.status_code == 409 and "Theirs</textarea>" in page and 'value="Mine"' in page
    members = {name: values[-1] for name, values in hidden_members(answer).items() if name != "csrfmiddlewaretoken"}
    alice.post(f"/snippets/{footer.pk}", members)
    footer.refresh_from_db()
    assert footer.content == "Mine"


def test_what_is_broken_is_refused_before_anything_is_asked(alice: Client, footer: Snippet, reader: None) -> None:
    answer = alice.post(f"/snippets/{footer.pk}", typed(footer, "{{ snippet.footer }}"))
    assert answer.status_code == 422 and "cannot contain itself" in answer.content.decode()


def test_it_says_where_it_is_used(
    alice: Client, account: Account, footer: Snippet, reader: None, now: datetime
) -> None:
    make_snippet(account, now, "Signature", "{{ snippet.footer }}")
    make_sequence(
        account, {"subject": "Signed", "content": "{{ snippet.signature }}", "published": False}, name="Second"
    )
    page = alice.get(f"/snippets/{footer.pk}").content.decode()
    assert "1 published email has it; 1 person is still to get it." in page
    assert "Caves" in page and "Second, through the snippet “Signature”" in page
    assert "2 emails, 1 snippet" in alice.get("/snippets").content.decode()


def test_an_archived_one_goes_on_working(alice: Client, footer: Snippet, reader: None) -> None:
    alice.post(f"/snippets/{footer.pk}/archiving", {"archived": "true"})
    assert "Footer" not in alice.get("/snippets").content.decode().partition("<table")[2]
    assert "Footer" in alice.get("/snippets?archived=1").content.decode()
    alice.post(f"/snippets/{footer.pk}/archiving", {"archived": "false"})
    footer.refresh_from_db()
    assert not footer.archived


def test_deleting_says_what_will_be_missing(alice: Client, account: Account, footer: Snippet, reader: None) -> None:
    page = alice.get(f"/snippets/{footer.pk}/deletion")
    assert "nothing will stand in its place" in page.content.decode() and "Caves" in page.content.decode()
    seen = hidden_members(page)["seen"][0]
    make_email(make_sequence(account), position=0, content="{{ snippet.footer }}")
    again = alice.post(f"/snippets/{footer.pk}/deletion", {"seen": seen})
    assert again.status_code == 409 and Snippet.objects.filter(pk=footer.pk).exists()
    alice.post(f"/snippets/{footer.pk}/deletion", {"seen": hidden_members(again)["seen"][0]})
    assert not Snippet.objects.filter(pk=footer.pk).exists()


@pytest.mark.parametrize("kind", ["inline", "block"])
def test_what_is_typed_is_shown_before_it_is_saved(alice: Client, account: Account, kind: str) -> None:
    person = make_subscriber(account, first_name="Olga")
    given = {"name": "X", "text": "Hi {{ subscriber.first_name }}", "snippet_type": kind, "as": str(person.pk)}
    answer = alice.post("/snippets/new/preview", given)
    assert "Hi Olga" in answer.content.decode() and "sandbox" in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "SAMEORIGIN" and not account.snippets.exists()
    assert "<pre>" in alice.post("/snippets/new/preview", given | {"view": "text"}).content.decode()
    broken = alice.post("/snippets/new/preview", given | {"text": "{{ x"}).content.decode()
    assert "It can’t be shown like this" in broken


def test_a_preview_is_of_the_account_s_people_only(alice: Client, footer: Snippet, mallory: Client) -> None:
    stranger = make_subscriber(mallory_account(mallory))
    assert alice.post(f"/snippets/{footer.pk}/preview", {"text": "x", "as": str(stranger.pk)}).status_code == 404


def test_a_preview_finds_its_reader_by_the_beginning_of_an_address(
    alice: Client, account: Account, footer: Snippet, mallory: Client
) -> None:
    make_subscriber(account, email_address="olga@example.org", first_name="Olga")
    make_subscriber(mallory_account(mallory), email_address="zoe@example.org")
    given, preview = {"text": "Hi {{ subscriber.first_name }}"}, f"/snippets/{footer.pk}/preview"
    assert "Hi Olga" in alice.post(preview, given | {"as": "Olg"}).content.decode()
    assert "No address begins with “zoe”." in alice.post(preview, given | {"as": "zoe"}).content.decode()
    for number in range(sampling.SOME):  # newer ones, so that she is none of those offered at once
        make_subscriber(account, email_address=f"new{number}@example.org")
    assert "olga@example.org" not in alice.get("/people/readers").content.decode()
    offered = alice.get("/people/readers?as=o").content.decode()
    assert '<option value="olga@example.org">Olga</option>' in offered
    assert "zoe" not in alice.get("/people/readers?as=zo").content.decode()


def mallory_account(mallory: Client) -> Account:
    return Account.objects.get(name="Mallory")


def test_pages_ask_the_database_a_fixed_number_of_times(
    alice: Client, account: Account, footer: Snippet, reader: None, now: datetime
) -> None:
    def n_queries(path: str) -> int:
        alice.get(path)  # reads what is new
        with CaptureQueriesContext(connection) as queries:
            alice.get(path)
        return len(queries)

    make_snippet(account, now, "Signature", "{{ snippet.footer }}")
    paths = ("/snippets", f"/snippets/{footer.pk}")
    before = [n_queries(path) for path in paths]
    for number in range(5):
        make_snippet(account, now, f"More {number}", "{{ snippet.footer }}")
        make_sequence(account, {"content": "{{ snippet.footer }}"}, {"content": f"{{{{ snippet.more-{number} }}}}"})
    assert [n_queries(path) for path in paths] == before


def test_every_text_is_kept_and_can_come_back(alice: Client, account: Account, footer: Snippet, reader: None) -> None:
    snippets.update(footer, {"content": "So long"}, footer.created_at, "bob@example.com")
    page = alice.get(f"/snippets/{footer.pk}/versions").content.decode()
    assert "bob@example.com" in page and "<del>Bye</del><ins>So long</ins>" in page
    assert "Bye" in alice.get(f"/snippets/{footer.pk}/preview?version=1").content.decode()
    path = f"/snippets/{footer.pk}/versions/1/restoration"
    question = alice.post(path)
    assert "Restore version 1" in question.content.decode() and "Caves" in question.content.decode()
    alice.post(path, {"seen": hidden_members(question)["seen"][0]})
    footer.refresh_from_db()
    assert (footer.content, footer.versions.count()) == ("Bye", 3)
    assert footer.versions.get(number=3).saved_by == "alice@example.com"


@pytest.mark.parametrize("number", ["9", "99999999999999999999"])
def test_a_version_that_is_not_there_is_not_found(alice: Client, footer: Snippet, number: str) -> None:
    assert alice.get(f"/snippets/{footer.pk}/versions?version={number}").status_code == 404
    assert alice.post(f"/snippets/{footer.pk}/versions/{number}/restoration").status_code == 404


def test_unpublished_changes_are_a_use_that_reaches_nobody(alice: Client, account: Account, footer: Snippet) -> None:
    sequence = make_sequence(account, {"subject": "Caves"}, name="Course")
    email = sequence.emails.get()
    EmailDraft.objects.create(email=email, values={"content": "{{ snippet.footer }}"}, revision=1)
    page = alice.get(f"/snippets/{footer.pk}").content.decode()
    assert "Unpublished changes" in page and "published email has it" not in page
    assert "1 email" in alice.get("/snippets").content.decode()


def test_a_viewer_sees_all_and_is_offered_nothing(viewer: Client, footer: Snippet) -> None:
    page = viewer.get(f"/snippets/{footer.pk}").content.decode()
    assert "readonly" in page and ">Save<" not in page and "Delete…" not in page
    assert viewer.get(f"/snippets/{footer.pk}/preview").status_code == 200
