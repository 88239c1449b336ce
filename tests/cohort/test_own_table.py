"""A table of one's own: which words it may hold, and that a message about the others names nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from archives.miniature import Miniature
from archives.scanning import rows_of, scanned
from archives.workbooks import write_sheets

from mammogan.errors import UserError

Table = Callable[..., Miniature]


@pytest.fixture
def archive(tmp_path: Path) -> Table:
    """An archive of as many mammograms as there are rows, 0.dcm and so on; columns that a row lacks are filled in."""

    def write(*rows: dict[str, str], name: str = "mine.csv") -> Miniature:
        made = Miniature(tmp_path / "archive")
        columns = list(dict.fromkeys(("path", "patient", "label", *(name for row in rows for name in row))))
        lines: list[Sequence[str]] = []
        for number, row in enumerate(rows):
            made.image(f"{number}.dcm", row.get("label", ""), "LR"[number % 2])
            given = {"path": f"{number}.dcm", "patient": f"{number // 2}", "label": "negative"} | row
            lines.append([given.get(column, "") for column in columns])
        made.table(name, columns, lines)
        return made

    return write


def refused(made: Miniature, tmp_path: Path) -> str:
    with pytest.raises(UserError) as caught:
        scanned(made.root, tmp_path / "labels.csv")
    assert not (tmp_path / "labels.csv").exists()
    return str(caught.value)


def test_a_cell_that_may_be_a_name_is_not_quoted_and_the_rows_are_counted(archive: Table, tmp_path: Path) -> None:
    words = ("Erika Mustermann", "erika mustermann", "MRN42", "yes", "yes", "negative", "yes")
    said = refused(archive(*({"label": word} for word in words)), tmp_path)
    assert said.startswith("table mine.csv, label: expected positive, malignant, negative, cancer, interval")
    assert said.endswith("; found 'yes' in 3 rows, a text of 16 characters in 2 rows, a text of 5 characters in 1 row")


def test_of_many_unknown_words_the_most_frequent_are_named(archive: Table, tmp_path: Path) -> None:
    words = [*(word for word in ("yes", "no", "L", "R", "CC") for _ in range(2)), "MLO", "true", "somebody"]
    said = refused(archive(*({"label": word} for word in words)), tmp_path)
    assert said.endswith("'L' in 2 rows, 'R' in 2 rows, 'CC' in 2 rows, others in 3 rows")


def test_every_usual_word_for_a_split_a_side_and_a_density_is_understood(archive: Table, tmp_path: Path) -> None:
    splits = {
        "train": ("train", "Training"),
        "validation": ("validation", "val", "VALID", "dev"),
        "test": ("test", "testing"),
    }
    rows = [
        {"patient": str(number), "split": word, "laterality": side, "density": density}
        for number, (word, side, density) in enumerate(
            zip(
                [word for words in splits.values() for word in words],
                ["L", "left", "LEFT", "l", "R", "right", "", "r"],
                ["a", "B", "3", "density d", "4.0", "", "1", "2"],
                strict=True,
            )
        )
    ]
    scanned(archive(*rows).root, tmp_path / "labels.csv")
    found = rows_of(tmp_path / "labels.csv")
    assert [row["split"] for row in found] == [split for split, words in splits.items() for _ in words]
    assert [row["laterality"] for row in found] == ["L", "L", "L", "L", "R", "R", "L", "R"]
    assert [row["density"] for row in found] == ["A", "B", "C", "D", "D", "", "A", "B"]


def test_a_view_is_understood_with_its_side_and_in_words(archive: Table, tmp_path: Path) -> None:
    cells = ["cc", "RCC", "L MLO", "right cranio-caudal", "Mediolateral oblique", "", "Left CC"]
    scanned(archive(*({"view": cell, "patient": str(n)} for n, cell in enumerate(cells))).root, tmp_path / "labels.csv")
    found = rows_of(tmp_path / "labels.csv")
    assert [row["view"] for row in found] == ["CC", "CC", "MLO", "CC", "MLO", "CC", "CC"]
    assert [row["laterality_source"] == "table" for row in found] == [False, True, True, True, False, False, True]


def test_another_view_or_one_of_the_other_side_is_left_out(archive: Table, tmp_path: Path) -> None:
    rows = (
        {"view": "CC mag"},
        {"view": "ML"},
        {"view": "rolled CC"},
        {"view": "RCC", "laterality": "L"},
        {"view": "CC"},
    )
    scanned(archive(*rows).root, tmp_path / "labels.csv")
    reasons = [row["reason"] for row in rows_of(tmp_path / "labels.excluded.csv")]
    assert reasons == ["view_excluded"] * 3 + ["table_conflict"]


@pytest.mark.parametrize(
    ("label", "cancer", "agree"),
    [
        *(("negative", "0", True), ("positive", "1.0", True), ("positive", "", True), ("negative", "IDC", True)),
        *(("negative", "1", False), ("positive", "0", False), ("benign", "1", False), ("Positive", "no", False)),
    ],
)
def test_an_image_of_which_label_and_cancer_say_two_things_is_left_out(
    label: str, cancer: str, agree: bool, archive: Table, tmp_path: Path
) -> None:
    report = scanned(
        archive({"label": label, "cancer": cancer}, {"patient": "2", "cancer": "0"}).root, tmp_path / "labels.csv"
    )
    assert report.excluded == ({} if agree else {"table_conflict": 1})
    left_out = [row["detail"] for row in rows_of(tmp_path / "labels.excluded.csv")]
    assert left_out == ([] if agree else ["label and cancer say two things"])


@pytest.mark.parametrize(
    "cell",
    [
        *("CC implant", "CC (with implant)", "CC, implant in situ", "CC Implantat", "CC no implant", "L CC implants"),
        *("CC ohne Spot", "CC not displaced", "CC (no spot)", "CC implant, not displaced", "CC image 1", "CC w/o mag"),
        *("CC (axilla visible)", "CC incl. axilla", "CC mit Implantat", "CC undisplaced", "CC not rolled"),
    ],
)
def test_a_view_with_implants_or_without_a_modifier_is_a_plain_one(cell: str, archive: Table, tmp_path: Path) -> None:
    scanned(archive({"view": cell}).root, tmp_path / "labels.csv")
    [row] = rows_of(tmp_path / "labels.csv")
    assert (row["view"], row["view_source"], row["label"]) == ("CC", "table", "negative")


@pytest.mark.parametrize(
    "cell",
    [
        *(
            "CC roll 2",
            "CCMAG",
            "CC implant displaced",
            "MLO, implants (displaced)",
            "L CC spot compression",
            "MLO axilla",
        ),
        *("CC magn.", "spotMLO", "axillary tail", "CC Eklund", "CC no spot, rolled", "CC_mag", "CC tomosynthesis"),
    ],
)
def test_a_known_modifier_leaves_the_image_out(cell: str, archive: Table, tmp_path: Path) -> None:
    scanned(archive({"view": cell}, {"view": "CC"}).root, tmp_path / "labels.csv")
    [row] = rows_of(tmp_path / "labels.excluded.csv")
    assert (row["reason"], row["detail"]) == ("view_excluded", f"{cell.upper()}, by table")


@pytest.mark.parametrize(
    "cell", ["CC magazin", "CC controlled", "CC with clip", "implant", "CC implant MLO", "CC scroll"]
)
def test_a_view_with_a_word_that_is_not_understood_is_refused(cell: str, archive: Table, tmp_path: Path) -> None:
    said = refused(archive({"view": cell}), tmp_path)
    assert said == (
        "table mine.csv, view: expected a view such as CC, L CC, cranio-caudal or ML; "
        f"found a text of {len(cell)} characters in 1 row"
    )


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        (
            "split",
            "holdout",
            "train, training, validation, val, valid, dev, test, testing; found 'holdout'",
        ),
        ("split", "Mustermann", "testing; found a text of 10 characters"),
        ("view", "front", "view: expected a view such as CC, L CC, cranio-caudal or ML; found a text of 5 characters"),
        ("view", "CC/MLO", "cranio-caudal or ML; found a text of 6 characters"),
        ("density", "5", "density: expected A to D, or 1 to 4; found a text of 1 character"),
        ("laterality", "both", "laterality: expected L, LEFT, R, RIGHT; found 'both'"),
        ("laterality", "Erika", "laterality: expected L, LEFT, R, RIGHT; found a text of 5 characters"),
    ],
)
def test_a_word_that_says_nothing_known_is_refused_and_not_passed_over(
    column: str, cell: str, said: str, archive: Table, tmp_path: Path
) -> None:
    made = archive({column: cell}, {column: ""}, {column: cell})
    message = refused(made, tmp_path)
    assert message.startswith(f"table mine.csv, {column}: expected ") and message.endswith(f"{said} in 2 rows")


def test_every_column_with_unknown_words_is_reported_at_once(archive: Table, tmp_path: Path) -> None:
    made = archive({"label": "yes", "split": "holdout", "density": "true"})
    assert [line.split(":")[0] for line in refused(made, tmp_path).splitlines()] == [
        f"table mine.csv, {column}" for column in ("label", "density", "split")
    ]


def test_rows_without_a_split_are_counted(archive: Table, tmp_path: Path) -> None:
    made = archive({"split": "train"}, {}, {"patient": "7"}, {"patient": "8", "split": "test"})
    said = "expected a split in every row of your table that is used, or in none; 2 of 4 have none"
    assert refused(made, tmp_path) == said


def test_patients_in_several_splits_are_counted_and_not_named(archive: Table, tmp_path: Path) -> None:
    splits = ("train", "test", "val", "validation", "test", "val")  # of three patients, two images each
    said = refused(archive(*({"split": split} for split in splits)), tmp_path)
    assert said.startswith("2 patients are in more than one split of your table; give all")
    films = [f"Mass-Test_P_00820_{side}_CC" for side in ("LEFT", "RIGHT")]  # by CBIS-DDSM's identifiers one woman
    rows = [{"patient": film, "split": split} for film, split in zip(films, ("train", "test"), strict=True)]
    said = refused(archive(*rows), tmp_path)
    assert said.startswith("1 patient is in more than one split") and "P_00820" not in said


def test_a_table_with_a_label_source_is_read_where_it_is_named_and_its_known_words_stay(
    archive: Table, tmp_path: Path
) -> None:
    made = archive({"label_source": "biopsy"}, {"label_source": "told by Erika"}, {})
    passed_over = r"mine\.csv is taken for the output of a scan, for it has a column label_source; if it is your table"
    with pytest.raises(UserError, match=f"no archive is recognised.*{passed_over}, name it with --tables"):
        scanned(made.root, tmp_path / "labels.csv")
    with pytest.raises(UserError, match=f"expected a table of your own, with columns label, path.*{passed_over}"):
        scanned(made.root, tmp_path / "labels.csv", dataset="csv")
    scanned(made.root, tmp_path / "labels.csv", tables=[made.root / "mine.csv"])
    assert [row["label_source"] for row in rows_of(tmp_path / "labels.csv")] == ["biopsy", "table", "table"]


def test_another_sheet_of_the_table_is_refused_and_other_cells_are_noted(
    tmp_path: Path,
) -> None:
    made = Miniature(tmp_path / "archive")
    made.image("a.dcm", "negative")
    table, book = "path patient label/a.dcm 1 negative", made.root / "mine.xlsx"
    write_sheets(book, table, "path patient label/b.dcm 2 positive")
    for options in ({"tables": [book]}, {"dataset": "csv"}):
        with pytest.raises(UserError, match="expected one sheet with these columns, found 2"):
            scanned(made.root, tmp_path / "labels.csv", **options)
    write_sheets(book, table, "column meaning/label word")
    [note] = [line for line in scanned(made.root, tmp_path / "labels.csv").lines() if "first sheet" in line]
    assert note.startswith("note: only the first sheet of mine.xlsx was read, and 1 more has cells")


def test_a_missing_or_a_second_own_table_is_reported(archive: Table, tmp_path: Path) -> None:
    made = archive({}, {})
    (made.root / "second.csv").write_bytes((made.root / "mine.csv").read_bytes())
    assert refused(made, tmp_path).startswith("expected one table of your own, found ")
    for name in ("mine.csv", "second.csv"):
        (made.root / name).unlink()
    with pytest.raises(UserError, match=r"^expected a table of your own, with columns label, path, patient, in"):
        scanned(made.root, tmp_path / "labels.csv", dataset="csv")
