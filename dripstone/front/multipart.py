"""A form that brings a file, read as it comes: its fields, and then the file, of which nothing is kept here.

Pure: bytes go in, bytes of the file come out. Django's own parser pulls from a stream and would hold a thread for as
long as the client takes to send; this one is pushed.
"""

from enum import Enum, auto

from django.utils.http import parse_header_parameters

from dripstone.errors import BadRequest

MOST_BOUNDARY = 70  # characters, RFC 2046
MOST_HEADERS = 4_000  # bytes of a part's head
MOST_FIELD = 4_000  # bytes of a field's value
MOST_FIELDS = 20

_UNREADABLE = "The form could not be read"


class _At(Enum):
    """What the next bytes are."""

    BEFORE = auto()  # the first boundary
    BEHIND_BOUNDARY = auto()
    HEADERS = auto()
    FIELD = auto()
    FILE = auto()
    PASSED_OVER = auto()  # a second file
    END = auto()


class Form:
    """fields     name → value, of those that came before the file, and after it
    file_name  as the browser says it, without a path; None until the file begins
    """

    def __init__(self, content_type: str) -> None:
        """Raises BadRequest when it names no boundary."""
        boundary = parse_header_parameters(content_type)[1].get("boundary", "")
        if not boundary.isascii() or not 1 <= len(boundary) <= MOST_BOUNDARY:
            raise BadRequest(_UNREADABLE)
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        self._delimiter = b"\r\n--" + boundary.encode()
        self._buffer = bytearray(b"\r\n")  # so that the first boundary looks like all others
        self._at = _At.BEFORE
        self._name = ""
        self._value = bytearray()

    @property
    def is_over(self) -> bool:
        return self._at is _At.END

    def feed(self, data: bytes) -> bytes:
        """What of the file is in it. Raises BadRequest."""
        self._buffer += data
        found = bytearray()
        while self._go_on(found):
            pass
        return bytes(found)

    def _go_on(self, found: bytearray) -> bool:
        """One step; False: it needs more bytes."""
        match self._at:
            case _At.BEHIND_BOUNDARY:
                return self._after_boundary()
            case _At.HEADERS:
                return self._headers()
            case _At.END:
                self._buffer.clear()  # whatever follows is nobody's
                return False
            case _:
                return self._content(found)

    def _after_boundary(self) -> bool:
        if len(self._buffer) < 2:
            return False
        mark = bytes(self._buffer[:2])
        if mark not in (b"--", b"\r\n"):
            raise BadRequest(_UNREADABLE)
        del self._buffer[:2]
        self._at = _At.END if mark == b"--" else _At.HEADERS
        return True

    def _headers(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MOST_HEADERS:
            if len(self._buffer) > MOST_HEADERS:
                raise BadRequest(_UNREADABLE)
            return False
        self._begin_part(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        return True

    def _begin_part(self, head: bytes) -> None:
        disposition = ""
        for line in head.decode(errors="replace").split("\r\n"):
            name, _, value = line.partition(":")
            if name.strip().lower() == "content-disposition":
                disposition = value.strip()
        try:
            parameters = parse_header_parameters(disposition)[1]
        except ValueError:  # an encoded name that is none
            raise BadRequest(_UNREADABLE) from None
        self._name, file_name = parameters.get("name", ""), parameters.get("filename")
        if file_name is None:
            self._at = _At.FIELD
        elif self.file_name is None and file_name:
            self._at, self.file_name = _At.FILE, _without_path(file_name)
        else:
            self._at = _At.PASSED_OVER

    def _content(self, found: bytearray) -> bool:
        end = self._buffer.find(self._delimiter)
        # Without a boundary in sight, its beginning may be the end of what has come.
        n_sure = end if end >= 0 else max(0, len(self._buffer) - len(self._delimiter) + 1)
        self._keep(self._buffer[:n_sure], found)
        if end < 0:
            del self._buffer[:n_sure]
            return False
        del self._buffer[: end + len(self._delimiter)]
        self._end_part()
        return True

    def _keep(self, data: bytearray, found: bytearray) -> None:
        if self._at is _At.FILE:
            found += data
        elif self._at is _At.FIELD:
            self._value += data
            if len(self._value) > MOST_FIELD:
                raise BadRequest(_UNREADABLE)

    def _end_part(self) -> None:
        if self._at is _At.FIELD:
            self.fields[self._name] = self._value.decode(errors="replace")
            self._value.clear()
            if len(self.fields) > MOST_FIELDS:
                raise BadRequest(_UNREADABLE)
        self._at = _At.BEHIND_BOUNDARY


def _without_path(file_name: str) -> str:
    """Some browsers send where the file lay."""
    return file_name.replace("\\", "/").rpartition("/")[2] or file_name
