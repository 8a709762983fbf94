"""What is done on the page of a sequence: each act from its form, without JavaScript and as htmx sends it."""

from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.engine import follow
from dripstone.engine.models import Enrollment
from dripstone.sequences import drafts
from dripstone.sequences.models import Sequence, SequenceEmail
from tests.conftest import VirtualClock
from tests.factories import make_enrollment, make_sequence, make_subscriber
from tests.web.reading import hidden_members

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def sequence(account: Account) -> Sequence:
    """Three emails, one after the other; nobody inside."""
    letters = [{"subject": name, "delay_value": 1} for name in ("A", "B", "C")]
    return make_sequence(account, *letters, name="Caves")


@pytest.fixture
def bob(sequence: Sequence, account: Account, clock: VirtualClock) -> Enrollment:
    """Waits for A."""
    return make_enrollment(sequence, make_subscriber(account, first_name="Bob"), clock.now())


def email(sequence: Sequence, subject: str) -> SequenceEmail:
    return sequence.emails.get(subject=subject)


def order(sequence: Sequence) -> list[str]:
    return list(sequence.emails.filter(deleted_at=None).order_by("position").values_list("subject", flat=True))


def url(sequence: Sequence, subject: str, act: str) -> str:
    return f"/sequences/{sequence.pk}/emails/{email(sequence, subject).pk}/{act}"


def here(sequence: Sequence, target: str = "ask") -> dict[str, str]:
    """The headers of htmx, on the sequence's page."""
    page = f"http://testserver/sequences/{sequence.pk}"
    return {"HX-Request": "true", "HX-Target": target, "HX-Current-URL": page}


def asks(page: HttpResponse | Any) -> bool:
    return page.status_code == 200 and 'name="seen"' in page.content.decode()


# --- A new email -------------------------------------------------------------------------------------------------


def test_a_new_email_is_a_draft_at_the_end_and_opens_in_the_editor(alice: Client, sequence: Sequence) -> None:
    answer = alice.post(f"/sequences/{sequence.pk}/emails")
    new = sequence.emails.get(subject="Untitled email")
    assert answer["Location"] == f"/sequences/{sequence.pk}/emails/{new.pk}"
    assert (new.published, new.delay_value, new.delay_unit) == (False, 1, "days")
    assert order(sequence) == ["A", "B", "C", "Untitled email"]


def test_a_new_email_goes_where_the_plus_was(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    alice.post(f"/sequences/{sequence.pk}/emails", {"before": email(sequence, "B").pk})
    assert order(sequence) == ["A", "Untitled email", "B", "C"]


def test_the_first_email_of_all_goes_at_once(alice: Client, account: Account) -> None:
    empty = make_sequence(account)
    assert "Write the first email" in alice.get(f"/sequences/{empty.pk}").content.decode()
    alice.post(f"/sequences/{empty.pk}/emails")
    assert empty.emails.get().delay_value == 0


def test_no_email_is_put_before_one_that_is_gone(alice: Client, sequence: Sequence, clock: VirtualClock) -> None:
    sequence.emails.filter(subject="B").update(deleted_at=clock.now())
    page = alice.post(f"/sequences/{sequence.pk}/emails", {"before": email(sequence, "B").pk}, follow=True)
    assert "somebody deleted it" in page.content.decode()
    assert order(sequence) == ["A", "C"]


def test_the_way_to_a_new_email_leads_to_the_sequence_when_it_is_only_followed(
    alice: Client, sequence: Sequence
) -> None:
    assert alice.get(f"/sequences/{sequence.pk}/emails")["Location"] == f"/sequences/{sequence.pk}"


# --- Order -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moves", "before", "after"),
    [("C", "A", "CAB"), ("C", "B", "ACB"), ("A", "C", "BAC"), ("A", "", "BCA"), ("B", "A", "BAC"), ("C", "", "ABC")],
)
def test_it_puts_an_email_before_another(
    alice: Client, sequence: Sequence, moves: str, before: str, after: str
) -> None:
    target = email(sequence, before).pk if before else ""
    assert alice.post(url(sequence, moves, "order"), {"before": target}).status_code == 302
    assert order(sequence) == list(after)


def test_up_and_down_lead_one_place(alice: Client, sequence: Sequence) -> None:
    steps = alice.get(f"/sequences/{sequence.pk}").context["steps"]
    a, b, c = (str(step.email.pk) for step in steps)
    assert [step.up for step in steps] == [None, a, b]
    assert [step.down for step in steps] == [c, "", None]
    alice.post(url(sequence, "A", "order"), {"before": steps[0].down})
    assert order(sequence) == ["B", "A", "C"]


def test_a_move_that_touches_people_asks_first(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    page = alice.post(url(sequence, "C", "order"), {"before": email(sequence, "A").pk})
    assert asks(page)
    assert "It becomes email 1 of 3." in page.content.decode()
    assert order(sequence) == ["A", "B", "C"]
    alice.post(url(sequence, "C", "order"), hidden_members(page))
    assert order(sequence) == ["C", "A", "B"]


def test_nothing_is_put_before_an_email_that_goes_at_once(alice: Client, account: Account) -> None:
    sequence = make_sequence(account, {"subject": "A", "delay_value": 0}, {"subject": "B"})
    page = alice.get(f"/sequences/{sequence.pk}")
    assert [step.up for step in page.context["steps"]] == [None, None]
    assert page.content.decode().count("Add an email before") == 1
    refused = alice.post(url(sequence, "B", "order"), {"before": email(sequence, "A").pk}, follow=True)
    assert "“A” goes at once, so it stays the first" in refused.content.decode()
    assert order(sequence) == ["A", "B"]


# --- Published or not --------------------------------------------------------------------------------------------


def test_it_publishes_a_draft_and_unpublishes_it(alice: Client, sequence: Sequence) -> None:
    alice.post(url(sequence, "B", "unpublication"))
    assert not email(sequence, "B").published
    page = alice.post(url(sequence, "B", "publication"), follow=True)
    assert email(sequence, "B").published
    assert "“B” is published." in page.content.decode()


def test_it_says_who_gets_it_at_once_before_it_publishes(
    alice: Client, account: Account, sequence: Sequence, bob: Enrollment, clock: VirtualClock
) -> None:
    sequence.emails.filter(subject="A").update(published=False)
    Enrollment.objects.update(next_email=email(sequence, "B"))
    clock.advance(days=3)
    page = alice.post(url(sequence, "A", "publication"), headers=here(sequence))
    assert asks(page)
    text = page.content.decode()
    assert "Publish “A”?" in text
    assert "It is email 1 of 3: 1 day after they enter, at 9:00, every day." in text
    assert "Publish, mail 1 now" in text
    assert not email(sequence, "A").published
    done = alice.post(url(sequence, "A", "publication"), hidden_members(page), headers=here(sequence))
    assert email(sequence, "A").published
    assert done["HX-Retarget"] == "#builder"


def test_it_asks_again_when_somebody_else_published_meanwhile(
    alice: Client, sequence: Sequence, bob: Enrollment
) -> None:
    page = alice.post(url(sequence, "A", "unpublication"))
    alice.post(f"/sequences/{sequence.pk}/emails")
    again = alice.post(url(sequence, "A", "unpublication"), hidden_members(page))
    assert asks(again)
    assert "Things have moved" in again.content.decode()
    assert email(sequence, "A").published


def write(sequence: Sequence, subject: str, **values: str) -> None:
    """In the editor."""
    draft = drafts.of(email(sequence, subject))
    drafts.save(sequence.account, sequence.pk, email(sequence, subject).pk, values, draft.revision, clock.now())


def test_what_is_written_in_a_published_email_is_marked_and_published_from_here(
    alice: Client, sequence: Sequence
) -> None:
    write(sequence, "B", content="<p>Better</p>")
    page = alice.get(f"/sequences/{sequence.pk}")
    assert [step.state for step in page.context["steps"]] == ["published", "changed", "published"]
    assert "Changed since published" in page.content.decode()
    alice.post(url(sequence, "B", "publication"))
    assert email(sequence, "B").content == "<p>Better</p>"
    assert "Changed since published" not in alice.get(f"/sequences/{sequence.pk}").content.decode()


def test_it_publishes_the_draft_that_was_asked_about(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    sequence.emails.filter(subject="A").update(published=False)
    Enrollment.objects.update(due_at=None)
    page = alice.post(url(sequence, "A", "publication"))
    assert asks(page)
    write(sequence, "A", content="<p>Something else</p>")
    answer = alice.post(url(sequence, "A", "publication"), hidden_members(page), follow=True)
    assert "Somebody has changed it since you asked" in answer.content.decode()
    assert not email(sequence, "A").published


def test_what_cannot_be_published_is_said(alice: Client, sequence: Sequence) -> None:
    write(sequence, "B", content="{{ broken")
    page = alice.post(url(sequence, "B", "publication"), follow=True)
    assert 'class="notice bad"' in page.content.decode()


def test_it_publishes_all_drafts_at_once(alice: Client, sequence: Sequence) -> None:
    sequence.emails.update(published=False)
    page = alice.get(f"/sequences/{sequence.pk}")
    assert page.context["primary"] == "publish"
    assert "Publish all 3 emails" in page.content.decode()
    done = alice.post(f"/sequences/{sequence.pk}/publication", follow=True)
    assert "3 drafts are published." in done.content.decode()
    assert all(row.published for row in sequence.emails.all())


def test_it_leads_back_to_the_page_that_offered_to_publish(alice: Client, sequence: Sequence) -> None:
    sequence.emails.update(published=False)
    for came_from, back in (("home", "/"), ("sign_out", f"/sequences/{sequence.pk}")):
        answer = alice.post(f"/sequences/{sequence.pk}/publication", {"from": came_from})
        assert answer["Location"] == back


def test_it_says_so_when_there_is_nothing_to_publish(alice: Client, sequence: Sequence) -> None:
    page = alice.post(f"/sequences/{sequence.pk}/publication", follow=True)
    assert "All is published already." in page.content.decode()


def test_it_publishes_all_drafts_or_none(alice: Client, sequence: Sequence) -> None:
    sequence.emails.update(published=False)
    write(sequence, "C", content="{{ broken")
    page = alice.post(f"/sequences/{sequence.pk}/publication", follow=True)
    assert "“C”: " in page.content.decode()
    assert not any(row.published for row in sequence.emails.all())


def test_it_says_who_gets_what_before_it_publishes_all(
    alice: Client, sequence: Sequence, bob: Enrollment, clock: VirtualClock
) -> None:
    sequence.emails.update(published=False)
    Enrollment.objects.update(due_at=None)
    clock.advance(days=3)
    page = alice.post(f"/sequences/{sequence.pk}/publication")
    assert "Publish 3 drafts?" in page.content.decode()
    assert "Publish, mail 1 now" in page.content.decode()
    alice.post(f"/sequences/{sequence.pk}/publication", hidden_members(page))
    assert all(row.published for row in sequence.emails.all())


# --- Hold, skip the wait, duplicate ------------------------------------------------------------------------------


def test_an_email_is_put_on_hold_after_a_question_and_released_after_another(
    alice: Client, sequence: Sequence, bob: Enrollment
) -> None:
    page = alice.post(url(sequence, "A", "hold"))
    assert asks(page)
    assert "Put “A” on hold?" in page.content.decode()
    assert "Bob" in page.content.decode()
    alice.post(url(sequence, "A", "hold"), hidden_members(page))
    assert email(sequence, "A").held_by == "alice@example.com"
    text = alice.get(f"/sequences/{sequence.pk}").content.decode()
    assert "On hold" in text
    assert "without a date until it is released" in text
    follow.everybody(sequence.pk, clock.now())
    page = alice.post(url(sequence, "A", "release"))
    assert asks(page)
    alice.post(url(sequence, "A", "release"), hidden_members(page))
    assert email(sequence, "A").held_at is None


def test_everybody_at_an_email_gets_it_now_after_a_question(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    assert "Skip the wait for everybody here" in alice.get(f"/sequences/{sequence.pk}").content.decode()
    page = alice.post(url(sequence, "A", "skipping"))
    assert "Skip the wait, mail 1 now" in page.content.decode()
    alice.post(url(sequence, "A", "skipping"), hidden_members(page))
    follow.everybody(sequence.pk, clock.now())
    bob.refresh_from_db()
    assert bob.due_at == clock.now()


def test_nobody_waits_where_nobody_is(alice: Client, sequence: Sequence) -> None:
    assert "Skip the wait" not in alice.get(f"/sequences/{sequence.pk}").content.decode()


def test_an_email_is_duplicated_right_below(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    answer = alice.post(url(sequence, "A", "copy"))
    assert order(sequence) == ["A", "A", "B", "C"]
    copy = sequence.emails.get(subject="A", published=False)
    assert answer["Location"] == f"/sequences/{sequence.pk}#e{copy.pk}"


def test_a_sequence_is_duplicated_without_its_people(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    answer = alice.post(f"/sequences/{sequence.pk}/copy", follow=True)
    copy = Sequence.objects.get(name="Caves (copy)")
    assert answer.redirect_chain == [(f"/sequences/{copy.pk}", 302)]
    assert order(copy) == ["A", "B", "C"]
    assert "All its emails are drafts" in answer.content.decode()


# --- Delete ------------------------------------------------------------------------------------------------------


def test_it_asks_before_it_deletes_what_somebody_wrote(alice: Client, sequence: Sequence) -> None:
    page = alice.post(url(sequence, "B", "deletion"))
    assert asks(page)
    assert order(sequence) == ["A", "B", "C"]
    alice.post(url(sequence, "B", "deletion"), hidden_members(page))
    assert order(sequence) == ["A", "C"]


def test_it_says_who_skips_what_is_deleted(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    text = alice.post(url(sequence, "A", "deletion")).content.decode()
    assert "skips “A”" in text
    assert "Bob" in text


def test_a_whole_sequence_is_deleted_after_a_question(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    page = alice.post(f"/sequences/{sequence.pk}/deletion")
    assert "leaves the sequence" in page.content.decode()
    done = alice.post(f"/sequences/{sequence.pk}/deletion", hidden_members(page), follow=True)
    assert done.redirect_chain == [("/", 302)]
    assert "“Caves” is deleted." in done.content.decode()
    assert alice.get(f"/sequences/{sequence.pk}").status_code == 404


# --- Delay -------------------------------------------------------------------------------------------------------


def test_it_changes_a_delay_on_a_page_of_its_own(alice: Client, sequence: Sequence) -> None:
    page = alice.get(url(sequence, "B", "delay"))
    assert "When “B” goes" in page.content.decode()
    answer = alice.post(
        url(sequence, "B", "delay"), {"delay_value": "2", "delay_unit": "days", "send_days": ["", "monday", "friday"]}
    )
    changed = email(sequence, "B")
    assert answer["Location"] == f"/sequences/{sequence.pk}#e{changed.pk}"
    assert (changed.delay_value, changed.send_days) == (2, [0, 4])


@pytest.mark.parametrize(("unit", "days"), [("days", [""]), ("hours", ["", "monday"])])
def test_no_day_and_hours_mean_no_days_of_its_own(
    alice: Client, sequence: Sequence, unit: str, days: list[str]
) -> None:
    sequence.emails.update(send_days=[1])
    alice.post(url(sequence, "B", "delay"), {"delay_value": "3", "delay_unit": unit, "send_days": days})
    assert (email(sequence, "B").delay_unit, email(sequence, "B").send_days) == (unit, None)


def in_place(sequence: Sequence, subject: str) -> dict[str, str]:
    return here(sequence, f"gap-{email(sequence, subject).pk}")


def test_it_changes_a_delay_where_it_stands(alice: Client, sequence: Sequence) -> None:
    form = alice.get(url(sequence, "B", "delay"), headers=in_place(sequence, "B"))
    assert form.content.decode().lstrip().startswith("<form")
    answer = alice.post(
        url(sequence, "B", "delay"), {"delay_value": "5", "delay_unit": "hours"}, headers=in_place(sequence, "B")
    )
    text = answer.content.decode()
    assert text.lstrip().startswith('<div class="gap"')
    assert "5 hours later" in text
    assert "Saved." in text


def test_dates_that_were_given_stay_and_a_new_one_is_offered(
    alice: Client, sequence: Sequence, bob: Enrollment
) -> None:
    data = {"delay_value": "5", "delay_unit": "days"}
    text = alice.post(url(sequence, "A", "delay"), data, headers=in_place(sequence, "A")).content.decode()
    assert "People who wait for it keep their dates." in text
    assert "Reschedule waiting people…" in text
    bob.refresh_from_db()
    due = bob.due_at
    page = alice.post(f"/sequences/{sequence.pk}/rescheduling")
    assert asks(page)
    alice.post(f"/sequences/{sequence.pk}/rescheduling", hidden_members(page))
    follow.everybody(sequence.pk, bob.entered_at)
    bob.refresh_from_db()
    assert due is not None
    assert bob.due_at == due + timedelta(days=4)


def test_what_is_refused_stands_beside_the_delay_with_what_was_typed(alice: Client, sequence: Sequence) -> None:
    data = {"delay_value": "5000", "delay_unit": "days", "send_days": ["", "sunday"]}
    for headers in ({}, in_place(sequence, "B")):
        answer = alice.post(url(sequence, "B", "delay"), data, headers=headers)
        text = answer.content.decode()
        assert answer.status_code == 422
        assert 'value="5000"' in text
        assert 'value="sunday" checked' in text
        assert "Delay value must be between 0 and 1095 days" in text
    assert email(sequence, "B").delay_value == 1


def test_cancel_brings_the_words_back(alice: Client, sequence: Sequence) -> None:
    answer = alice.get(url(sequence, "B", "delay") + "?as=words", headers=in_place(sequence, "B"))
    assert "1 day later, at 9:00" in answer.content.decode()


# --- Answers -----------------------------------------------------------------------------------------------------


def test_htmx_on_the_page_gets_the_sequence_as_it_is_now(alice: Client, sequence: Sequence) -> None:
    answer = alice.post(url(sequence, "C", "order"), {"before": email(sequence, "A").pk}, headers=here(sequence))
    assert (answer["HX-Retarget"], answer["HX-Reswap"]) == ("#builder", "innerHTML")
    assert "sequence-changed" in answer["HX-Trigger"]
    assert "Moved." in answer["HX-Trigger"]
    text = answer.content.decode()
    assert "<html" not in text
    assert text.index(">C</a>") < text.index(">A</a>")


def test_htmx_from_elsewhere_is_sent_to_the_sequence(alice: Client, sequence: Sequence) -> None:
    elsewhere = here(sequence) | {"HX-Current-URL": "http://testserver/"}
    answer = alice.post(url(sequence, "B", "unpublication"), headers=elsewhere)
    assert answer["HX-Redirect"] == f"/sequences/{sequence.pk}#e{email(sequence, 'B').pk}"


def test_what_is_refused_is_said_in_the_dialog(alice: Client, account: Account) -> None:
    sequence = make_sequence(account, {"subject": "A", "delay_value": 0}, {"subject": "B"})
    before = {"before": email(sequence, "A").pk}
    answer = alice.post(url(sequence, "B", "order"), before, headers=here(sequence))
    assert answer.status_code == 422
    assert "goes at once" in answer.content.decode()


def test_the_page_comes_again_while_people_are_being_moved(alice: Client, sequence: Sequence, bob: Enrollment) -> None:
    page = alice.post(url(sequence, "A", "unpublication"))
    alice.post(url(sequence, "A", "unpublication"), hidden_members(page))
    part = here(sequence, "builder")
    text = alice.get(f"/sequences/{sequence.pk}", headers=part).content.decode()
    assert "People are being moved" in text
    assert "<html" not in text
    follow.everybody(sequence.pk, bob.entered_at)
    assert "being moved" not in alice.get(f"/sequences/{sequence.pk}", headers=part).content.decode()


# --- Who may -----------------------------------------------------------------------------------------------------


def test_a_viewer_sees_the_line_without_its_buttons(viewer: Client, editor: Client, sequence: Sequence) -> None:
    page = viewer.get(f"/sequences/{sequence.pk}").content.decode()
    assert "1 day later, at 9:00" in page
    main = page[page.index("<main") : page.index("</main>")]
    assert "<button" not in main
    assert "<form" not in main
    assert "Move up" in editor.get(f"/sequences/{sequence.pk}").content.decode()
