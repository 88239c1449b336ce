"""The number of an exam or of an image in two spellings: its rows are never taken for rows about another one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from archives import embed, omi_db
from archives.miniature import Miniature
from archives.scanning import WRITERS, outcome, scanned
from test_unread_cells import CLINICAL, rewritten

from mammogan.errors import UserError

SPELLINGS = ("0041", "'41", '="41"', "4 1", "41,0")


@pytest.mark.parametrize("spelled", SPELLINGS)
def test_an_exam_of_embed_in_another_spelling_is_refused(spelled: str, tmp_path: Path) -> None:
    made = embed.write(tmp_path / "archive")
    with open(made.root / CLINICAL, "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow((4, "41", "2015-01-01", "R", "", "N", "", "", ""))
    rewritten(
        made.root / CLINICAL,
        lambda row: row.update({"acc_anon": spelled} if (row["empi_anon"], row["asses"]) == ("4", "A") else {}),
    )
    with pytest.raises(UserError, match=r"acc_anon of the tables .* one spelling for each exam .* found 1 with"):
        scanned(made.root, tmp_path / "labels.csv")


def test_exams_of_two_women_may_have_numbers_that_differ_in_zeros_only(tmp_path: Path) -> None:
    made = embed.write(tmp_path / "archive")
    for table in (CLINICAL, "tables/EMBED_OpenData_metadata.csv"):
        rewritten(
            made.root / table,
            lambda row: row.update({"acc_anon": "041"} if row["empi_anon"] == "2" else {}),
        )
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


@pytest.mark.parametrize(
    ("name", "table", "column", "separator"),
    [
        ("rsna", "train.csv", "image_id", ","),
        ("vindr", "breast-level_annotations.csv", "image_id", ","),
        ("inbreast", "INbreast.csv", "File Name", ";"),
    ],
)
def test_an_image_with_rows_under_two_spellings_is_refused(
    name: str, table: str, column: str, separator: str, tmp_path: Path
) -> None:
    made = WRITERS[name](tmp_path / "archive")
    header, first, *lines = (made.root / table).read_text().splitlines()
    (made.root / table).write_text("\n".join((header, first, first, *lines)) + "\n")
    seen = 0

    def change(row: dict[str, str]) -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            row[column] = f'="{row[column]}"'

    rewritten(made.root / table, change, separator)
    with pytest.raises(UserError, match=r"expected one spelling for each (image|film), found 1 with two"):
        scanned(made.root, tmp_path / "labels.csv")


@pytest.mark.parametrize(("first", "second"), [("41", "041"), ("2015-01-02", "2015-1-2"), ("A7", "a7")])
def test_an_exam_of_ones_own_table_in_two_spellings_is_refused(first: str, second: str, tmp_path: Path) -> None:
    made = Miniature(tmp_path / "archive")
    rows = [("a.dcm", "1", "negative", first), ("b.dcm", "1", "negative", second), ("c.dcm", "2", "negative", second)]
    for path, *_ in rows:
        made.image(path, "negative")
    made.table("mine.csv", ("path", "patient", "label", "study"), rows)
    with pytest.raises(UserError, match="expected one spelling for each exam of a woman, found 1 with two"):
        scanned(made.root, tmp_path / "labels.csv")


def test_two_episodes_of_omi_db_whose_numbers_differ_in_zeros_only_leave_out_the_woman(tmp_path: Path) -> None:
    made = omi_db.write(tmp_path / "archive")
    path = made.root / "data/optm2/nbss_optm2.json"
    held = json.loads(path.read_text())
    held["01"] = {"SCREENING": {"left_opinion": "ON"}}
    path.write_text(json.dumps(held))
    scanned(made.root, tmp_path / "labels.csv")
    found = outcome(made.root, tmp_path / "labels.csv")
    assert {found[path] for path in made.labels if "optm2" in path} == {"unknown_cell"}
