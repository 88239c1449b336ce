"""A StudyInstanceUID, or an accession number, that each file has of its own names no exam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from archives.miniature import Miniature
from archives.scanning import outcome, rows_of, scanned
from pydicom.uid import generate_uid

SAYS_NOTHING = "has a StudyInstanceUID of its own"
RETAKEN = ("CC", "MLO", "MLO")
BY_BOTH = {"StudyDate": "20210601", "AccessionNumber": "A{woman}"}
BY_NUMBER = {"StudyDate": "", "AccessionNumber": "A{woman}"}
BY_DATE = {"StudyDate": "2021061{woman}", "AccessionNumber": ""}
BY_DATE_ALONE = {"StudyDate": "2021061{woman}", "AccessionNumber": "{file}"}
BY_STUDY_ID = {"StudyDate": "20210601", "AccessionNumber": "", "StudyID": "{woman}"}
OTHER = {"StudyDate": "", "AccessionNumber": ""}
Elements = Mapping[str, str]


def archive(
    root: Path,
    told: Elements,
    women: int = 6,
    views: tuple[str, ...] = RETAKEN,
    more: Callable[[int, int], Mapping[str, Any]] = lambda woman, file: {},
    in_table: bool = False,
) -> Miniature:
    """Files whose headers say ``told``, in which {woman} and {file} are numbers; one exam each, by date and number."""
    made, rows = Miniature(root), []
    for woman in range(women):
        for file, view in enumerate(views):
            name = f"{woman}-{file}/image.dcm"
            elements = {key: text.format(woman=woman, file=9 * woman + file) for key, text in told.items()}
            uid = str(generate_uid())
            made.image(
                name,
                "repeated_view" if view in views[file + 1 :] else "negative",
                view=view,
                **{
                    "StudyInstanceUID": "" if in_table else uid,
                    "InstanceNumber": file,
                    **elements,
                    **more(woman, file),
                },
            )
            rows.append((name, f"W{woman}", "positive" if (woman, file) == (3, 0) else "negative", uid * in_table))
    made.table("mine.csv", ("path", "patient", "label", "study"), rows)
    made.expected["3-0/image.dcm"] = "positive"
    return made


def said(made: Miniature, out: Path) -> str:
    return "\n".join(scanned(made.root, out).lines())


@pytest.mark.parametrize("told", [BY_BOTH, BY_NUMBER, BY_DATE, BY_DATE_ALONE, BY_STUDY_ID])
@pytest.mark.parametrize("in_table", [False, True])
def test_files_of_one_date_and_number_are_one_exam_under_uids_of_their_own(
    told: Elements, in_table: bool, tmp_path: Path
) -> None:
    made = archive(tmp_path / "archive", told, in_table=in_table)
    report = said(made, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected
    assert report.count("each of 12 files has a StudyInstanceUID of its own") == 1
    assert "1 breast is positive and negative in one exam" in report
    studies = [row["study"] for row in rows_of(tmp_path / "labels.csv")]
    assert len({*studies}) == 6 and all(study.startswith("exam-") for study in studies)
    assert "20210601" not in report + "".join(studies) and "A1" not in report
    again = tmp_path / "again.csv"
    scanned(made.root, again, tables=[tmp_path / "labels.csv"], dataset="csv")
    assert [row["study"] for row in rows_of(again)] == studies


@pytest.mark.parametrize(
    ("told", "women", "views"),
    [
        ({"StudyDate": "20210601", "AccessionNumber": "0"}, 6, RETAKEN),  # an anonymiser's
        ({"StudyDate": "20210601", "AccessionNumber": ""}, 6, RETAKEN),
        ({"StudyDate": "", "AccessionNumber": ""}, 6, RETAKEN),
        (BY_DATE_ALONE, 3, RETAKEN),
        (BY_BOTH, 3, RETAKEN),  # too few women
        (BY_BOTH, 6, ("CC", "CC")),  # one view, which an exam may have
    ],
)
def test_uids_of_files_are_believed_where_nothing_contradicts_them(
    told: Elements, women: int, views: tuple[str, ...], tmp_path: Path
) -> None:
    made = archive(tmp_path / "archive", told, max(women, 4), views, lambda woman, _: {} if woman < women else OTHER)
    report = said(made, tmp_path / "labels.csv")
    assert SAYS_NOTHING not in report and "repeated_view" not in outcome(made.root, tmp_path / "labels.csv").values()


def test_two_exams_of_several_files_each_keep_their_uids(tmp_path: Path) -> None:
    def of_view(woman: int, file: int) -> Mapping[str, Any]:
        return {"StudyInstanceUID": f"1.2.3.4.{woman}.{file // 2}"}

    made = archive(tmp_path / "archive", BY_BOTH, views=("CC", "MLO", "CC", "MLO"), more=of_view)
    assert SAYS_NOTHING not in said(made, tmp_path / "labels.csv")
    assert len({row["study"] for row in rows_of(tmp_path / "labels.csv")}) == 12


@pytest.mark.parametrize("number", ["AccessionNumber", "StudyID"])
@pytest.mark.parametrize("date", ["", "20210601"])
def test_numbers_of_files_are_not_believed_of_a_woman_with_one_view_either(
    number: str, date: str, tmp_path: Path
) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    for woman in range(9):
        for file, view in enumerate(("CC", "CC") if woman < 4 else ("CC", "MLO")):
            name = f"{woman}/{file}.dcm"
            told = {"AccessionNumber": "", number: f"{9 * woman + file}", "StudyDate": date, "InstanceNumber": file}
            expected = "repeated_view" if woman < 4 and not file else "negative"
            made.image(name, expected, view=view, StudyInstanceUID=f"1.2.3.4.{woman}", **told)
            rows.append((name, f"W{woman}", "negative"))
    made.table("mine.csv", ("path", "patient", "label"), rows)
    assert "tell exams apart" not in said(made, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected
