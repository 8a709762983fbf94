"""Every text that a snippet or a template had is kept, with who saved it."""

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.db import connection

from dripstone.accounts.models import Account
from dripstone.content import snippets, templates, versions
from dripstone.content.models import EmailTemplate, Snippet, SnippetVersion, TemplateVersion
from dripstone.errors import Invalid, NotFound
from tests.factories import MONDAY_9, make_account
from tests.racing import together

pytestmark = pytest.mark.django_db

LATER = MONDAY_9 + timedelta(hours=1)
KEY = "API key test (…f3a2)"
FRAME = "<p>{{ message_content }}</p>"


def inline(account: Account, text: str = "one") -> Snippet:
    return snippets.create(account.pk, {"name": "A", "snippet_type": "inline", "content": text}, MONDAY_9, KEY)


def block(account: Account, html: str) -> Snippet:
    given = {"name": "B", "snippet_type": "block", "document_attributes": {"value_html": html}}
    return snippets.create(account.pk, given, MONDAY_9, KEY)


def sources(snippet: Snippet) -> list[str]:
    return [one.source for one in versions.of_snippet(Snippet.objects.get(pk=snippet.pk))]


def test_each_text_of_a_snippet_is_kept(alice: Account) -> None:
    snippet = inline(alice)
    snippets.update(snippet, {"content": "two"}, LATER)
    snippets.update(snippet, {"name": "Other", "archived": True}, LATER)
    new, old = versions.of_snippet(snippet)
    assert (old.number, old.source, old.key, old.saved_at, old.saved_by) == (1, "one", "a", MONDAY_9, KEY)
    assert (new.number, new.source, new.saved_at, new.saved_by) == (2, "two", LATER, "owner")


def test_what_an_older_server_saved_is_kept_before_it_is_overwritten(alice: Account) -> None:
    snippet = block(alice, "<b>one</b>")
    Snippet.objects.filter(pk=snippet.pk).update(value_html="<b>two</b>")
    snippets.update(snippet, {"document_attributes": {"value_html": "<b>three</b>"}}, LATER)
    assert sources(snippet) == ["<b>three</b>", "<b>two</b>", "<b>one</b>"]


def test_restoring_a_snippet_saves_it_anew(alice: Account) -> None:
    other_html = {"document_attributes": {"value_html": "x"}}
    for snippet, other in ((inline(alice), {"content": "x"}), (block(alice, "one"), other_html)):
        snippets.update(snippet, other, LATER)
        restored = snippets.restore(snippet, 1, LATER, KEY)
        assert (restored.source, sources(snippet)) == ("one", ["one", "x", "one"])
        with pytest.raises(NotFound):
            snippets.restore(snippet, 9, LATER)


def test_a_version_that_would_be_refused_today_is_not_restored(alice: Account) -> None:
    snippet = inline(alice)
    snippet.versions.update(source="{% if %}")
    with pytest.raises(Invalid):
        snippets.restore(snippet, 1, LATER)


def test_a_template_keeps_its_html(alice: Account) -> None:
    template = templates.create(alice.pk, {"name": "T", "html": FRAME}, MONDAY_9, KEY)
    assert [(one.number, one.html, one.saved_by) for one in versions.of_template(template)] == [(1, FRAME, KEY)]


def test_versions_outlive_what_they_are_of(alice: Account) -> None:
    snippet, template = inline(alice), templates.create(alice.pk, {"name": "T", "html": FRAME}, MONDAY_9)
    snippet.delete()
    template.delete()
    assert (SnippetVersion.objects.get().source, TemplateVersion.objects.get().html) == ("one", FRAME)


def test_snippets_and_templates_of_before_get_a_first_version(alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    migration = import_module("dripstone.content.migrations.0003_first_versions")
    monkeypatch.setattr(migration, "BATCH", 1)
    known, plain, rich = inline(alice), inline(alice, "two"), block(alice, "<b>three</b>")
    template = EmailTemplate.objects.create(account=alice, name="T", html=FRAME, created_at=MONDAY_9, updated_at=LATER)
    SnippetVersion.objects.exclude(snippet=known).delete()
    for _ in range(2):
        migration.fill(None, SimpleNamespace(connection=connection))
    assert [sources(one) for one in (known, plain, rich)] == [["one"], ["two"], ["<b>three</b>"]]
    assert [(one.html, one.saved_at) for one in template.versions.all()] == [(FRAME, LATER)]


@pytest.mark.django_db(transaction=True)
def test_a_missing_version_is_made_once_however_many_need_it() -> None:
    account = make_account()
    stamps = {"created_at": MONDAY_9, "updated_at": MONDAY_9}
    template = EmailTemplate.objects.create(account=account, name="T", html=FRAME, **stamps)
    assert [len(one) for one in together(lambda: versions.of_template(template))] == [1] * 6
