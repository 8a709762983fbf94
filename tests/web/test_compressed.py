"""Static files are compressed for whoever takes them so."""

import gzip
from typing import Any

import pytest
from django.test import Client

from dripstone.web.compressed import TAKES_GZIP

CSS = "/static/web/dripstone.css"


def get(path: str, accepts: str = "gzip, deflate, br", **more: str) -> Any:
    """As the server does it, which reads every answer to its end and closes it."""
    answer: Any = Client().get(path, headers={"Accept-Encoding": accepts, **more})
    answer.body = b"".join(answer)
    if answer.streaming:
        answer.close()
    return answer


@pytest.mark.parametrize("path", [CSS, "/static/web/rich.js", "/static/django_prose_editor/editor.js"])
def test_what_comes_compressed_is_the_same_file_and_much_smaller(path: str) -> None:
    plain, zipped = get(path, ""), get(path)
    whole = plain.body
    assert "Content-Encoding" not in plain.headers
    assert zipped["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == whole
    assert int(zipped["Content-Length"]) == len(zipped.body) < len(whole) / 2
    for name in ("Content-Type", "ETag", "Cache-Control"):
        assert zipped[name] == plain[name]
    assert plain["Vary"] == zipped["Vary"] == "Accept-Encoding"


def test_the_second_time_it_is_the_same_bytes() -> None:
    assert get(CSS).body == get(CSS).body


def test_what_a_browser_has_is_not_sent_again() -> None:
    answer = get(CSS, **{"If-None-Match": get(CSS)["ETag"]})
    assert (answer.status_code, answer.body) == (304, b"")


def test_a_part_of_a_file_is_not_compressed() -> None:
    answer = get(CSS, Range="bytes=0-9")
    assert answer.status_code == 206
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("path", ["/static/web/drop.svg", "/static/django_prose_editor/material-icons.woff2"])
def test_what_is_small_or_compressed_already_stays_as_it_is(path: str) -> None:
    assert "Content-Encoding" not in get(path).headers


@pytest.mark.parametrize(
    ("accepts", "takes"),
    [("gzip", True), ("br;q=1.0, gzip;q=0.8", True), ("*", True), ("GZIP", True), ("deflate", False), ("", False),
     ("gzip;q=0", False), ("gzip; q=0.000, br", False), ("identity", False), ("x-gzipped", False)],
)  # fmt: skip
def test_it_heeds_what_a_browser_takes(accepts: str, takes: bool) -> None:
    assert bool(TAKES_GZIP.search(accepts)) is takes
