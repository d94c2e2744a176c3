"""Identities are deterministic and can be taken apart again."""

from uuid import UUID, uuid5

from hypothesis import given, strategies as st

from bostream.contract.identity import EVENT_NAMESPACE, EventHeaders, event_id, join_key, split_key


@given(st.text(), st.integers(0, 1000), st.integers(0, 2**63 - 1), st.integers(0, 10_000))
def test_an_event_id_is_the_uuid5_of_its_log_position_and_ordinal(
    topic: str, partition: int, offset: int, ordinal: int
) -> None:
    expected = str(uuid5(EVENT_NAMESPACE, f"{topic}/{partition}/{offset}/{ordinal}"))
    assert expected == event_id(topic, partition, offset, ordinal)


def test_event_ids_published_once_never_change() -> None:
    assert UUID("a3e61d1c-4f0a-5d4e-9c53-6a0d6c3f6f1b") == EVENT_NAMESPACE
    assert "4348390c-4afd-5172-999e-f6d2da32cb46" == event_id("bostream-skus", 3, 1234, 0)


def test_slashes_and_percent_signs_inside_ids_are_percent_encoded() -> None:
    assert "o-1/7" == join_key("o-1", "7")
    assert "a%2Fb/100%25/%252F" == join_key("a/b", "100%", "%2F")
    assert ("a/b", "100%", "%2F") == split_key("a%2Fb/100%25/%252F")


@given(st.lists(st.text(alphabet=st.sampled_from("a/%2F5é")), min_size=1, max_size=4))
def test_splitting_undoes_joining(ids: list[str]) -> None:
    assert tuple(ids) == split_key(join_key(*ids))


@given(
    st.lists(st.text(alphabet="a/%2F"), min_size=2, max_size=2),
    st.lists(st.text(alphabet="a/%2F"), min_size=2, max_size=2),
)
def test_two_pairs_of_ids_never_share_a_key(one: list[str], other: list[str]) -> None:
    assert (one == other) == (join_key(*one) == join_key(*other))


def test_headers_follow_cloudevents_binary_mode_and_pass_the_trace_on() -> None:
    headers = EventHeaders("shop", "allocations", "application/avro").of(
        event_id="id-1",
        occurred_at=1_764_072_000_000_001,
        subject="o-1",
        cause_event_id="e-1",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        tracestate="vendor=1",
    )
    assert {
        "ce_specversion": b"1.0",
        "ce_id": b"id-1",
        "ce_source": b"/bostream/shop",
        "ce_type": b"bostream.allocation.v1",
        "ce_time": b"2025-11-25T12:00:00.000001Z",
        "ce_subject": b"o-1",
        "content-type": b"application/avro",
        "bostream-cause": b"e-1",
        "traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": b"vendor=1",
    } == dict(headers)
    assert len(headers) == len(dict(headers))


def test_a_record_without_a_trace_gets_no_trace_headers() -> None:
    headers = EventHeaders("shop", "stock-positions", "application/avro").of(
        event_id="id-1", occurred_at=0, subject="S/W1", cause_event_id="e-1", tracestate="vendor=1"
    )
    assert not {"traceparent", "tracestate"} & dict(headers).keys()
    assert b"bostream.stock-position.v1" == dict(headers)["ce_type"]
