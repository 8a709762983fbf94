"""People as a CSV file: who may have it, whom it holds, what stands in its cells."""

import csv
import io
import json
from datetime import datetime
from typing import Any
from urllib.parse import quote

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.engine import transitions
from dripstone.events import causes
from dripstone.subscribers import locations, tags
from dripstone.web import people_csv
from tests.conftest import VirtualClock
from tests.factories import MONDAY_9, a_location, make_subscriber, make_tag
from tests.web.reading import text_of


def exported(client: Client, query: str = "", use: str = "program") -> str:
    answer: Any = client.post(f"/people/export{query}", {"use": use})
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


def lines(client: Client, query: str = "", use: str = "program") -> list[list[str]]:
    return list(csv.reader(io.StringIO(exported(client, query, use).removeprefix("\ufeff"))))


def test_a_file_has_everybody_with_all_that_is_known(
    alice: Client, account: Account, now: datetime, clock: VirtualClock
) -> None:
    city = account.custom_fields.create(label="City, country", key="city", name="ck", created_at=now)
    ann = make_subscriber(
        account, first_name="Ann", email_address="ann@example.org", fields={str(city.pk): 'Łódź, "PL"'}
    )
    for name in ("Zebra", "Ape"):
        tags.add(tags.create(account.pk, {"name": name}, now, cause=causes.OWNER)[0], ann, now, cause=causes.OWNER)
    bob = make_subscriber(account, first_name=None, email_address="bob@example.org")
    transitions.cancel(bob.pk, now, cause=causes.OWNER)
    locations.pin(ann.pk, a_location(), now)
    assert lines(alice) == [
        ["email_address", "first_name", "state", "created_at", "canceled_at", "tags", "location", "City, country"],
        [
            "ann@example.org",
            "Ann",
            "active",
            "2026-11-23T09:00:00Z",
            "",
            "Zebra; Ape",
            "Boise, Idaho, US",
            'Łódź, "PL"',
        ],
        ["bob@example.org", "", "cancelled", "2026-11-23T09:00:00Z", "2026-11-23T09:00:00Z", "", "", ""],
    ]  # fmt: skip


def test_its_name_has_the_day_of_the_account(alice: Client, account: Account, clock: VirtualClock) -> None:
    clock.set(MONDAY_9.replace(hour=3))  # still Sunday in New York
    answer = alice.post("/people/export", {"use": "program"})
    assert answer["Content-Disposition"] == 'attachment; filename="people-2026-11-22.csv"'
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("text/csv; charset=utf-8", "no-store")


def test_a_filtered_list_gives_a_filtered_file(alice: Client, account: Account) -> None:
    ann = make_subscriber(account, email_address="ann@example.org")
    make_subscriber(account, email_address="bob@example.org")
    make_subscriber(account, email_address="cy@example.org", state="inactive")
    query = f"?filter={quote(json.dumps({'type': 'tags', 'ids': [make_tag(account, ann).pk]}))}"
    assert [line[0] for line in lines(alice, query)[1:]] == ["ann@example.org"]
    assert [line[0] for line in lines(alice, "?state=inactive")[1:]] == ["cy@example.org"]
    assert [line[0] for line in lines(alice, "?q=bob")[1:]] == ["bob@example.org"]
    assert "have the tag" in text_of(alice.get(f"/people/export{query}"))


def test_a_filter_that_cannot_be_read_gives_no_file(alice: Client, account: Account) -> None:
    make_subscriber(account, email_address="ann@example.org")
    for answer in (alice.post("/people/export?filter={", {"use": "program"}), alice.get("/people/export?filter={")):
        assert "This filter can’t be read" in text_of(answer)
        assert "ann@example.org" not in text_of(answer)


def test_a_spreadsheet_calls_nothing_and_knows_utf_8(alice: Client, account: Account) -> None:
    for number, name in enumerate(("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "Ann")):
        make_subscriber(account, first_name=name, email_address=f"reader{number}@example.org")
    assert exported(alice, use="spreadsheet").startswith("\ufeffemail_address,")
    guarded = ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\r=1", " =1", "Ann"]
    assert [line[1] for line in lines(alice, use="spreadsheet")[1:]] == guarded
    assert [line[1] for line in lines(alice)[1:]] == ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "Ann"]


def test_viewers_take_no_file_along(viewer: Client, editor: Client, account: Account) -> None:
    make_subscriber(account, email_address="ann@example.org")
    assert viewer.post("/people/export", {"use": "program"}).status_code == 403
    assert "An editor or owner can export them" in text_of(viewer.get("/people/export"))
    assert len(lines(editor)) == 2


def test_nobody_of_another_account_is_in_it(account: Account, mallory: Client) -> None:
    make_subscriber(account, email_address="ann@example.org")
    assert len(lines(mallory)) == 1


def test_queries_grow_with_pieces_not_with_people(alice: Client, account: Account, monkeypatch: Any) -> None:
    monkeypatch.setattr(people_csv, "AT_A_TIME", 10)
    for number in range(25):
        make_tag(account, make_subscriber(account, email_address=f"reader{number}@example.org"))
    with CaptureQueriesContext(connection) as captured:
        assert len(lines(alice)) == 26
    assert sum("subscribers_tagging" in query["sql"] for query in captured) == 3
