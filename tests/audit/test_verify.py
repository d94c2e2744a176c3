"""Honest runs have no difference; each falsification on top of one is found, with its place."""

import msgspec
import pytest

from bostream.audit.findings import Kind
from bostream.contract.records import AllocationReason
from bostream.contract.topics import changelog
from bostream.domain.documents.events import LineReported
from bostream.domain.sku.events import DemandChanged, ScanType, SkuRecord, StockScanned
from bostream.engine import chain
from bostream.engine.ports import Record
from tests.audit.recorded import (
    APP,
    DOCUMENTS,
    SKUS,
    Business,
    Topics,
    application,
    audited,
    honest,
    recoded,
    told,
    where,
)
from tests.stages.support import DAY, NOON, SECOND, order, scan

_sku_records: msgspec.msgpack.Decoder[SkuRecord] = msgspec.msgpack.Decoder(SkuRecord)


@pytest.fixture(scope="module")
def business() -> Business:
    return honest()


@pytest.fixture
def topics(business: Business) -> Topics:
    return business.topics()


def place(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def with_events(topics: Topics, kind: type) -> list[Record]:
    """Return the records of the SKUs log that say something of this kind."""
    return [record for record in topics.all(SKUS) if isinstance(_sku_records.decode(record.value or b""), kind)]


# --- honest


@pytest.mark.parametrize("partitions", [1, 2, 3])
def test_an_honest_run_has_no_difference(partitions: int) -> None:
    business = honest() if partitions == 2 else Business(partitions)
    if partitions != 2:
        business.send(order("A", ("1", "S", 5), ("2", "T", 5)), NOON)
        business.send(scan(ScanType.RECEIVED, 3), NOON + SECOND)
        business.driver.pass_time(NOON + DAY)
    findings = audited(business.topics())
    assert [] == told(findings)
    assert [] == findings.limitations
    compared = findings.compared
    assert compared["allocations"] == compared["movements of the reference"] > 0
    assert 0 not in (compared["order lines"], compared["backorder lines"], compared["line reports"])


def test_a_run_in_small_batches_has_no_difference() -> None:
    business = Business(batch_records_max=1)
    for number in range(20):
        business.send(order(f"O{number}", ("1", "S", 2), ("2", "T", 1)), NOON, settle=False)
        business.send(scan(ScanType.RECEIVED, 3, at=NOON + number), NOON + SECOND, settle=False)
    business.driver.settle()
    assert [] == told(audited(business.topics()))


def test_nothing_at_all_has_no_difference() -> None:
    assert 0 == audited(Business().topics()).total


# --- allocations


def test_a_doubled_allocation_is_found(topics: Topics) -> None:
    forged = topics.append(topics.all("allocations")[4])
    kinds = [Kind.EVENT_ID_REPEATED, Kind.ALLOCATION_OUT_OF_ORDER, Kind.ALLOCATION_DOUBLED]
    assert [(kind, place(forged)) for kind in kinds] == told(audited(topics))


def test_a_missing_allocation_is_found_with_the_log_record_that_caused_it(topics: Topics) -> None:
    removed = topics.all("allocations")[4]
    topics.remove(removed)
    (finding,) = audited(topics).kept
    assert (Kind.ALLOCATION_MISSING, "allocations") == (finding.kind, where(finding))
    assert f"order {(removed.key or b'').decode()}," in finding.subject
    assert f"caused by {SKUS}/" in finding.expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("waiting", 77),
        ("allocated", 77),
        ("picked", 77),
        ("shipped", 77),
        ("cancelled", 77),
        ("ordered", 77),
        ("on_hand_after", -77),
        ("available_after", 77),
        ("quantity", 77),
        ("location", "W77"),
        ("line_id", "77"),
        ("reason", AllocationReason.HOLD_RELEASED),
        ("cause_event_id", "another"),
        ("cause_type", "another"),
        ("occurred_at", 77),
    ],
)
def test_a_wrong_field_of_an_allocation_is_found(topics: Topics, field: str, value: object) -> None:
    record = topics.all("allocations")[3]
    topics.replace(record, value=recoded("allocations", record, **{field: value}))
    (finding,) = audited(topics).kept
    assert (Kind.ALLOCATION_WRONG, place(record)) == (finding.kind, where(finding))
    assert f"{field}={value}" == finding.actual
    assert finding.expected.startswith(f"{field}=")


def test_an_id_that_is_not_made_of_the_causing_position_is_found(topics: Topics) -> None:
    record = topics.all("allocations")[3]
    invented = "00000000-0000-5000-8000-000000000000"
    headers = tuple((name, invented.encode() if name == "ce_id" else value) for name, value in record.headers)
    topics.replace(record, value=recoded("allocations", record, event_id=invented), headers=headers)
    assert [(Kind.EVENT_ID_WRONG, place(record))] == told(audited(topics))


def test_a_header_with_another_id_is_found(topics: Topics) -> None:
    record = topics.all("allocations")[3]
    topics.replace(record, headers=())
    assert [(Kind.EVENT_ID_WRONG, place(record))] == told(audited(topics))


def test_an_allocation_of_a_sku_that_nobody_asked_for_is_found(topics: Topics) -> None:
    record = topics.all("allocations")[0]
    forged = topics.append(record._replace(value=recoded("allocations", record, sku="other", event_id="x"), headers=()))
    assert [(Kind.ALLOCATION_UNEXPECTED, place(forged))] == told(audited(topics))


def test_a_sequence_beyond_the_last_is_found(topics: Topics) -> None:
    record = topics.all("allocations")[0]
    forged = topics.append(record._replace(value=recoded("allocations", record, sku_sequence=10**6, event_id="x")))
    assert [(Kind.ALLOCATION_UNEXPECTED, place(forged))] == told(audited(topics))


def test_a_swapped_pair_is_found(topics: Topics) -> None:
    partition = topics.records["allocations"][0]
    skus = [recoded_sku(record) for record in partition]
    first = next(at for at in range(len(partition) - 1) if skus[at] == skus[at + 1])
    one, other = partition[first], partition[first + 1]
    partition[first : first + 2] = [other._replace(offset=one.offset), one._replace(offset=other.offset)]
    assert [(Kind.ALLOCATION_OUT_OF_ORDER, f"allocations/0/{other.offset}")] == told(audited(topics))


def recoded_sku(record: Record) -> str:
    read = application().make_output_reader("allocations").read(record.value)
    return str(getattr(read, "sku", ""))


def test_an_unreadable_allocation_is_found_and_its_movement_is_missing(topics: Topics) -> None:
    record = topics.all("allocations")[3]
    topics.replace(record, value=b"nonsense")
    assert {(str(Kind.UNREADABLE), place(record)), (str(Kind.ALLOCATION_MISSING), "allocations")} == set(
        told(audited(topics))
    )


def test_a_notification_written_twice_is_found_by_its_id(topics: Topics) -> None:
    forged = topics.append(topics.all("notifications")[0])
    assert [(Kind.EVENT_ID_REPEATED, place(forged))] == told(audited(topics))


def test_an_event_that_the_books_left_out_is_found_in_all_outputs(topics: Topics) -> None:
    applied = Business()
    applied.send(scan(ScanType.RECEIVED, 50, sku="U", event_id="left-out"), NOON + 3 * DAY)
    (sent,) = applied.topics().all("inventory-scans")
    (logged,) = applied.topics().all(SKUS)
    topics.committed["inventory-scans", 0] = topics.append(sent).offset + 1
    at = topics.append(logged).offset
    topics.committed[SKUS, logged.partition] = at + 1
    found = audited(topics).counts
    assert found[Kind.ALLOCATION_MISSING] > 0
    assert 1 == found[Kind.STOCK_POSITION_WRONG]
    assert found[Kind.BACKORDER_LINE_WRONG] > 0
    assert found[Kind.LINE_REPORT_WRONG] > 0
    assert 1 == found[Kind.OFFSET_WRONG]


# --- states


def last_of(topics: Topics, topic: str, *, is_tombstone: bool) -> Record:
    """Return the last record of a key whose last record is, or is not, a tombstone."""
    last = {record.key: record for record in topics.all(topic)}
    return next(record for record in last.values() if (record.value is None) == is_tombstone)


def test_a_missing_tombstone_is_found(topics: Topics) -> None:
    tombstone = last_of(topics, "backorder-lines", is_tombstone=True)
    topics.remove(tombstone)
    before = [record for record in topics.all("backorder-lines") if record.key == tombstone.key][-1]
    (finding,) = audited(topics).kept
    assert (Kind.BACKORDER_LINE_WRONG, place(before)) == (finding.kind, where(finding))
    assert "tombstone" in finding.expected


@pytest.mark.parametrize(("field", "value"), [("eta", 7), ("eta_source", "A9/9"), ("waiting", 77), ("sku", "Z")])
def test_a_wrong_field_of_a_backorder_line_is_found(topics: Topics, field: str, value: object) -> None:
    record = last_of(topics, "backorder-lines", is_tombstone=False)
    topics.replace(record, value=recoded("backorder-lines", record, **{field: value}))
    (finding,) = audited(topics).kept
    assert (Kind.BACKORDER_LINE_WRONG, place(record)) == (finding.kind, where(finding))
    assert f"{field}={value}" == finding.actual


def test_an_open_line_that_is_not_shown_is_found(topics: Topics) -> None:
    key = last_of(topics, "backorder-lines", is_tombstone=False).key
    for record in [record for record in topics.all("backorder-lines") if record.key == key]:
        topics.remove(record)
    assert [(Kind.BACKORDER_LINE_WRONG, "backorder-lines")] == told(audited(topics))


@pytest.mark.parametrize("field", ["on_hand", "allocated", "picked", "quarantined", "available", "deficit", "waiting"])
def test_a_wrong_stock_position_is_found(topics: Topics, field: str) -> None:
    record = last_of(topics, "stock-positions", is_tombstone=False)
    topics.replace(record, value=recoded("stock-positions", record, **{field: 77}))
    (finding,) = audited(topics).kept
    assert (Kind.STOCK_POSITION_WRONG, place(record)) == (finding.kind, where(finding))
    assert f"{field}=77" == finding.actual


def test_a_stock_position_that_was_never_published_is_found(topics: Topics) -> None:
    for record in [record for record in topics.all("stock-positions") if record.key == b"T/W2"]:
        topics.remove(record)
    assert [(Kind.STOCK_POSITION_WRONG, "stock-positions")] == told(audited(topics))


def test_a_position_of_an_unknown_sku_is_found(topics: Topics) -> None:
    forged = topics.append(topics.all("stock-positions")[0]._replace(key=b"Z/W1", headers=(("ce_id", b"other"),)))
    assert [(Kind.STOCK_POSITION_WRONG, place(forged))] == told(audited(topics))


# --- intake


def test_a_dead_letter_with_changed_bytes_is_found(topics: Topics) -> None:
    letter = topics.all("orders.dlq")[0]
    topics.replace(letter, value=b"nonsense!")
    (finding,) = audited(topics).kept
    assert (Kind.DEAD_LETTER_CHANGED, place(letter)) == (finding.kind, where(finding))
    assert "another value" == finding.actual


def test_a_dead_letter_without_a_header_of_its_record_is_found(topics: Topics) -> None:
    letter = topics.all("orders.dlq")[0]
    topics.replace(letter, headers=letter.headers[1:])
    (finding,) = audited(topics).kept
    assert (Kind.DEAD_LETTER_CHANGED, "another headers") == (finding.kind, finding.actual)


def test_a_missing_dead_letter_is_found(topics: Topics) -> None:
    topics.remove(topics.all("inventory-scans.dlq")[0])
    (finding,) = audited(topics).kept
    assert (Kind.INPUT_LOST, "inventory-scans") == (finding.kind, finding.topic)
    assert "NULL_VALUE" in finding.expected


def test_a_dead_letter_written_twice_is_found(topics: Topics) -> None:
    forged = topics.append(topics.all("orders.dlq")[0])
    assert [(Kind.DEAD_LETTER_REPEATED, place(forged))] == told(audited(topics))


def test_a_dead_letter_that_names_no_record_is_found(topics: Topics) -> None:
    letter = topics.all("orders.dlq")[0]
    headers = [(name, b"999" if name.endswith(".offset") else value) for name, value in letter.headers]
    forged = topics.append(letter._replace(headers=tuple(headers)))
    foreign = topics.append(letter._replace(headers=()))
    expected = {(str(Kind.DEAD_LETTER_UNEXPECTED), place(forged)), (str(Kind.DEAD_LETTER_UNEXPECTED), place(foreign))}
    assert expected == set(told(audited(topics)))


def test_an_internal_record_written_twice_is_found(topics: Topics) -> None:
    original = with_events(topics, StockScanned)[0]
    forged = topics.append(original)
    topics.committed[SKUS, forged.partition] = forged.offset + 1
    assert (str(Kind.INTERNAL_REPEATED), place(forged)) in told(audited(topics))


def test_an_internal_record_that_no_input_sent_is_found(topics: Topics) -> None:
    original = with_events(topics, StockScanned)[0]
    event = msgspec.msgpack.decode(original.value or b"", type=StockScanned)
    forged = msgspec.structs.replace(event, quantity=event.quantity + 1)
    topics.replace(original, value=msgspec.msgpack.encode(forged))
    found = told(audited(topics))
    assert (str(Kind.INTERNAL_UNEXPECTED), place(original)) in found
    assert str(Kind.INPUT_LOST) in {kind for kind, _ in found}


def test_an_internal_record_of_a_dead_letter_is_found(topics: Topics) -> None:
    """The same input must not leave both behind."""
    record = topics.all("orders")[0]
    letter = topics.all("orders.dlq")[0]
    named = {"topic": b"orders", "partition": b"0", "offset": str(record.offset).encode()}
    added = [(name, named.get(name.rpartition(".")[2], value)) for name, value in letter.headers[-7:]]
    topics.append(letter._replace(key=record.key, value=record.value, headers=(*record.headers, *added)))
    (finding,) = audited(topics).kept
    assert (Kind.INTERNAL_UNEXPECTED, DOCUMENTS) == (finding.kind, finding.topic)


def test_a_lost_input_is_found(topics: Topics) -> None:
    lost = topics.append(topics.all("asns")[0]._replace(timestamp=NOON + 1000))
    topics.committed["asns", 0] = lost.offset + 1
    assert [(Kind.INPUT_LOST, place(lost))] == told(audited(topics))


def test_the_same_bytes_sent_twice_need_two_internal_records(topics: Topics) -> None:
    again = topics.append(topics.all("asns")[0])
    topics.committed["asns", 0] = again.offset + 1
    assert [(Kind.INPUT_LOST, place(again))] == told(audited(topics))


def test_foreign_bytes_in_an_internal_log_are_found(topics: Topics) -> None:
    forged = topics.append(topics.all(SKUS)[0]._replace(value=b"nonsense"))
    assert (str(Kind.INTERNAL_UNEXPECTED), place(forged)) in told(audited(topics))


def test_an_internal_record_in_the_wrong_partition_is_found(topics: Topics) -> None:
    record = with_events(topics, StockScanned)[0]
    topics.replace(record, key=b"other")
    assert [(Kind.INTERNAL_MISPLACED, place(record))] == told(audited(topics))


# --- demand and reports


def test_demand_asked_for_twice_is_found(topics: Topics) -> None:
    record = with_events(topics, DemandChanged)[0]
    event = msgspec.msgpack.decode(record.value or b"", type=DemandChanged)
    forged = topics.append(record)
    topics.committed[SKUS, forged.partition] = forged.offset + 1
    found = [one for one in audited(topics).kept if one.kind is Kind.DEMAND_WRONG]
    assert [f"order {event.order_id}, line {event.lines[0].line_id}, SKU {event.sku}"] == [one.subject for one in found]


def test_demand_that_was_never_sent_is_found(topics: Topics) -> None:
    record = with_events(topics, DemandChanged)[0]
    topics.remove(record)
    assert str(Kind.DEMAND_WRONG) in {kind for kind, _ in told(audited(topics))}


def test_a_false_line_report_is_found(topics: Topics) -> None:
    reports = [one for one in topics.all(DOCUMENTS) if b"line" in (one.value or b"")[:8]]
    record = reports[-1]
    report = msgspec.msgpack.decode(record.value or b"", type=LineReported)
    topics.replace(record, value=msgspec.msgpack.encode(msgspec.structs.replace(report, waiting=report.waiting + 1)))
    (finding,) = audited(topics).kept
    assert (Kind.LINE_REPORT_WRONG, DOCUMENTS) == (finding.kind, finding.topic)
    assert f"SKU {report.sku}, order {report.order_id}, line {report.line_id}" == finding.subject


# --- commit chain


def commits(topics: Topics) -> list[Record]:
    return [one for one in topics.all(changelog(SKUS)) if chain.is_commit_key(one.key or b"")]


def test_a_removed_commit_breaks_the_chain(topics: Topics) -> None:
    _, second, third, *_ = commits(topics)
    topics.remove(second)
    assert [(Kind.CHAIN_BROKEN, place(third))] == told(audited(topics))


def test_a_chain_that_begins_later_is_a_limitation(topics: Topics) -> None:
    first, *_ = commits(topics)
    topics.remove(first)
    findings = audited(topics)
    assert [] == told(findings)
    assert [f"{changelog(SKUS)}/0 was compacted: its chain was walked from commit 2 on"] == findings.limitations


def test_a_forked_chain_is_found(topics: Topics) -> None:
    first, second = commits(topics)[:2]
    forged, _ = chain.next_commit(
        chain.NO_LINK, owner="zombie", epoch=9, log_offset=3, log_time=1, changelog_records=0, output_records=0
    )
    topics.replace(first, value=forged)
    found = told(audited(topics))
    assert (str(Kind.CHAIN_BROKEN), place(first)) in found
    assert (str(Kind.CHAIN_BROKEN), place(second)) in found


def test_a_torn_transaction_is_found(topics: Topics) -> None:
    row, *_ = topics.records[changelog(SKUS)][0]
    topics.remove(row)
    topics.starts[changelog(SKUS), 0] = row.offset + 1
    (commit, *_) = commits(topics)
    assert (str(Kind.CHAIN_BROKEN), place(commit)) in told(audited(topics))


def test_rows_without_a_commit_are_found(topics: Topics) -> None:
    topics.append(topics.records[changelog(SKUS)][0][0])
    assert [(Kind.CHAIN_BROKEN, f"{changelog(SKUS)}/0")] == told(audited(topics))


def test_a_malformed_row_is_found(topics: Topics) -> None:
    row = topics.records[changelog(SKUS)][0][0]
    topics.replace(row, value=b"\xc1")
    assert [(Kind.STATE_MALFORMED, place(row))] == told(audited(topics))


def test_a_row_of_an_unknown_table_is_found(topics: Topics) -> None:
    row = topics.records[changelog(SKUS)][0][0]
    topics.replace(row, key=b"\xc8" + (row.key or b"")[1:])
    assert [(Kind.STATE_MALFORMED, place(row))] == told(audited(topics))


def test_group_offsets_that_were_reset_are_found(topics: Topics) -> None:
    topics.committed[SKUS, 0] -= 1
    found = audited(topics)
    (finding,) = [one for one in found.kept if one.kind is Kind.OFFSET_WRONG]
    assert f"{changelog(SKUS)}/0" == where(finding)
    committed = topics.committed[SKUS, 0]
    assert (f"a commit at the group's committed offset {committed}", f"{committed + 1}") == (
        finding.expected,
        finding.actual,
    )
    assert any("not processed at the cut" in sentence for sentence in found.limitations)


# --- cuts


def test_what_was_not_processed_yet_is_a_limitation_and_no_difference() -> None:
    business = honest()
    behind = business.topics()
    business.send(order("new", ("1", "S", 5)), NOON + 9 * DAY)
    business.send(scan(ScanType.RECEIVED, 500, at=NOON + 9 * DAY), NOON + 9 * DAY)
    now = business.topics()
    # The intake went on, desk and books did not.
    for topic, tag in (("orders", b""), ("inventory-scans", b""), (DOCUMENTS, b"order"), (SKUS, b"scan")):
        for record in now.all(topic):
            known = behind.records[topic][record.partition]
            if (not known or record.offset > known[-1].offset) and tag in (record.value or b"")[:8]:
                behind.append(record)
                if not tag:
                    behind.committed[topic, record.partition] = record.offset + 1
    behind.append(now.all("asns")[0]._replace(timestamp=NOON + 9 * DAY))
    findings = audited(behind)
    assert [] == told(findings)
    assert ["asns", DOCUMENTS, SKUS] == sorted(sentence.split(":")[0] for sentence in findings.limitations)


def test_a_running_system_may_have_published_more_than_it_had_committed_at_the_cut() -> None:
    business = honest()
    committed = business.topics().committed
    business.send(order("new", ("1", "S", 5)), NOON + 9 * DAY)
    business.send(scan(ScanType.RECEIVED, 500, at=NOON + 9 * DAY), NOON + 9 * DAY)
    topics = business.topics()
    moved = {key for key, offset in topics.committed.items() if committed[key] != offset}
    topics.committed = committed
    topics.unsettled = moved
    for log in (SKUS, DOCUMENTS):
        # these changelogs have two commits only, neither at the older offset
        topics.records[changelog(log)] = honest().topics().records[changelog(log)]
    findings = audited(topics)
    assert [] == told(findings)
    assert any("were changing" in sentence for sentence in findings.limitations)
    forged = topics.all("allocations")[-1]
    topics.replace(forged, value=recoded("allocations", forged, quantity=77))
    assert [(Kind.ALLOCATION_WRONG, place(forged))] == told(audited(topics))


def test_retention_of_an_input_is_a_limitation(topics: Topics) -> None:
    topics.starts["orders", 0] = 3
    findings = audited(topics)
    assert [] == told(findings)
    assert ["orders has lost its beginning to retention: what came before is not audited"] == findings.limitations


def test_retention_of_dead_letters_is_a_limitation(topics: Topics) -> None:
    letters = topics.all("orders.dlq")
    for letter in letters:
        topics.remove(letter)
    for partition in topics.records["orders.dlq"]:
        topics.starts["orders.dlq", partition] = 100
    findings = audited(topics)
    assert [] == told(findings)
    assert ["orders.dlq has lost its beginning to retention: what came before is not audited"] == findings.limitations
    assert len(letters) == findings.compared["records whose dead letter may be gone"]


def test_retention_of_the_skus_log_leaves_its_outputs_unaudited(topics: Topics) -> None:
    topics.starts[SKUS, 0] = 1
    findings = audited(topics)
    assert [] == told(findings)
    assert any("allocations is not audited" in sentence for sentence in findings.limitations)


def test_a_record_that_was_set_aside_is_left_out_and_told() -> None:
    business = Business(partitions=1)
    business.driver.log(f"{APP}-skus")[0].append(b"k", b"nonsense", NOON)
    business.driver.settle()
    findings = audited(business.topics())
    assert [(Kind.INTERNAL_UNEXPECTED, f"{SKUS}/0/0")] == told(findings)
