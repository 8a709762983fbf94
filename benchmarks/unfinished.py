"""What do others feel of a thousand requests that are begun and never finished, and of bodies made to fill memory?

`dripstone web` as it runs in production. A thousand connections of each kind are held, and opened again when the server
closes them; meanwhile somebody else makes a call ten times a second. Then documents that are small on the wire and
large once they are read, by eight clients at once. Shown are the calls' times, and the memory of the largest web
process at its highest.

    python -m benchmarks.unfinished [--small] [--seconds N] [--json FILE]
"""

import resource
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psutil

from benchmarks import common
from benchmarks.calls import HOST, Client, Web, free_port, request, served

N_CONNECTIONS = 1_000
N_BOMBERS = 8
REFILL_SECONDS = 5.0  # closed connections are opened again
PAUSE = 0.1  # seconds between two calls of somebody else

FORM = "Content-Type: application/x-www-form-urlencoded"
CHUNKED = "Transfer-Encoding: chunked"
JSON = "Content-Type: application/json"


def main() -> None:
    parser = common.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, help="per kind (default 60)")
    options = parser.parse_args()
    seconds = options.seconds or (1.0 if options.small else 60.0)
    n = 50 if options.small else N_CONNECTIONS
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * N_CONNECTIONS, highest), highest))
    report = common.Report("unfinished")
    settings = {"DRIPSTONE_RATE_LIMITS": "off", "DRIPSTONE_PORT": str(free_port())}
    with common.database(**settings), served(["-m", "dripstone", "web"], int(settings["DRIPSTONE_PORT"])) as web:
        key = make_key()
        rows = [figures("nobody else", web, key, seconds, lambda stop: stop.wait())]
        for name, begin in kinds(key).items():
            rows.append(figures(f"{n:,} × {name}", web, key, seconds, holder(web, begin, n)))
        for name, body in bombs().items():
            rows.append(figures(f"{N_BOMBERS} × {name}", web, key, seconds, bomber(web, key, body)))
    report.table("Calls of somebody else meanwhile", rows)
    report.save(options.json)


def make_key() -> str:
    from django.db import connections

    from dripstone.accounts.verbs import create_key

    key = create_key(common.make_account(), "benchmark", datetime.now(UTC))[1]
    connections.close_all()
    return key


# --- What is begun ----------------------------------------------------------------------------------------------


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def kinds(key: str) -> dict[str, bytes]:
    """What is sent at once; the server waits for the rest."""
    mine, length = f"X-Kit-Api-Key: {key}", "Content-Length: 1000"
    chunk = b"5\r\nabcde\r\n"
    return {
        "silent": b"",
        "half a head": b"GET /v4/tags HTTP/1.1\r\nHost: x\r\n",
        "a call in chunks": head("POST", "/v4/tags", mine, JSON, CHUNKED) + chunk,
        "a stranger's call in chunks": head("POST", "/v4/tags", JSON, CHUNKED) + chunk,
        "half a call": head("POST", "/v4/tags", mine, JSON, length) + b'{"name":',
        "half a call that reads": head("GET", "/v4/account", mine, length) + b"x",
        "half a sign-in": head("POST", "/sign-in", FORM, length) + b"email=",
        "a sign-in in chunks": head("POST", "/sign-in", FORM, CHUNKED) + chunk,
        "half a file": head("POST", "/sign-in", "Content-Type: multipart/form-data; boundary=x", length)
        + b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx',
        "half an unsubscribe": head("POST", "/u/token", FORM, length) + b"List",
        "an unsubscribe in chunks": head("POST", "/u/token", FORM, CHUNKED) + chunk,
    }


def bombs() -> dict[str, bytes]:
    """Bodies of nearly a megabyte, the largest that is read."""
    deep = b'{"k":' * 40
    members = b",".join(b'"%d":{}' % number for number in range(60_000))
    fewer = b",".join(b'"number %07d":[]' % number for number in range(48_000))
    return {
        "empty arrays": b'{"name":"x","a":[' + b"[]," * 330_000 + b"[]]}",
        "nested objects with long names": nested(45, 21_000),
        "nested too deep": b'{"name":"x","a":' + b"[" * 490_000 + b"]" * 490_000 + b"}",
        "crumbs": b'{"name":"x","a":{' + members + b"}}",
        "as many members as are read": b'{"name":"x","a":{' + fewer + b"}}",
        "deep and wide": b'{"name":"x","a":[' + b",".join([deep + b"1" + b"}" * 40] * 3_900) + b"]}",
    }


def nested(n_levels: int, n_letters: int) -> bytes:
    level = b'{"' + b"k" * n_letters + b'":'
    return b'{"name":"x","a":' + level * n_levels + b"1" + b"}" * n_levels + b"}"


# --- Those who hold ---------------------------------------------------------------------------------------------

Work = Callable[[threading.Event], object]


def holder(web: Web, begin: bytes, n: int) -> Work:
    """Keeps so many connections on which `begin` was sent; half of them send another byte every three seconds."""

    def hold(stop: threading.Event) -> None:
        trickled_at = filled_at = time.monotonic()
        is_full = False
        with selectors.DefaultSelector() as held:
            while not stop.is_set():
                if not is_full or time.monotonic() - filled_at > REFILL_SECONDS:
                    filled_at, is_full = time.monotonic(), True
                    while len(held.get_map()) < n:
                        held.register(connected(web, begin), selectors.EVENT_READ)
                for event, _ in held.select(0.05):
                    drop_if_closed(held, event.fileobj)  # type: ignore[arg-type]
                if begin and time.monotonic() - trickled_at > 3:
                    trickled_at = time.monotonic()
                    for one in list(held.get_map().values())[::2]:
                        trickle(held, one.fileobj)  # type: ignore[arg-type]
            for one in list(held.get_map().values()):
                one.fileobj.close()  # type: ignore[union-attr]

    return hold


def connected(web: Web, begin: bytes) -> socket.socket:
    connection = socket.create_connection((HOST, web.port))
    connection.sendall(begin)
    connection.setblocking(False)
    return connection


def drop_if_closed(held: selectors.BaseSelector, connection: socket.socket) -> None:
    try:
        is_open = bool(connection.recv(65_536))
    except OSError:
        is_open = False
    if not is_open:
        held.unregister(connection)
        connection.close()


def trickle(held: selectors.BaseSelector, connection: socket.socket) -> None:
    try:
        connection.send(b"x")
    except OSError:
        held.unregister(connection)
        connection.close()


def bomber(web: Web, key: str, body: bytes) -> Work:
    whole = head("POST", "/v4/tags", f"X-Kit-Api-Key: {key}", JSON, f"Content-Length: {len(body)}") + body

    def throw(stop: threading.Event) -> None:
        while not stop.is_set():
            with socket.create_connection((HOST, web.port)) as connection:
                connection.sendall(whole)
                connection.recv(65_536)

    def throw_all(stop: threading.Event) -> None:
        threads = [threading.Thread(target=throw, args=[stop]) for _ in range(N_BOMBERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return throw_all


# --- Somebody else ----------------------------------------------------------------------------------------------


def figures(name: str, web: Web, key: str, seconds: float, work: Work) -> common.Figures:
    with beside(work), watched(web) as memory:
        time.sleep(min(1.0, seconds / 2))
        latencies = sorted(calls(web, key, seconds))
    return {
        "meanwhile": name,
        "calls": len(latencies),
        "p50 ms": 1000 * latencies[len(latencies) // 2],
        "slowest ms": 1000 * latencies[-1],
        "peak MB": max(memory) / 1e6,
    }


@contextmanager
def beside(work: Work) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=work, args=[stop])
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def watched(web: Web) -> Iterator[list[int]]:
    """Bytes of the largest web process, looked at twenty times a second."""
    seen: list[int] = []

    def look(stop: threading.Event) -> None:
        while not stop.wait(0.05):
            processes = web.process.children(recursive=True)
            seen.append(max((memory_of(one) for one in processes), default=0))

    with beside(look):
        yield seen


def memory_of(process: psutil.Process) -> int:
    try:
        size: int = process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0
    return size


def calls(web: Web, key: str, seconds: float) -> list[float]:
    """Seconds of a call that reads and one that writes, in turn, each on a connection of its own."""
    latencies = []
    give_up_at = time.perf_counter() + seconds
    for number in range(1_000_000):
        if time.perf_counter() > give_up_at:
            break
        is_read = number % 2 == 0
        asked = request(key, "GET", "/v4/account") if is_read else request(key, "POST", "/v4/tags", {"name": "mine"})
        begun = time.perf_counter()
        with socket.create_connection((HOST, web.port), timeout=30) as connection:
            client = Client(connection)
            client.ask(asked)
            while not client.hear():
                pass
        latencies.append(time.perf_counter() - begun)
        assert client.status() in (200, 201), client.answer[:1000]
        time.sleep(PAUSE)
    return latencies


if __name__ == "__main__":
    main()
