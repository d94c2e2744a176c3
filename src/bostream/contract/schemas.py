"""The Avro schemas of all public topics, by subject, version and fingerprint.

What must stay true: ``schemas/<topic>-value/v1.avsc, v2.avsc, …`` is append-only and without gaps; a fingerprint
(CRC-64-AVRO of the canonical form) leads to the registered text, since the canonical form drops what readers need.
"""

import json
import re
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import fastavro
import msgspec
from fastavro.schema import SchemaParseException, UnknownType, fingerprint, to_parsing_canonical_form

from bostream.errors import ConfigurationError

SUBJECT_SUFFIX: Final = "-value"
FINGERPRINT_BYTES: Final = 8
_FILE_NAME: Final = re.compile(r"v([1-9][0-9]*)\.avsc")
_NOT_A_SCHEMA: Final = (
    SchemaParseException,
    UnknownType,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""All that JSON and fastavro raise on texts that are none."""

_CHECKOUT_ROOT: Final = 3
"""Directories between this file and the root of a checkout."""


class Schema(msgspec.Struct, frozen=True):
    """One registered schema.

    Attributes:
        subject: ``<topic>-value``.
        version: 1, 2, 3 …; 0 for a schema that came from elsewhere.
        text: the schema as registered (JSON).
        parsed: the same, with full names.
        fingerprint: CRC-64-AVRO of its canonical form, little endian, as in the single-object header.
    """

    subject: str
    version: int
    text: str
    parsed: Any
    fingerprint: bytes


class Schemas(msgspec.Struct, frozen=True):
    """All versions of all subjects.

    Attributes:
        versions: the versions of each subject, oldest first.
        by_fingerprint: the newest schema with this fingerprint.
    """

    versions: Mapping[str, tuple[Schema, ...]]
    by_fingerprint: Mapping[bytes, Schema]

    def newest(self, topic: str) -> Schema:
        """Return the newest schema of a topic's values; the name is without prefix. KeyError when there is none."""
        return self.versions[topic + SUBJECT_SUFFIX][-1]


def parse_schema(text: str, subject: str = "", version: int = 0) -> Schema:
    """Parse a schema's text.

    Raises:
        ConfigurationError: it is not an Avro schema.
    """
    try:
        declared = json.loads(text)
        parsed = fastavro.parse_schema(declared)
        digest = fingerprint(to_parsing_canonical_form(declared), "CRC-64-AVRO")
    except _NOT_A_SCHEMA as error:
        raise ConfigurationError(f"{subject or 'a schema'} version {version} is not an Avro schema: {error}") from error
    return Schema(subject, version, text, parsed, bytes.fromhex(digest))


def load_schemas(directory: Traversable | None = None) -> Schemas:
    """Read all schemas below a directory, by default those of this installation.

    Raises:
        ConfigurationError: a file is not a schema, or versions have a gap.
    """
    root = _installed() if directory is None else directory
    versions = {}
    for folder in sorted(root.iterdir(), key=lambda entry: entry.name):
        if folder.is_dir() and folder.name.endswith(SUBJECT_SUFFIX):
            versions[folder.name] = _read_subject(folder)
    by_fingerprint = {schema.fingerprint: schema for history in versions.values() for schema in history}
    return Schemas(versions, by_fingerprint)


def _installed() -> Traversable:
    """Return the schemas packed into the wheel, or those of the checkout that this file lies in."""
    packed = resources.files("bostream").joinpath("schemas")
    if packed.is_dir():
        return packed
    checkout = Path(__file__).resolve().parents[_CHECKOUT_ROOT] / "schemas"
    if checkout.is_dir():
        return checkout
    raise ConfigurationError(f"no Avro schemas in the package nor at {checkout}: install bostream again")


def _read_subject(folder: Traversable) -> tuple[Schema, ...]:
    texts: dict[int, str] = {}
    for file in folder.iterdir():
        match = _FILE_NAME.fullmatch(file.name)
        if match is None:
            raise ConfigurationError(f"{folder.name}/{file.name} is not named v1.avsc, v2.avsc, …")
        texts[int(match[1])] = file.read_text(encoding="utf-8")
    numbers = sorted(texts)
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        raise ConfigurationError(f"{folder.name} has versions {numbers}: they must count 1, 2, 3 … without a gap")
    return tuple(parse_schema(texts[number], folder.name, number) for number in numbers)
