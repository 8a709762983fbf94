"""`Idempotency-Key`: the same call, sent again, is answered again and not carried out again."""

import json
import threading
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.db import connection
from django.test import Client

from dripstone import clock as clocks
from dripstone.accounts import repeats
from dripstone.accounts.models import KeptAnswer
from dripstone.content.models import Snippet
from dripstone.ops import prune
from dripstone.sequences.models import Sequence
from dripstone.subscribers.models import Subscriber, Tag
from tests import factories
from tests.api.caller import Caller
from tests.racing import together

TAG = {"name": "VIP"}
OF_ANOTHER = {"errors": [repeats.OF_ANOTHER]}


class Reply(NamedTuple):
    status: int
    document: Any
    is_replayed: bool


def send(key: str, path: str, body: Any = None, idempotency_key: str = "a", method: str = "POST") -> Reply:
    headers = {"X-Kit-Api-Key": key, "Idempotency-Key": idempotency_key}
    data = b"" if body is None else json.dumps(body).encode()
    answer = Client().generic(method, path, data, content_type="application/json", headers=headers)
    replayed = answer.get("Idempotent-Replayed")
    assert replayed in (None, "true")
    return Reply(answer.status_code, json.loads(answer.content) if answer.content else None, replayed == "true")


def key_of(owner: Caller) -> str:
    """Another key of the same account."""
    return factories.make_key(owner.account)[1]


# --- What it is for ---------------------------------------------------------------------------------------------


def test_the_same_call_is_answered_again(alice: Caller) -> None:
    first = send(alice.key, "/v4/sequences", {"name": "Course"})
    again = send(alice.key, "/v4/sequences", {"name": "Course"})
    assert (first.status, first.is_replayed) == (201, False)
    assert again == (201, first.document, True)
    assert Sequence.objects.count() == 1


def test_another_key_is_another_call(alice: Caller) -> None:
    answers = [send(alice.key, "/v4/sequences", {"name": "Course"}, one) for one in ("a", "A", "b")]
    assert len({answer.document["sequence"]["id"] for answer in answers}) == 3


def test_without_it_nothing_is_kept(alice: Caller) -> None:
    assert alice.post("/v4/tags", TAG)[0] == 201
    assert not KeptAnswer.objects.exists()


# --- Another call with the same key -----------------------------------------------------------------------------


def test_it_is_refused_with_another_body_or_path(alice: Caller) -> None:
    assert send(alice.key, "/v4/tags", TAG).status == 201
    assert send(alice.key, "/v4/tags", {"name": "Other"}) == (422, OF_ANOTHER, False)
    assert send(alice.key, "/ext/v1/forms", TAG) == (422, OF_ANOTHER, False)
    assert send(alice.key, "/v4/tags?a=1", TAG) == (422, OF_ANOTHER, False)
    assert list(Tag.objects.values_list("name", flat=True)) == ["VIP"]


def test_another_credential_knows_nothing_of_it(alice: Caller, mallory: Caller) -> None:
    """Not of the same account either."""
    first = send(alice.key, "/v4/sequences", {"name": "Course"})
    for key in (mallory.key, key_of(alice)):
        other = send(key, "/v4/sequences", {"name": "Course"})
        assert (other.status, other.is_replayed) == (201, False)
        assert other.document["sequence"]["id"] != first.document["sequence"]["id"]


def test_nobody_is_told_anything_without_a_live_key(alice: Caller) -> None:
    send(alice.key, "/v4/tags", TAG)
    alice.account.api_keys.update(revoked_at=clocks.now())
    assert send(alice.key, "/v4/tags", TAG).status == 401


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_other_methods_may_be_repeated_anyway(alice: Caller, method: str) -> None:
    tag = factories.make_tag(alice.account)
    path = f"/v4/tags/{tag.pk}" if method == "PUT" else f"/ext/v1/tags/{tag.pk}"
    assert send(alice.key, path, TAG, "not a key", method).status in (200, 204)
    assert not KeptAnswer.objects.exists()


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 256, "é", "\x7f"])
def test_it_has_a_form(alice: Caller, key: str) -> None:
    status, document, _ = send(alice.key, "/v4/tags", TAG, key)
    assert status == 422
    assert document["errors"][0].startswith("Idempotency-Key must have 1 to 255")
    assert not Tag.objects.exists()


@pytest.mark.parametrize("key", ["x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!~"])
def test_it_may_be_whatever_clients_make(alice: Caller, key: str) -> None:
    assert send(alice.key, "/v4/tags", TAG, key).status == 201
    assert send(alice.key, "/v4/tags", TAG, f" {key} ").is_replayed


# --- What went wrong keeps nothing ------------------------------------------------------------------------------


def test_a_refusal_may_be_mended_and_sent_with_the_same_key(alice: Caller) -> None:
    assert send(alice.key, "/v4/tags", {"name": ""}).status == 422
    assert send(alice.key, "/v4/tags", ["VIP"]).status == 422
    assert send(alice.key, "/v4/tags", TAG)[::2] == (201, False)


def test_a_refusal_that_passes_is_carried_out_when_it_has(alice: Caller) -> None:
    sequence = factories.make_sequence(alice.account, active=False)
    path = f"/v4/sequences/{sequence.pk}/subscribers/{factories.make_subscriber(alice.account).pk}"
    assert send(alice.key, path).document == {"errors": ["Sequence is inactive"]}
    Sequence.objects.update(active=True)
    assert send(alice.key, path).status == 201


def test_a_failure_leaves_neither_work_nor_key(alice: Caller) -> None:
    """It comes with the last statement of the work."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'disk_full'; END $$;
            CREATE TRIGGER fail BEFORE INSERT ON accounts_keptanswer FOR EACH ROW EXECUTE FUNCTION fail()
            """
        )
    assert send(alice.key, "/v4/tags", TAG).status == 503
    assert not Tag.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION fail CASCADE")
    assert send(alice.key, "/v4/tags", TAG).status == 201


# --- At the same time -------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_while_it_is_carried_out_a_repeat_is_told_to_wait() -> None:
    row, key = factories.make_key(factories.make_account())
    answers: list[Any] = []

    def ask() -> None:
        headers = {"X-Kit-Api-Key": key, "Idempotency-Key": "a"}
        answers.append(Client().post("/v4/tags", TAG, content_type="application/json", headers=headers))
        connection.close()

    with repeats.turn(repeats.Call(row.account_id, f"key:{row.pk}", "a", b"")):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    (answer,) = answers
    assert (answer.status_code, answer.json()) == (409, {"errors": [repeats.UNDER_WAY]})
    assert int(answer["Retry-After"]) > 0
    assert not Tag.objects.exists()
    assert send(key, "/v4/tags", TAG).status == 201


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(3))
def test_of_many_at_once_one_is_carried_out(number: int) -> None:
    account = factories.make_account()
    key = factories.make_key(account)[1]
    connection.close()
    answers = together(lambda: send(key, "/v4/sequences", {"name": "Course"}), times=8)
    assert Sequence.objects.count() == 1
    fresh = [answer for answer in answers if answer.status == 201 and not answer.is_replayed]
    assert len(fresh) == 1
    for answer in answers:
        assert answer.status == 409 or answer.document == fresh[0].document


# --- What is kept, and for how long -----------------------------------------------------------------------------


def test_it_is_kept_for_a_day(alice: Caller, clock: Any) -> None:
    first = send(alice.key, "/v4/sequences", {"name": "Course"})
    clock.advance(hours=24, seconds=-1)
    assert send(alice.key, "/v4/sequences", {"name": "Course"}).is_replayed
    clock.advance(seconds=1)
    later = send(alice.key, "/v4/sequences", {"name": "Course"})
    assert (later.status, later.is_replayed) == (201, False)
    assert later.document["sequence"]["id"] != first.document["sequence"]["id"]
    clock.advance(hours=1)
    assert send(alice.key, "/v4/sequences", {"name": "Course"}) == (201, later.document, True)


def test_it_is_pruned(alice: Caller) -> None:
    send(alice.key, "/v4/tags", TAG)
    prune.everything(clocks.now() + timedelta(hours=23))
    assert KeptAnswer.objects.count() == 1
    (told,) = [one for one in prune.everything(clocks.now() + timedelta(hours=25)) if one.name == "kept answers"]
    assert told.n_gone == 1
    assert not KeptAnswer.objects.exists()


def test_nobody_reads_an_answer_in_the_database(alice: Caller) -> None:
    send(alice.key, "/v4/subscribers", {"email_address": "ann@example.org", "first_name": "Ann"})
    row = KeptAnswer.objects.get()
    assert b"ann" not in bytes(row.content or b"").lower()
    assert b"ann" not in bytes(row.fingerprint).lower()


def test_whoever_is_deleted_stands_in_no_answer(alice: Caller) -> None:
    """What was carried out is not carried out again for that."""
    person = send(alice.key, "/v4/subscribers", {"email_address": "ann@example.org"}).document["subscriber"]
    assert alice.delete(f"/ext/v1/subscribers/{person['id']}")[0] == 204
    assert KeptAnswer.objects.get().content is None
    again = send(alice.key, "/v4/subscribers", {"email_address": "ann@example.org"})
    assert again == (409, {"errors": [repeats.NOT_KEPT]}, False)
    assert not Subscriber.objects.exists()


def test_an_answer_that_is_too_long_is_not_kept_but_its_work_is_done_once(alice: Caller) -> None:
    body = {"name": "Long", "snippet_type": "inline", "content": "é" * 150_000}
    assert send(alice.key, "/v4/snippets", body).status == 201
    assert send(alice.key, "/v4/snippets", body) == (409, {"errors": [repeats.NOT_KEPT]}, False)
    assert Snippet.objects.count() == 1


def test_an_answer_under_another_secret_key_is_not_told(alice: Caller, settings: Any) -> None:
    send(alice.key, "/v4/tags", TAG)
    settings.SECRET_KEY = "another key, which is long enough for this"
    assert send(alice.key, "/v4/tags", TAG) == (409, {"errors": [repeats.NOT_KEPT]}, False)


def test_an_account_takes_its_answers_along(alice: Caller) -> None:
    send(alice.key, "/v4/tags", TAG)
    Tag.objects.all().delete()
    alice.account.delete()
    assert not KeptAnswer.objects.exists()


# --- The clock is moved in parts --------------------------------------------------------------------------------


def test_time_that_was_moved_is_not_moved_again(alice: Caller) -> None:
    path, hour = "/ext/v1/clock/advance", {"seconds": 3_600}
    first = send(alice.key, path, hour)
    assert send(alice.key, path, hour) == (200, first.document, True)
    assert send(alice.key, path, hour, "b").document["clock"]["now"] > first.document["clock"]["now"]
