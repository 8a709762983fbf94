"""Lists of ids as PostgreSQL reads them: psycopg writes thousands one by one, which takes ten times as long."""

from collections.abc import Iterable


def bigints(ids: Iterable[int]) -> str:
    """For `%s::bigint[]`."""
    return f"{{{','.join(map(str, ids))}}}"
