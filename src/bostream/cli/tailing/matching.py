"""Which records speak of a SKU or an order.

What must stay true: where a record can be read its fields decide; where it cannot, or is a deletion, its key does.
"""

from collections.abc import Iterator
from typing import Any

from bostream.cli.tailing.decoding import Seen
from bostream.contract.identity import split_key
from bostream.contract.json_format import read_json
from bostream.domain.sku.state import SEEN
from bostream.errors import BadRecordError


def speaks_of(seen: Seen, *, sku: str | None = None, order: str | None = None) -> bool:
    """Tell whether a record speaks of this SKU and of this order; None asks for nothing."""
    if sku is None and order is None:
        return True
    fields = _content(seen)
    keys = set(_key_texts(seen)) if fields is None or seen.table is not None else set()
    return (sku is None or sku in keys or _has(fields, "sku", sku)) and (
        order is None or order in keys or _has(fields, "order_id", order)
    )


def _content(seen: Seen) -> Any:
    if seen.plain is not None:
        return seen.plain
    if not seen.fault or seen.record.value is None:
        return None
    try:
        # a record that breaks the contract may still say what it is about
        return read_json(seen.record.value)
    except BadRecordError:
        return None


def _key_texts(seen: Seen) -> Iterator[str]:
    if isinstance(seen.key, str):
        yield seen.key
        yield from split_key(seen.key)
    elif seen.key is not None:
        parts = [part for part in seen.key if isinstance(part, str)]
        # rows of SEEN end in source and event id, which are chosen by others and may look like anything
        yield from parts[:1] if seen.table_name == SEEN.name else parts


def _has(content: Any, name: str, wanted: str) -> bool:
    if isinstance(content, dict):
        return any((field == name and item == wanted) or _has(item, name, wanted) for field, item in content.items())
    if isinstance(content, list | tuple):
        return any(_has(item, name, wanted) for item in content)
    return False
