"""Imports by API: a file in pieces, what it would do, done, undone."""

from dripstone import clock
from dripstone.imports import work
from dripstone.subscribers.models import Subscriber
from tests.api.caller import Caller

CSV = b"email;Town\nana@example.org;Rome\nbob@example.org;\nnobody;\n"
COLUMNS = [{"target": "email"}, {"target": "new_field", "label": "City"}]


def sent(alice: Caller, content: bytes = CSV) -> str:
    status, answer = alice.post("/ext/v1/imports", {"file_name": "fair.csv", "n_bytes": len(content)})
    assert status == 201
    url = f"/ext/v1/imports/{answer['import']['id']}"
    for number, begin in enumerate(range(0, len(content), 20)):
        status, _ = alice.raw("put", f"{url}/pieces/{number}", content[begin : begin + 20], "application/octet-stream")
        assert status == 200
    status, answer = alice.post(f"{url}/finish")
    assert (status, answer["import"]["state"], answer["import"]["n_bytes"]) == (200, "uploaded", len(content))
    return url


def test_a_file_is_looked_into_counted_done_and_undone(alice: Caller) -> None:
    url = sent(alice)
    look = alice.get(f"{url}/look")[1]["look"]
    assert (look["encoding"], look["separator"], look["has_header"]) == ("utf-8", ";", True)
    assert look["rows"][0] == ["ana@example.org", "Rome"]
    assert alice.put(url, {"columns": COLUMNS, "consent": True})[1]["import"]["state"] == "reading"
    work.until_idle(clock.now)
    ready = alice.get(url)[1]["import"]
    assert (ready["state"], ready["counts"]["new"], ready["counts"]["rejected"]) == ("ready", 2, 1)
    assert not Subscriber.objects.exists()
    assert alice.post(f"{url}/run")[0] == 200
    work.until_idle(clock.now)
    done = alice.get(url)[1]["import"]
    assert (done["state"], done["done"]["made"], done["may_be_undone"]) == ("done", 2, True)
    assert alice.post(f"{url}/undo")[0] == 200
    work.until_idle(clock.now)
    assert not Subscriber.objects.exists()


def test_every_problem_is_told_by_member(alice: Caller) -> None:
    status, answer = alice.put(sent(alice), {"columns": [{"target": "email"}, {"target": "field"}], "tag_ids": [7]})
    assert status == 422
    told = " ".join(answer["errors"])
    assert "columns[1].field_id" in told and "tag_ids[0]" in told and "Confirm that everybody" in told


def test_a_piece_out_of_turn_is_refused(alice: Caller) -> None:
    _, answer = alice.post("/ext/v1/imports", {"file_name": "a.csv"})
    url = f"/ext/v1/imports/{answer['import']['id']}"
    assert alice.raw("put", f"{url}/pieces/1", b"x", "application/octet-stream")[0] == 409
    assert alice.post(f"{url}/run")[0] == 409


def test_one_that_touched_nobody_is_deleted(alice: Caller) -> None:
    url = sent(alice)
    assert alice.post(f"{url}/cancel")[1]["import"]["state"] == "cancelled"
    assert alice.delete(url)[0] == 204
    assert alice.get(url)[0] == 404


def test_a_piece_for_an_import_of_another_account_finds_none(alice: Caller, mallory: Caller) -> None:
    _, answer = alice.post("/ext/v1/imports", {"file_name": "a.csv"})
    url = f"/ext/v1/imports/{answer['import']['id']}"
    for caller in (mallory, mallory.by_token()):
        assert caller.raw("put", f"{url}/pieces/0", b"x", "application/octet-stream")[0] == 404
    assert alice.get(url)[1]["import"]["n_bytes"] == 0
