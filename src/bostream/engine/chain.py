"""Commit records: the chain by which a changelog proves that it is whole.

Each transaction that touches a partition writes one commit record, last, into the partition's changelog. It names the
record before it by hash, so that a gap, a fork or a half transaction (librdkafka has no KIP-890: a delayed EndTxn could
end the wrong transaction) is seen on restore instead of being allocated on. What must stay true: every record of a
changelog belongs to exactly one commit record, and each commit record follows the one before it.

The records live in a ring of keys, so that compaction keeps the last :data:`RING_SLOTS` of them and they can be checked
even in a log that was compacted to the bone.
"""

from hashlib import blake2b

import msgspec

from bostream.errors import ChainBrokenError, CorruptStateError

FORMAT = 1
"""Format of state and chain; an older worker refuses a newer one."""

RING_SLOTS = 1024
"""How many commit records survive compaction in each changelog partition."""

ENGINE_TABLE = b"\x00"
"""First byte of the engine's own keys; tables of stages have other numbers."""

META_KEY = ENGINE_TABLE + b"meta"
_COMMIT_PREFIX = ENGINE_TABLE + b"commit"
_HASH_BYTES = 16


class CommitRecord(msgspec.Struct, frozen=True, array_like=True):
    """What one transaction did to one partition.

    Attributes:
        format: of the state written with it.
        owner: instance that wrote it, for people.
        epoch: grows by one each time that the partition changes hands.
        sequence: 1, 2, 3 … without gaps.
        previous: hash of the commit record before it; empty for the first.
        log_offset: offset of the next record of the partition's log.
        log_time: running maximum of the log's timestamps up to there (µs).
        changelog_records: records of this transaction in the changelog, without this one.
        output_records: records that this partition had the transaction produce elsewhere.
    """

    format: int
    owner: str
    epoch: int
    sequence: int
    previous: bytes
    log_offset: int
    log_time: int
    changelog_records: int
    output_records: int


class Link(msgspec.Struct, frozen=True, array_like=True):
    """The end of a chain: what the next commit record must follow."""

    epoch: int
    sequence: int
    digest: bytes
    log_offset: int
    log_time: int


class Meta(msgspec.Struct, frozen=True, array_like=True):
    """What a local store knows about itself; written in the same batch as the state it describes."""

    format: int
    changelog_offset: int
    link: Link


NO_LINK = Link(epoch=0, sequence=0, digest=b"", log_offset=0, log_time=0)
"""The end of an empty chain."""

_commit_encoder = msgspec.msgpack.Encoder()
_commit_decoder = msgspec.msgpack.Decoder(CommitRecord)
_meta_decoder = msgspec.msgpack.Decoder(Meta)


def commit_key(sequence: int) -> bytes:
    """Return the changelog key of this commit record: its place in the ring."""
    return _COMMIT_PREFIX + (sequence % RING_SLOTS).to_bytes(2, "big")


def is_commit_key(key: bytes) -> bool:
    """Tell a commit record from a state record."""
    return key.startswith(_COMMIT_PREFIX)


def next_commit(
    link: Link, *, owner: str, epoch: int, log_offset: int, log_time: int, changelog_records: int, output_records: int
) -> tuple[bytes, Link]:
    """Return the bytes of the commit record that follows ``link``, and the new end of the chain."""
    record = CommitRecord(
        FORMAT, owner, epoch, link.sequence + 1, link.digest, log_offset, log_time, changelog_records, output_records
    )
    value = _commit_encoder.encode(record)
    return value, _link_of(record, value)


def follow(link: Link | None, value: bytes, *, records_seen: int, is_whole: bool) -> Link:
    """Check that a commit record read from the changelog follows ``link``; return the new end of the chain.

    Args:
        link: end of the chain so far; None at the start of the log, where compaction may have removed older records.
        value: the commit record's bytes.
        records_seen: state records read since the previous commit record.
        is_whole: the offsets of those records have no gap, so compaction removed none of them.

    Raises:
        ChainBrokenError: a gap, a fork, a zombie's write, or another number of records than were committed.
    """
    record = _decode(value)
    if link is not None:
        _check_succession(link, record)
    elif record.sequence > 1:
        return _link_of(record, value)  # rows of forgotten commits stand before it, so its count says nothing
    if records_seen > record.changelog_records or (is_whole and records_seen != record.changelog_records):
        raise ChainBrokenError(
            f"commit {record.sequence} has {records_seen} records, not {record.changelog_records}: a torn transaction"
        )
    return _link_of(record, value)


def has_all_records(value: bytes, records_seen: int) -> bool:
    """Tell whether every state record of this commit is still there: compaction may have removed some."""
    return records_seen == _decode(value).changelog_records


def _check_succession(link: Link, record: CommitRecord) -> None:
    if record.sequence != link.sequence + 1:
        raise ChainBrokenError(f"commit {record.sequence} follows commit {link.sequence}: a gap or a fork")
    if record.previous != link.digest:
        raise ChainBrokenError(f"commit {record.sequence} was made on another commit {link.sequence}: a fork")
    if record.epoch < link.epoch:
        raise ChainBrokenError(f"commit {record.sequence} has epoch {record.epoch} after {link.epoch}: a zombie wrote")


def encode_meta(changelog_offset: int, link: Link) -> bytes:
    """Encode what a store knows about itself."""
    return _commit_encoder.encode(Meta(FORMAT, changelog_offset, link))


def decode_meta(value: bytes) -> Meta:
    """Decode it. Raises CorruptStateError on other bytes, ChainBrokenError on a newer format."""
    try:
        meta = _meta_decoder.decode(value)
    except msgspec.DecodeError as error:
        raise CorruptStateError(f"the store's own record cannot be read: {error}") from error
    if meta.format > FORMAT:
        raise ChainBrokenError(f"state has format {meta.format}, this version reads up to {FORMAT}: upgrade bostream")
    return meta


def _decode(value: bytes) -> CommitRecord:
    try:
        record = _commit_decoder.decode(value)
    except msgspec.DecodeError as error:
        raise ChainBrokenError(f"a commit record cannot be read: {error}") from error
    if record.format > FORMAT:
        raise ChainBrokenError(f"state has format {record.format}, this version reads up to {FORMAT}: upgrade bostream")
    return record


def _link_of(record: CommitRecord, value: bytes) -> Link:
    digest = blake2b(value, digest_size=_HASH_BYTES).digest()
    return Link(record.epoch, record.sequence, digest, record.log_offset, record.log_time)
