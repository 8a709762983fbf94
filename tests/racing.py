"""Calls at the same instant, each on a connection of its own, with real commits; and loops beside a browser's."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connection

T = TypeVar("T")


def together(call: Callable[[], Any], times: int = 6) -> list[Any]:
    """Results, or the exceptions, of so many calls begun at once."""
    barrier = threading.Barrier(times)
    results: list[Any] = []

    def run() -> None:
        barrier.wait()
        try:
            results.append(call())
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def run_apart(story: Coroutine[Any, Any, T]) -> T:
    """What `asyncio.run` does, in a thread: the loop of a browser may be open in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, story).result()
