"""The partition of a key equals that of Kafka's Java client."""

import pytest
from hypothesis import given, strategies as st

from bostream.contract.partitioner import murmur2, partition_for


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_equals_that_of_kafkas_java_client(key: bytes, expected: int) -> None:
    assert expected == murmur2(key)


def test_a_negative_hash_is_made_positive_by_dropping_its_sign_bit_not_by_negating_it() -> None:
    assert (-973932308 + 2**31) % 8 == partition_for(b"21", 8)
    assert (-973932308 + 2**31) % 7 == partition_for(b"21", 7)
    assert 479470107 % 7 == partition_for(b"abc", 7)


@given(key=st.binary(max_size=40), partitions=st.integers(1, 1000))
def test_every_key_has_one_partition_within_the_count(key: bytes, partitions: int) -> None:
    number = partition_for(key, partitions)
    assert 0 <= number < partitions
    assert number == partition_for(key, partitions)
    assert -(2**31) <= murmur2(key) < 2**31
