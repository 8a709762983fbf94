"""A receiver of webhooks that checks nothing, answers 200 and writes down what it heard: a process of its own.

It keeps connections, as servers do. Of each event it keeps the instant it came; GET answers with all of them as JSON,
in the order in which they came: {"deliveries": n, "events": [[id of the event's subscriber, seconds since 1970], …]}.
Prints its port when it listens; ends with its stdin.

    python -m benchmarks.hears [--delay 20]
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Ears:
    def __init__(self, delay_seconds: float) -> None:
        self.delay_seconds = delay_seconds
        self.n_deliveries = 0
        self.events: list[tuple[int, float]] = []

    async def listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if head.startswith(b"get"):
                    writer.write(self._told())
                    await writer.drain()
                    break
                length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                self._heard(await reader.readexactly(length))
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                writer.write(OK)
        writer.close()

    def _heard(self, body: bytes) -> None:
        now = time.time()
        self.n_deliveries += 1
        self.events += [(event["data"]["subscriber"]["id"], now) for event in json.loads(body)["events"]]

    def _told(self) -> bytes:
        body = json.dumps({"deliveries": self.n_deliveries, "events": self.events}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)


@contextmanager
def listening(*options: str) -> Iterator[str]:
    """Its address."""
    command = [sys.executable, "-m", "benchmarks.hears", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.terminate()


def heard(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


async def serve(ears: Ears) -> None:
    server = await asyncio.start_server(ears.listen, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Hears webhooks and writes down when.")
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS", help="before each answer")
    run = asyncio.run
    with contextlib.suppress(ImportError):
        from uvloop import run
    with contextlib.suppress(KeyboardInterrupt):
        run(serve(Ears(parser.parse_args().delay / 1000)))


if __name__ == "__main__":
    main()
