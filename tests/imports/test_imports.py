"""What a file of people does, and what it leaves alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts.models import Account
from dripstone.engine import reasons as reasons_of_engine
from dripstone.engine import transitions
from dripstone.engine.acts import places
from dripstone.engine.models import Delivery
from dripstone.errors import Conflict, Invalid, TooLarge
from dripstone.events import causes
from dripstone.events.models import Event
from dripstone.imports import files, reading, running, upkeep, verbs, work
from dripstone.imports.models import Import, Piece, Rejected, Row, Touched
from dripstone.subscribers import forms, remembered, subscribe
from dripstone.subscribers.models import CustomField, FormSubscription, Subscriber
from dripstone.tallies import verbs as tallies
from tests.factories import (
    MONDAY_9,
    make_account,
    make_enrollment,
    make_sequence,
    make_subscriber,
    make_tag,
)
from tests.imports.files import chosen, imported, now, reasons, undone, uploaded

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Account:
    return make_account()


def person(account: Account, address: str) -> Subscriber:
    return Subscriber.objects.get(account=account, email_address=address)


def columns(*kinds: str) -> list[dict[str, Any]]:
    """What is none of the kinds is a new field of that name."""
    known = ("email", "first_name", "tags", "created_at", "skip")
    return [{"target": kind} if kind in known else {"target": "new_field", "label": kind} for kind in kinds]


@contextmanager
def read_in_batches(size: int) -> Iterator[None]:
    """Files are read in batches of so many rows."""
    before, reading.BATCH = reading.BATCH, size
    yield
    reading.BATCH = before


def tags_of(one: Subscriber) -> list[str]:
    return list(one.taggings.order_by("pk").values_list("tag__name", flat=True))


def test_new_people_come_in_with_their_values_and_tags(alice: Account) -> None:
    tag = make_tag(alice, name="All")
    done = imported(
        alice, 'Email,First Name,Town,Tags\r\nRita@Example.org,Rita,"Bath, UK","VIP, Course"\r\n', tag_ids=[tag.pk]
    )
    assert (done.state, done.n_made, done.n_rows) == (Import.State.DONE, 1, 1)
    rita = person(alice, "rita@example.org")
    town = CustomField.objects.get(label="Town")
    assert (rita.first_name, rita.fields, rita.state) == ("Rita", {str(town.pk): "Bath, UK"}, "active")
    assert tags_of(rita) == ["All", "VIP", "Course"]
    events = Event.objects.filter(subscriber_id=rita.pk).order_by("pk")
    assert [one.type.removeprefix("subscriber.") for one in events] == [
        *("created", "activated", "custom_field_value_updated", "tag_added", "tag_added", "tag_added")
    ]
    assert {tuple(one.cause) for one in events} == {(f"import {done.pk}", "quiet")}
    assert tallies.differences() == []


def test_people_on_file_are_updated_and_blank_cells_say_nothing(alice: Account) -> None:
    town = CustomField.objects.create(account=alice, label="Town", key="town", name="x", created_at=MONDAY_9)
    rita = make_subscriber(alice, email_address="rita@example.org", first_name="Rita", fields={str(town.pk): "Bath"})
    tom = make_subscriber(alice, email_address="tom@example.org", first_name="Tom", fields={str(town.pk): "York"})
    done = imported(alice, "email,first name,town\nrita@example.org,,Leeds\ntom@example.org,Tom,\n")
    rita.refresh_from_db()
    assert (rita.first_name, rita.fields) == ("Rita", {str(town.pk): "Leeds"})
    tom.refresh_from_db()
    assert (tom.first_name, tom.fields, tom.updated_at) == ("Tom", {str(town.pk): "York"}, MONDAY_9)
    assert (done.n_new, done.n_existing, done.n_made, done.n_changed) == (0, 2, 0, 1)
    [told] = Event.objects.filter(account_id=alice.pk, subscriber_id=rita.pk)
    assert (told.type, told.data) == ("subscriber.custom_field_value_updated", {"value": "Leeds"})


def test_blank_cells_take_values_away_when_told_to(alice: Account) -> None:
    town = CustomField.objects.create(account=alice, label="Town", key="town", name="x", created_at=MONDAY_9)
    rita = make_subscriber(alice, email_address="rita@example.org", first_name="Rita", fields={str(town.pk): "Bath"})
    imported(alice, "email,first name,town\nrita@example.org,,\n", blanks="clear")
    rita.refresh_from_db()
    assert (rita.first_name, rita.fields) == (None, {})
    assert Event.objects.get(subscriber_id=rita.pk).data == {"value": None}


def test_people_on_file_keep_their_values_or_are_passed_over(alice: Account) -> None:
    rita = make_subscriber(alice, email_address="rita@example.org", first_name="Rita")
    tag = make_tag(alice, name="All")
    imported(alice, "email,first name\nrita@example.org,Zoe\n", existing="keep", tag_ids=[tag.pk])
    rita.refresh_from_db()
    assert (rita.first_name, tags_of(rita)) == ("Rita", ["All"])
    other = make_tag(alice, name="Other")
    done = imported(alice, "email,first name\nrita@example.org,Zoe\n", existing="skip", tag_ids=[other.pk])
    rita.refresh_from_db()
    assert (rita.first_name, tags_of(rita), done.n_changed) == ("Rita", ["All"], 0)


def test_nobody_who_must_not_be_mailed_becomes_active(alice: Account) -> None:
    addresses = {state: f"{state}@example.org" for state in ("cancelled", "bounced", "complained", "inactive")}
    for state, address in addresses.items():
        make_subscriber(alice, email_address=address, state=state, canceled_at=MONDAY_9)
    remembered.remember(alice.pk, "gone@example.org", "cancelled", MONDAY_9 - timedelta(days=9))
    sequence = make_sequence(alice, {})
    file = "email\ngone@example.org\n" + "".join(f"{address}\n" for address in addresses.values())
    seen = chosen(alice, file, sequence_ids=[sequence.pk])
    assert (seen.n_new, seen.n_existing, seen.n_unmailable) == (1, 4, 4)
    verbs.run(seen, MONDAY_9)
    work.until_idle(now)
    for state, address in addresses.items():
        assert person(alice, address).state == state
    gone = person(alice, "gone@example.org")
    assert (gone.state, gone.canceled_at) == ("cancelled", MONDAY_9 - timedelta(days=9))
    assert Event.objects.get(subscriber_id=gone.pk).data == {"remembered_as": "cancelled"}
    assert remembered.state_of(alice.pk, "gone@example.org") is None
    assert [place.subscriber.state for place in sequence.enrollments.all()] == ["inactive"]
    assert sequence.enrollments.get().status == "unconfirmed"
    seen.refresh_from_db()
    assert (seen.n_stayed_out, seen.n_entered) == (4, 1)


def test_rows_about_the_same_person_are_put_together(alice: Account) -> None:
    """In one batch and across two."""
    rows = ["A@example.org,Ann,,x", "b@example.org,,,", "a@example.org,,Bath,y", "a@example.org,Anna,,X"]
    for size in (100, 1):
        with read_in_batches(size):
            account = make_account()
            done = imported(account, "\n".join(["email,first name,town,tags", *rows]))
        ann = person(account, "a@example.org")
        assert (ann.first_name, list(ann.fields.values())) == ("Anna", ["Bath"])
        assert [tag.lower() for tag in tags_of(ann)] == ["x", "y"]
        assert (done.n_rows, done.n_twice, done.n_new, done.n_made) == (4, 2, 2, 2)


def test_a_bad_row_stops_nothing_and_comes_back_with_its_reason(alice: Account) -> None:
    file = (
        "email,first name,town,date\n"
        "good@example.org,Good,Bath,2020-01-31\n"
        "nobody,Bad,Bath,\n"
        ",Blank,Bath,\n"
        f"long@example.org,{'x' * 256},,\n"
        "dates@example.org,,,31/01/2020\n"
        "later@example.org,,,2036-01-31\n"
        "wide@example.org,a,b,,c\n"
        "=evil(),,,\n"
        "nul@example.org,a\0b,,\n"
        ",,,\n"
        "short@example.org\n"
    )
    done = imported(alice, file, columns=columns("email", "first_name", "town", "created_at"))
    assert [one.email_address for one in alice.subscribers.order_by("pk")] == ["good@example.org", "short@example.org"]
    assert person(alice, "good@example.org").created_at == datetime(2020, 1, 31, tzinfo=UTC)
    assert (done.n_rows, done.n_rejected, done.n_made) == (10, 8, 2)
    assert reasons(done) == [
        "“nobody” is no email address",
        "There is no email address",
        "The first name is too long (maximum is 255 characters)",
        "“31/01/2020” is no date: write it as 2026-01-31, or 2026-01-31 14:30",
        "“2036-01-31” lies in the future",
        "The row has 5 cells, where there are 4 columns",
        "“=evil()” is no email address",
        "Column 2 must not contain NUL characters",
    ]


def test_the_rejected_rows_can_be_mended_and_imported_again(alice: Account) -> None:
    done = imported(alice, 'email,first name,note\nnobody,Rita,"=1+1, and\na line"\n')
    again = b"".join(verbs.rejected(done)).replace(b"nobody", b"rita@example.org")
    assert b"'=1+1" in again
    imported(alice, again)
    rita = person(alice, "rita@example.org")
    assert (rita.first_name, list(rita.fields.values())) == ("Rita", ["=1+1, and\na line"])
    assert CustomField.objects.filter(account=alice).count() == 1


def test_values_beyond_what_a_person_may_have_are_refused_when_they_are_put_together(alice: Account) -> None:
    first, second = (
        CustomField.objects.create(account=alice, label=name, key=name.lower(), name="x", created_at=MONDAY_9)
        for name in ("One", "Two")
    )
    rita = make_subscriber(alice, email_address="rita@example.org", fields={str(first.pk): "x" * 40_000})
    done = imported(alice, f"email,two\nrita@example.org,{'y' * 30_000}\n", tag_ids=[make_tag(alice).pk])
    rita.refresh_from_db()
    assert str(second.pk) not in rita.fields
    assert (tags_of(rita), done.n_rejected, done.n_changed) == ([], 1, 0)
    assert reasons(done) == ["Custom fields can't hold more than 64 KB for a person"]


def test_people_get_onto_forms_and_into_sequences_once(alice: Account) -> None:
    form, sequence = forms.create(alice.pk, {"name": "F", "opt_in": "single"}, MONDAY_9), make_sequence(alice, {})
    given = {"form_ids": [form.pk], "sequence_ids": [sequence.pk]}
    done = imported(alice, "email\na@example.org\nb@example.org\n", **given)
    assert FormSubscription.objects.filter(form=form).count() == 2
    assert [place.source for place in sequence.enrollments.all()] == ["import", "import"]
    assert done.n_entered == 2
    again = imported(alice, "email\na@example.org\n", **given)
    assert (again.n_entered, again.n_changed) == (0, 0)


def test_rules_hear_of_it_only_when_told_to(alice: Account) -> None:
    imported(alice, "email\na@example.org\n", fire_rules=True)
    causes_of = Event.objects.filter(account_id=alice.pk).values_list("cause", flat=True)
    assert all(len(cause) == 1 and not causes.is_quiet(cause) for cause in causes_of)


# --- Undoing ------------------------------------------------------------------------------------------------------


def test_undoing_leaves_nothing_of_an_import(alice: Account) -> None:
    town = CustomField.objects.create(account=alice, label="Town", key="town", name="x", created_at=MONDAY_9)
    rita = make_subscriber(alice, email_address="rita@example.org", first_name="Rita", fields={str(town.pk): "Bath"})
    had = make_tag(alice, rita, name="Had")
    form, sequence = forms.create(alice.pk, {"name": "F", "opt_in": "single"}, MONDAY_9), make_sequence(alice, {})
    given = {"tag_ids": [had.pk], "form_ids": [form.pk], "sequence_ids": [sequence.pk]}
    done = imported(alice, "email,first name,town,tags\nrita@example.org,Zoe,York,New\nnew@example.org,,,\n", **given)
    assert verbs.why_no_undo(done) == ""
    gone = undone(done)
    assert (gone.state, gone.n_undone, gone.n_left_alone) == (Import.State.UNDONE, 2, 0)
    [rita] = alice.subscribers.all()
    assert (rita.first_name, rita.fields, tags_of(rita)) == ("Rita", {str(town.pk): "Bath"}, ["Had"])
    assert not FormSubscription.objects.filter(form=form).exists()
    assert [place.status for place in sequence.enrollments.all()] == ["removed"]
    assert not Touched.objects.exists()
    assert tallies.differences() == []
    assert undone(gone).n_undone == 2


def test_whoever_has_changed_since_stays(alice: Account) -> None:
    done = imported(alice, "email,first name\na@example.org,Ann\nb@example.org,Bob\n")
    make_tag(alice, person(alice, "a@example.org"))
    gone = undone(done)
    assert [one.email_address for one in alice.subscribers.all()] == ["a@example.org"]
    assert (gone.n_undone, gone.n_left_alone) == (1, 1)


def test_values_that_were_changed_since_stay(alice: Account) -> None:
    rita = make_subscriber(alice, email_address="rita@example.org", first_name="Rita")
    done = imported(alice, "email,first name,town\nrita@example.org,Zoe,York\n")
    subscribe.update(rita.pk, {"first_name": "Zo"}, MONDAY_9, cause=causes.OWNER)
    undone(done)
    rita.refresh_from_db()
    assert (rita.first_name, rita.fields) == ("Zo", {})


def test_undoing_takes_out_whoever_came_back_into_a_sequence_and_leaves_who_was_on_the_way(alice: Account) -> None:
    sequence = make_sequence(alice, {}, repeat=True, hold=False)
    finished, out, under_way = (
        make_enrollment(sequence, make_subscriber(alice, email_address=f"{name}@example.org"))
        for name in ("finished", "out", "way")
    )
    places.skip(finished.pk, "owner", "", MONDAY_9)
    transitions.remove([out.pk], reasons_of_engine.REMOVED_BY_OWNER, MONDAY_9)
    assert set(sequence.enrollments.values_list("run", "status")) == {
        *((1, "completed"), (1, "removed"), (1, "active"))
    }
    done = imported(
        alice, "email\nfinished@example.org\nout@example.org\nway@example.org\n", sequence_ids=[sequence.pk]
    )
    assert (done.n_entered, done.n_changed) == (3, 3)
    assert set(sequence.enrollments.values_list("run", "status")) == {(2, "active")}
    undone(done)
    assert dict(sequence.enrollments.values_list("pk", "status")) == {
        finished.pk: "removed",
        out.pk: "removed",
        under_way.pk: "active",
    }
    assert tallies.differences() == []


def test_nothing_is_undone_once_somebody_was_mailed_because_of_it(alice: Account) -> None:
    sequence = make_sequence(alice, {})
    done = imported(alice, "email\na@example.org\n", sequence_ids=[sequence.pk])
    place = sequence.enrollments.get()
    email = sequence.emails.get()
    Delivery.objects.create(
        account=alice, sequence=sequence, subscriber_id=place.subscriber_id, enrollment=place, run=1, email=email,
        status="sent", planned_at=MONDAY_9, sent_at=MONDAY_9, ended_at=MONDAY_9,
    )  # fmt: skip
    assert verbs.why_no_undo(done) == "Somebody has been mailed because of it"
    with pytest.raises(Conflict, match="mailed because of it"):
        verbs.undo(done, MONDAY_9)


# --- What somebody says -------------------------------------------------------------------------------------------


def test_consent_must_be_given_and_is_written_down(alice: Account) -> None:
    import_ = uploaded(alice, "email\na@example.org\n")
    with pytest.raises(Invalid) as refused:
        verbs.choose(import_, {"tag_ids": [0], "columns": [{"target": "skip"}], "existing": "burn"}, MONDAY_9)
    members = {member for member, _ in refused.value.problems}
    assert members == {"consent", "tag_ids[0]", "columns", "existing"}
    with pytest.raises(Conflict):
        verbs.run(import_, MONDAY_9)
    row = verbs.choose(import_, {"consent": True}, MONDAY_9, by="carol@example.com")
    assert (row.consent, row.consent_by, row.consent_at) == (verbs.CONSENT, "carol@example.com", MONDAY_9)


def test_columns_are_refused_by_name(alice: Account) -> None:
    other = CustomField.objects.create(account=make_account(), label="X", key="x", name="x", created_at=MONDAY_9)
    import_ = uploaded(alice, "a,b,c,d\nx@example.org,1,2,3\n")
    given = [
        {"target": "email"},
        {"target": "field", "field_id": other.pk},
        {"target": "new_field", "label": " "},
        {"target": "state"},
    ]
    with pytest.raises(Invalid) as refused:
        verbs.choose(import_, {"consent": True, "columns": given[:3]}, MONDAY_9)
    assert "each of the 4 columns" in str(refused.value)
    with pytest.raises(Invalid) as refused:
        verbs.choose(import_, {"consent": True, "columns": given}, MONDAY_9)
    assert [member for member, _ in refused.value.problems] == ["columns[2].label", "columns[3].target"]
    given[2:] = [{"target": "email"}, {"target": "skip"}]
    with pytest.raises(Invalid) as refused:
        verbs.choose(import_, {"consent": True, "columns": given}, MONDAY_9)
    assert [member for member, _ in refused.value.problems] == ["columns[1].field_id", "columns[2].target"]


def test_choosing_again_reads_again(alice: Account) -> None:
    import_ = chosen(alice, "email;x\na@example.org;1\nbad;2\n", separator=",", columns=[{"target": "email"}])
    assert (import_.n_new, import_.n_rejected) == (0, 2)
    verbs.choose(import_, {"consent": True, "separator": ";"}, MONDAY_9)
    work.until_idle(now)
    import_.refresh_from_db()
    assert (import_.state, import_.n_new, import_.n_rejected) == (Import.State.READY, 1, 1)
    assert CustomField.objects.count() == 0  # nothing is made before it runs


def test_what_is_cancelled_half_way_keeps_what_it_did_and_can_be_undone(alice: Account) -> None:
    import_ = chosen(alice, "email\n" + "".join(f"p{n}@example.org\n" for n in range(5)))
    verbs.run(import_, MONDAY_9)
    running.step(Import.objects.get(pk=import_.pk), MONDAY_9, most=2)
    verbs.cancel(import_, MONDAY_9)
    work.until_idle(now)
    import_.refresh_from_db()
    assert (import_.n_done, import_.is_staged, Row.objects.count(), Piece.objects.count()) == (2, False, 0, 0)
    assert alice.subscribers.count() == 2
    undone(import_)
    assert alice.subscribers.count() == 0


def test_what_is_undone_at_once_after_it_was_cancelled_leaves_nothing_of_its_file(alice: Account) -> None:
    import_ = chosen(alice, "email\n" + "".join(f"p{n}@example.org\n" for n in range(5)))
    verbs.run(import_, MONDAY_9)
    running.step(Import.objects.get(pk=import_.pk), MONDAY_9, most=2)
    verbs.cancel(import_, MONDAY_9)
    undone(import_)
    assert (import_.state, import_.is_staged, Row.objects.count(), Piece.objects.count()) == ("undone", False, 0, 0)
    assert (alice.subscribers.count(), files.staged(alice.pk)) == (0, 0)


def test_accounts_take_turns(alice: Account) -> None:
    others = [alice, make_account()]
    for account in (alice, alice, others[1]):
        verbs.choose(uploaded(account, "email\na@example.org\n"), {"consent": True}, MONDAY_9)
    seen = []
    while (found := work.take_turn()) is not None:
        seen.append(found[1])
        work.step(found[0], now)
    assert seen == [alice.pk, others[1].pk, alice.pk]


def test_a_mistake_of_ours_fails_one_import_alone(alice: Account) -> None:
    bad, good = (chosen(account, "email\na@example.org\n") for account in (alice, make_account()))
    for one in (bad, good):
        verbs.run(one, MONDAY_9)
    Import.objects.filter(pk=bad.pk).update(columns=[{}])
    work.until_idle(now)
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, bad.why, good.state) == ("failed", work.OUR_MISTAKE, "done")


# --- Files --------------------------------------------------------------------------------------------------------


def test_pieces_come_in_order_and_once(alice: Account) -> None:
    import_ = files.begin(alice, r"C:\lists\people.csv", "owner", MONDAY_9)
    files.add(import_, 0, b"email\n")
    files.add(import_, 0, b"email\n")  # its answer was lost
    with pytest.raises(Conflict, match="Piece 1 comes next"):
        files.add(import_, 2, b"x")
    files.add(import_, 1, b"a@example.org\n")
    assert b"".join(files.read(import_, 3)) == b"il\na@example.org\n"
    assert (import_.file_name, files.finish(import_, MONDAY_9).n_bytes) == ("people.csv", 20)
    with pytest.raises(Conflict):
        files.add(import_, 2, b"x")


def test_an_account_has_a_quota(alice: Account, settings: Any) -> None:
    settings.DRIPSTONE_MAX_IMPORTS_MB = 1
    import_ = files.begin(alice, "a.csv", "owner", MONDAY_9)
    files.add(import_, 0, b"x" * 1_000_000)
    with pytest.raises(TooLarge, match="1 MB"):
        files.add(import_, 1, b"x")
    with pytest.raises(TooLarge):
        files.begin(alice, "b.csv", "owner", MONDAY_9)
    files.begin(make_account(), "b.csv", "owner", MONDAY_9)
    verbs.cancel(import_, MONDAY_9)
    work.until_idle(now)
    files.begin(alice, "b.csv", "owner", MONDAY_9)


def test_what_is_left_of_old_imports_goes_and_the_word_for_them_stays(alice: Account) -> None:
    done = imported(alice, "email\na@example.org\nbad\n")
    waiting = uploaded(alice, "email\na@example.org\n")
    upkeep.forget_old(MONDAY_9 + timedelta(days=29))
    assert Rejected.objects.count() == Touched.objects.count() == 1
    assert upkeep.forget_old(MONDAY_9 + timedelta(days=31)) == 2
    work.until_idle(now)
    assert Rejected.objects.count() == Touched.objects.count() == Piece.objects.count() == 0
    done.refresh_from_db()
    waiting.refresh_from_db()
    assert (done.consent, waiting.state) == (verbs.CONSENT, "cancelled")
    assert "too long ago" in verbs.why_no_undo(done)
    with pytest.raises(Conflict, match="gave their word"):
        verbs.delete(done)
    verbs.delete(waiting)
    assert list(verbs.of_account(alice.pk)) == [done]
