"""What every TransactionalProducer and ProducerFactory does."""

import pytest

from bostream.engine.ports import Output, Partition
from bostream.errors import BadRecordError, BrokerError, FencedError, TransientError
from tests.contracts.clusters import Cluster, Member, settle, write


def joined(cluster: Cluster, topic: str, instance: str = "one", *, max_poll_s: float | None = None) -> Member:
    return Member(cluster, cluster.consumer(instance, max_poll_s=max_poll_s), topic).join(1)


def test_a_transaction_over_several_partitions_and_offsets_appears_as_a_whole(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, 3)
    source = f"source-{topic}"
    cluster.create_topic(source)
    one = joined(cluster, source)
    producer = cluster.producers("one")()
    producer.begin()
    for number in range(3):
        write(producer, topic, b"x", partition=number)
    producer.flush()
    producer.send_offsets({Partition(source, 0): 5}, one.consumer.group_metadata())
    assert [[], [], []] == [cluster.values(topic, number) for number in range(3)]
    producer.commit()
    assert [[b"x"], [b"x"], [b"x"]] == [cluster.values(topic, number) for number in range(3)]
    assert {Partition(source, 0): 5} == one.consumer.committed([Partition(source, 0)], 10)


def test_an_aborted_transaction_leaves_nothing_but_used_offsets(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    source = f"source-{topic}"
    cluster.create_topic(source)
    one = joined(cluster, source)
    producer = cluster.producers("one")()
    producer.begin()
    write(producer, topic, b"a", b"b")
    producer.flush()
    producer.send_offsets({Partition(source, 0): 5}, one.consumer.group_metadata())
    producer.abort()
    assert [] == cluster.values(topic)
    assert {Partition(source, 0): None} == one.consumer.committed([Partition(source, 0)], 10)
    assert 3 == cluster.ends().ranges([Partition(topic, 0)])[Partition(topic, 0)].end


def test_a_delivery_report_tells_the_offset_during_flush(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"before")
    offsets: list[int] = []
    producer = cluster.producers("one")()
    producer.begin()
    producer.produce(Output(topic, None, b"a", 0), offsets.append)
    write(producer, topic, b"b")
    producer.produce(Output(topic, None, b"c", 0), offsets.append)
    producer.flush()
    assert [1, 3] == offsets
    producer.commit()


def test_key_headers_and_timestamp_arrive_as_they_were_given(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    producer = cluster.producers("one")()
    producer.begin()
    headers = (("one", b"1"), ("two", b""))
    producer.produce(Output(topic, b"key", None, 0, timestamp=1_700_000_000_123_456, headers=headers))
    producer.commit()
    (record,) = joined(cluster, topic).start().take(1)
    assert (b"key", None, headers) == (record.key, record.value, record.headers)
    assert 1_700_000_000_123_000 == record.timestamp


def test_an_empty_transaction_commits_and_aborts(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    producer = cluster.producers("one")()
    producer.begin()
    producer.commit()
    producer.begin()
    producer.abort()
    producer.begin()
    write(producer, topic, b"x")
    producer.commit()
    assert not producer.is_tainted
    assert [b"x"] == cluster.values(topic)


def test_a_newer_producer_aborts_what_the_older_one_left_open(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    make_producer = cluster.producers("one")
    older = make_producer()
    older.begin()
    write(older, topic, b"orphan")
    older.flush()
    newer = make_producer()
    newer.begin()
    write(newer, topic, b"new")
    newer.commit()
    assert [b"new"] == cluster.values(topic)


def test_an_older_producer_is_fenced(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    make_producer = cluster.producers("one")
    older = make_producer()
    older.begin()
    write(older, topic, b"zombie")
    older.flush()
    make_producer()
    with pytest.raises((FencedError, BrokerError)) as caught:
        older.commit()
    assert isinstance(caught.value, FencedError)
    assert [] == cluster.values(topic)


def test_an_older_producer_is_fenced_when_it_begins_anew(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    make_producer = cluster.producers("one")
    older = make_producer()
    make_producer()
    older.begin()

    def whole_transaction() -> None:
        write(older, topic, b"zombie")
        older.flush()
        older.commit()

    with pytest.raises(FencedError):
        whole_transaction()
    assert [] == cluster.values(topic)


def test_offsets_of_an_older_producer_are_refused(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    one = joined(cluster, topic)
    make_producer = cluster.producers("one")
    older = make_producer()
    older.begin()
    make_producer()
    with pytest.raises(FencedError):
        older.send_offsets({Partition(topic, 0): 5}, one.consumer.group_metadata())


def test_offsets_of_a_member_that_lost_its_partitions_are_refused(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    out = f"out-{topic}"
    cluster.create_topic(out)
    one = joined(cluster, topic, max_poll_s=1.5)
    two = Member(cluster, cluster.consumer("two"), topic)
    two.fetch()
    producer = cluster.producers("one", timeout_s=60)()
    producer.begin()
    write(producer, out, b"stale")
    cluster.let_session_end()
    two.join(1)
    with pytest.raises(TransientError):
        producer.send_offsets({Partition(topic, 0): 5}, one.consumer.group_metadata())
    producer.abort()
    assert [] == cluster.values(out)
    settle(cluster, one, until=lambda: not one.owned)
    assert not producer.is_tainted


def test_the_same_producer_goes_on_after_offsets_were_refused(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, 2)
    out = f"out-{topic}"
    cluster.create_topic(out)
    one = Member(cluster, cluster.consumer("one"), topic).join(2)
    stale = one.consumer.group_metadata()
    two = Member(cluster, cluster.consumer("two"), topic)
    settle(cluster, one, two, until=lambda: len(one.owned) == len(two.owned) == 1)
    producer = cluster.producers("one")()
    producer.begin()
    write(producer, out, b"refused")
    with pytest.raises(TransientError):
        producer.send_offsets({Partition(topic, 0): 5}, stale)
    producer.abort()
    (owned,) = one.owned
    producer.begin()
    write(producer, out, b"accepted")
    producer.send_offsets({owned: 1}, one.consumer.group_metadata())
    producer.commit()
    assert [b"accepted"] == cluster.values(out)


def test_a_record_larger_than_the_client_takes_is_a_bad_record(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    producer = cluster.producers("one")()
    producer.begin()
    with pytest.raises(BadRecordError) as caught:
        write(producer, topic, bytes(1_100_000))
    assert "TOO_LARGE" == caught.value.reason
    producer.abort()


def test_a_record_larger_than_its_topic_takes_is_a_bad_record(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, message_bytes_max=2000)
    make_producer = cluster.producers("one")
    producer = make_producer()
    producer.begin()

    def whole_transaction() -> None:
        write(producer, topic, bytes(5000))
        producer.produce(Output(topic, None, b"last", 0), lambda _: None)
        producer.flush()
        producer.commit()

    with pytest.raises(BadRecordError) as caught:
        whole_transaction()
    assert "TOO_LARGE" == caught.value.reason
    producer.abort()
    if producer.is_tainted:
        producer.close()
        producer = make_producer()
    producer.begin()
    write(producer, topic, b"small")
    producer.commit()
    assert [b"small"] == cluster.values(topic)


def test_the_broker_ends_a_transaction_that_is_open_for_too_long(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    producer = cluster.producers("one", timeout_s=1)()
    producer.begin()
    write(producer, topic, b"slow")
    producer.flush()
    cluster.let_session_end()
    for _ in cluster.tries():
        if 2 == cluster.ends().ranges([Partition(topic, 0)])[Partition(topic, 0)].end:
            break
    with pytest.raises(FencedError):
        producer.commit()
    assert [] == cluster.values(topic)


def test_a_closed_producer_leaves_its_transaction_to_the_next_one(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    make_producer = cluster.producers("one")
    producer = make_producer()
    producer.begin()
    write(producer, topic, b"orphan")
    producer.flush()
    producer.close()
    make_producer()
    assert [] == cluster.values(topic)
    assert 2 == cluster.ends().ranges([Partition(topic, 0)])[Partition(topic, 0)].end
