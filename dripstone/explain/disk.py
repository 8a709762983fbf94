"""Is there room on the disk of DRIPSTONE_DATA? /healthz, `doctor` and the page of the engine say the same."""

import shutil
from pathlib import Path

from django.conf import settings

LEAST_FREE_BYTES = 500 * 1000 * 1000  # PostgreSQL stops when nothing is left, and writes ahead by as much as that


def free_bytes() -> int:
    return shutil.disk_usage(_first_that_exists(settings.DRIPSTONE_DATA)).free


def problem() -> str:
    """A sentence when there is little room; "" when there is enough."""
    try:
        free = free_bytes()
    except OSError as error:
        return f"The disk of DRIPSTONE_DATA cannot be looked at: {error.strerror}."
    if free > LEAST_FREE_BYTES:
        return ""
    return f"The disk is nearly full, with {free / 1e9:.1f} GB free: without room nothing can be stored or sent."


def _first_that_exists(path: Path) -> Path:
    """The directory, or the one it is going to be made in: before the first start there is none."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())
