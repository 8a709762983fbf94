"""The records of a file that is read in pieces, from any of them on; nothing in it can stop the reading.

csv reads lines, and knows no end of a cell whose quote is never closed: after CELL characters it gives up. Then the
line in which the record began is broken, and reading goes on with the line after it. Memory holds one record and one
piece.
"""

import codecs
import csv
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dripstone.imports.text import ENCODINGS, lines_of, said_separator

CELL = csv.field_size_limit()  # characters: 131,072, twice what all values of a person may have
RECORD = 1_000_000  # characters


@dataclass(frozen=True, slots=True)
class Broken:
    """text   of the line; its beginning, if it is very long"""

    text: str
    reason: str


UNCLOSED = "A quotation mark is never closed"
TOO_LONG = f"The row has more than {RECORD:,} characters"


class _TooLongError(Exception):
    """The record at hand has more characters than any."""


class Records:
    """Iterate over it: cells, `[]` for an empty line, or Broken. Then `position` is the byte behind what was read."""

    def __init__(self, pieces: Iterable[bytes], encoding: str, separator: str, start: int = 0) -> None:
        """pieces   of the file from the byte `start` on, which a record begins with"""
        self.position = start
        self._is_start = start == 0
        self._kind = ENCODINGS[encoding]
        self._pieces, self._separator = pieces, separator
        self._taken: list[str] = []  # lines of the record at hand
        self._n_taken = 0  # their characters
        self._again: deque[str] = deque()  # lines to be read once more
        self._is_at_end = False

    def __iter__(self) -> Iterator[list[str] | Broken]:
        self._lines = self._from_start()
        reader = csv.reader(self._feed(), delimiter=self._separator)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield self._broken(UNCLOSED)
            except _TooLongError:
                yield self._broken(TOO_LONG if len(self._taken) == 1 else UNCLOSED)
                reader = csv.reader(self._feed(), delimiter=self._separator)  # the exception has ended the other
            else:
                if len(self._taken) > 1 and self._ends_open():
                    yield self._broken(UNCLOSED)
                    self._is_at_end = False  # there are lines again
                    reader = csv.reader(self._feed(), delimiter=self._separator)
                else:
                    self._settle(len(self._taken))
                    yield cells

    def _ends_open(self) -> bool:
        return self._is_at_end and sum(line.count('"') for line in self._taken) % 2 == 1

    def _broken(self, reason: str) -> Broken:
        """The first line of the record; the others are read again."""
        line = self._taken[0]
        self._again.extendleft(reversed(self._taken[1:]))
        self._settle(1)
        return Broken(line.rstrip("\r\n")[:CELL], reason)

    def _settle(self, n_lines: int) -> None:
        for line in self._taken[:n_lines]:
            self.position += self._n_bytes(line)
        self._taken.clear()
        self._n_taken = 0

    def _n_bytes(self, line: str) -> int:
        """In the file."""
        if line.isascii() and self._kind.codec[:6] != "utf-16":
            return len(line)
        return len(line.encode(self._kind.codec, self._kind.errors))

    def _feed(self) -> Iterator[str]:
        """What csv reads."""
        while True:
            line = self._again.popleft() if self._again else next(self._lines, None)
            if line is None:
                self._is_at_end = True
                return
            self._taken.append(line)
            self._n_taken += len(line)
            if self._n_taken > RECORD:
                raise _TooLongError
            yield line

    def _from_start(self) -> Iterator[str]:
        """Lines, without the one that only names the separator."""
        lines = self._read()
        if self._is_start and (first := next(lines, None)) is not None:
            if said_separator(first):
                self.position += self._n_bytes(first)
            else:
                yield first
        yield from lines

    def _read(self) -> Iterator[str]:
        """Lines with their ends. A line that never ends comes in parts that are too long."""
        decoder = codecs.getincrementaldecoder(self._kind.codec)(self._kind.errors)
        line = ""  # the last one may go on in the next piece, and so may its end, of CR and LF
        for piece in self._unmarked():
            text, line = line + decoder.decode(piece), ""
            for following in lines_of(text):
                if line:
                    yield line
                line = following
            if line.endswith("\n") or len(line) > RECORD:
                yield line
                line = ""
        yield from lines_of(line + self._last(decoder))

    def _unmarked(self) -> Iterator[bytes]:
        pieces, mark = iter(self._pieces), self._kind.mark
        if self._is_start and mark:
            start = b""
            while len(start) < len(mark) and (piece := next(pieces, None)) is not None:
                start += piece
            if start.startswith(mark):
                start = start[len(mark) :]
                self.position = len(mark)
            yield start
        yield from pieces

    @staticmethod
    def _last(decoder: codecs.IncrementalDecoder) -> str:
        try:
            return decoder.decode(b"", final=True)
        except UnicodeDecodeError:  # half a letter of UTF-16
            return ""
