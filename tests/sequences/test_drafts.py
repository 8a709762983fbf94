"""The draft of an email: nothing written is lost, nothing unpublished reaches anybody."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dripstone.accounts.models import Account
from dripstone.engine.acts import edits
from dripstone.errors import Invalid, NotFound
from dripstone.foresight import impact
from dripstone.given import FromText
from dripstone.sequences import drafts, versions
from dripstone.sequences.drafts import Draft, Overtaken
from dripstone.sequences.models import EmailDraft, SequenceEmail
from tests.factories import MONDAY_9, make_account, make_email, make_enrollment, make_sequence, make_subscriber
from tests.racing import together

pytestmark = pytest.mark.django_db

LATER = MONDAY_9 + timedelta(hours=1)
BROKEN = "<p>{% if %}</p>"
ALICE, BOB, KEY = "alice@example.com", "bob@example.com", "API key test (…f3a2)"


@pytest.fixture
def published(alice: Account) -> SequenceEmail:
    return make_email(make_sequence(alice), position=0, subject="Hello", content="<p>One</p>")


@pytest.fixture
def unpublished(alice: Account) -> SequenceEmail:
    return make_email(make_sequence(alice), position=0, subject="Hello", content="<p>One</p>", published=False)


def read(email: SequenceEmail) -> SequenceEmail:
    return SequenceEmail.objects.get(pk=email.pk)


def shown(email: SequenceEmail) -> Draft:
    return drafts.of(read(email))


def save(email: SequenceEmail, revision: str, by: str = ALICE, tab: str = "", **values: Any) -> Draft:
    return drafts.save(email.account, email.sequence_id, email.pk, values, revision, LATER, by, tab)


def publish(email: SequenceEmail, revision: str, by: str = ALICE) -> SequenceEmail:
    edits.publish_email(email.account, email.sequence_id, email.pk, revision, LATER, by)
    return read(email)


def by_api(email: SequenceEmail, **values: Any) -> None:
    edits.update_email(email.account, email.sequence_id, email.pk, values, LATER, KEY)


# --- Saving -------------------------------------------------------------------------------------------------------


def test_an_email_that_nobody_wrote_in_shows_its_row(published: SequenceEmail) -> None:
    draft = shown(published)
    texts = {"subject": "Hello", "preview_text": None, "content": "<p>One</p>"}
    assert draft.values == texts | {"email_template_id": None}
    assert (draft.changed, draft.saved_at, draft.saved_by, draft.problems) == ((), None, "", [])
    assert draft.published is not None
    assert draft.published.number == 1
    assert EmailDraft.objects.count() == 0


def test_what_is_saved_in_a_published_email_reaches_nobody(published: SequenceEmail) -> None:
    before = read(published)
    saved = save(published, shown(published).revision, content="<p>Two</p>")
    assert saved == shown(published)
    assert (saved.values["content"], saved.changed) == ("<p>Two</p>", ("content",))
    assert (saved.saved_at, saved.saved_by) == (LATER, ALICE)
    after = read(published)
    assert (after.content, after.version, after.updated_at) == (before.content, before.version, before.updated_at)
    assert published.versions.count() == 1
    assert drafts.changed(published.sequence) == {published.pk}


def test_what_is_sound_in_an_unpublished_email_is_saved_at_once(unpublished: SequenceEmail) -> None:
    saved = save(unpublished, shown(unpublished).revision, subject="New", preview_text="Look")
    assert (read(unpublished).subject, read(unpublished).preview_text) == ("New", "Look")
    assert (saved.is_changed, saved.saved_by, saved.published) == (False, ALICE, None)
    assert drafts.changed(unpublished.sequence) == set()
    assert unpublished.versions.count() == 0


@pytest.mark.parametrize("name", ["published", "unpublished"])
@pytest.mark.parametrize(
    ("values", "member"),
    [
        ({"content": BROKEN}, "content"),
        ({"subject": "x" * 999}, "subject"),
        ({"subject": " "}, "subject"),
        ({"preview_text": "x" * 2_001}, "preview_text"),
        ({"content": "<div>" * 300}, "content"),
        ({"content": "{% for a in (1..900) %}{% for b in (1..900) %}x{% endfor %}{% endfor %}"}, "content"),
        ({"email_template_id": 10**12}, "email_template_id"),
    ],
)
def test_what_cannot_be_saved_is_kept_and_says_why(
    name: str, values: dict[str, Any], member: str, request: pytest.FixtureRequest
) -> None:
    email: SequenceEmail = request.getfixturevalue(name)
    saved = save(email, shown(email).revision, **values)
    assert [about for about, _ in saved.problems] == [member]
    assert saved.values[member] == shown(email).values[member] == values[member]
    assert versions.values(read(email)) == versions.values(email)
    with pytest.raises(Invalid) as refused:
        publish(email, saved.revision)
    assert refused.value.problems == saved.problems
    assert shown(email) == saved
    mended = save(email, saved.revision, subject="Fine", content="<p>Fine</p>", preview_text="", email_template_id=None)
    assert mended.problems == []
    assert publish(email, mended.revision).subject == "Fine"
    assert shown(email).changed == ()


def test_a_mistake_is_kept_while_the_rest_is_written_on(unpublished: SequenceEmail) -> None:
    saved = save(unpublished, shown(unpublished).revision, content=BROKEN)
    saved = save(unpublished, saved.revision, subject="On")
    assert (saved.values["content"], saved.values["subject"]) == (BROKEN, "On")
    saved = save(unpublished, saved.revision, content="<p>Mended</p>")
    assert (read(unpublished).subject, read(unpublished).content) == ("On", "<p>Mended</p>")
    assert not saved.is_changed


def test_a_form_that_sends_everything_changes_what_was_touched(published: SequenceEmail) -> None:
    SequenceEmail.objects.filter(pk=published.pk).update(content="one\ntwo")
    form = FromText(subject="Hi", preview_text="", content="one\r\ntwo", email_template_id="")
    email = read(published)
    saved = drafts.save(email.account, email.sequence_id, email.pk, form, shown(email).revision, LATER)
    assert saved.changed == ("subject",)


def test_what_is_written_back_as_it_was_is_no_change(published: SequenceEmail) -> None:
    saved = save(published, shown(published).revision, subject="Hi")
    assert save(published, saved.revision, subject="Hello").changed == ()


def test_saving_the_same_again_changes_nothing(published: SequenceEmail) -> None:
    saved = save(published, shown(published).revision, subject="Hi")
    assert save(published, saved.revision, by=BOB, subject="Hi") == saved


@pytest.mark.parametrize(
    "values", [{"subject": 3}, {"content": ["x"]}, {"content": "x" * 1_000_001}, {"email_template_id": "x"}]
)
def test_what_is_no_text_is_refused(published: SequenceEmail, values: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        save(published, shown(published).revision, **values)


def test_letters_that_no_column_takes_are_left_out(published: SequenceEmail) -> None:
    assert save(published, shown(published).revision, subject="a\0b\ud800c").values["subject"] == "abc"


def test_warnings_are_about_what_is_written(published: SequenceEmail) -> None:
    assert shown(published).warnings == []
    saved = save(published, shown(published).revision, content="{{ snippet.none }}")
    assert saved.warnings == ["content: there is no snippet none; nothing will stand in its place"]


# --- Publishing ---------------------------------------------------------------------------------------------------


def test_publishing_makes_a_version_of_the_draft(published: SequenceEmail) -> None:
    saved = save(published, shown(published).revision, content="<p>Two</p>")
    assert publish(published, saved.revision, by=BOB).content == "<p>Two</p>"
    newest = versions.of(read(published))[0]
    assert (newest.number, newest.content, newest.published_by) == (2, "<p>Two</p>", BOB)
    assert not shown(published).is_changed
    assert drafts.changed(published.sequence) == set()


def test_publishing_nothing_changes_nothing(published: SequenceEmail) -> None:
    draft = shown(published)
    publish(published, draft.revision)
    assert shown(published) == draft
    assert published.versions.count() == 1


def test_publishing_for_the_first_time_moves_people_and_its_impact_said_so(unpublished: SequenceEmail) -> None:
    sequence, account = unpublished.sequence, unpublished.account
    make_email(sequence, position=1)
    SequenceEmail.objects.filter(pk=unpublished.pk).update(delay_value=0)
    make_enrollment(sequence, make_subscriber(account))
    saved = save(unpublished, shown(unpublished).revision, content=BROKEN)
    proposal = partial(impact.publish_email, account, sequence.pk, unpublished.pk, saved.revision, LATER, ALICE)
    with pytest.raises(Invalid):
        impact.of(account, sequence.pk, proposal, LATER)
    saved = save(unpublished, saved.revision, content="<p>Now</p>")
    proposal = partial(impact.publish_email, account, sequence.pk, unpublished.pk, saved.revision, LATER, ALICE)
    told = impact.of(account, sequence.pk, proposal, LATER)
    assert told.right_away == {unpublished.pk: 1}
    assert told.done.email is not None
    assert told.done.email.content == "<p>Now</p>"
    assert not read(unpublished).published
    edited = publish(unpublished, saved.revision)
    assert (edited.published, edited.published_at) == (True, LATER)
    assert edited.sequence.edits == 1
    assert [one.content for one in versions.of(edited)] == ["<p>Now</p>"]


def test_a_draft_of_an_email_that_is_unpublished_meanwhile_is_kept(published: SequenceEmail) -> None:
    saved = save(published, shown(published).revision, subject="Hi")
    by_api(published, published=False)
    assert shown(published).values["subject"] == "Hi"
    assert save(published, saved.revision, content="<p>x</p>").changed == ()
    assert (read(published).subject, read(published).content) == ("Hi", "<p>x</p>")


def test_a_discarded_draft_shows_what_is_published(published: SequenceEmail) -> None:
    saved = save(published, shown(published).revision, subject="Hi")
    done = drafts.discard(published.account, published.sequence_id, published.pk, saved.revision, LATER, BOB)
    assert (done.values["subject"], done.changed, done.saved_by) == ("Hello", (), BOB)
    assert done == shown(published)


def test_a_version_is_restored_into_the_draft_alone(published: SequenceEmail) -> None:
    by_api(published, subject="Two", content="<p>Two</p>")
    revision = shown(published).revision
    back = drafts.restore(published.account, published.sequence_id, published.pk, 1, revision, LATER, ALICE)
    assert (back.values["subject"], back.changed) == ("Hello", ("subject", "content"))
    assert read(published).subject == "Two"
    with pytest.raises(NotFound):
        drafts.restore(published.account, published.sequence_id, published.pk, 3, back.revision, LATER, ALICE)


def test_a_deleted_email_has_no_draft(published: SequenceEmail) -> None:
    saved = save(published, shown(published).revision, subject="Hi")
    edits.delete_email(published.account, published.sequence_id, published.pk, LATER)
    assert EmailDraft.objects.count() == 0
    with pytest.raises(NotFound):
        save(published, saved.revision, subject="Hi")


@pytest.mark.parametrize(
    "verb",
    [
        partial(drafts.save, given={"subject": "x"}, revision="0.1", now=LATER),
        partial(drafts.discard, revision="0.1", now=LATER),
        partial(drafts.restore, number=1, revision="0.1", now=LATER),
        partial(edits.publish_email, revision="0.1", now=LATER),
    ],
)
def test_another_account_finds_nothing(published: SequenceEmail, verb: Callable[..., Any]) -> None:
    mallory = make_account("Mallory")
    assert shown(published).revision == "0.1"
    with pytest.raises(NotFound):
        verb(mallory, published.sequence_id, published.pk)


# --- Two at once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["published", "unpublished"])
def test_who_saves_over_somebody_else_is_shown_both(name: str, request: pytest.FixtureRequest) -> None:
    email: SequenceEmail = request.getfixturevalue(name)
    revision = shown(email).revision
    hers = save(email, revision, by=ALICE, content="<p>hers</p>")
    with pytest.raises(Overtaken) as caught:
        save(email, revision, by=BOB, content="<p>his</p>")
    assert caught.value.theirs == hers == shown(email)
    assert caught.value.theirs.saved_by == ALICE
    assert caught.value.yours == {"content": "<p>his</p>"}
    his = save(email, caught.value.theirs.revision, by=BOB, content="<p>his</p>")
    assert his.values["content"] == "<p>his</p>"


def test_who_wrote_the_same_has_lost_nothing(published: SequenceEmail) -> None:
    revision = shown(published).revision
    hers = save(published, revision, content="<p>Two</p>")
    assert save(published, revision, by=BOB, content="<p>Two</p>") == hers


@pytest.mark.parametrize("name", ["published", "unpublished"])
def test_a_page_that_lost_the_answer_overtakes_itself(name: str, request: pytest.FixtureRequest) -> None:
    email: SequenceEmail = request.getfixturevalue(name)
    revision = shown(email).revision
    save(email, revision, tab="a1", content="<p>Dear</p>")
    assert save(email, revision, tab="a1", content="<p>Dear friends</p>").values["content"] == "<p>Dear friends</p>"
    with pytest.raises(Overtaken):
        save(email, revision, tab="b2", content="<p>x</p>")


def test_neither_publishes_nor_discards_what_they_have_not_seen(published: SequenceEmail) -> None:
    seen = save(published, shown(published).revision, subject="Hi")
    save(published, seen.revision, by=BOB, subject="Hi there")
    with pytest.raises(Overtaken):
        publish(published, seen.revision)
    with pytest.raises(Overtaken):
        drafts.discard(published.account, published.sequence_id, published.pk, seen.revision, LATER)


def test_what_a_key_publishes_meanwhile_leaves_the_draft_and_is_told(published: SequenceEmail) -> None:
    before = shown(published)
    by_api(published, subject="By key", preview_text="By key")
    form = {**before.values, "content": "<p>Mine</p>", "preview_text": "Mine"}
    saved = save(published, before.revision, **form)
    assert saved.values == {**read_values(published), "content": "<p>Mine</p>", "preview_text": "Mine"}
    assert saved.published_meanwhile is not None
    assert (saved.published_meanwhile.number, saved.published_meanwhile.published_by) == (2, KEY)
    assert saved.clashes == ("preview_text",)
    with pytest.raises(Overtaken):
        publish(published, saved.revision)
    edited = publish(published, shown(published).revision)
    assert (edited.subject, edited.content, edited.preview_text) == ("By key", "<p>Mine</p>", "Mine")
    assert shown(published).published_meanwhile is None


def read_values(email: SequenceEmail) -> dict[str, Any]:
    return versions.values(read(email))


def test_a_key_that_writes_an_unpublished_email_is_somebody_else(unpublished: SequenceEmail) -> None:
    before = shown(unpublished)
    by_api(unpublished, subject="By key")
    with pytest.raises(Overtaken) as caught:
        save(unpublished, before.revision, content="<p>Mine</p>")
    assert caught.value.theirs.values["subject"] == "By key"


def test_a_key_that_publishes_leaves_an_open_page_its_words(unpublished: SequenceEmail) -> None:
    before = shown(unpublished)
    by_api(unpublished, published=True)
    saved = save(unpublished, before.revision, content="<p>Mine</p>")
    assert saved.changed == ("content",)
    assert read(unpublished).content == "<p>One</p>"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_published", [True, False])
def test_of_many_who_save_at_once_one_is_first_and_the_others_are_told(*, is_published: bool) -> None:
    email = make_sequence(make_account(), {"published": is_published}).emails.get()
    revision, words = shown(email).revision, iter("abcdef")

    def write() -> Draft:
        word = next(words)
        return save(email, revision, by=word, subject=word)

    done = together(write)
    [first] = [one for one in done if isinstance(one, Draft)]
    assert shown(email) == first
    for told in done:
        assert told is first or (isinstance(told, Overtaken) and told.theirs == first)


@pytest.mark.django_db(transaction=True)
def test_a_draft_is_published_once_and_no_save_slips_in_between() -> None:
    email = make_sequence(make_account(), {}).emails.get()
    saved = save(email, shown(email).revision, subject="Now")
    acts = iter(["publish", "a", "publish", "b", "publish", "c"])

    def act() -> Any:
        word = next(acts)
        return publish(email, saved.revision) if word == "publish" else save(email, saved.revision, subject=word)

    [first] = [one for one in together(act) if not isinstance(one, Overtaken)]
    final = shown(email)
    assert final == first if isinstance(first, Draft) else (final.values["subject"], final.changed) == ("Now", ())


# --- A second account of it -----------------------------------------------------------------------------------------

WORDS = st.sampled_from(["a", "b", BROKEN])
PARTS = st.dictionaries(st.sampled_from(["subject", "content"]), WORDS, min_size=1)


class Writers(RuleBasedStateMachine):
    """Two people with open pages and a key, against the simplest bookkeeping: who may write is who has seen the last
    save, and every text that was saved is in the row, in the draft, or was replaced by somebody who had seen it."""

    def __init__(self) -> None:
        super().__init__()
        sequence = make_sequence(make_account())
        self.email = make_email(sequence, position=0, subject="a", content="a", published=False)
        self.row = {"subject": "a", "content": "a"}
        self.draft: dict[str, str] = {}
        self.is_published = False
        self.pages = {who: (shown(self.email), 0) for who in (ALICE, BOB)}
        self.n_saves = 0

    @property
    def seen(self) -> dict[str, str]:
        return self.row | self.draft

    @rule(who=st.sampled_from([ALICE, BOB]))
    def opens(self, who: str) -> None:
        self.pages[who] = shown(self.email), self.n_saves

    @rule(who=st.sampled_from([ALICE, BOB]), words=PARTS)
    def saves(self, who: str, words: dict[str, str]) -> None:
        page, n_saves = self.pages[who]
        if n_saves != self.n_saves and any(self.seen[name] != text for name, text in words.items()):
            with pytest.raises(Overtaken) as told:
                save(self.email, page.revision, by=who, **words)
            assert {name: told.value.theirs.values[name] for name in self.row} == self.seen
            return
        saved = save(self.email, page.revision, by=who, **words)
        if n_saves == self.n_saves:
            self.draft = {name: text for name, text in (self.draft | words).items() if text != self.row[name]}
            if not self.is_published and BROKEN not in self.draft.values():
                self.row, self.draft = self.row | self.draft, {}
            self.n_saves += saved.revision != page.revision
        self.pages[who] = saved, self.n_saves

    @rule(who=st.sampled_from([ALICE, BOB]))
    def publishes(self, who: str) -> None:
        page, n_saves = self.pages[who]
        if n_saves != self.n_saves or BROKEN in self.draft.values():
            with pytest.raises((Overtaken, Invalid)) as refused:
                publish(self.email, page.revision, by=who)
            assert isinstance(refused.value, Overtaken if n_saves != self.n_saves else Invalid)
            return
        publish(self.email, page.revision, by=who)
        self.n_saves += bool(self.draft) or not self.is_published
        self.row, self.draft, self.is_published = self.seen, {}, True

    @rule(subject=st.sampled_from("ab"))
    def writes_by_api(self, subject: str) -> None:
        """Everybody opens the page anew: what a page of before does then has tests of its own."""
        by_api(self.email, subject=subject)
        self.row["subject"] = subject
        self.draft = {name: text for name, text in self.draft.items() if text != self.row[name]}
        self.pages = {who: (shown(self.email), self.n_saves) for who in self.pages}

    @invariant()
    def it_shows_what_was_written(self) -> None:
        found = shown(self.email)
        assert {name: found.values[name] for name in self.row} == self.seen
        assert {name: read_values(self.email)[name] for name in self.row} == self.row
        assert set(found.changed) == set(self.draft)
        assert bool(found.problems) == (BROKEN in self.draft.values())


class TestWriters(TestCase):
    def test_lose_nothing(self) -> None:
        run_state_machine_as_test(Writers, settings=settings(max_examples=15, stateful_step_count=12, deadline=None))
