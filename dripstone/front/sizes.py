"""How large a request's body may be, by path. A route that takes more than its neighbours gets a line here."""

import re

KB, MB = 1_000, 1_000_000

FORM = 64 * KB  # what anybody may send to a page; more is read from those only who are signed in

# The first line that fits counts.
LIMITS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"/v4/oauth/"), FORM),
    (re.compile(r"/v4/bulk(/|$)"), 16 * MB),
    (re.compile(r"/ext/v1/imports/\d+/pieces/"), 16 * MB),  # of a file; one that comes as one has no limit: files.py
    (re.compile(r"/(v4|ext/v1|mcp)(/|$)"), 1 * MB),
    (re.compile(r"/images$"), 10 * MB + FORM),
    (re.compile(r"/imports/\d+/pieces/"), 4 * MB),  # of a file, as the page's script sends them
    (re.compile(r"/imports/\d+/choices$"), 2 * MB),  # of hundreds of columns
    # 200,000 characters, up to nine bytes each in a form.
    (re.compile(r"/(snippets|templates)(/|$)"), 2 * MB),
    (re.compile(r"/sequences/\d+/emails/"), 2 * MB),
    (re.compile(""), FORM),
)
LARGEST = max(limit for _, limit in LIMITS)


def limit(path: str) -> int:
    """Bytes."""
    return next(limit for pattern, limit in LIMITS if pattern.match(path))


def shown(n_bytes: int) -> str:
    return f"{n_bytes // MB} MB" if n_bytes >= MB else f"{n_bytes // KB} KB"
