"""Lesion regions that are lost, of another table, damaged or not read are never taken for there being no lesions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archives import inbreast
from archives.scanned_regions import FILMS, SIZE, regions_of, scan_regions, shards_of
from archives.scanning import WRITERS, rows_of, scanned

from mammogan.cli import fold_tables
from mammogan.data.archives.join import join_tables
from mammogan.data.cohort.table import LESION_REGIONS
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.regions.lesion_region import Film, LesionRegion
from mammogan.data.regions.region_file import carry, write_scanned
from mammogan.errors import UserError
from mammogan.evaluation.beyond.regions import lesion_regions
from mammogan.io import tables
from mammogan.io.atomic import PRIVATE
from mammogan.io.records import SEAL, DamagedRecord, write_record
from mammogan.workspace import Workspace


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """The table of a scanned INbreast, of which two films have lesion regions."""
    inbreast.write(tmp_path / "inbreast")
    scan_regions(tmp_path / "inbreast")
    return tmp_path / "labels.csv"


def regions_beside(table: Path) -> Path:
    return table.with_name(f"{table.stem}.regions.json")


def changed(table: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    rows = [change(row) for row in rows_of(table)]
    tables.write(table, list(rows[0]), [list(row.values()) for row in rows])


def refused(table: Path, why: str) -> None:
    """The conversion refuses the table before it makes any shard."""
    with pytest.raises(UserError, match=why):
        convert_cohort(table, Workspace(table.parent / "work"), [SIZE], jobs=1)
    assert not (table.parent / "work" / "shards").exists()


def in_one_split(table: Path) -> None:
    changed(table, lambda row: {**row, "split": "test"})


# The file beside the table.


def test_the_table_counts_the_regions_of_each_image(labels: Path) -> None:
    assert [row[LESION_REGIONS] for row in rows_of(labels)] == ["2", "1", "", ""]


def test_a_table_of_an_archive_without_regions_has_no_column_for_them(tmp_path: Path) -> None:
    WRITERS["rsna"](tmp_path / "rsna")
    scanned(tmp_path / "rsna", tmp_path / "labels.csv")
    assert LESION_REGIONS not in rows_of(tmp_path / "labels.csv")[0]


def test_regions_that_were_renamed_since_the_scan_are_missed(labels: Path) -> None:
    in_one_split(labels)
    regions_beside(labels).rename(labels.with_name("regions.json"))
    refused(labels, r"labels.regions.json: expected the lesion regions of 2 mammograms.*Bring it back")
    changed(labels, lambda row: {name: cell for name, cell in row.items() if name != LESION_REGIONS})
    _, samples = shards_of(labels)
    assert len(samples) == 4


@pytest.mark.parametrize("has_column", [True, False])
def test_a_table_that_does_not_count_the_regions_beside_it_is_said_once(
    labels: Path, has_column: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if not has_column:
        changed(labels, lambda row: {name: cell for name, cell in row.items() if name != LESION_REGIONS})
    shards_of(labels)
    said = capsys.readouterr()
    assert (said.out + said.err).count("labels.csv does not count them") == (not has_column)


def test_regions_of_another_table_are_refused(labels: Path) -> None:
    in_one_split(labels)
    film = Film("AllDICOMs/1.dcm", (96, 96), "L")
    write_scanned(labels, [LesionRegion(film, "1.xml", "mass", "1 2")])
    refused(labels, "found none for 2 of them, such as line 2. Either it belongs to another table")


def test_regions_without_their_checksum_are_refused(labels: Path) -> None:
    in_one_split(labels)
    path = regions_beside(labels)
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != SEAL}))
    refused(labels, "its checksum is missing.*repeat mammogan scan")


def test_lost_regions_stop_a_division_into_folds_and_a_join_before_anything_is_written(
    labels: Path, tmp_path: Path
) -> None:
    regions_beside(labels).unlink()
    with pytest.raises(UserError, match="expected the lesion regions of 2 mammograms"):
        fold_tables.execute(fold_tables.Options(labels, tmp_path / "folds", 2))
    other = tmp_path / "other" / "more.csv"
    shutil.copytree(tmp_path / "inbreast", tmp_path / "other" / "inbreast")
    scanned(tmp_path / "other" / "inbreast", other)
    with pytest.raises(UserError, match="expected the lesion regions of 2 mammograms"):
        join_tables([other, labels], tmp_path / "both" / "labels.csv")
    assert not (tmp_path / "folds").exists() and not (tmp_path / "both").exists()


def test_a_table_that_is_scanned_again_keeps_its_regions(labels: Path, tmp_path: Path) -> None:
    scanned(tmp_path / "inbreast", tmp_path / "again.csv", dataset="csv", tables=[labels])
    before, now = (json.loads(regions_beside(table).read_text()) for table in (labels, tmp_path / "again.csv"))
    lesions = [sorted(len(film["lesions"]) for film in held["films"]) for held in (before, now)]
    assert lesions == [[1, 2], [1, 2]]
    assert [row[LESION_REGIONS] for row in rows_of(tmp_path / "again.csv")] == ["2", "1", "", ""]
    shards_of(tmp_path / "again.csv")
    regions_beside(labels).unlink()
    with pytest.raises(UserError, match="expected the lesion regions of 2 mammograms"):
        scanned(tmp_path / "inbreast", tmp_path / "third.csv", dataset="csv", tables=[labels])


def test_a_folder_in_the_place_of_the_regions_is_said_before_the_archive_is_read(labels: Path) -> None:
    regions_beside(labels).unlink()
    regions_beside(labels).mkdir()
    with pytest.raises(UserError, match="expected a file, found a folder"):
        scanned(labels.parent / "inbreast", labels, overwrite=True)


FILM: dict[str, Any] = {
    "path": "a/b.dcm",
    "height": 96,
    "width": 96,
    "laterality": "L",
    "lesions": [{"category": "mass", "runs": "1 2"}],
    "refused": [],
}


@pytest.mark.parametrize(
    "change",
    [
        *({"path": path} for path in ("", ".", "/", "/a/b.dcm", "../b.dcm", 7, None)),
        *({"height": height} for height in (0, -96, 9.5, True, "96")),
        *({"laterality": side} for side in ("", "B", None)),
        *(
            {"lesions": [{"category": "mass", "runs": runs}]}
            for runs in ("", "1", "x y", "9215 2", "-1 2", 7, "1" * 9999)
        ),
        *({"lesions": lesions} for lesions in ("", [""], [{}], {"category": "mass"})),
        *({"refused": refused} for refused in (["size"], [{"source": "", "detail": ""}], None)),
        {"refused": [{"source": "", "refused": "no such reason", "detail": ""}]},
    ],
)
def test_a_malformed_film_is_damage_beside_a_table_and_in_a_workspace(change: dict[str, Any], tmp_path: Path) -> None:
    film = FILM | change
    write_record(tmp_path / "labels.regions.json", {"films": [film], "without_film": []}, PRIVATE)
    with pytest.raises(DamagedRecord, match="repeat mammogan scan"):
        carry(tmp_path / "labels.csv", {"k": tmp_path / "a/b.dcm"}, {}, tmp_path / "private" / "regions.json")
    if "path" not in change:
        workspace = workspace_with(tmp_path, {"k": film})
        with pytest.raises(DamagedRecord, match="repeat mammogan make-shards"):
            lesion_regions(workspace, None)


@pytest.mark.parametrize("content", ["", "[]", "null", '{"samples": []}', '{"films": {}}', "\0", "[" * 99999])
def test_a_file_of_regions_that_is_none_is_damage(content: str, tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, {})
    for path in (workspace.regions, tmp_path / "labels.regions.json"):
        path.write_text(content)
        path.chmod(0o600)
    with pytest.raises(DamagedRecord):
        lesion_regions(workspace, None)
    with pytest.raises(DamagedRecord):
        carry(tmp_path / "labels.csv", {}, {}, workspace.regions)


# The file in the workspace.


def workspace_with(folder: Path, samples: dict[str, Any]) -> Workspace:
    workspace = Workspace(folder / "work")
    columns = ("key", "patient", "path", "laterality", "view", "label", "split")
    tables.write(workspace.cohort, columns, [("k", "p", "/a/b.dcm", "L", "CC", "positive", "test")])
    write_record(workspace.regions, {"samples": samples}, PRIVATE)
    return workspace


def test_regions_of_another_workspace_are_refused(labels: Path, tmp_path: Path) -> None:
    own, _ = shards_of(labels)
    shutil.copytree(tmp_path / "inbreast", tmp_path / "other" / "inbreast")
    scan_regions(tmp_path / "other" / "inbreast")
    other, _ = shards_of(tmp_path / "other" / "labels.csv")
    assert regions_of(own) and regions_of(other)
    shutil.copy(other.regions, own.regions)
    with pytest.raises(UserError, match=r"found 2 of 2 that are of others.*another workspace.*repeat mammogan make-sh"):
        lesion_regions(own, None)
    write_record(own.regions, {"samples": {}}, PRIVATE)
    with pytest.raises(UserError, match=r"found none of 2 of them.*another workspace"):
        lesion_regions(own, None)
    shards_of(labels)
    assert len(json.loads(own.regions.read_text())["samples"]) == 2 and regions_of(own)


def test_regions_of_a_workspace_without_their_checksum_are_refused(tmp_path: Path) -> None:
    film = {name: value for name, value in FILM.items() if name != "path"}
    workspace = workspace_with(tmp_path, {"k": film})
    assert regions_of(workspace)
    workspace.regions.write_text(json.dumps({"samples": {"k": film}}))
    with pytest.raises(DamagedRecord, match="its checksum is missing"):
        lesion_regions(workspace, None)


def test_regions_that_a_workspace_has_lost_are_missed(labels: Path) -> None:
    workspace, _ = shards_of(labels)
    workspace.regions.unlink()
    with pytest.raises(UserError, match=r"regions.json: expected the lesion regions of 2 mammograms.*no such file"):
        lesion_regions(workspace, None)
    assert lesion_regions(Workspace(labels.parent / "none"), None) is None


def test_regions_without_the_table_that_says_whose_they_are_are_refused(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path, {})
    workspace.cohort.unlink()
    with pytest.raises(UserError, match="which says whose lesion regions these are; found no such file"):
        lesion_regions(workspace, None)


def test_regions_that_both_table_and_workspace_have_lost_are_missed(labels: Path) -> None:
    workspace, _ = shards_of(labels)
    regions_beside(labels).unlink()
    shards_of(labels)  # the workspace has them still
    workspace.regions.unlink()
    with pytest.raises(UserError, match=r"labels.regions.json: expected the lesion regions of 2 mammograms"):
        shards_of(labels)


# What stands in an archive where its regions belong.


def lines_of(root: Path, **options: Any) -> list[str]:
    return list(scanned(root, root.parent / "labels.csv", FILMS, overwrite=True, **options).lines())


def only(lines: list[str], begins: str) -> str:
    (line,) = (line for line in lines if line.strip().startswith(begins))
    return line


NOT_READ = "not read, so lesions may be missing:"


def empty(path: Path) -> None:
    path.write_text("")


def blank(path: Path) -> None:
    path.write_text("\n\n\n")


def header_only(path: Path) -> None:
    path.write_text(path.read_text().splitlines()[0] + "\n")


def without_columns(path: Path) -> None:
    path.write_text(path.read_text().replace("xmin", "left").replace("ymin", "top"))


def another_name_of_the_file(path: Path) -> None:
    path.write_text("<html>Sign in to download</html>")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone.csv")


def open_quote(path: Path) -> None:
    path.write_text(path.read_text() + '"x')


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (empty, "found an empty file"),
        (blank, "found an empty file"),
        (header_only, "found the header only"),
        (without_columns, "found none called xmin, ymin"),
        (another_name_of_the_file, "found none called finding_categories, image_id, xmax, xmin, ymax, ymin"),
        (folder, "found a folder"),
        (link_to_nothing, "found no such file"),
        (open_quote, "is a quote left open?"),
    ],
)
def test_a_table_of_boxes_that_is_none_is_said(spoil: Callable[[Path], None], why: str, tmp_path: Path) -> None:
    WRITERS["vindr"](tmp_path / "vindr")
    spoil(tmp_path / "vindr" / "finding_annotations.csv")
    lines = lines_of(tmp_path / "vindr")
    said = only(lines, NOT_READ)
    assert "finding_annotations.csv: " in said and said.endswith(why)
    assert "known in 0 images, in 0 of 10 positive ones" in only(lines, "regions:")


def test_a_table_of_boxes_that_is_not_named_is_said(tmp_path: Path) -> None:
    root = WRITERS["vindr"](tmp_path / "vindr").root
    labels, boxes = root / "breast-level_annotations.csv", root / "finding_annotations.csv"
    assert "--tables does not name it" in only(lines_of(root, tables=[labels]), NOT_READ)
    assert not any(NOT_READ in line for line in lines_of(root, tables=[labels, boxes]))
    assert not any(NOT_READ in line for line in lines_of(root))


@pytest.mark.parametrize(
    ("name", "gone", "place"),
    [("vindr", "finding_annotations.csv", "finding_annotations.csv"), ("inbreast", "AllXML", "AllXML/")],
)
def test_an_archive_whose_regions_are_not_there_is_said_to_have_some(
    name: str, gone: str, place: str, tmp_path: Path
) -> None:
    WRITERS[name](tmp_path / name)
    (tmp_path / name / gone).rename(tmp_path / "gone")
    assert only(lines_of(tmp_path / name), "regions:").endswith(f"has them in {place}")


def file_in_its_place(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("x")


def nothing_in_it(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def link_instead(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to("gone")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (file_in_its_place, "found a file"),
        (nothing_in_it, "found a folder without .xml files"),
        (link_instead, "found no such file"),
    ],
)
def test_a_folder_of_outlines_that_is_none_is_said(spoil: Callable[[Path], None], why: str, tmp_path: Path) -> None:
    inbreast.write(tmp_path / "inbreast")
    spoil(tmp_path / "inbreast" / "AllXML")
    lines = lines_of(tmp_path / "inbreast")
    assert only(lines, NOT_READ).endswith(f"AllXML: expected a folder with .xml files, {why}")
    assert "known in 0 images, in 0 of 2 positive ones" in only(lines, "regions:")


def test_a_folder_in_the_place_of_an_outline_file_is_counted_and_its_film_s_lesions_are_not_known(
    tmp_path: Path,
) -> None:
    inbreast.write(tmp_path / "inbreast")
    folder(tmp_path / "inbreast" / "AllXML" / f"{inbreast.FIRST}.xml")
    report, _ = scan_regions(tmp_path / "inbreast")
    assert report.refused == {"unreadable": 1} and report.incomplete == 1 and report.positive == (1, 2)


def test_a_file_in_the_place_of_a_mask_s_folder_is_counted(tmp_path: Path) -> None:
    WRITERS["cbis-ddsm"](tmp_path / "cbis")
    (mask,) = (tmp_path / "cbis" / "CBIS-DDSM").glob("Mass-Training_P_00001_LEFT_MLO_1")
    file_in_its_place(mask)
    report, _ = scan_regions(tmp_path / "cbis")
    assert report.refused == {"unreadable": 1} and report.incomplete == 1


def test_a_lesion_of_cbis_ddsm_without_a_number_or_any_column_of_numbers_is_said(tmp_path: Path) -> None:
    WRITERS["cbis-ddsm"](tmp_path / "cbis")
    table = tmp_path / "cbis" / "mass_case_description_train_set.csv"
    text = table.read_text()
    table.write_text(text.replace("P_00001,3,LEFT,MLO,1,", "P_00001,3,LEFT,MLO,,"))
    report, _ = scan_regions(tmp_path / "cbis")
    assert report.refused == {"no_outline": 1} and report.incomplete == 1
    table.write_text(text.replace("abnormality id", "abnormality"))
    report, _ = scan_regions(tmp_path / "cbis")
    assert report.refused == {"unread": 1} and report.incomplete == 0
    assert "expected the column abnormality_id" in only(list(report.lines()), NOT_READ)


def test_a_table_that_cannot_be_read_is_listed_in_every_archive(tmp_path: Path) -> None:
    made = WRITERS["rsna"](tmp_path / "rsna")
    empty(tmp_path / "rsna" / "more.csv")
    (tmp_path / "rsna" / "folder.xlsx").mkdir()
    report = scanned(made.root, tmp_path / "labels.csv")
    listed = [row for row in rows_of(tmp_path / "labels.excluded.csv") if row["reason"] == "unreadable"]
    assert report.excluded["unreadable"] == len(listed) == 2
    assert {row["detail"] for row in listed} == {f"expected a table, found {w}" for w in ("an empty file", "a folder")}
    (table,) = made.root.rglob("train.csv")
    empty(table)
    with pytest.raises(UserError, match=r"found none \(.*train.csv: an empty file\)"):
        scanned(made.root, tmp_path / "labels.csv", dataset="rsna", overwrite=True)
