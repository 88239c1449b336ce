"""A date, or a name of an exam, that stands on most women makes no two exams one, and a true day stays a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from archives.miniature import Miniature
from archives.scanning import outcome, rows_of, scanned

from mammogan.data.archives.report import ScanReport

Elements = Mapping[str, Any]
CONSTANT = {"StudyDate": "20000101"}
SAYS_NOTHING = "so it says nothing; these numbers tell exams apart"
ONE_NAME = "the tables have one and the same name of an exam for most women"


def of_women(
    folder: Path,
    women: int,
    elements: Callable[[int, int], Elements],
    views: tuple[str, ...] = ("CC",),
    exams: int = 2,
    study: str = "",
) -> tuple[Counter[str], ScanReport]:
    """What becomes of women with one UID each and ``exams`` exams, whose headers ``elements(woman, exam)`` says."""
    made, rows = Miniature(folder / "archive"), []
    for woman in range(women):
        for exam in range(exams):
            for view in views:
                name = f"{woman}/{exam}{view}.dcm"
                told = {"StudyInstanceUID": f"1.2.3.4.{woman}", **CONSTANT, **elements(woman, exam)}
                made.image(name, "negative", view=view, **told)
                rows.append((name, f"W{woman}", "negative", study))
    made.table("mine.csv", ("path", "patient", "label", "study"), rows)
    report = scanned(made.root, folder / "labels.csv")
    return Counter(outcome(made.root, folder / "labels.csv").values()), report


def said(report: ScanReport) -> str:
    return "\n".join(report.lines())


@pytest.mark.parametrize(
    "elements",
    [
        lambda woman, exam: {"AccessionNumber": f"A{woman}{exam}"},
        lambda woman, exam: {"AccessionNumber": "", "StudyID": f"{exam}"},
        lambda woman, exam: {"AccessionNumber": f"A{woman}{exam}", "AcquisitionDate": "20000101"},
        lambda woman, exam: {"AccessionNumber": f"A{woman}{exam}", "AcquisitionDateTime": "20000101101500"},
        lambda woman, exam: {"AccessionNumber": f"A{woman}{exam}", "SeriesDate": "20000101"},
    ],
)
@pytest.mark.parametrize("views", [("CC",), ("CC", "MLO")])
def test_exams_under_one_date_for_all_women_are_told_apart_by_their_numbers(
    elements: Callable[[int, int], Elements], views: tuple[str, ...], tmp_path: Path
) -> None:
    found, report = of_women(tmp_path, 6, elements, views)
    assert found == {"negative": 12 * len(views)}
    assert len({row["study"] for row in rows_of(tmp_path / "labels.csv")}) == 12
    assert said(report).count(SAYS_NOTHING) == 1 and "one StudyDate stands on 6 of 6 women" in said(report)
    assert "does not tell exams apart; the numbers do, for" in said(report) and "20000101" not in said(report)


def test_a_date_of_most_women_says_nothing_and_another_date_of_hers_still_does(tmp_path: Path) -> None:
    def elements(woman: int, exam: int) -> Elements:
        later = {"StudyDate": "20180203"} if woman == 5 and exam else {}
        true = {"StudyDate": "20170203"} if woman == 6 else {}
        return {"AccessionNumber": "A" if woman > 4 else f"A{woman}{exam}", **later, **true}

    found, report = of_women(tmp_path, 7, elements)
    assert found == {"negative": 13, "repeated_view": 1}  # the last woman's view was taken twice on one day
    assert "one StudyDate stands on 5 of 7 women" in said(report)


@pytest.mark.parametrize(
    ("batch", "views"),
    [
        (4, ("CC",)),
        (4, ("CC", "MLO")),
        (2, ("CC", "MLO")),  # few women each day, but whole exams under each number
        (1, ("CC", "MLO")),
    ],
)
def test_exams_under_one_date_for_each_batch_are_told_apart_by_their_numbers(
    batch: int, views: tuple[str, ...], tmp_path: Path
) -> None:
    def elements(woman: int, exam: int) -> Elements:
        return {"AccessionNumber": f"A{woman}{exam}", "StudyDate": f"2021060{1 + woman // batch}"}

    found, report = of_women(tmp_path, 8, elements, views)
    assert found == {"negative": 16 * len(views)}
    assert len({row["study"] for row in rows_of(tmp_path / "labels.csv")}) == 16
    assert f"{8 // batch} StudyDates stand on 8 of 8 women" in said(report)
    assert "so they say nothing; these numbers tell exams apart" in said(report) and "202106" not in said(report)


def test_whole_exams_by_number_on_one_date_are_not_believed_of_few_women(tmp_path: Path) -> None:
    def elements(woman: int, exam: int) -> Elements:
        return {"AccessionNumber": f"A{exam if woman < 3 else 0}", "StudyDate": f"2021060{1 + woman}"}

    found, report = of_women(tmp_path, 6, elements, ("CC", "MLO"))
    assert found == {"negative": 12, "repeated_view": 12} and "nothing" not in said(report)


def test_a_number_for_each_side_on_one_date_is_no_exam(tmp_path: Path) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    for woman in range(6):
        for file, (side, view) in enumerate([("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"), ("L", "CC")]):
            name = f"{woman}/{file}.dcm"
            told = {"StudyInstanceUID": f"1.2.3.4.{woman}", "StudyDate": f"2021060{1 + woman}"}
            again = "repeated_view" if file == 0 else "negative"
            made.image(name, again, side, view, AccessionNumber=f"A{woman}{side}", InstanceNumber=file, **told)
            rows.append((name, f"W{woman}", "negative"))
    made.table("mine.csv", ("path", "patient", "label"), rows)
    report = scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected and "nothing" not in said(report)


@pytest.mark.parametrize("acquired", ["SeriesDate", "AcquisitionDate"])
def test_exams_under_one_date_are_told_apart_by_days_that_are_left(acquired: str, tmp_path: Path) -> None:
    found, report = of_women(tmp_path, 6, lambda woman, exam: {acquired: f"201{exam}0101"})
    assert found == {"negative": 12} and "the dates do, for 12 files" in said(report)
    assert SAYS_NOTHING not in said(report)


@pytest.mark.parametrize(
    ("women", "views", "elements"),
    [
        (3, ("CC",), lambda woman, exam: {"AccessionNumber": f"A{exam}"}),  # too few to say that nobody was examined
        (6, ("CC",), lambda woman, exam: {"AccessionNumber": f"A{exam if woman < 3 else 0}"}),
        (6, ("CC",), lambda woman, exam: {}),
        (6, ("CC",), lambda woman, exam: {"AccessionNumber": f"A{exam}", "StudyDate": f"200001{10 + woman}"}),
        (6, ("CC",), lambda woman, exam: {"SeriesDate": f"2000010{1 + exam}"}),  # processed again
        (6, ("CC",), lambda woman, exam: {"AcquisitionDate": "20000101", "SeriesDate": f"201{exam}0101"}),
    ],
)
def test_women_examined_on_one_true_day_keep_one_exam_each(
    women: int, views: tuple[str, ...], elements: Callable[[int, int], Elements], tmp_path: Path
) -> None:
    found, report = of_women(tmp_path, women, elements, views)
    assert found == {"negative": women, "repeated_view": women} and SAYS_NOTHING not in said(report)
    assert {row["study"] for row in rows_of(tmp_path / "labels.csv")} == {f"1.2.3.4.{n}" for n in range(women)}


def test_a_number_for_each_file_and_an_order_for_each_view_are_no_exams(tmp_path: Path) -> None:
    for number, exams in enumerate((2, 1)):  # with a retake of each view, and without
        made, rows = Miniature(tmp_path / f"{number}"), []
        for file in range(6 * exams * 2):
            woman, view = file // (2 * exams), ("CC", "MLO")[file % 2]
            told = {"StudyInstanceUID": f"1.2.3.4.{woman}", "AccessionNumber": f"A{file}", **CONSTANT}
            made.image(f"{file}.dcm", "negative", view=view, **told)
            rows.append((f"{file}.dcm", f"W{woman}", "negative"))
        made.table("mine.csv", ("path", "patient", "label"), rows)
        report = scanned(made.root, tmp_path / f"{number}.csv")
        assert report.used == 12 and SAYS_NOTHING not in said(report)
        assert {row["study"] for row in rows_of(tmp_path / f"{number}.csv")} == {f"1.2.3.4.{n}" for n in range(6)}


def test_numbers_tell_exams_apart_where_no_date_but_that_of_the_series_is_left(tmp_path: Path) -> None:
    found, _ = of_women(
        tmp_path,
        1,
        lambda woman, exam: {"AccessionNumber": f"A{exam}", "StudyDate": "", "SeriesDate": "20000101"},
    )
    assert found == {"negative": 2}


def test_one_name_of_an_exam_for_all_women_that_makes_repeats_is_noted_once(tmp_path: Path) -> None:
    found, report = of_women(tmp_path, 6, lambda woman, exam: {"StudyDate": f"201{exam}0101"}, study="SCREENING")
    assert found == {"negative": 6, "repeated_view": 6}  # the name is believed
    assert said(report).count(ONE_NAME) == 1 and "6 images of 6 women are left out as repeats by it" in said(report)
    assert "SCREENING" not in said(report)


@pytest.mark.parametrize(
    ("women", "exams", "study"),
    [
        (6, 1, "1"),  # the first exam of each woman
        (3, 2, "1"),  # few women
        (6, 2, "1.2.3.4.5"),  # a UID, of which more is said
        (6, 2, ""),
    ],
)
def test_a_name_that_makes_no_repeats_or_is_of_few_women_is_not_noted(
    women: int, exams: int, study: str, tmp_path: Path
) -> None:
    _, report = of_women(tmp_path, women, lambda woman, exam: {}, exams=exams, study=study)
    assert ONE_NAME not in said(report)


def test_a_few_retakes_in_exams_that_are_numbered_for_each_woman_are_not_noted(tmp_path: Path) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    for file in range(12):
        made.image(f"{file}.dcm", "negative")
        rows.append((f"{file}.dcm", f"W{max(file, 1)}", "negative", "1"))
    made.table("mine.csv", ("path", "patient", "label", "study"), rows)
    report = scanned(made.root, tmp_path / "labels.csv")
    assert report.excluded == {"repeated_view": 1} and ONE_NAME not in said(report)
