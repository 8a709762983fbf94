"""Flight logs as the version before wrote them: plain lines, no header. Read as long as an upgrade may meet one.

A machine that is upgraded may have workers of the old version, or logs of some that were killed. The new log has
another name (flight.py), so that old code does not read it and take everything for never begun: it waits for the lease.
"""

import re
from collections.abc import Iterable
from pathlib import Path

FILE = re.compile(r"(?P<worker>[\w.@-]+)\.(?P<generation>\d{1,9})\.flight")
LINE = re.compile(rb"[se] (?P<delivery>\d{1,19}) (?P<attempt>\d{1,19})(?: (?P<kind>sent|temporary|permanent|unknown))?")


def files(directory: Path) -> dict[str, list[Path]]:
    """Per worker, in the order in which they were written."""
    found = ((match, path) for path in directory.iterdir() if (match := FILE.fullmatch(path.name)))
    by_worker: dict[str, list[Path]] = {}
    for match, path in sorted(found, key=lambda each: int(each[0]["generation"])):
        by_worker.setdefault(match["worker"], []).append(path)
    return by_worker


def read(contents: Iterable[bytes]) -> tuple[dict[tuple[int, int], str], str]:
    """Flights as of flight.Said, and why they may not be all. A cut at the end of a line cannot be seen."""
    flights: dict[tuple[int, int], str] = {}
    silence = ""
    for content in contents:
        lines = content.split(b"\n")[:-1]  # after the last newline: nothing, or a torn line
        found = [match for line in lines if (match := LINE.fullmatch(line))]
        for match in found:
            kind = match["kind"].decode() if match["kind"] else "started"
            flights[int(match["delivery"]), int(match["attempt"])] = kind
        if len(found) < len(lines) or not lines:
            silence = "it is damaged"
    return flights, silence
