"""Calls at the same instant, each on a connection of its own, with real commits."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection


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
