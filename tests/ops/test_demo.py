"""The demo: a story under way, one first email to send now, and an account of objects that never mail anybody."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dripstone.accounts import members
from dripstone.accounts.models import Account
from dripstone.automations.models import Automation, Walk
from dripstone.content.compile import EmailSource, Envelope, Person, SnippetSource, compile_email
from dripstone.content.models import Snippet
from dripstone.engine import life, process
from dripstone.engine.models import Delivery, Enrollment
from dripstone.ops import demo
from dripstone.ops.demo import contract, letters, path, people
from dripstone.senders.memory import MemorySender, accept
from dripstone.sequences import drafts
from dripstone.sequences.models import Sequence, SequenceEmail
from dripstone.subscribers.models import Form, State, Subscriber, Tag
from tests.factories import make_account

pytestmark = pytest.mark.django_db


@pytest.fixture
def loaded(now: datetime) -> demo.DemoResult:
    result = demo.load(now)
    assert result is not None
    return result


@pytest.fixture
def mail(settings: Any) -> Any:
    settings.DRIPSTONE_MAIL_URL = "memory://demo"
    process.close()
    sender = MemorySender.named("demo")
    sender.messages.clear()
    sender.answer = accept
    yield sender
    process.close()


def test_it_refuses_a_database_that_has_an_account(now: datetime) -> None:
    make_account("Alice")
    assert demo.load(now) is None
    assert Account.objects.count() == 1 and not Sequence.objects.exists()


def test_loading_twice_changes_nothing(loaded: demo.DemoResult, now: datetime) -> None:
    before = (Subscriber.objects.count(), Delivery.objects.count())
    assert demo.load(now) is None
    assert (Subscriber.objects.count(), Delivery.objects.count()) == before


def test_it_loads_quickly(now: datetime, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(6800):  # 3 s on an idle machine
        demo.load(now)


def test_the_credentials_open_the_account(loaded: demo.DemoResult, client: Any) -> None:
    answer = client.get("/v4/account", headers={"X-Kit-Api-Key": loaded.api_key})
    assert answer.status_code == 200
    assert answer.json()["user"]["email"] == loaded.user_email
    assert members.users_of(loaded.account).get().check_password(loaded.password)


def test_only_those_who_enter_now_are_due(loaded: demo.DemoResult, now: datetime) -> None:
    due = Enrollment.objects.filter(due_at__lte=now)
    addresses = set(due.values_list("subscriber__email_address", flat=True))
    assert addresses == {"bob.hart@example.org", "mei.tanaka@example.com"}
    assert loaded.subscriber_email in addresses
    assert set(due.values_list("due_at", flat=True)) == {now}
    assert not Delivery.objects.filter(status__in=["planned", "sending"]).exists()


def test_the_first_start_sends_the_first_email_and_nothing_else(
    loaded: demo.DemoResult, mail: MemorySender, now: datetime
) -> None:
    life.until_idle(lambda: now)
    life.until_idle(lambda: now + timedelta(seconds=30))
    assert sorted(message.rcpt_to for message in mail.messages) == ["bob.hart@example.org", "mei.tanaka@example.com"]
    data = mail.messages[0].data
    assert b"List-Unsubscribe-Post" in data and b"multipart/alternative" in data
    assert data.count(b"write to one person") >= 1


def test_people_stand_all_along_the_course(loaded: demo.DemoResult, now: datetime) -> None:
    places = Enrollment.objects.filter(sequence_id=loaded.sequence_id)
    assert set(places.values_list("status", flat=True)) == {"unconfirmed", "active", "completed", "removed"}
    positions = places.filter(status="active").values_list("next_email__position", flat=True)
    assert len(set(positions)) >= 3
    sent = Delivery.objects.filter(status="sent")
    assert sent.count() > 10 and not sent.filter(sent_at__gte=now).exists()
    assert Delivery.objects.filter(status="skipped").exists()


def test_people_stand_all_along_the_automation(loaded: demo.DemoResult, now: datetime) -> None:
    automation = Automation.objects.get(account=loaded.account)
    assert (automation.name, automation.status) == (path.NAME, "active")
    inside = Walk.objects.filter(automation=automation, left_at=None)
    assert {"welcome", "later"} <= set(inside.values_list("node", flat=True))
    assert automation.n_entered >= 15
    assert not inside.filter(due_at__lte=now).exists()
    has = Tag.objects.get(account=loaded.account, name=path.KNOWS).taggings.count()
    assert has >= 3


# A Sunday evening, the hour of sending itself, and either side of the clock changes of New York.
INSTANTS = ["2026-11-22T23:59:30", "2027-06-15T15:00:01", "2026-11-01T06:30:00", "2027-03-14T07:30:00"]


@pytest.mark.parametrize("instant", INSTANTS)
def test_it_fits_whenever_the_first_start_is(instant: str) -> None:
    now = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    loaded = demo.load(now)
    assert loaded is not None
    due = Enrollment.objects.filter(due_at__lte=now)
    assert set(due.values_list("due_at", flat=True)) == {now} and due.count() == 2
    places = Enrollment.objects.filter(sequence_id=loaded.sequence_id)
    assert set(places.values_list("status", flat=True)) == {"unconfirmed", "active", "completed", "removed"}
    assert len(set(places.values_list("next_email__position", flat=True))) >= 3


def test_the_course_is_what_the_documentation_says(loaded: demo.DemoResult) -> None:
    emails = list(SequenceEmail.objects.filter(sequence_id=loaded.sequence_id).order_by("position"))
    delays = [(email.delay_value, email.delay_unit, email.send_days) for email in emails]
    assert delays == [
        (0, "days", None),
        (2, "hours", None),
        (1, "days", None),
        (1, "days", [0, 1, 2, 3, 4]),
        (1, "days", [1]),
    ]
    assert loaded.sequence_id == Sequence.objects.order_by("-pk").values_list("pk", flat=True).first()
    mine = set(Tag.objects.filter(account=loaded.account).values_list("name", flat=True))
    assert mine == {"Came to the workshop", "Runs a shop", "Team", "Writes a newsletter", path.KNOWS, path.READ}


ALL_LETTERS = [letter for series in letters.ALL for letter in series.letters]


@pytest.mark.parametrize("fields", [{}, {"newsletter": "Slow Kitchen", "goal": "readers"}], ids=["bare", "full"])
def test_every_letter_renders_without_a_gap(
    loaded: demo.DemoResult, now: datetime, fields: dict[str, str | None]
) -> None:
    account = loaded.account
    snippets = {
        snippet.key: SnippetSource(snippet.snippet_type, snippet.value_html or snippet.content)
        for snippet in Snippet.objects.filter(account=account)
    }
    for letter in ALL_LETTERS:
        _renders_without_a_gap(letter, snippets, account, fields, now)


def _renders_without_a_gap(
    letter: letters.Letter,
    snippets: dict[str, SnippetSource],
    account: Account,
    fields: dict[str, str | None],
    now: datetime,
) -> None:
    source = EmailSource(
        letter.subject,
        "Robin",
        "robin@example.com",
        letter.preview_text,
        letters.html(letter.file),
        letters.html("template"),
        snippets,
        postal_address=account.postal_address,
    )
    known = {"newsletter": None, "goal": None} | fields
    first_name = "Rita" if fields else None
    envelope = Envelope("1@example.com", now, "https://drip.example.com/u/1")
    rendered = compile_email(source).render(Person(1, "rita@example.org", first_name, known), envelope)
    assert rendered.warnings == (), letter.file
    assert fields or "You told us" not in rendered.text
    assert "{{" not in rendered.html + rendered.text + rendered.subject
    for part in (rendered.html, rendered.text):
        assert ("Hello Rita," if fields else "Hello there,") in part
        assert "https://drip.example.com/u/1" in part and "12 Limestone Lane" in part and "Robin Vale" in part


def test_contract_objects_never_send(loaded: demo.DemoResult, mail: MemorySender, now: datetime) -> None:
    ours = Enrollment.objects.filter(sequence_id__in=contract.SEQUENCES)
    assert ours.exists() and not ours.filter(due_at__isnull=False).exists()
    for days in range(0, 40, 1):
        life.until_idle(lambda at=now + timedelta(days=days): at)  # type: ignore[misc]
    assert not Delivery.objects.filter(sequence_id__in=contract.SEQUENCES).exists()
    assert all(message.rcpt_to.endswith(("@example.org", "@example.com")) for message in mail.messages)


def test_new_rows_get_ids_beyond_the_chosen_ones(loaded: demo.DemoResult, now: datetime) -> None:
    form = Form.objects.create(account=loaded.account, name="Next", uid="0123456789", created_at=now)
    person = Subscriber.objects.create(
        account=loaded.account, email_address="next@example.org", created_at=now, updated_at=now
    )
    assert form.pk > max(contract.FORMS) and person.pk > max(contract.PEOPLE)


def test_there_is_somebody_of_every_kind(loaded: demo.DemoResult) -> None:
    states = set(Subscriber.objects.filter(account=loaded.account).values_list("state", flat=True))
    assert states == {State.ACTIVE, State.INACTIVE, State.CANCELLED, State.BOUNCED}


def test_it_tells_one_story_of_forty_people(loaded: demo.DemoResult, now: datetime) -> None:
    mine = Subscriber.objects.filter(account=loaded.account)
    assert mine.count() == len(people.PEOPLE) == 40
    sequences = Sequence.objects.filter(account=loaded.account)
    assert set(sequences.values_list("name", flat=True)) == {series.name for series in letters.ALL}
    for sequence in sequences:
        places = Enrollment.objects.filter(sequence=sequence)
        assert places.filter(status="active", due_at__gt=now).exists(), sequence.name
        sent = Delivery.objects.filter(sequence=sequence, status="sent")
        assert sent.filter(sent_at__gt=now - timedelta(days=3)).exists(), sequence.name
        assert sent.filter(sent_at__lt=now - timedelta(days=8)).exists(), sequence.name
    workshop = sequences.get(name=letters.WORKSHOP.name)
    assert drafts.changed(workshop) == {workshop.emails.get(position=2).pk}
    assert not Delivery.objects.filter(account=loaded.account, status="sent", edition=None).exists()
    failed = Delivery.objects.get(account=loaded.account, status="failed")
    assert failed.reply.startswith("550 5.1.1")


def test_kits_examples_have_an_account_of_their_own(loaded: demo.DemoResult, client: Any) -> None:
    mine = client.get("/v4/sequences", headers={"X-Kit-Api-Key": loaded.api_key}).json()
    assert len(mine["sequences"]) == len(letters.ALL)
    examples = client.get("/v4/sequences", headers={"X-Kit-Api-Key": loaded.examples_key}).json()
    assert {one["id"] for one in examples["sequences"]} == set(contract.SEQUENCES)


def test_whoever_looks_at_the_demo_may_look_at_the_examples_too(loaded: demo.DemoResult) -> None:
    user = members.users_of(loaded.account).get()
    assert [one.account.name for one in members.of_user(user)] == ["The Plain Letter", "Kit's examples"]
