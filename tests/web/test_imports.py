"""The pages of imports: a file, its columns, what would happen, what has happened, and back again."""

import pytest
from django.test import Client

from dripstone import clock
from dripstone.accounts.models import Account
from dripstone.imports import arriving, files, work
from dripstone.imports.models import Import
from dripstone.subscribers.models import CustomField, State, Subscriber, Tag
from tests.factories import MONDAY_9, make_sequence, make_subscriber, make_tag
from tests.web.reading import hidden_members

CSV = (
    "E-Mail;Name;City;Tags\r\n"
    "ana@example.org;Ana;Rome;Fair\r\n"
    "bob@example.org;Bob;Köln;\r\n"
    "gone@example.org;Gil;Oslo;\r\n"
    "ana@example.org;Ana;Roma;\r\n"
    "nobody;Nil;;\r\n"
).encode("windows-1252")


@pytest.fixture
def row(account: Account) -> Import:
    """Whose file has come."""
    row = files.begin(account, "fair.csv", "alice@example.com", clock.now())
    files.add(row, 0, CSV)
    return files.finish(row, clock.now())


def chosen(row: Import, **more: object) -> dict[str, object]:
    """What the form of the second step sends."""
    given: dict[str, object] = {"encoding": "windows-1252", "separator": "semicolon", "has_header": "true"}
    given |= {"n_columns": 4, "column-0": "email", "column-1": "first_name", "column-2": "new_field"}
    return (
        given | {"label-2": "City", "column-3": "tags", "existing": "update", "blanks": "keep", "consent": "on"} | more
    )


def counted(client: Client, row: Import, **more: object) -> str:
    answer = client.post(f"/imports/{row.pk}/choices", chosen(row, **more))
    assert (answer.status_code, answer["Location"]) == (302, f"/imports/{row.pk}")
    work.until_idle(clock.now)
    return client.get(f"/imports/{row.pk}").content.decode()


# --- The file -------------------------------------------------------------------------------------------------------


def test_the_script_sends_a_file_in_pieces(alice: Client, account: Account) -> None:
    url = alice.post("/imports", {"file_name": "C:\\fair.csv", "n_bytes": len(CSV)}).json()["url"]
    for number, begin in enumerate(range(0, len(CSV), 50)):
        for _ in range(2):  # an answer that was lost
            answer = alice.post(f"{url}/pieces/{number}", CSV[begin : begin + 50], "application/octet-stream")
            assert answer.status_code == 204
    assert f"{len(CSV)} bytes are here" in alice.get(url).content.decode()
    assert alice.post(f"{url}/arrival").json() == {"url": url}
    row = Import.objects.get()
    assert (row.account, row.file_name, row.state, row.n_bytes) == (account, "fair.csv", "uploaded", len(CSV))
    assert alice.get(url)["Location"] == f"{url}/choices"


def test_the_script_is_told_what_is_wrong(alice: Client, account: Account, settings: object) -> None:
    settings.DRIPSTONE_MAX_IMPORTS_MB = 1  # type: ignore[attr-defined]
    refused = alice.post("/imports", {"file_name": "a.csv", "n_bytes": 1_000_001})
    assert refused.status_code == 413 and "can't have more than 1 MB" in refused.json()["errors"][0]
    url = alice.post("/imports", {"file_name": "a.csv", "n_bytes": 10}).json()["url"]
    assert alice.post(f"{url}/pieces/1", b"x", "application/octet-stream").status_code == 409
    large = alice.post(f"{url}/pieces/0", b"x" * 1_000_001, "application/octet-stream")
    assert large.status_code == 413 and "End or cancel another import first" in large.json()["errors"][0]
    assert alice.post(f"{url}/arrival").json() == {"errors": ["The file is empty"]}


def test_without_the_script_the_form_brings_it_in_one_go(alice: Client, account: Account) -> None:
    """The server before Django asks twice: tests/front/test_files.py."""
    coming = {arriving.ANNOUNCED: arriving.Announced("fair.csv", len(CSV))}
    assert alice.post("/imports/file", **coming).status_code == 302  # type: ignore[arg-type]
    row = Import.objects.get()
    files.add(row, 0, CSV)
    whole = {arriving.ARRIVED: arriving.Arrived(row.pk, len(CSV))}
    assert alice.post("/imports/file", **whole)["Location"] == f"/imports/{row.pk}"  # type: ignore[arg-type]
    assert Import.objects.get().state == "uploaded"


def test_no_file_is_told(alice: Client, account: Account, row: Import) -> None:
    answer = alice.post("/imports/file")
    assert answer.status_code == 422 and "Choose a file first." in answer.content.decode()
    assert Import.objects.count() == 1


def test_what_broke_off_begins_again_in_the_same_import(alice: Client, account: Account) -> None:
    row = files.begin(account, "fair.csv", "alice@example.com", clock.now())
    files.add(row, 0, b"half of")
    coming = {arriving.ANNOUNCED: arriving.Announced("fair.csv", None)}
    alice.post(f"/imports/{row.pk}/file", **coming)  # type: ignore[arg-type]
    row.refresh_from_db()
    assert (row.n_pieces, row.n_bytes, row.state) == (0, 0, "uploading")


def test_of_two_files_at_the_same_time_none_is_taken(alice: Client, account: Account) -> None:
    row = files.begin(account, "fair.csv", "alice@example.com", clock.now())
    files.add(row, 0, b"half of")
    whole = {arriving.ARRIVED: arriving.Arrived(row.pk, 12)}
    page = alice.post(f"/imports/{row.pk}/file", follow=True, **whole).content.decode()  # type: ignore[arg-type]
    assert "send it again" in page
    assert Import.objects.get().state == "uploading"


# --- Columns --------------------------------------------------------------------------------------------------------


def test_it_guesses_and_shows_the_first_rows(alice: Client, row: Import) -> None:
    page = alice.get(f"/imports/{row.pk}/choices").content.decode()
    assert '<option value="windows-1252" selected>' in page
    assert '<option value="semicolon" selected>' in page
    assert page.count('<option value="email" selected>') == 1
    assert page.count('<option value="new_field" selected>') == 1
    assert "Köln" in page


def test_encoding_separator_and_header_can_be_changed(alice: Client, row: Import) -> None:
    answer = alice.get(f"/imports/{row.pk}/choices?encoding=mac-roman&separator=comma&has_header=no")
    page = answer.content.decode()
    assert '<option value="mac-roman" selected>' in page
    assert '<option value="comma" selected>' in page
    assert "E-Mail;Name;City;Tags" in page and "Köln" not in page
    assert hidden_members(answer)["n_columns"] == ["1"]


def test_an_unknown_encoding_is_told(alice: Client, row: Import) -> None:
    page = alice.get(f"/imports/{row.pk}/choices?encoding=klingon").content.decode()
    assert "encoding must be one of" in page


def test_what_is_wrong_stands_beside_its_field_with_what_was_typed(alice: Client, row: Import) -> None:
    wrong = chosen(row, **{"column-0": "skip", "label-2": "Home town", "existing": "burn"})
    del wrong["consent"]
    answer = alice.post(f"/imports/{row.pk}/choices", wrong)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "One column must have the email addresses" in page
    assert "Confirm that everybody in the file has agreed" in page
    assert 'value="Home town"' in page
    assert Import.objects.get().state == "uploaded"


# --- What it would do, and does ---------------------------------------------------------------------------------------


def test_it_is_counted_before_anything_happens(alice: Client, account: Account, row: Import) -> None:
    make_subscriber(account, email_address="bob@example.org")
    make_subscriber(account, email_address="gone@example.org", state=State.CANCELLED, canceled_at=MONDAY_9)
    tag, sequence = make_tag(account), make_sequence(account, {"delay_value": 0})
    page = counted(alice, row, tag_ids=[tag.pk], sequence_ids=[sequence.pk])
    for n, phrase in (
        (1, "new"),
        (2, "there already, and updated"),
        (1, "unsubscribed, bounced or complained, and stays so"),
        (1, "put together with it"),
        (1, "row can’t be read"),
    ):
        assert any(f'<b class="many">{n}</b>' in line and phrase in line for line in page.split("<li")), phrase
    assert f"They get the tag “{tag.name}” and the sequence “{sequence.name}”" in page
    assert "Import 3 people" in page
    assert Subscriber.objects.count() == 2
    assert not CustomField.objects.exists()


def test_it_is_done_and_told_and_undone(alice: Client, account: Account, row: Import) -> None:
    counted(alice, row)
    alice.post(f"/imports/{row.pk}/start")
    work.until_idle(clock.now)
    page = alice.get(f"/imports/{row.pk}").content.decode()
    assert "Done" in page and "<dd>3</dd>" in page
    ana = Subscriber.objects.get(email_address="ana@example.org")
    assert (ana.first_name, list(Tag.objects.values_list("name", flat=True))) == ("Ana", ["Fair"])
    asked = alice.post(f"/imports/{row.pk}/undoing")
    assert "made by it, who are deleted" in asked.content.decode()
    assert Subscriber.objects.count() == 3
    alice.post(f"/imports/{row.pk}/undoing", hidden_members(asked))
    work.until_idle(clock.now)
    assert not Subscriber.objects.exists()
    assert "3 people are as before" in alice.get(f"/imports/{row.pk}").content.decode()
    assert (
        "It can’t be undone: it was undone already"
        in alice.post(f"/imports/{row.pk}/undoing", follow=True).content.decode()
    )


def test_undoing_says_before_what_it_cannot_take_back(alice: Client, account: Account, row: Import) -> None:
    counted(alice, row)
    Import.objects.update(sequence_ids=[make_sequence(account, {}, repeat=True).pk])
    alice.post(f"/imports/{row.pk}/start")
    work.until_idle(clock.now)
    assert "stays at its beginning" in alice.post(f"/imports/{row.pk}/undoing").content.decode()


def test_rows_that_were_not_taken_come_as_a_file_with_the_reason(alice: Client, viewer: Client, row: Import) -> None:
    counted(alice, row)
    answer = alice.post(f"/imports/{row.pk}/rejected")
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert answer["Content-Disposition"] == f'attachment; filename="rejected-{row.pk}.csv"'
    [head, line] = text.splitlines()
    assert head == "E-Mail,Name,City,Tags,Problem" and line.startswith("nobody,Nil,,,")
    assert viewer.post(f"/imports/{row.pk}/rejected").status_code == 403


def test_it_can_be_changed_after_it_was_counted(alice: Client, row: Import) -> None:
    counted(alice, row)
    page = alice.get(f"/imports/{row.pk}/choices").content.decode()
    assert page.count('<option value="new_field" selected>') == 1
    assert "Being read" in alice.post(f"/imports/{row.pk}/choices", chosen(row), follow=True).content.decode()


def test_it_can_be_cancelled_and_deleted_while_nobody_was_touched(alice: Client, row: Import) -> None:
    page = alice.post(f"/imports/{row.pk}/cancellation", follow=True).content.decode()
    assert "Nobody was touched" in page
    work.until_idle(clock.now)
    assert "is deleted" in alice.post(f"/imports/{row.pk}/deletion", follow=True).content.decode()
    assert not Import.objects.exists()


def test_one_that_is_not_ready_does_not_start(alice: Client, row: Import) -> None:
    page = alice.post(f"/imports/{row.pk}/start", follow=True).content.decode()
    assert "Say first what its columns are" in page


def test_a_part_of_the_page_comes_while_it_goes_on(alice: Client, row: Import) -> None:
    alice.post(f"/imports/{row.pk}/choices", chosen(row))
    part = alice.get(f"/imports/{row.pk}", headers={"HX-Request": "true", "HX-Target": "import"}).content.decode()
    assert 'hx-trigger="every 2s"' in part and "<html" not in part
    work.until_idle(clock.now)
    part = alice.get(f"/imports/{row.pk}", headers={"HX-Request": "true", "HX-Target": "import"}).content.decode()
    assert "hx-trigger" not in part and "Import 3 people" in part


def test_all_are_listed(alice: Client, mallory: Client, row: Import) -> None:
    page = alice.get("/imports").content.decode()
    assert "fair.csv" in page and "Say what its columns are" in page
    assert "fair.csv" not in mallory.get("/imports").content.decode()


def test_a_viewer_looks_and_changes_nothing(viewer: Client, row: Import) -> None:
    assert "<fieldset" in viewer.get(f"/imports/{row.pk}/choices").content.decode()
    assert viewer.post(f"/imports/{row.pk}/choices", chosen(row)).status_code == 403
    assert "Upload" not in viewer.get("/imports/new").content.decode()


def test_a_file_of_very_many_columns_can_be_set_up(alice: Client, account: Account) -> None:
    row = files.begin(account, "wide.csv", "alice@example.com", clock.now())
    titles = ["email", *(f"c{n}" for n in range(599))]
    files.add(row, 0, f"{','.join(titles)}\nana@example.org{',x' * 599}\n".encode())
    files.finish(row, clock.now())
    page = alice.get(f"/imports/{row.pk}/choices").content.decode()
    assert page.count('name="column-') == 450 and "150 more columns left out" in page
    given = {f"column-{n}": "skip" for n in range(1, 450)} | {f"label-{n}": "x" for n in range(450)}
    given |= {"column-0": "email", "n_columns": "600", "consent": "on", "separator": "comma"}
    assert alice.post(f"/imports/{row.pk}/choices", given).status_code == 302
