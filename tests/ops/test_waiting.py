"""A process that starts while PostgreSQL is away waits for it."""

import pytest
from django.db import connection

from dripstone.ops import waiting

pytestmark = pytest.mark.django_db


def test_a_server_that_answers_is_not_away() -> None:
    assert waiting.why_away() is None


def test_a_port_where_nothing_listens_is_away_and_the_reason_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    reason = waiting.why_away()
    assert reason is not None
    assert "127.0.0.1" in reason
    assert "\n" not in reason
