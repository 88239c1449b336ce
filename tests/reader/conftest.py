"""A tiny study and its servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reading_folders import reading_folder
from reading_servers import Process, Served

from mammogan.reader.folder import ReadingFolder


@pytest.fixture
def folder(tmp_path: Path) -> ReadingFolder:
    return reading_folder(tmp_path / "reading")


@pytest.fixture
def served(folder: ReadingFolder) -> Iterator[Served]:
    made = Served(folder)
    yield made
    made.store.close()


@pytest.fixture
def process(folder: ReadingFolder) -> Iterator[Process]:
    made = Process(folder)
    yield made
    made.kill()
