"""Keys order as their parts do, and begin with exactly their first parts."""

import pytest
from hypothesis import given, strategies as st

from bostream.domain.keys import pack, unpack
from bostream.errors import InvariantError

text = st.text(st.sampled_from("\x00\x01\x02a\xffé\U0001f600"), max_size=4)
integers = st.integers(-(1 << 63), (1 << 63) - 1)


@given(st.lists(st.one_of(text, integers), max_size=4))
def test_a_key_gives_its_parts_back(parts: list[str | int]) -> None:
    assert tuple(parts) == unpack(pack(*parts))


@given(text, integers, text, integers)
def test_keys_compare_as_their_parts(first: str, one: int, second: str, two: int) -> None:
    assert ((first.encode(), one) < (second.encode(), two)) == (pack(first, one) < pack(second, two))


@given(text, text, text)
def test_a_key_begins_with_another_only_when_it_has_its_parts(prefix: str, first: str, rest: str) -> None:
    assert (first == prefix) == pack(first, rest).startswith(pack(prefix))


@pytest.mark.parametrize("key", [b"\x07", b"\x02abc"])
def test_bytes_that_are_no_key_are_a_bug(key: bytes) -> None:
    with pytest.raises(InvariantError):
        unpack(key)
