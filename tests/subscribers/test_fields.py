import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripstone.subscribers.fields import key_for


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("Last name", "last_name"),
        ("  Été à Paris! ", "ete_a_paris"),
        ("A--b__C", "a_b_c"),
        ("日本", "field"),
        ("Größe", "grosse"),
        ("GRO\u0308SSE", "grosse"),
        ("Łódź, Ærø & Þing", "lodz_aero_thing"),
        ("\u01ff", "o"),
        ("9", "9"),
    ],
)
def test_a_key_is_lower_snake_ascii(label: str, key: str) -> None:
    assert key_for(label) == key


@given(st.text())
def test_every_label_gives_a_key_liquid_can_say(label: str) -> None:
    key = key_for(label)
    assert key
    assert key.isascii()
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert key_for(key) == key
