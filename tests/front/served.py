"""A web server in processes of its own, and what a careless or hostile client does to it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any

from tests.crash.doomed import until

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Web:
    port: int
    key: str
    process: subprocess.Popen[str]

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 30,
    ) -> Answer:
        """With the key and as JSON, unless `headers` say otherwise."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"X-Kit-Api-Key": self.key, "Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(f"http://{HOST}:{self.port}{path}", data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    def connect(self, begin: bytes = b"") -> socket.socket:
        """A connection on which `begin` was sent and nothing more."""
        connection = socket.create_connection((HOST, self.port), timeout=30)
        connection.sendall(begin)
        return connection

    def head(self, method: str, path: str, *headers: str, key: str | None = None) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"X-Kit-Api-Key: {self.key if key is None else key}"]
        return "\r\n".join([*lines, *headers, "", ""]).encode()

    def slowest(self, n_calls: int) -> float:
        """Seconds, of calls one after the other; each must be answered well."""
        longest = 0.0
        for number in range(n_calls):
            begun = time.perf_counter()
            answer = self.ask("POST", "/v4/tags", {"name": f"tag {number}"}, timeout=5)
            assert answer.status in (200, 201)
            longest = max(longest, time.perf_counter() - begun)
        return longest


def raw(connection: socket.socket) -> bytes:
    """Everything that comes until the other side hangs up."""
    received = b""
    while piece := connection.recv(65_536):
        received += piece
    return received


@contextmanager
def held(connections: Iterator[socket.socket]) -> Iterator[list[socket.socket]]:
    """Closes them all afterwards."""
    with ExitStack() as stack:
        yield [stack.enter_context(connection) for connection in connections]


# --- Processes --------------------------------------------------------------------------------------------------


def environment(database: str, **settings: str) -> dict[str, str]:
    own = {"PATH": os.environ["PATH"], "DRIPSTONE_DATA": os.environ["DRIPSTONE_DATA"], "DATABASE_URL": database}
    return own | {"DRIPSTONE_RATE_LIMITS": "off", "DRIPSTONE_LOG_LEVEL": "warning"} | settings


def run(database: str, *arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "dripstone", *arguments]
    return subprocess.run(
        command, env=environment(database), check=True, capture_output=True, text=True, timeout=120
    ).stdout


def account_key(database: str, name: str) -> str:
    """Of a new account."""
    made = json.loads(run(database, "accounts", "create", "--name", name, "--email", f"{name}@example.org", "--json"))
    key: str = made["api_key"]
    return key


@contextmanager
def serving(database: str, key: str, **settings: str) -> Iterator[Web]:
    port = free_port()
    own = {"DRIPSTONE_PORT": str(port), "DRIPSTONE_WEB_PROCESSES": "1", "DRIPSTONE_WEB_THREADS": "4"}
    process = subprocess.Popen(
        [sys.executable, "-m", "dripstone", "web"],
        env=environment(database, **(own | settings)),
        stderr=subprocess.PIPE,
        text=True,
    )
    web = Web(port, key, process)
    try:
        until(web.listens)
        yield web
    finally:
        process.terminate()
        process.communicate(timeout=15)


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
