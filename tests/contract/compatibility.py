"""May the versions of a subject follow each other? Judged by Apache Avro's own rules, not by the code under test."""

from itertools import combinations

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from bostream.contract.records import INPUT_RECORDS
from bostream.contract.schemas import SUBJECT_SUFFIX, Schema, Schemas


def breaches(schemas: Schemas) -> list[str]:
    """Return one sentence per pair of versions that must be able to read each other and cannot.

    Inputs are BACKWARD_TRANSITIVE: every newer version reads what every older one wrote. Outputs are FULL_TRANSITIVE:
    every older version reads what every newer one wrote, too.
    """
    found = []
    for subject, versions in schemas.versions.items():
        is_input = subject.removesuffix(SUBJECT_SUFFIX) in INPUT_RECORDS
        for older, newer in combinations(versions, 2):
            if not _can_read(newer, older):
                found.append(f"{subject}: v{newer.version} cannot read v{older.version}")
            if not is_input and not _can_read(older, newer):
                found.append(f"{subject}: v{older.version} cannot read v{newer.version}")
    return found


def _can_read(reader: Schema, writer: Schema) -> bool:
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    verdict = checker.get_compatibility(avro.schema.parse(reader.text), avro.schema.parse(writer.text))
    return bool(verdict.compatibility is SchemaCompatibilityType.compatible)
