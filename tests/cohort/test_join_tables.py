"""Tables of several archives become one, with no file lost and no two women made one."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest
from archives import embed, rsna
from archives.scanning import rows_of, scanned
from conftest import run_script
from dicoms import COLUMNS, breast, write_mammogram, write_table

from mammogan.data.archives.join import in_several, join_tables
from mammogan.data.cohort.table import read_table
from mammogan.errors import UserError


def clinic(folder: Path, name: str, patient: str = "100", columns: tuple[str, ...] = (), *cells: str) -> Path:
    write_mammogram(folder / f"{name}.dcm", breast(seed=len(name)))
    row = (f"{name}.dcm", patient, "L", "CC", "negative", *cells)
    return write_table(folder / f"{name}.csv", [row], (*COLUMNS, *columns))


def test_scans_and_a_table_of_ones_own_are_joined_with_all_columns_and_counted(tmp_path: Path) -> None:
    for name, write in (("rsna", rsna.write), ("embed", embed.write)):
        scanned(write(tmp_path / name / "archive").root, tmp_path / name / f"{name}.csv")
    own = clinic(tmp_path / "clinic", "clinic", "=1", ("note",), "seen; twice")
    parts = [tmp_path / "rsna/rsna.csv", tmp_path / "embed/embed.csv", own]
    joined = join_tables(parts, tmp_path / "elsewhere/labels.csv")
    held, rows = rows_of(tmp_path / "elsewhere/labels.csv"), read_table(tmp_path / "elsewhere/labels.csv")
    assert stat.S_IMODE((tmp_path / "elsewhere/labels.csv").stat().st_mode) == 0o600
    assert len(rows) == sum(len(part.rows) for part in joined) == len(held)
    assert {row.patient.partition(":")[0] for row in rows} == {"rsna", "embed", "clinic"}
    assert rows[-1].patient == "clinic:=1" and rows[-1].file == own.with_suffix(".dcm").absolute()
    assert all(Path(row["path"]).is_absolute() for row in held)
    assert held[-1]["note"] == "seen; twice" and held[0]["note"] == "" and held[0]["finding"] == "cancer"
    assert {row["source"] for row in held} == {"rsna", "embed", "clinic"}
    assert joined[-1].line() == "clinic: 1 images of 1 patients, 0 positive"


def test_one_number_in_two_tables_is_two_women_unless_the_numbering_is_one(tmp_path: Path) -> None:
    parts = [clinic(tmp_path, "a"), clinic(tmp_path, "bb")]
    for one, patients in ((False, {"a:100", "bb:100"}), (True, {"100"})):
        join_tables(parts, tmp_path / "all.csv", one, overwrite=True)
        assert {row.patient for row in read_table(tmp_path / "all.csv")} == patients


def test_identifiers_that_are_in_several_tables_are_counted_in_any_spelling(tmp_path: Path) -> None:
    scanned(rsna.write(tmp_path / "rsna").root, tmp_path / "rsna/rsna.csv")
    mine = [clinic(tmp_path, name, patient) for name, patient in (("a", "0100"), ("bb", "100.0"), ("ccc", "1000"))]
    parts = join_tables([*mine, tmp_path / "rsna/rsna.csv"], tmp_path / "all.csv")
    assert in_several(parts) == 1 and in_several(parts[1:]) == 0
    assert in_several([parts[-1], replace(parts[-1], name="again")]) == 0  # nothing is put before an archive's name


def test_what_cannot_be_joined_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    a, b = clinic(tmp_path, "a"), clinic(tmp_path, "bb", "7", ("split",), "train")
    same = write_table(tmp_path / "c.csv", [("a.dcm", "100", "L", "CC", "negative")])
    (tmp_path / "other").mkdir()
    twin = clinic(tmp_path / "other", "a")
    for parts, said in (
        ([a], "expected two or more tables to join, found 1"),
        ([a, b], "expected splits in all tables or in none, found them in bb only"),
        ([a, same], "expected each file in one table, found 1 in two"),
        ([a, twin], "two tables are called a"),
        ([a, tmp_path / "none.csv"], "no such file"),
    ):
        with pytest.raises(UserError, match=said):
            join_tables(parts, tmp_path / "all.csv")
        assert not (tmp_path / "all.csv").exists()
    join_tables([a, clinic(tmp_path, "ccc")], tmp_path / "all.csv")
    with pytest.raises(UserError, match="there already; give another --out, or --overwrite"):
        join_tables([a, b], tmp_path / "all.csv")


def test_the_command_says_what_came_from_each(tmp_path: Path) -> None:
    tables = [clinic(tmp_path, "a"), clinic(tmp_path, "bb")]
    ran = run_script("shards/join_tables.py", *tables, "--out", tmp_path / "all.csv")
    assert ran.returncode == 0, ran.stderr
    assert "note: 1 identifier is in several tables" in ran.stdout and "see --one-numbering" in ran.stdout
    ran = run_script("shards/join_tables.py", *tables, "--out", tmp_path / "one.csv", "--one-numbering")
    assert ran.returncode == 0 and "one-numbering" not in ran.stdout
    ran = run_script("shards/join_tables.py", *tables, "--out", tmp_path / "all.csv", "--overwrite")
    assert "a: 1 images of 1 patients" in ran.stdout and "Next: mammogan make-shards --cohort" in ran.stdout
