"""Started while PostgreSQL is away: wait until it answers. A refusal counts; the next connection reports it."""

import threading
import time
from collections.abc import Callable

import psycopg
from django.db import connection
from psycopg import pq
from psycopg.conninfo import make_conninfo

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
SECONDS_PER_TRY = 5  # for an address that swallows what is sent to it
SECONDS_BETWEEN_LOOKS = 0.1  # whether we are told to stop

Tell = Callable[[str], None]


def until_postgresql_answers(stopping: threading.Event, tell: Tell) -> bool:
    """False: told to stop first. `tell` hears one sentence when there is something to wait for.

    The tries are made in a thread: signals are not handled while libpq looks up a name or waits for a silent address.
    """
    answers = threading.Event()
    threading.Thread(target=_try_until, args=(answers, tell), name="database-wait", daemon=True).start()
    while not answers.wait(SECONDS_BETWEEN_LOOKS):
        if stopping.is_set():
            return False
    return not stopping.is_set()


def _try_until(answers: threading.Event, tell: Tell) -> None:
    pause = FIRST_PAUSE_SECONDS
    try:
        while reason := why_away():
            if pause == FIRST_PAUSE_SECONDS:
                tell(f"Waiting for PostgreSQL, which does not answer yet: {reason}")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    finally:
        answers.set()  # after a bug of ours, too: the next connection shows what it is


def why_away() -> str | None:
    """Why no server answers, or not yet (it is starting, or recovers). None when one does, be it by refusing us."""
    conninfo = _conninfo()
    try:
        psycopg.connect(conninfo).close()
    except psycopg.OperationalError as error:
        # A refusal has no code of its own in libpq: whether a wrong password or a dead server, only a ping tells.
        is_away = isinstance(error, psycopg.errors.ConnectionTimeout) or _ping(conninfo) in _AWAY
        return str(error).strip().splitlines()[0] if is_away else None
    return None


_AWAY = (pq.Ping.NO_RESPONSE, pq.Ping.REJECT)  # REJECT: it is starting, stopping, or recovers


def _ping(conninfo: str) -> pq.Ping:
    return pq.Ping(pq.PGconn.ping(conninfo.encode()))


def _conninfo() -> str:
    """As Django connects, without the options that psycopg adds to libpq's."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    given = connection.get_connection_params() | {"connect_timeout": SECONDS_PER_TRY}
    return make_conninfo(**{name: str(value) for name, value in given.items() if name in known})
