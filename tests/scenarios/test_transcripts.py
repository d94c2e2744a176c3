"""Each transcript reads as it was reviewed; rewrite them with ``python -m tests.scenarios.runner --rewrite``."""

from pathlib import Path

import pytest

from tests.scenarios.runner import DIRECTORY, narrate

TRANSCRIPTS = sorted(DIRECTORY.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_book_tells_the_same_story(path: Path) -> None:
    transcript = path.read_text()

    assert transcript == narrate(transcript)


def test_there_are_transcripts() -> None:
    assert "worked_example" in {path.stem for path in TRANSCRIPTS}
