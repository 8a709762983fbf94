"""The engine to drive, as in tests/engine."""

from tests.engine.conftest import engine

__all__ = ["engine"]
