"""Between a page or call that takes a file of any size and the server before it (front/files.py), which lets it in.

    the head came → the view is asked, with `announced` → it says into which import: `expect`
    → the file is put away, piece by piece → the view is asked again, and finds what has `arrived`

All three stand in the request's environment, under names that no header can have.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

from django.db import DatabaseError, connection

from dripstone.errors import Unavailable
from dripstone.imports import files

Environ = Mapping[str, Any]

ANNOUNCED, EXPECTED, ARRIVED = "dripstone.file", "dripstone.expected_file", "dripstone.arrived_file"


class Announced(NamedTuple):
    """file_name  "" where the request does not say
    n_bytes    of the request, so a little more than the file may have; None when nobody said
    """

    file_name: str
    n_bytes: int | None


def announced(environ: Environ) -> Announced | None:
    """The file that is about to come; None: there is none."""
    found: Announced | None = environ.get(ANNOUNCED)
    return found


def expect(environ: MutableMapping[str, Any], import_id: int) -> None:
    """It may come."""
    environ[EXPECTED] = import_id


def expected(environ: Environ) -> int | None:
    """For the server: into which import; None: it may not come."""
    found: int | None = environ.get(EXPECTED)
    return found


def put_away(import_id: int, number: int, piece: bytes) -> None:
    """For the server: a piece of the file, from 0. Outside of Django's requests.

    Raises what files.add raises, and Unavailable when the database is away.
    """
    try:
        files.add(files.find(import_id), number, piece)
    except DatabaseError as error:
        raise Unavailable from error
    finally:
        connection.close()  # back to the pool


def arrived(environ: Environ) -> int | None:
    """The import whose file has come whole."""
    found: int | None = environ.get(ARRIVED)
    return found
