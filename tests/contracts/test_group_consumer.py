"""What every GroupConsumer does."""

import pytest

from bostream.engine.ports import Partition
from bostream.errors import ConfigurationError, FencedError, TransientError
from tests.contracts.clusters import WAIT_S, Cluster, Member, settle, write


def member(cluster: Cluster, instance: str, topic: str, *, is_static: bool = False) -> Member:
    return Member(cluster, cluster.consumer(instance, is_static=is_static), topic)


def test_an_assigned_partition_delivers_nothing_before_it_is_resumed(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"a", b"b")
    one = member(cluster, "one", topic).join(1)
    assert [] == [record for _ in range(5) for record in one.fetch()]
    one.start()
    assert [b"a", b"b"] == [record.value for record in one.take(2)]


def test_seek_then_resume_delivers_from_the_offset(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"a", b"b", b"c")
    one = member(cluster, "one", topic).join(1).start(2)
    assert [(2, b"c")] == [(record.offset, record.value) for record in one.take(1)]


def test_seek_then_resume_delivers_from_the_offset_even_when_the_log_start_has_moved(
    cluster: Cluster, topic: str
) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"a", b"b", b"c", b"d")
    one = member(cluster, "one", topic).join(1)
    cluster.delete_before(Partition(topic, 0), 2)
    one.start(3)
    assert [(3, b"d")] == [(record.offset, record.value) for record in one.take(1)]


def test_an_offset_that_retention_removed_is_an_error_and_not_a_silent_jump(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"a", b"b", b"c", b"d")
    cluster.delete_before(Partition(topic, 0), 2)
    one = member(cluster, "one", topic).join(1).start(1)
    with pytest.raises(ConfigurationError):
        one.take(1)


def test_a_seek_back_delivers_again_what_was_fetched_before(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, *(str(number).encode() for number in range(50)))
    one = member(cluster, "one", topic).join(1).start()
    one.take(30)
    one.consumer.seek(Partition(topic, 0), 10)
    again = one.take(40)
    assert list(range(10, 50)) == [record.offset for record in again]


def test_a_paused_partition_waits_and_goes_on_where_it_was(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, 2)
    one = member(cluster, "one", topic).join(2).start()
    cluster.append(topic, b"a0", partition=0)
    one.take(1)
    one.consumer.pause([Partition(topic, 0)])
    cluster.append(topic, b"a1", partition=0)
    cluster.append(topic, b"b0", partition=1)
    assert [b"b0"] == [record.value for record in one.take(1)]
    assert [] == [record for _ in range(5) for record in one.fetch()]
    one.consumer.resume([Partition(topic, 0)])
    assert [(1, b"a1")] == [(record.offset, record.value) for record in one.take(1)]


def test_a_seek_of_a_partition_that_is_not_owned_changes_nothing(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"a")
    one = member(cluster, "one", topic)
    one.consumer.seek(Partition(topic, 0), 1)
    one.join(1).start()
    assert [b"a"] == [record.value for record in one.take(1)]


def test_a_fetch_takes_no_more_than_it_may(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, *(b"x" for _ in range(20)))
    one = member(cluster, "one", topic).join(1).start()
    sizes: list[int] = []
    while sum(sizes) < 20:
        sizes.append(len(one.fetch(3)))
    assert max(sizes) <= 3


def test_records_of_an_open_or_aborted_transaction_are_not_delivered(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    one = member(cluster, "one", topic).join(1).start()
    producer = cluster.producers("writer")()
    producer.begin()
    write(producer, topic, b"aborted")
    producer.flush()
    assert [] == [record for _ in range(5) for record in one.fetch()]
    producer.abort()
    producer.begin()
    write(producer, topic, b"committed")
    producer.commit()
    assert [(2, b"committed")] == [(record.offset, record.value) for record in one.take(1)]


def test_a_partition_without_a_commit_has_no_committed_offset(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    one = member(cluster, "one", topic).join(1)
    assert {Partition(topic, 0): None} == one.consumer.committed([Partition(topic, 0)], 10)


def test_committed_offsets_are_read_back(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    one = member(cluster, "one", topic).join(1)
    producer = cluster.producers("one")()
    producer.begin()
    producer.send_offsets({Partition(topic, 0): 7}, one.consumer.group_metadata())
    producer.commit()
    assert {Partition(topic, 0): 7} == one.consumer.committed([Partition(topic, 0)], 10)


def test_committed_offsets_are_not_told_while_a_transaction_holds_them(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    one = member(cluster, "one", topic).join(1)
    make_producer = cluster.producers("one")
    producer = make_producer()
    producer.begin()
    producer.send_offsets({Partition(topic, 0): 7}, one.consumer.group_metadata())
    with pytest.raises(TransientError):
        one.consumer.committed([Partition(topic, 0)], 0.5)
    make_producer()
    assert {Partition(topic, 0): None} == one.consumer.committed([Partition(topic, 0)], 10)


def test_the_high_watermark_is_unknown_before_the_first_fetch_and_the_end_after_it(
    cluster: Cluster, topic: str
) -> None:
    cluster.create_topic(topic)
    cluster.append(topic, b"a", b"b", b"c")
    one = member(cluster, "one", topic).join(1)
    assert one.consumer.high_watermark(Partition(topic, 0)) is None
    one.start()
    one.take(1)
    assert 3 == one.consumer.high_watermark(Partition(topic, 0))


def test_the_high_watermark_counts_transaction_markers(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    producer = cluster.producers("writer")()
    producer.begin()
    write(producer, topic, b"a")
    producer.commit()
    one = member(cluster, "one", topic).join(1).start()
    one.take(1)
    assert 2 == one.consumer.high_watermark(Partition(topic, 0))


def test_two_members_share_the_partitions_and_hear_of_it_only_inside_fetch(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, 4)
    one = member(cluster, "one", topic).join(4)
    two = member(cluster, "two", topic)
    settle(cluster, one, two, until=lambda: len(one.owned) == len(two.owned) == 2)
    assert set() == one.owned & two.owned
    assert [] == one.listener.called_outside + two.listener.called_outside


def test_a_partition_that_stays_goes_on_during_a_cooperative_rebalance(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, 2)
    one = member(cluster, "one", topic).join(2).start()
    two = member(cluster, "two", topic)
    settle(cluster, one, two, until=lambda: len(one.owned) == len(two.owned) == 1)
    (kept,) = one.owned
    revoked = [partition for what, partitions in one.listener.events if what == "revoked" for partition in partitions]
    assert sorted(two.owned) == revoked
    cluster.append(topic, b"x", partition=kept.number)
    assert [kept] == [record.source for record in one.take(1)]


def test_a_member_that_closes_hands_its_partitions_over_at_once(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic, 2)
    one = member(cluster, "one", topic).join(2)
    two = member(cluster, "two", topic)
    settle(cluster, one, two, until=lambda: len(one.owned) == len(two.owned) == 1)
    one.close()
    assert set() == one.owned
    two.join(2)


def test_a_static_member_that_closes_gets_its_partitions_back_and_nobody_else_does(
    cluster: Cluster, topic: str
) -> None:
    cluster.create_topic(topic, 2)
    one = member(cluster, "one", topic, is_static=True).join(2)
    two = member(cluster, "two", topic, is_static=True)
    settle(cluster, one, two, until=lambda: len(one.owned) == len(two.owned) == 1)
    before = set(one.owned)
    one.close()
    assert set() == one.owned
    again = member(cluster, "one", topic, is_static=True)
    settle(cluster, two, again, until=lambda: len(again.owned) == 1)
    assert before == again.owned
    assert 1 == len(two.owned)


def test_a_static_member_that_stays_away_loses_its_partitions_when_its_session_ends(
    cluster: Cluster, topic: str
) -> None:
    cluster.create_topic(topic, 2)
    one = member(cluster, "one", topic, is_static=True).join(2)
    two = member(cluster, "two", topic, is_static=True)
    settle(cluster, one, two, until=lambda: len(one.owned) == len(two.owned) == 1)
    one.close()
    two.join(2)


def test_a_second_member_of_the_same_identity_fences_the_first(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    one = member(cluster, "one", topic, is_static=True).join(1)
    double = member(cluster, "one", topic, is_static=True).join(1)
    with pytest.raises(FencedError):
        settle(cluster, double, one, until=lambda: False)


def test_a_member_that_does_not_fetch_for_too_long_loses_its_partitions(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    one = Member(cluster, cluster.consumer("one", max_poll_s=1.5), topic).join(1)
    two = member(cluster, "two", topic)
    cluster.let_session_end()
    two.join(1)
    settle(cluster, one, until=lambda: not one.owned)
    assert ("lost", (Partition(topic, 0),)) in one.listener.events
    assert [] == one.listener.called_outside


def test_a_topic_that_does_not_exist_is_a_configuration_error(cluster: Cluster, topic: str) -> None:
    one = member(cluster, "one", topic)
    with pytest.raises(ConfigurationError):
        settle(cluster, one, until=lambda: False)


def test_an_idle_fetch_brings_nothing(cluster: Cluster, topic: str) -> None:
    cluster.create_topic(topic)
    one = member(cluster, "one", topic).join(1).start()
    assert [] == one.consumer.fetch(10, WAIT_S)
