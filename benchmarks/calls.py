"""What does a call of the API cost, how many are answered per second, and what do calls and sending cost each other?

`dripstone web` as it runs in production, four calls that stand for the rest: one row, a list of 50, an upsert, and
adding somebody to a sequence. Each by one client and by sixteen, which send their next request when the answer is
there. Then the sixteen again while a `dripstone worker` sends all it can. Beside them, in the same run, a WSGI
application that answers a constant on the same server: what HTTP itself costs here, and what this client can ask for.

    python -m benchmarks.calls [--small] [--seconds N] [--json FILE]
"""

import itertools
import json
import os
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psutil

from benchmarks import common, sink

HOST = "127.0.0.1"
CLIENTS = (1, 16)
N_IN_SEQUENCE = 1_000  # people in the sequence that is asked for
WARM_UP = 0.25  # of the seconds measured: imports, connections, prepared statements

_ANY_DUE = "SELECT EXISTS (SELECT FROM engine_enrollment WHERE due_at IS NOT NULL)"
_N_SENT = "SELECT count(*) FROM engine_delivery WHERE status = 'sent'"


@dataclass(frozen=True)
class Call:
    name: str
    status: int  # of every answer, or there are no figures
    request: Callable[[int], bytes]  # the n-th of this call: each person is created and added once
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def next_request(self) -> bytes:
        return self.request(next(self.numbers))


def main() -> None:
    parser = common.arguments(__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, help="per measurement (default 5)")
    options = parser.parse_args()
    seconds = options.seconds or (0.3 if options.small else 5.0)
    report = common.Report("calls")
    # A limit far away is counted like any other.
    settings = {"DRIPSTONE_RATE_LIMITS": "999999999,999999999", "DRIPSTONE_PORT": str(free_port())}
    with sink.running() as target, common.database(DRIPSTONE_MAIL_URL=f"smtp://{HOST}:{target.port}", **settings):
        calls = seed(is_small=options.small)
        constants = {n: constant(n, seconds) for n in CLIENTS}
        with served(["-m", "dripstone", "web"], int(settings["DRIPSTONE_PORT"])) as web:
            alone = [measure(web, call, n, seconds) for call in calls for n in CLIENTS]
            with sending() as rate_alone:
                beside = [beside_sending(web, call, seconds, rate_alone) for call in calls]
    rows = [*constants.values(), *alone]
    report.table("Alone", [figures(one, constants[one.n_clients]) for one in rows])
    report.table("While one worker sends all it can", beside)
    report.save(options.json)


# --- What is asked for ------------------------------------------------------------------------------------------


def seed(*, is_small: bool) -> list[Call]:
    """People to be read and added, a sequence to be asked for, and mail that is due."""
    from django.db import connections

    from dripstone.accounts.verbs import create_key

    account = common.make_account()
    asked, joined, busy = (common.make_sequence(account, name) for name in ("Asked", "Joined", "Busy"))
    with common.without_key_checks():
        lowest = common.add_people(account, 1_000 if is_small else 30_000)
        common.enroll_everybody(account, common.add_people(account, N_IN_SEQUENCE, "in"), str(asked.pk), "NULL")
        common.enroll_everybody(
            account, common.add_people(account, 20_000 if is_small else 150_000, "busy"), str(busy.pk), "now()"
        )
    common.settle()
    _, key = create_key(account, "benchmark", datetime.now(UTC))
    connections.close_all()
    return [
        Call("get a sequence", 200, lambda n: request(key, "GET", f"/v4/sequences/{asked.pk}")),
        Call("list 50 subscribers", 200, lambda n: request(key, "GET", "/v4/subscribers?per_page=50")),
        Call("create a subscriber", 201, lambda n: request(key, "POST", "/v4/subscribers", new_person(n))),
        Call(
            "add to a sequence",
            201,
            lambda n: request(key, "POST", f"/v4/sequences/{joined.pk}/subscribers/{lowest + n}"),
        ),
    ]


def new_person(number: int) -> dict[str, Any]:
    return {"email_address": f"new{number}@example.org", "first_name": "Ana", "fields": {"city": "Łódź"}}


def request(key: str, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
    content = json.dumps(body).encode() if body is not None else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Kit-Api-Key: {key}\r\nAccept: application/json\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if method == "POST" else ""
    return head.encode() + b"\r\n" + content


def constant_application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return [b"{}"]


# --- Servers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Web:
    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """Of the server and all its processes, up to now."""
        return sum(
            common.process_cpu_seconds(one.pid) for one in [self.process, *self.process.children(recursive=True)]
        )


@contextmanager
def served(command: list[str], port: int) -> Iterator[Web]:
    process = subprocess.Popen([sys.executable, *command])
    with common.stopping([process]):
        common.until(lambda: listens(port))
        yield Web(port, psutil.Process(process.pid))


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def constant(n_clients: int, seconds: float) -> "Load":
    """The reference: granian, as many processes as cores, and an application that does nothing."""
    port = free_port()
    command = ["-m", "granian", "--interface", "wsgi", "--workers", str(os.cpu_count()), "--port", str(port)]
    command += ["--log-level", "error", "--host", HOST, "benchmarks.calls:constant_application"]
    with served(command, port) as web:
        return measure(web, Call("a constant", 200, lambda n: request("", "GET", "/")), n_clients, seconds)


@contextmanager
def sending() -> Iterator[float]:
    """A worker at work; yields what it sends per second without calls."""
    worker = subprocess.Popen([sys.executable, "-m", "dripstone", "worker"])
    with common.stopping([worker]):
        common.until(lambda: n_sent() > 0)
        before, began = n_sent(), time.perf_counter()
        time.sleep(2)
        yield (n_sent() - before) / (time.perf_counter() - began)


def n_sent() -> int:
    count: int = common.execute(_N_SENT)[0][0]
    return count


# --- Clients ----------------------------------------------------------------------------------------------------


@dataclass
class Load:
    """What came of one call in a loop. Seconds."""

    name: str
    n_clients: int
    wall: float = 0.0
    cpu_web: float = 0.0
    cpu_server: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.wall


@dataclass
class Client:
    """One connection, kept open; one request at a time."""

    connection: socket.socket
    asked_at: float = 0.0
    answer: bytes = b""

    def ask(self, request: bytes) -> None:
        self.answer = b""
        self.asked_at = time.perf_counter()
        self.connection.sendall(request)

    def hear(self) -> bool:
        """Whether the answer is whole."""
        data = self.connection.recv(1 << 18)
        assert data, "the server hung up"
        self.answer += data
        head, end, body = self.answer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
        return bool(end and length and len(body) >= int(length[1]))

    def status(self) -> int:
        return int(self.answer[9:12])


def measure(web: Web, call: Call, n_clients: int, seconds: float) -> Load:
    ask_for(web.port, call, n_clients, seconds * WARM_UP)
    load = Load(f"{call.name}, {n_clients} client{'s' if n_clients > 1 else ''}", n_clients)
    cpu_web, cpu_server, began = web.cpu_seconds(), common.server_cpu_seconds(), time.perf_counter()
    load.latencies = ask_for(web.port, call, n_clients, seconds)
    load.wall = time.perf_counter() - began
    load.cpu_web, load.cpu_server = web.cpu_seconds() - cpu_web, common.server_cpu_seconds() - cpu_server
    return load


def ask_for(port: int, call: Call, n_clients: int, seconds: float) -> list[float]:
    """Seconds until each answer. One thread for all clients: it must cost less than what it measures."""
    clients = [Client(socket.create_connection((HOST, port))) for _ in range(n_clients)]
    latencies: list[float] = []
    give_up_at = time.perf_counter() + seconds
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(client.connection, selectors.EVENT_READ, client)
            client.ask(call.next_request())
        while selector.get_map():
            for event, _ in selector.select():
                client = event.data
                if not client.hear():
                    continue
                now = time.perf_counter()
                latencies.append(now - client.asked_at)
                assert client.status() == call.status, client.answer[:1000]
                if now < give_up_at:
                    client.ask(call.next_request())
                else:
                    selector.unregister(client.connection)
                    client.connection.close()
    return latencies


# --- The tables -------------------------------------------------------------------------------------------------


def figures(load: Load, reference: Load) -> common.Figures:
    per = 1e6 / len(load.latencies)
    in_order = sorted(load.latencies)
    return {
        "call": load.name,
        "calls/s": load.rate,
        "of a constant": load.rate / reference.rate,
        "p50 ms": 1000 * statistics.median(in_order),
        "p99 ms": 1000 * in_order[int(0.99 * len(in_order))],
        "web CPU µs": load.cpu_web * per,
        "PostgreSQL µs": load.cpu_server * per,
    }


def beside_sending(web: Web, call: Call, seconds: float, rate_alone: float) -> common.Figures:
    before, began = n_sent(), time.perf_counter()
    load = measure(web, call, CLIENTS[-1], seconds)
    rate = (n_sent() - before) / (time.perf_counter() - began)
    assert common.execute(_ANY_DUE) == [(True,)], "all mail was sent too early, so this measures nothing"
    shown = {name: value for name, value in figures(load, load).items() if name != "of a constant"}
    return {**shown, "sends/s": rate, "alone": rate_alone, "of alone": rate / rate_alone}


if __name__ == "__main__":
    main()
