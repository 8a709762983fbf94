"""A form with a file, however its bytes are cut on their way."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.errors import BadRequest
from dripstone.front import multipart

KIND = "multipart/form-data; boundary=----abc"
FIELD = b'------abc\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\nxyz\r\n'
HEAD = b'------abc\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\nContent-Type: x/y\r\n\r\n'
END = b"\r\n------abc--\r\n"


def read(data: bytes, *cuts: int) -> tuple[multipart.Form, bytes]:
    form, places = multipart.Form(KIND), [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return form, b"".join(form.feed(data[begin:end]) for begin, end in itertools.pairwise(places) if begin < end)


@given(st.binary(max_size=200), st.lists(st.integers(0, 500), max_size=8))
def test_the_file_comes_out_as_it_went_in_wherever_it_is_cut(content: bytes, cuts: list[int]) -> None:
    content = content.replace(b"------abc", b"")
    form, found = read(FIELD + HEAD + content + END, *cuts)
    assert found == content
    assert form.is_over
    assert (form.fields, form.file_name) == ({"csrfmiddlewaretoken": "xyz"}, "people.csv")


@pytest.mark.parametrize("content", [b"\r\n------ab", b"\r\n--", b"\r\n\r\n--\r\n------abd\r\n", b""])
def test_what_looks_like_the_end_and_is_none_belongs_to_the_file(content: bytes) -> None:
    assert read(HEAD + content + END)[1] == content
    assert read(HEAD + content + END, *range(400))[1] == content


def test_of_two_files_the_first_one_counts_and_a_field_behind_it_is_read() -> None:
    form, found = read(HEAD + b"one\r\n" + HEAD + b"two\r\n" + FIELD + b"------abc--")
    assert (found, form.fields, form.is_over) == (b"one", {"csrfmiddlewaretoken": "xyz"}, True)


def test_without_a_chosen_file_there_is_none() -> None:
    form, found = read(FIELD + HEAD.replace(b"people.csv", b"") + END)
    assert (form.file_name, found, form.is_over) == (None, b"", True)


def test_a_path_is_cut_off_the_name() -> None:
    assert read(HEAD.replace(b"people.csv", b"C:\\fakepath\\Le\xc3\xbate.csv") + END)[0].file_name == "Leúte.csv"


@pytest.mark.parametrize(
    "data",
    [
        b"------abcd\r\n",
        FIELD.replace(b"xyz", b"x" * 5_000),
        b"------abc\r\n" + b"X: y\r\n" * 1_000,
        b"".join(FIELD.replace(b"csrf", b"%d" % number) for number in range(30)),
    ],
)
def test_what_is_no_form_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest):
        read(data)


@pytest.mark.parametrize("kind", ["", "text/csv", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 71])
def test_a_form_names_its_boundary(kind: str) -> None:
    with pytest.raises(BadRequest):
        multipart.Form(kind)


def test_what_breaks_off_is_not_over() -> None:
    assert not read(HEAD + b"half a fi")[0].is_over
