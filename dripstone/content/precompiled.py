"""What compiling makes of a letter, kept in the database: a worker that meets the letter for the first time, or again
after it forgot it, reads a row instead of compiling for some milliseconds (docs/decisions/precompiled.md).

A row is found by a digest of everything that compiling depends on: the source with its sender, the account, and the
code that compiles. So a row is never wrong and never changed; what cannot be read is as if it were not there.
"""

import hashlib
import json
import sys
import zlib
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from dripstone.content import html
from dripstone.content.compile import CompiledEmail, EmailSource, MessageStencil, with_page
from dripstone.content.models import Precompiled
from dripstone.content.stencil import Hole

MOST_BYTES = 256 * 1024  # of a row; larger letters are compiled as before
MOST_UNPACKED = 8 * 2**20
UNUSED = timedelta(days=30)  # then a row goes
NOTED = timedelta(days=7)  # how old the note of its last use may be

# Whatever has a hand in it besides dripstone.content.
_LIBRARIES = ("dripstone", "python-liquid", "tinycss2", "cssselect2", "selectolax", "webencodings")


def digest(account_id: int, source: EmailSource) -> str:
    """Hexadecimal."""
    return hashlib.sha256(repr((_code(), account_id, source)).encode("utf-8", "replace")).hexdigest()


@cache
def _code() -> str:
    """Of the code that compiles. Not a number that somebody has to raise: whoever forgot it would send wrong mail."""
    found = hashlib.sha256(repr(sys.version_info).encode())
    for library in _LIBRARIES:
        found.update(f"{library} {_version(library)}\n".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


# --- Rows ---------------------------------------------------------------------------------------------------------


def read(digests: Collection[str], now: datetime) -> dict[str, bytes]:
    """Those that are there. One statement, and another once a week for each row."""
    if not digests:
        return {}
    rows = Precompiled.objects.filter(digest__in=list(digests)).values_list("digest", "packed", "used_at")
    found = {key: (bytes(packed), used_at) for key, packed, used_at in rows}
    if old := sorted(key for key, (_, used_at) in found.items() if used_at < now - NOTED):
        Precompiled.objects.filter(digest__in=old).update(used_at=now)
    return {key: packed for key, (packed, _) in found.items()}


def keep(packed: Mapping[str, tuple[int, bytes]], now: datetime) -> None:
    """packed  with the account's id, by digest. Another process may keep the same ones meanwhile: whoever is first."""
    rows = [
        Precompiled(digest=key, account_id=account_id, packed=data, used_at=now)
        for key, (account_id, data) in sorted(packed.items())
        if len(data) <= MOST_BYTES
    ]
    Precompiled.objects.bulk_create(rows, ignore_conflicts=True)


def forget_unused(now: datetime) -> int:
    """How many have gone."""
    return Precompiled.objects.filter(used_at__lt=now - UNUSED).delete()[0]


# --- What is in them ----------------------------------------------------------------------------------------------


def pack(email: CompiledEmail) -> bytes:
    page, cut = email.liquid.page, email.stencil
    said = {
        "html": page.html,
        "snippets": dict(page.snippets),
        "stencil": cut
        and {
            "holes": [[hole.key, hole.default] for hole in cut.holes],
            "marked": cut.marked,
            "warnings": cut.warnings,
        },
    }
    return zlib.compress(json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass"), 1)


def unpack(source: EmailSource, packed: bytes) -> CompiledEmail | None:
    """None: it cannot be read. Raises ValueError like `compile_email`."""
    try:
        said = _unpacked(packed)
        page = html.Finished(said["html"], said["snippets"])
        cut = said["stencil"]
        holes = cut and [Hole(key, default) for key, default in cut["holes"]]
    except (zlib.error, ValueError, TypeError, KeyError):
        return None
    email = with_page(source, page)
    email.stencil = cut and MessageStencil.cut(holes, cut["marked"], email.boundary, cut["warnings"])
    return email


def _unpacked(packed: bytes) -> dict[str, Any]:
    """zlib knows by its checksum whether it is whole."""
    opened = zlib.decompressobj()
    data = opened.decompress(packed, MOST_UNPACKED)
    if not opened.eof or opened.unused_data:
        raise ValueError("not whole")
    said: dict[str, Any] = json.loads(data.decode("utf-8", "surrogatepass"))
    return said
