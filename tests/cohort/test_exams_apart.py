"""Exams that an anonymiser gave one StudyInstanceUID are told apart by their dates, in the scan and in the shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from archives.miniature import Miniature
from archives.scanning import outcome, rows_of, scanned
from dicoms import write_cohort
from pydicom import dcmread

from mammogan.data.archives.labels import Cases
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.inspect.verify import verify
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import read_facts
from mammogan.workspace import Resolution, Workspace

UID = "1.2.840.5"
Elements = Mapping[str, Any]
FIRST, LATER = {"StudyDate": "20150102"}, {"StudyDate": "20180203"}
GONE = {"StudyDate": ""}
BY_TABLE = ("path", "patient", "label", "study")


def archive(
    root: Path, images: Sequence[Elements], repeated: Sequence[int] = (), studies: Sequence[str] = ()
) -> Miniature:
    """One view of one woman, once for each of ``images``; all have one UID unless they bring their own."""
    made, rows = Miniature(root), []
    for number, elements in enumerate(images):
        name = f"{number}.dcm"
        uid = {"StudyInstanceUID": UID}
        made.image(name, "repeated_view" if number in repeated else "negative", **{**uid, **elements})
        rows.append((name, "1", "negative", *studies[number : number + 1]))
    made.table("mine.csv", BY_TABLE if studies else BY_TABLE[:3], rows)
    return made


def found(made: Miniature, out: Path) -> tuple[list[str], str]:
    """The column study of the images that are used, and the report."""
    said = "\n".join(scanned(made.root, out).lines())
    assert outcome(made.root, out) == made.expected
    return [row["study"] for row in rows_of(out)], said


@pytest.mark.parametrize(
    "dates",
    [
        [FIRST, LATER],
        [FIRST, {"StudyDate": "2018.02.03"}],
        [{**GONE, "AcquisitionDate": "20150102"}, {**GONE, "AcquisitionDate": "20150109"}],
        [{**GONE, "AcquisitionDateTime": "20150102093000"}, {**GONE, "AcquisitionDate": "20180203"}],
        [{"AcquisitionDate": "20150102"}, {"AcquisitionDate": "20180203"}],  # under one StudyDate
        [{**GONE, "AccessionNumber": "A1"}, {**GONE, "AccessionNumber": "A2"}],
        [{**GONE, "AccessionNumber": "", "StudyID": "1"}, {**GONE, "AccessionNumber": "", "StudyID": "2"}],
        [{"StudyDate": "19000101", "AccessionNumber": "A1"}, {"StudyDate": "", "AccessionNumber": "A2"}],
    ],
)
def test_two_exams_under_one_uid_are_two(tmp_path: Path, dates: Sequence[Elements]) -> None:
    studies, said = found(archive(tmp_path / "archive", dates), tmp_path / "labels.csv")
    assert len({*studies}) == 2 and all(study.startswith(f"{UID}.") for study in studies)
    has_dates = any(key.endswith(("Date", "DateTime")) and value > "1901" for key, value in dates[0].items())
    by = "dates" if has_dates else "numbers"  # there are no others
    assert said.count(f"a StudyInstanceUID, or a folder, does not tell exams apart; the {by} do, for 2 files") == 1
    written = "\n".join([said, *(path.read_text() for path in tmp_path.glob("*.csv"))])
    assert not any(part in written for part in ("20150102", "20180203", "2018.02.03", "A1", "A2"))


@pytest.mark.parametrize(
    "same",
    [
        [FIRST, FIRST],
        [{**FIRST, "StudyTime": "080000"}, {**FIRST, "StudyTime": "160000"}],
        [{**GONE, "StudyTime": "080000"}, {**GONE, "StudyTime": "160000"}],
        [FIRST, GONE],
        [GONE, GONE],
        [FIRST, {**FIRST, "AccessionNumber": "another order"}],
        [{**FIRST, "StudyID": "1"}, {**FIRST, "StudyID": "2"}],
        [{"StudyDate": "19000101"}, FIRST],  # no date, but what stands for one
        [{**FIRST, "AcquisitionDate": "20150102"}, {**FIRST, "AcquisitionDate": "20150110"}],  # retaken
        [{**GONE, "ContentDate": "20150102"}, {**GONE, "ContentDate": "20180203"}],  # processed again
    ],
)
def test_one_exam_stays_one(tmp_path: Path, same: Sequence[Elements]) -> None:
    made = archive(tmp_path / "archive", same)
    assert [*scanned(made.root, tmp_path / "labels.csv").excluded] == ["repeated_view"]
    assert {row["study"] for row in rows_of(tmp_path / "labels.csv")} == {UID}


@pytest.mark.parametrize("number", ["AccessionNumber", "StudyID"])
def test_numbers_of_files_are_no_exams_without_dates_either(number: str, tmp_path: Path) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    for woman in range(6):
        for file, view in enumerate(("CC", "MLO", "MLO")[: 3 if woman else 2]):
            name = f"{woman}/{file}.dcm"
            told = {"AccessionNumber": "", number: f"{9 * woman + file}", "StudyInstanceUID": f"{UID}.{woman}", **GONE}
            made.image(
                name, "repeated_view" if file == 1 and woman else "negative", view=view, InstanceNumber=file, **told
            )
            rows.append((name, str(woman), "negative"))
    made.table("mine.csv", BY_TABLE[:3], rows)
    studies, said = found(made, tmp_path / "labels.csv")
    assert {*studies} == {f"{UID}.{woman}" for woman in range(6)} and "tell exams apart" not in said


def test_repeated_views_of_each_exam_are_still_found(tmp_path: Path) -> None:
    images = [{**FIRST, "InstanceNumber": 1}, {**FIRST, "InstanceNumber": 2}, LATER]
    studies, _ = found(archive(tmp_path / "archive", images, repeated=[0]), tmp_path / "labels.csv")
    assert len({*studies}) == 2


def test_an_image_without_a_date_is_of_no_known_exam_and_repeats_none(tmp_path: Path) -> None:
    studies, said = found(archive(tmp_path / "archive", [FIRST, LATER, GONE, GONE]), tmp_path / "labels.csv")
    assert studies[2:] == ["", ""] and len({*studies}) == 3
    assert "for 4 files that are used. Of these, 2 have none, so their exam is not known" in said


def test_a_date_of_acquisition_stands_in_for_the_date_of_the_study(tmp_path: Path) -> None:
    images = [FIRST, LATER, {**GONE, "AcquisitionDate": "20180203", "InstanceNumber": 9}]
    studies, said = found(archive(tmp_path / "archive", images, repeated=[1]), tmp_path / "labels.csv")
    assert len(studies) == 2 and "not known" not in said


def test_exams_that_the_table_names_are_believed_and_uids_of_the_table_are_not(tmp_path: Path) -> None:
    by_number = archive(tmp_path / "a", [FIRST, LATER, FIRST], studies=("7", "7", "8"), repeated=[1])
    assert found(by_number, tmp_path / "a.csv")[0] == ["7", "8"]
    by_uid = archive(tmp_path / "b", [FIRST, LATER], studies=(UID, UID))
    assert len({*found(by_uid, tmp_path / "b.csv")[0]}) == 2
    again = tmp_path / "again.csv"
    scanned(by_uid.root, again, tables=[tmp_path / "b.csv"], dataset="csv")
    assert [row["study"] for row in rows_of(again)] == [row["study"] for row in rows_of(tmp_path / "b.csv")]


def test_one_uid_on_the_whole_archive_leaves_each_womans_exams_apart(tmp_path: Path) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    for woman in range(5):
        for number, date in enumerate((FIRST, LATER)):
            name = f"{woman}-{number}.dcm"
            made.image(name, "negative", StudyInstanceUID=UID, **date)
            rows.append((name, str(woman), "negative"))
    made.table("mine.csv", BY_TABLE[:3], rows)
    studies, said = found(made, tmp_path / "labels.csv")
    assert all(study.startswith("exam-") for study in studies)  # the UID is nobody's
    assert studies[0] != studies[1] and "does not tell exams apart; the dates do, for 10 files that are used" in said
    assert "5 studies have files of several dates" in said


@pytest.mark.parametrize("told", [(FIRST, LATER), (GONE, GONE)])
def test_uids_that_two_women_share_leave_the_exams_of_each_apart_in_one_folder(
    told: Sequence[Elements], tmp_path: Path
) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    for woman in range(6):
        for number, date in enumerate(told):
            name = f"{woman}/{number}.dcm"
            made.image(name, "negative", StudyInstanceUID=f"{UID}.{max(woman, 1)}.{number}", **date)
            rows.append((name, str(woman), "negative"))
    made.table("mine.csv", BY_TABLE[:3], rows)
    studies, said = found(made, tmp_path / "labels.csv")
    assert studies[:2] == studies[2:4] == [f"{UID}.1.0", f"{UID}.1.1"]  # make-shards asks whether they are one woman
    assert said.count("2 StudyInstanceUIDs stand in headers under two or three patients of the tables") == 1


def test_one_uid_of_two_women_is_divided_by_dates_in_one_folder(tmp_path: Path) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    for woman in range(2):
        for number, date in enumerate((FIRST, LATER)):
            name = f"{woman}/{number}.dcm"
            made.image(name, "negative", StudyInstanceUID=UID, **date)
            rows.append((name, str(woman), "negative"))
    made.table("mine.csv", BY_TABLE[:3], rows)
    studies, _ = found(made, tmp_path / "labels.csv")
    assert len({*studies[:2]}) == 2 and studies[:2] == studies[2:]


def test_one_uid_on_a_whole_table_leaves_women_of_one_day_apart(tmp_path: Path) -> None:
    made, rows = Miniature(tmp_path / "archive"), []
    for woman in range(5):
        for number, date in enumerate((FIRST, LATER)):
            name = f"{woman}-{number}.dcm"
            made.image(name, "negative", StudyInstanceUID="", **date)
            rows.append((name, str(woman), "negative", UID))
    made.table("mine.csv", BY_TABLE, rows)
    studies, _ = found(made, tmp_path / "labels.csv")
    assert all(study.startswith("exam-") for study in studies) and studies[0] != studies[1]  # a name of hers alone


def test_files_without_a_uid_in_one_folder_are_told_apart_too(tmp_path: Path) -> None:
    images = [{**date, "StudyInstanceUID": ""} for date in (FIRST, LATER)]
    studies, _ = found(archive(tmp_path / "archive", images), tmp_path / "labels.csv")
    assert len({*studies}) == 2 and all(study.startswith("exam-") for study in studies)


def test_a_breast_with_cancer_has_no_prior_exam_where_the_exam_is_not_known() -> None:
    cases = Cases()
    cases.add([("1", "L", "a", "cancer"), ("2", "L", "?", "cancer")])
    assert [cases.settled("1", "L", study, "normal") for study in ("a", "b", "?")] == [
        "uncertain",
        "prior",
        "uncertain",
    ]
    assert cases.settled("2", "L", "b", "normal") == "uncertain"


def test_the_shards_have_a_pseudonym_for_each_exam(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "archive")
    for number, path in enumerate(sorted((tmp_path / "archive").rglob("*.dcm"))):
        header = dcmread(path)
        woman = int(path.stem[0])
        header.StudyInstanceUID, header.StudyDate = f"{UID}.{woman}", ("20150102", "20180203")[number % 2]
        header.save_as(path)
    scanned(tmp_path / "archive", tmp_path / "labels.csv", tables=[table], dataset="csv")
    work, size = Workspace(tmp_path / "work"), Resolution(96, 96)
    convert_cohort(tmp_path / "labels.csv", work, [size], jobs=1)
    assert verify(work.shards(size)) == []
    index = ShardIndex.load(work.shards(size))
    studies: dict[str, set[str]] = {}
    for shard in index.shards:
        with open(index.folder / shard.name, "rb") as tar:
            for facts in (read_facts(tar, sample) for sample in shard.samples):
                studies.setdefault(facts["patient"], set()).add(facts["study"])
    assert sorted(len(exams) for exams in studies.values()) == [1, 1, 1, 2, 2, 2]
