"""A cache bounded by the bytes its values hold, for all threads of a process. The least recently used go first; the
last one stays, however large: who uses only that one must not make it again each time."""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def keep(self, key: Key, value: Value, n_bytes: int) -> None:
        """n_bytes  about what it holds"""
        with self._lock:
            self._bytes += n_bytes - self._values.pop(key, (None, 0))[1]
            self._values[key] = value, n_bytes
            while self._bytes > self._most and len(self._values) > 1:
                _, (_, freed) = self._values.popitem(last=False)
                self._bytes -= freed
