"""A dead letter is the bad record itself, with an explanation."""

from hypothesis import given, strategies as st

from bostream.contract.deadletter import RawHeaders, dead_letter
from bostream.contract.reasons import BadRecord
from bostream.errors import BadRecordError


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_a_dead_letter_keeps_the_record_and_says_where_it_was_and_what_is_wrong() -> None:
    letter = dead_letter(
        topic="orders",
        partition=3,
        offset=42,
        key=b"o-1",
        value=b"\x00\xff",
        headers=(("trace", b"\xff"), ("empty", None)),
        stage="intake",
        error=BadRecordError(BadRecord.EMPTY_ID, "order_id is empty"),
        dead_letter_partitions=8,
    )
    assert ("orders.dlq", b"o-1", b"\x00\xff", 3) == letter[:4]
    assert (
        ("trace", b"\xff"),
        ("empty", None),
        ("__connect.errors.topic", b"orders"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"42"),
        ("__connect.errors.stage", b"intake"),
        ("__connect.errors.exception.class.name", b"bostream.errors.BadRecordError"),
        ("__connect.errors.exception.message", b"EMPTY_ID: order_id is empty"),
        ("bostream.dlq.reason", b"EMPTY_ID"),
    ) == letter.headers


def test_a_partition_number_that_the_dead_letter_topic_lacks_gives_way_to_the_keys_hash() -> None:
    def partition_with(count: int | None) -> int | None:
        return dead_letter(
            topic="asns",
            partition=8,
            offset=0,
            key=None,
            value=None,
            headers=(),
            stage="intake",
            error=ValueError(),
            dead_letter_partitions=count,
        ).partition

    assert [8, None, None] == [partition_with(9), partition_with(8), partition_with(None)]


def test_an_error_that_is_not_ours_is_named_but_not_quoted() -> None:
    for error in (ValueError("secret"), UnspeakableError()):
        headers = dict(
            dead_letter(
                topic="t", partition=0, offset=0, key=None, value=None, headers=(), stage="skus", error=error
            ).headers
        )
        assert b"UNEXPECTED" == headers["bostream.dlq.reason"]
        assert b"unexpected error" == headers["__connect.errors.exception.message"]
        assert type(error).__name__ in str(headers["__connect.errors.exception.class.name"])


@given(
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    headers=st.lists(st.tuples(st.text(), st.none() | st.binary())).map(tuple),
    detail=st.text(alphabet=st.characters()) | st.just("\ud800" * 2000),
)
def test_no_record_and_no_error_text_can_stop_its_dead_letter(
    key: bytes | None, value: bytes | None, headers: RawHeaders, detail: str
) -> None:
    letter = dead_letter(
        topic="orders",
        partition=0,
        offset=0,
        key=key,
        value=value,
        headers=headers,
        stage="intake",
        error=BadRecordError("UNDECODABLE", detail),
    )
    assert (key, value, headers) == (letter.key, letter.value, letter.headers[: len(headers)])
    assert all(len(text or b"") <= 4_000 for _, text in letter.headers[len(headers) :])
