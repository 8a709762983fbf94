"""Encodings, separators, records, rows: pure, but for the look at a whole file."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.given import is_address, plain_address, unstorable
from dripstone.imports import columns, files, text
from dripstone.imports import look as looking
from dripstone.imports.columns import Target
from dripstone.imports.records import CELL, RECORD, UNCLOSED, Broken, Records
from dripstone.imports.rows import Person, Plan, address_of, tags_of, text_of
from tests.factories import MONDAY_9, make_account
from tests.imports.files import imported, reasons, uploaded

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def read(data: bytes, encoding: str = "utf-8", separator: str = ",", start: int = 0, piece: int = 7) -> list[Any]:
    """Each record, and the byte behind it."""
    pieces = [data[at : at + piece] for at in range(start, len(data), piece)]
    records = Records(pieces, encoding, separator, start)
    return [(cells, records.position) for cells in records]


# --- Records ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", text.ENCODINGS)
def test_every_line_end_and_encoding_reads_the_same(end: str, encoding: str) -> None:
    lines = f'a,é{end}"b{end}c","d""e"{end}{end}f,g'
    kind = text.ENCODINGS[encoding]
    if encoding == "windows-1251":
        lines = lines.replace("é", "д")
    found = [cells for cells, _ in read(kind.mark + lines.encode(kind.codec), encoding)]
    assert found == [["a", lines[2]], [f"b{end}c", 'd"e'], [], ["f", "g"]]


@given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), max_size=8),
    st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]),
    st.sampled_from(text.SEPARATORS),
    st.integers(1, 40),
)
def test_reading_goes_on_from_behind_any_record(
    rows: list[list[str]], encoding: str, separator: str, piece: int
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(rows)
    kind = text.ENCODINGS[encoding]
    data = kind.mark + out.getvalue().encode(kind.codec)
    found = read(data, encoding, separator, piece=piece)
    assert [cells for cells, _ in found] == rows
    for n, (_, position) in enumerate(found):
        assert read(data, encoding, separator, start=position, piece=piece) == found[n + 1 :]


def test_bytes_that_are_no_letters_spoil_no_count() -> None:
    data = b"a,\xff\xfe\nb,\xc3\nc,d\n"
    found = read(data)
    assert [position for _, position in found] == [5, 9, 13]
    assert unstorable(found[0][0][1])


@pytest.mark.parametrize("tail", ["", "\n", "\nc@example.org,3\n"])
def test_a_quote_that_is_never_closed_costs_its_own_line(tail: str) -> None:
    found = read(f'a@example.org,1\nb@example.org,"2{tail}'.encode())
    kept = [cells for cells, _ in found if not isinstance(cells, Broken)]
    assert ["a@example.org", "1"] in kept
    if "c@" in tail:
        assert found[1][0] == Broken('b@example.org,"2', UNCLOSED)
        assert kept[1] == ["c@example.org", "3"]


def test_a_quote_that_is_never_closed_is_given_up_in_the_middle_of_a_large_file() -> None:
    data = b'"a\n' + b"b,c\n" * CELL
    found = read(data, piece=100_000)
    assert found[0] == (Broken('"a', UNCLOSED), 3)
    assert len(found) == 1 + CELL
    assert all(cells == ["b", "c"] for cells, _ in found[1:])


def test_a_line_without_end_is_cut_and_memory_stays() -> None:
    found = read(b"x" * (3 * RECORD) + b"\na,b\n", piece=100_000)
    assert all(isinstance(cells, Broken) for cells, _ in found[:-2])
    assert found[-1] == (["a", "b"], 3 * RECORD + 5)


# --- Guesses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"\xef\xbb\xbfa", "utf-8"),
        ("é".encode(), "utf-8"),
        ("é".encode()[:1], "utf-8"),  # cut
        ("Größe".encode("cp1252"), "windows-1252"),
        (b"\xff\xfea\0", "utf-16-le"),
        ("email,name\n".encode("utf-16-le"), "utf-16-le"),
        ("email,name\n".encode("utf-16-be"), "utf-16-be"),
        (b"", "utf-8"),
    ],
)
def test_the_encoding_is_guessed(data: bytes, encoding: str) -> None:
    assert text.encoding_of(data, is_whole=False) == encoding


@pytest.mark.parametrize(
    ("content", "separator"),
    [
        ("email,name\na@example.org,Ann\n", ","),
        ("email;amount\na@example.org;1,50\nb@example.org;2,50\n", ";"),
        ("email\tname\na@example.org\tAnn, Bob\n", "\t"),
        ("email|name\na@example.org|Ann\n", "|"),
        ('name,email\n"Doe; Jane; Ann",a@example.org\n', ","),
        ("sep=;\nemail;name\n", ";"),
        ("email\na@example.org\n", ","),
        ("", ","),
    ],
)
def test_the_separator_is_guessed(content: str, separator: str) -> None:
    assert text.separator_of(content) == separator


# --- Rows ---------------------------------------------------------------------------------------------------------

_PARTS = st.text("abzABZ019.-_+@ éÄ\0\u200bß'\"", max_size=12)


@given(st.one_of(st.text(max_size=20), st.builds("{}@{}.{}".format, _PARTS, _PARTS, _PARTS), st.emails()))
def test_an_address_is_judged_as_the_api_judges_it(cell: str) -> None:
    plain = plain_address(cell)
    expected = plain if is_address(plain) and not unstorable(cell.strip()) else None
    assert address_of(cell) == expected


def test_cells_lose_blanks_and_the_guard_of_formulas() -> None:
    assert [text_of(cell) for cell in (" a ", "", "  ", "'=1+1", "'+49", "'s", "a\x1fb")] == [
        *("a", None, None, "=1+1", "+49", "'s", "a b")
    ]
    assert tags_of(["VIP, Course,,VIP", "\u200b", "x"]) == ["VIP", "Course", "x"]
    assert "too long" in str(tags_of(["x" * 256]))


@pytest.mark.parametrize(
    ("cell", "instant"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31 14:30:05 UTC", datetime(2026, 1, 31, 14, 30, 5, tzinfo=UTC)),
        ("2026-01-31T14:30:05+02:00", datetime(2026, 1, 31, 12, 30, 5, tzinfo=UTC)),
        ("31.01.2026", "“31.01.2026” is no date: write it as 2026-01-31, or 2026-01-31 14:30"),
        ("2026-11-24", "“2026-11-24” lies in the future"),
    ],
)
def test_dates(cell: str, instant: Any) -> None:
    plan = Plan([Target("email"), Target("created_at")], NOW)
    found = plan.person(1, ["a@example.org", cell])
    assert (found.created_at if isinstance(found, Person) else found) == instant


# --- Whole files --------------------------------------------------------------------------------------------------

# As exports of other programs are: their titles, their quirks.
EXPORTS = {
    "an audience with a status": "Email Address,First Name,Last Name,OPTIN_TIME,TAGS\r\n"
    'ann@example.org,Ann,Doe,"2021-03-04 12:11:10","""VIP"",""Course"""\r\n',
    "subscribers with attributes as JSON": "uuid,email,name,attributes,status,created_at,updated_at\n"
    '1-2,ann@example.org,Ann,"{""city"": ""Bath""}",enabled,2021-03-04T12:11:10.1+01:00,2021-03-04\n',
    "a spreadsheet in German": "E-Mail-Adresse;Vorname;Größe\r\nann@example.org;Ann;1,70\r\n",
    "our own": "\ufeffemail_address,first_name,state,created_at,canceled_at,tags,location,Phone\r\n"
    "ann@example.org,Ann,cancelled,2021-03-04T12:11:10Z,2022-01-01T00:00:00Z,VIP,,'+49 30\r\n",
    "no header": "Ann,ann@example.org\r\nbob,bob@example.org\r\n",
    "two titles alike, and one blank": "email,Note,Note,\nann@example.org,1,2,3\n",
    "blank lines first and last": "\n\n;;\nemail;first_name\n\nann@example.org;Ann\n;;\n\n",
}


@pytest.mark.django_db
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "windows-1252"])
@pytest.mark.parametrize("name", EXPORTS)
def test_files_of_other_programs_come_in_as_they_are(name: str, encoding: str) -> None:
    account = make_account()
    content = EXPORTS[name].lstrip("\ufeff" if encoding == "windows-1252" else "")
    kind = text.ENCODINGS[encoding]
    done = imported(account, kind.mark * ("\ufeff" not in content) + content.encode(kind.codec))
    assert reasons(done) == []
    ann = account.subscribers.get(email_address="ann@example.org")
    assert ann.state == "active"
    assert ann.first_name in ("Ann", None)
    if name == "our own":
        assert list(ann.fields.values()) == ["+49 30"]


@pytest.mark.django_db
def test_a_look_shows_how_rows_will_be() -> None:
    account = make_account()
    seen = looking.look(
        uploaded(account, "E-Mail;Vorname;Status;Größe\na@example.org; Ann ;active;'=1\n".encode("cp1252"))
    )
    assert (seen.encoding, seen.separator, seen.has_header) == ("windows-1252", ";", True)
    assert [column.title for column in seen.columns] == ["E-Mail", "Vorname", "Status", "Größe"]
    assert [column.target.kind for column in seen.columns] == ["email", "first_name", "skip", "new_field"]
    assert seen.rows == [["a@example.org", "Ann", "active", "=1"]]
    wrong = looking.look(uploaded(account, "a@example.org,b\n"), separator=";", has_header=False)
    assert wrong.rows == [["a@example.org,b"]]


@pytest.mark.django_db
def test_four_hundred_columns_come_in() -> None:
    account = make_account()
    titles = ",".join(f"Field {n}" for n in range(400))
    cells = ",".join(f"value {n}" for n in range(400))
    done = imported(account, f"email,{titles}\na@example.org,{cells}\na@example.org{',' * 400}\n")
    assert reasons(done) == []
    assert len(account.subscribers.get().fields) == 400


@pytest.mark.django_db
def test_a_file_of_nothing_or_of_a_header_alone_does_nothing() -> None:
    account = make_account()
    done = imported(account, "email,first name\n")
    assert (done.state, done.n_rows, account.subscribers.count()) == ("done", 0, 0)
    empty = files.begin(account, "e.csv", "owner", MONDAY_9)
    with pytest.raises(Exception, match="empty"):
        files.finish(empty, MONDAY_9)
    with pytest.raises(Exception, match="no row"):
        looking.look(uploaded(account, "\n\n,,\n"))


def test_guesses_never_take_one_meaning_twice() -> None:
    found = columns._once([Target("email"), Target("email"), Target("tags"), Target("tags")])
    assert [one.kind for one in found] == ["email", "skip", "tags", "tags"]
