"""The page of images, what the editor uploads, and the addresses that emails name."""

import hashlib
from datetime import datetime
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dripstone.accounts.models import Account
from dripstone.images import store
from dripstone.images.models import Image
from tests.factories import make_email, make_sequence, make_user
from tests.images.making import a_picture, moving, noise, read, written
from tests.web.reading import hidden_members

JSON = {"Accept": "application/json"}


def file(data: bytes | None = None, name: str = "cave.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, a_picture() if data is None else data)


@pytest.fixture
def image(account: Account, now: datetime) -> Image:
    return store.add(account.pk, a_picture(), "cave.png", now)


def test_the_editor_gets_an_address_for_emails(alice: Client, account: Account, settings: Any) -> None:
    settings.DRIPSTONE_URL = "https://mail.example.com"
    answer = alice.post("/images", {"image": file()}, headers=JSON)
    image = account.images.get()
    url = f"https://mail.example.com/i/{image.digest}.png"
    assert (answer.status_code, answer.json()) == (201, {"url": url, "width": 60, "height": 40})
    assert image.name == "cave.png" and hashlib.sha256(image.content).hexdigest().startswith(image.digest)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [({}, "Choose a picture first"), ({"image": "text"}, "Choose a picture first"), ({"image": b"<svg>"}, "SVG is")],
)
def test_the_editor_is_told_why_not(alice: Client, given: dict[str, Any], sentence: str) -> None:
    given = {name: file(value) if isinstance(value, bytes) else value for name, value in given.items()}
    answer = alice.post("/images", given, headers=JSON)
    assert answer.status_code == 422 and answer.json()["errors"][0].startswith(sentence)


def test_a_form_takes_several_and_says_what_is_wrong_with_which(alice: Client, account: Account) -> None:
    answer = alice.post("/images", {"image": [file(), file(b"nothing", "notes.txt"), file(a_picture(9, 9), "b.png")]})
    page = answer.content.decode()
    assert answer.status_code == 422 and account.images.count() == 2
    assert "“notes.txt”: This file is no picture" in page and "2 pictures added" in page


def test_a_form_that_is_right_goes_back_to_the_list(alice: Client) -> None:
    page = alice.post("/images", {"image": file()}, follow=True).content.decode()
    assert "1 picture added" in page and "cave.png" in page


def test_an_upload_has_its_csrf_check(account: Account) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user(account, "ann@example.com"))
    assert browser.post("/images", {"image": file()}, headers=JSON).status_code == 403
    browser.get("/images")
    token = browser.cookies["dripstone_csrf"].value
    assert browser.post("/images", {"image": file()}, headers=JSON | {"X-CSRFToken": token}).status_code == 201
    form = {"image": file(a_picture(9, 9)), "csrfmiddlewaretoken": token}
    assert browser.post("/images", form).status_code == 302


def test_files_are_taken_nowhere_else(alice: Client, account: Account) -> None:
    answer = alice.post("/sign-in", {"image": file()})
    assert not answer.wsgi_request.FILES and not account.images.exists()


def test_the_list_shows_each_with_its_size(alice: Client, image: Image) -> None:
    page = alice.get("/images").content.decode()
    assert f"/images/{image.pk}/small" in page and "60 × 40" in page and "1 image, " in page and "of 500 MB" in page


def test_the_list_asks_the_database_a_fixed_number_of_times(alice: Client, account: Account, now: datetime) -> None:
    def n_queries() -> int:
        alice.get("/images")  # reads what is new
        with CaptureQueriesContext(
            connection,
        ) as queries:
            alice.get("/images")
        return len(queries)

    store.add(account.pk, a_picture(5), "x.png", now)
    alone = n_queries()
    for width in range(6, 12):
        store.add(account.pk, a_picture(width), "x.png", now)
    assert n_queries() == alone


def test_an_image_is_deleted_after_a_question(alice: Client, account: Account, image: Image) -> None:
    make_email(make_sequence(account), position=0, subject="Caves", content=f"<img src='{store.url(image)}'>")
    assert "in 1 email" in alice.get("/images").content.decode()
    assert "Caves" in alice.get(f"/images/{image.pk}").content.decode()
    question = alice.get(f"/images/{image.pk}/deletion")
    assert "also those that lie in people’s inboxes" in question.content.decode() and b"Caves" in question.content
    seen = hidden_members(question)["seen"][0]
    make_email(make_sequence(account), position=0, content=f"<img src='{store.url(image)}'>")
    assert alice.post(f"/images/{image.pk}/deletion", {"seen": seen}).status_code == 409
    seen = hidden_members(alice.get(f"/images/{image.pk}/deletion"))["seen"][0]
    alice.post(f"/images/{image.pk}/deletion", {"seen": seen})
    assert alice.get(image.path).status_code == 404


# --- /i/… -----------------------------------------------------------------------------------------------------------


def test_a_picture_is_public_and_kept_for_ever(client: Client, image: Image) -> None:
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(image.path)
    assert len(queries) == 1
    assert answer.content == image.content and answer["Content-Type"] == "image/png"
    assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer["X-Content-Type-Options"] == "nosniff" and "sandbox" in answer["Content-Security-Policy"]
    assert not answer.cookies and "Cookie" not in answer.get("Vary", "")


def test_whoever_is_signed_in_gets_the_same(alice: Client, client: Client, image: Image) -> None:
    answer = alice.get(image.path)
    assert not answer.cookies and "Cookie" not in answer.get("Vary", "") and not answer.wsgi_request.session.accessed


def test_a_head_has_no_body(client: Client, image: Image) -> None:
    answer = client.head(image.path)
    assert answer.status_code == 200 and answer.content == b"" and int(answer["Content-Length"]) == image.n_bytes


def test_whoever_has_it_is_sent_nothing(client: Client, image: Image) -> None:
    etag = client.get(image.path)["ETag"]
    answer = client.get(image.path, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", etag)


@pytest.mark.parametrize("name", ["0" * 32 + ".png", "x.png", "0" * 32, "0" * 32 + ".svg", "%00.png"])
def test_other_addresses_are_not_there(client: Client, db: None, name: str) -> None:
    answer = client.get(f"/i/{name}")
    assert answer.status_code == 404 and "immutable" not in answer.get("Cache-Control", "")


def test_pages_and_captured_mail_may_show_our_images(alice: Client, account: Account, settings: Any) -> None:
    from tests.web.making import make_message

    settings.DRIPSTONE_URL = "http://mail.example.com:8080/there"
    assert "img-src 'self' http://mail.example.com:8080 data:" in alice.get("/images")["Content-Security-Policy"]
    body = alice.get(f"/inbox/{make_message(account).pk}/body")
    assert "img-src https: data: 'self' http://mail.example.com:8080;" in body["Content-Security-Policy"]


# --- Small ones, for the list -----------------------------------------------------------------------------------------


def test_the_list_loads_small_copies(alice: Client, account: Account, now: datetime) -> None:
    photo = store.add(account.pk, written(noise(1100, 700), "JPEG"), "cave.jpg", now)
    assert f'src="/images/{photo.pk}/small"' in alice.get("/images").content.decode()
    first, second = (alice.get(f"/images/{photo.pk}/small") for _ in range(2))
    shown = read(first.content)
    assert (shown.format, shown.size) == ("JPEG", (400, 255))
    assert len(first.content) < photo.n_bytes / 5
    assert first.content == second.content
    assert first["Content-Type"] == "image/jpeg"
    assert first["Cache-Control"] == "private, max-age=31536000, immutable"
    photo.refresh_from_db()
    assert bytes(photo.small or b"") == first.content, "it is made once"


def test_transparency_stays_and_what_moves_stands_still(alice: Client, account: Account, now: datetime) -> None:
    see_through = noise(900, 900)
    see_through.putalpha(128)
    for picture, kind in ((written(see_through), "PNG"), (moving(20, 600, 500), "JPEG")):
        kept = store.add(account.pk, picture, "a", now)
        Image.objects.filter(pk=kept.pk).update(n_bytes=store.SMALL_ENOUGH + 1)
        shown = read(alice.get(f"/images/{kept.pk}/small").content)
        assert shown.format == kind
        assert max(shown.size) <= 400
        assert not getattr(shown, "is_animated", False)


def test_a_picture_of_few_bytes_is_its_own_small_copy(alice: Client, image: Image) -> None:
    answer = alice.get(f"/images/{image.pk}/small")
    assert (answer.content, answer["Content-Type"]) == (bytes(image.content), "image/png")
    image.refresh_from_db()
    assert image.small is None
