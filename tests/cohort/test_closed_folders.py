"""A folder that may not be entered ends nothing: what lies in it is counted, for its true reason."""

from __future__ import annotations

import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives.miniature import Miniature
from archives.scanning import outcome, scanned
from dicoms import breast, write_mammogram, write_table
from in_place_of_a_file import ordinary_user

from mammogan.data.cohort.pseudonyms import load_salt
from mammogan.data.cohort.table import TableError, read_table
from mammogan.errors import UserError
from mammogan.io.atomic import is_file, place_of


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an ordinary user may enter and write."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o777)
    yield path
    for inner in path.rglob("closed"):
        inner.chmod(0o700)
    shutil.rmtree(path)


@pytest.fixture
def archive(folder: Path) -> Miniature:
    """Two mammograms, one of them in a folder that may not be entered."""
    made = Miniature(folder / "archive")
    made.image("a.dcm", "negative")
    made.image("closed/b.dcm", "")
    made.table(
        "mine.csv", ("path", "patient", "label"), [("a.dcm", "1", "negative"), ("closed/b.dcm", "2", "negative")]
    )
    (made.root / "closed").chmod(0)
    return made


def test_a_row_in_a_closed_folder_does_not_end_the_scan(archive: Miniature, folder: Path) -> None:
    with ordinary_user():
        report = scanned(archive.root, folder / "labels.csv")
        found = outcome(archive.root, folder / "labels.csv")
    assert found == {"a.dcm": "negative", "closed": "unreadable"}
    assert any("1 entries of the tables have no file here, or it lies in a folder" in line for line in report.lines())


def test_a_table_that_names_a_file_in_a_closed_folder_says_so(archive: Miniature) -> None:
    rows = [("a.dcm", "1", "L", "CC", "negative"), ("closed/b.dcm", "2", "L", "CC", "negative")]
    table = write_table(archive.root / "labels.csv", rows)
    with ordinary_user():
        assert place_of(archive.root / "closed/b.dcm") == "closed" and not is_file(archive.root / "closed/b.dcm")
        with pytest.raises(TableError, match=r"line 3, path: .*, found a folder that you may not enter"):
            read_table(table)


def test_a_salt_that_may_not_be_read_is_named_and_not_the_workspace(folder: Path) -> None:
    (folder / "closed").mkdir()
    (folder / "closed/salt").write_text("x" * 32)
    (folder / "closed").chmod(0)
    (folder / "salt").write_text("x" * 32)
    (folder / "salt").chmod(0)
    with ordinary_user():
        for name, said in (("closed/salt", "found a folder that you may not enter"), ("salt", "cannot be read: Perm")):
            with pytest.raises(UserError, match=f"salt file .*{said}"):
                load_salt(folder / name)


def test_paths_of_other_systems_are_found_and_those_of_another_machine_are_called_so(tmp_path: Path) -> None:
    composed, decomposed = unicodedata.normalize("NFC", "Müller"), unicodedata.normalize("NFD", "Müller")
    for name in (f"{composed}/a.dcm", f"{decomposed}2/b.dcm", "d/c.dcm"):
        write_mammogram(tmp_path / name, breast())
    paths = [f"{decomposed}/a.dcm", f"{composed}2/b.dcm", "d\\c.dcm"]
    rows = [(path, str(number), "L", "CC", "negative") for number, path in enumerate(paths)]
    table = write_table(tmp_path / "labels.csv", rows)
    assert all(row.file.is_file() for row in read_table(table)) and [row.path for row in read_table(table)] == paths
    write_table(table, [("C:\\data\\a.dcm", "1", "L", "CC", "negative")])
    with pytest.raises(TableError, match="found a path of Windows, which is not on this machine"):
        read_table(table)
    write_table(table, [("d/c.dcm", "1", "L", "CC", "negative"), ("d\\c.dcm", "1", "L", "CC", "negative")])
    with pytest.raises(TableError, match="line 3, path: expected each file once, found the file of line 2"):
        read_table(table)


def test_a_declared_separator_is_read_by_both_commands(tmp_path: Path) -> None:
    write_mammogram(tmp_path / "archive/a.dcm", breast())
    table = tmp_path / "archive/mine.csv"
    table.write_text("sep=;\npath;patient;laterality;view;label\na.dcm;Doe, Jane;L;CC;negative\n")
    [row] = read_table(table)
    assert (row.line, row.patient) == (3, "Doe, Jane")
    assert scanned(tmp_path / "archive", tmp_path / "labels.csv").used == 1
