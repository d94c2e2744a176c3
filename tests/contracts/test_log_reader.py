"""What every LogReader and LogEnds does."""

import pytest

from bostream.engine.ports import LogRange, LogReader, Partition, Record
from bostream.errors import ConfigurationError
from tests.contracts.clusters import WAIT_S, Cluster, Member, write


def read_to(cluster: Cluster, reader: LogReader, partition: Partition, target: int) -> list[Record]:
    """Read until the position is there."""
    records: list[Record] = []
    for _ in cluster.tries():
        if reader.position(partition) >= target:
            break
        records += reader.read(100, WAIT_S)
    return records


def test_a_reader_begins_at_the_offset_that_it_is_given(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"a", b"b", b"c")
    partition = Partition(topic, 0)
    reader = cluster.reader()
    reader.open(partition, 1)
    assert 1 == reader.position(partition)
    assert [(1, b"b"), (2, b"c")] == [(r.offset, r.value) for r in read_to(cluster, reader, partition, 3)]


def test_the_position_passes_markers_and_aborted_data_to_the_end_of_the_log(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    partition = Partition(topic, 0)
    producer = cluster.producers("writer")()
    producer.begin()
    write(producer, topic, b"kept")
    producer.commit()
    producer.begin()
    write(producer, topic, b"dropped", b"dropped")
    producer.flush()
    producer.abort()
    end = cluster.ends().ranges([partition])[partition].end
    assert 5 == end
    reader = cluster.reader()
    reader.open(partition, 0)
    assert [b"kept"] == [record.value for record in read_to(cluster, reader, partition, end)]
    assert end == reader.position(partition)


def test_a_log_with_nothing_committed_is_read_to_its_end(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    partition = Partition(topic, 0)
    producer = cluster.producers("writer")()
    producer.begin()
    write(producer, topic, b"dropped")
    producer.flush()
    producer.abort()
    reader = cluster.reader()
    reader.open(partition, 0)
    assert [] == read_to(cluster, reader, partition, 2)


def test_the_position_stays_before_an_open_transaction_while_the_end_lies_behind_it(
    cluster: Cluster, topic: str
) -> None:
    cluster.create_topic(topic)
    partition = Partition(topic, 0)
    cluster.append(topic, b"a")
    make_producer = cluster.producers("writer")
    producer = make_producer()
    producer.begin()
    write(producer, topic, b"pending", b"pending")
    producer.flush()
    assert LogRange(0, 3) == cluster.ends().ranges([partition])[partition]
    reader = cluster.reader()
    reader.open(partition, 0)
    assert [b"a"] == [record.value for record in read_to(cluster, reader, partition, 1)]
    for _ in range(5):
        assert [] == reader.read(100, WAIT_S)
    assert 1 == reader.position(partition)
    make_producer()
    assert [] == read_to(cluster, reader, partition, 3)


def test_several_partitions_are_read_at_once_each_in_order(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, 2)
    cluster.append(topic, *(b"x" for _ in range(30)), partition=0)
    cluster.append(topic, *(b"y" for _ in range(20)), partition=1)
    reader = cluster.reader()
    reader.open(Partition(topic, 0), 0)
    reader.open(Partition(topic, 1), 5)
    records = read_to(cluster, reader, Partition(topic, 0), 30)
    records += read_to(cluster, reader, Partition(topic, 1), 20)
    assert list(range(30)) == [record.offset for record in records if record.partition == 0]
    assert list(range(5, 20)) == [record.offset for record in records if record.partition == 1]


def test_a_partition_may_be_opened_while_another_is_read_and_opened_again(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, 2)
    cluster.append(topic, b"a", b"b", partition=0)
    cluster.append(topic, b"c", partition=1)
    reader = cluster.reader()
    first, second = Partition(topic, 0), Partition(topic, 1)
    reader.open(first, 0)
    assert [b"a", b"b"] == [record.value for record in read_to(cluster, reader, first, 2)]
    reader.open(second, 0)
    assert [b"c"] == [record.value for record in read_to(cluster, reader, second, 1)]
    reader.close(first)
    reader.open(first, 1)
    assert [b"b"] == [record.value for record in read_to(cluster, reader, first, 2)]


def test_a_closed_partition_brings_no_more_records(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"a")
    reader = cluster.reader()
    reader.open(Partition(topic, 0), 0)
    read_to(cluster, reader, Partition(topic, 0), 1)
    reader.close(Partition(topic, 0))
    cluster.append(topic, b"b")
    assert [] == [record for _ in range(3) for record in reader.read(10, WAIT_S)]


def test_a_read_takes_no_more_than_it_may(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, *(b"x" for _ in range(20)))
    reader = cluster.reader()
    reader.open(Partition(topic, 0), 0)
    sizes: list[int] = []
    while reader.position(Partition(topic, 0)) < 20:
        sizes.append(len(reader.read(3, WAIT_S)))
        reached = reader.position(Partition(topic, 0))
        assert sum(sizes) == reached
    assert max(sizes) <= 3


def test_a_read_of_one_record_takes_one(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"a", b"b")
    reader = cluster.reader()
    reader.open(Partition(topic, 0), 0)
    sizes: list[int] = []
    while sum(sizes) < 2:
        sizes.append(len(reader.read(1, WAIT_S)))
    assert max(sizes) == 1


def test_an_offset_before_the_log_is_an_error(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"a", b"b", b"c")
    cluster.delete_before(Partition(topic, 0), 2)
    reader = cluster.reader()
    reader.open(Partition(topic, 0), 0)
    with pytest.raises(ConfigurationError):
        read_to(cluster, reader, Partition(topic, 0), 3)


def test_ranges_tell_start_and_end(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, 2)
    cluster.append(topic, b"a", b"b", b"c", partition=1)
    cluster.delete_before(Partition(topic, 1), 2)
    expected = {Partition(topic, 0): LogRange(0, 0), Partition(topic, 1): LogRange(2, 3)}
    assert expected == cluster.ends().ranges(list(expected))


def test_the_range_of_a_missing_topic_is_a_configuration_error(cluster: Cluster, topic: str) -> None:
    with pytest.raises(ConfigurationError):
        cluster.ends().ranges([Partition(topic, 0)])


def test_the_ranges_of_nothing_are_nothing(cluster: Cluster) -> None:
    assert {} == cluster.ends().ranges([])


def test_lag_is_the_greatest_distance_from_a_committed_offset_to_the_end(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, 2)
    cluster.append(topic, *(b"x" for _ in range(10)), partition=0)
    cluster.append(topic, *(b"y" for _ in range(6)), partition=1)
    one = Member(cluster, cluster.consumer("one"), topic).join(2)
    producer = cluster.producers("one")()
    producer.begin()
    producer.send_offsets({Partition(topic, 0): 8, Partition(topic, 1): 1}, one.consumer.group_metadata())
    producer.commit()
    ends = cluster.ends()
    for _ in cluster.tries():
        if ends.lag([topic]) == 5:
            break
