"""Lesion regions from an archive's files to the pixels of a shard: they lie on the lesion, and faults are counted."""

from __future__ import annotations

import csv
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import cbis_ddsm, inbreast, vindr
from archives.scanned_regions import FILMS, SIZE, regions_of, scan_regions, shards_of
from archives.scanning import WRITERS, rows_of, scanned
from dicoms import breast, write_mammogram
from PIL import Image
from pydicom import dcmread

from mammogan.cli import fold_tables
from mammogan.data.archives.join import join_tables
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.regions.lesion_region import REASONS
from mammogan.data.regions.mask_file import read_mask
from mammogan.data.regions.runs import from_text, mask_of
from mammogan.errors import UserError
from mammogan.workspace import Workspace


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three archives that have regions, in the layout in which they are downloaded."""
    root = tmp_path_factory.mktemp("archives")
    for name in ("vindr", "cbis-ddsm", "inbreast"):
        WRITERS[name](root / name)
    return root


@pytest.fixture
def archive(written: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of an archive that a test may change."""

    def copied(name: str) -> Path:
        shutil.copytree(written / name, tmp_path / name)
        return tmp_path / name

    return copied


def extent(mask: np.ndarray) -> np.ndarray:
    """First row and column, last row and column."""
    rows, columns = np.nonzero(mask)
    return np.array([rows.min(), columns.min(), rows.max(), columns.max()])


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize(
    ("name", "lesions"),
    [("vindr", [vindr.LESION]), ("inbreast", [inbreast.LESION]), ("cbis-ddsm", list(cbis_ddsm.LESIONS.values()))],
)
def test_the_mask_of_a_sample_lies_on_the_lesion_in_its_pixels_whatever_was_flipped_and_cropped(
    name: str, lesions: list[tuple[int, ...]], fit: str, archive: Callable[[str], Path]
) -> None:
    root = archive(name)
    report, _ = scan_regions(root)
    assert not report.refused and report.positive[0] == report.positive[1] > 0
    workspace, samples = shards_of(root.parent / "labels.csv", fit=fit)
    shutil.rmtree(root)  # whoever uses the regions needs no archive
    regions, seen = regions_of(workspace), set()
    for sample in samples:
        mask = regions.of(sample.key, sample.facts)
        if sample.facts["label"] == "positive":
            assert mask is not None
        if mask is None:
            continue
        seen.add(sample.facts["laterality"])
        bright = sample.pixels > 0.8 * sample.pixels.max()
        assert np.abs(extent(mask) - extent(bright)).max() <= 1
        assert (mask & bright).sum() / (mask | bright).sum() > 0.8
    assert seen == {"vindr": {"L"}, "inbreast": {"R"}, "cbis-ddsm": {"L", "R"}}[name] and not regions.unknown


def test_the_file_beside_the_table_is_private_and_names_films_within_the_archive_only(
    archive: Callable[[str], Path],
) -> None:
    root = archive("inbreast")
    report, films = scan_regions(root)
    assert report.path == root.parent / "labels.regions.json"
    assert stat.S_IMODE(report.path.stat().st_mode) == 0o600
    assert str(root) not in report.path.read_text() and films[0]["path"].startswith("AllDICOMs/20586908_")
    assert report.lesions == {"mass": 1, "calcification": 1, "spiculated region": 1}
    workspace, _ = shards_of(root.parent / "labels.csv")
    assert stat.S_IMODE(workspace.regions.stat().st_mode) == 0o600
    assert "AllDICOMs/" not in workspace.regions.read_text()


def test_both_sets_masks_of_one_film_count_and_the_pixels_decide_which_file_is_the_mask(
    archive: Callable[[str], Path],
) -> None:
    _, films = scan_regions(archive("cbis-ddsm"))
    (both,) = (film for film in films if "P_00300" in film["path"])
    assert sorted(lesion["category"] for lesion in both["lesions"]) == ["calcification", "mass"]
    (two,) = (film for film in films if "P_00001_LEFT_CC" in film["path"])
    drawn = mask_of([run for one in two["lesions"] for run in from_text(one["runs"], (96, 96))], (96, 96))
    top, left, bottom, right = cbis_ddsm.LESIONS["mass", 2]
    assert len(two["lesions"]) == 2 and drawn[top : bottom + 1, left : right + 1].all()


def test_a_lesion_in_the_other_set_of_a_film_is_not_forgotten_where_that_set_is_not_here(
    archive: Callable[[str], Path],
) -> None:
    root = archive("cbis-ddsm")
    for folder in root.glob("CBIS-DDSM/Mass-Training_P_00300*"):
        shutil.rmtree(folder)
    report, films = scan_regions(root)
    assert report.refused == {"no_film": 1} and refused_of(films, "P_00300") == ["no_film"]


def test_a_mask_of_another_picture_of_the_view_is_not_used(archive: Callable[[str], Path]) -> None:
    root = archive("cbis-ddsm")
    (film,) = root.glob("CBIS-DDSM/Mass-Training_P_00300_RIGHT_MLO/**/*.dcm")
    dataset = dcmread(film)
    dataset.PixelData = bytes(2) + dataset.PixelData[2:-2] + bytes([9, 9])
    dataset.save_as(film)
    report, films = scan_regions(root)
    assert report.refused == {"other_film": 1} and refused_of(films, "P_00300") == ["other_film"]


def test_a_mask_may_be_a_png_in_the_folder_of_its_lesion(archive: Callable[[str], Path]) -> None:
    root = archive("cbis-ddsm")
    (mask,) = root.glob("CBIS-DDSM/Mass-Training_P_00001_LEFT_MLO_1/**/1.000000-ROI*/1-1.dcm")
    before = scan_regions(root)[1]
    top, left, bottom, right = cbis_ddsm.LESIONS["mass", 1]
    pixels = np.zeros((96, 96), np.uint8)
    pixels[top : bottom + 1, left : right + 1] = 255
    Image.fromarray(pixels).save(mask.with_suffix(".png"))
    mask.unlink()
    assert scan_regions(root)[1] == before
    assert read_mask(mask.with_suffix(".png")).runs
    content = bytearray(mask.with_suffix(".png").read_bytes())
    content[content.index(b"IDAT") + 12] ^= 1
    mask.with_suffix(".png").write_bytes(content)
    damaged = read_mask(mask.with_suffix(".png"))
    assert damaged.refused == "unreadable" and "do not fit their checksum" in damaged.detail


def refused_of(films: list[dict[str, Any]], part_of_path: str) -> list[str]:
    (film,) = (film for film in films if part_of_path in film["path"])
    return [region["refused"] for region in film["refused"]]


def cbis_mask(root: Path, pixels: np.ndarray, film: str = "Mass-Training_P_00001_LEFT_MLO", **elements: Any) -> None:
    """Write another mask in the place of the one of a film's first lesion."""
    (path,) = root.glob(f"CBIS-DDSM/{film}_1/**/1.000000-ROI*/1-1.dcm")
    write_mammogram(path, pixels, bits=8, PatientID=f"{film}_1", SeriesDescription="ROI mask images", **elements)


def half(shape: tuple[int, int], part: slice = slice(20, 30)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[part] = 255
    return mask


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (half((192, 192)), "size"),
        (half((96, 96), slice(0, 0)), "no_outline"),
        (half((96, 96), slice(0, 80)), "malformed"),
        (breast(bits=8).astype(np.uint8), "no_outline"),
    ],
)
def test_a_mask_that_is_none_or_of_another_size_is_counted_and_its_film_is_not_without_a_lesion(
    pixels: np.ndarray, reason: str, archive: Callable[[str], Path]
) -> None:
    root = archive("cbis-ddsm")
    cbis_mask(root, pixels)
    report, films = scan_regions(root)
    assert report.refused == {reason: 1} and report.incomplete == 1
    assert report.positive[0] == report.positive[1] - 1
    assert refused_of(films, "P_00001_LEFT_MLO") == [reason]
    said = "\n".join(report.lines())
    assert REASONS[reason] in said and "P_00001" not in said
    workspace, samples = shards_of(root.parent / "labels.csv")
    regions = regions_of(workspace)
    masks = [regions.of(sample.key, sample.facts) for sample in samples if sample.facts["label"] == "positive"]
    assert sum(mask is None for mask in masks) == len(regions.unknown) == 1


def test_masks_of_no_film_of_a_damaged_file_and_of_another_side_are_counted(archive: Callable[[str], Path]) -> None:
    root = archive("cbis-ddsm")
    (film,) = root.glob("CBIS-DDSM/Mass-Training_P_00001_LEFT_MLO/**/*.dcm")
    film.unlink()
    (mask,) = root.glob("CBIS-DDSM/Mass-Training_P_00002_LEFT_MLO_1/**/1.000000-ROI*/1-1.dcm")
    mask.write_bytes(mask.read_bytes()[:-500])
    (table,) = root.glob("mass_case_description_train_set.csv")
    table.write_text(table.read_text().replace("P_00003,3,LEFT,MLO", "P_00003,3,RIGHT,MLO"))
    report, films = scan_regions(root)
    assert report.refused == {"no_film": 2, "unreadable": 1, "side": 1}  # a film's mask and the picture beside it
    assert refused_of(films, "P_00002_LEFT_MLO") == ["unreadable"]
    assert refused_of(films, "P_00003_LEFT_MLO") == ["side"]


BOMB = """<?xml version="1.0"?>
<!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>
<plist version="1.0"><dict><key>Images</key><string>&c;</string></dict></plist>
"""
OUTSIDE = """<?xml version="1.0"?>
<!DOCTYPE plist [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<plist version="1.0"><string>&a;</string></plist>
"""


@pytest.mark.parametrize(
    "text",
    [BOMB, OUTSIDE, "", "<plist/>", "<plist><dict><key>Images</key>", "<plist><array/></plist>", "\0\1\2",
     "<plist><dict><key>Images</key><array><string>x</string></array></dict></plist>", "[" * 9999],
)  # fmt: skip
def test_an_outline_file_that_is_none_or_declares_entities_is_counted(
    text: str, archive: Callable[[str], Path]
) -> None:
    root = archive("inbreast")
    (root / "AllXML/20586908.xml").write_text(text)
    report, films = scan_regions(root)
    assert report.refused == {"malformed": 1} and report.incomplete == 1 and report.positive == (1, 2)
    assert refused_of(films, "20586908_") == ["malformed"] and "passwd" not in "".join(report.lines())


@pytest.mark.parametrize(
    ("outline", "reason"),
    [
        (inbreast.outline("Mass", (10, 10), (20, 10), (20, 97)), "outside"),
        (inbreast.outline("Mass", (-3, 10), (20, 10), (20, 20)), "outside"),
        (inbreast.outline("Unnamed", (10, 10), (20, 10), (20, 20)), "unknown_name"),
        (inbreast.outline("Mass", (10, 10), (20, 10)) | {"Name": 7}, "unknown_name"),
        (inbreast.outline("Mass"), "no_outline"),
        (inbreast.outline("Mass", (10, 10), (20, 10)) | {"NumberOfPoints": 3}, "malformed"),
        (inbreast.outline("Mass", (10, 10)) | {"Point_px": ["(1e999, 2)"]}, "malformed"),
        (inbreast.outline("Mass", (10, 10)) | {"Point_px": ["__import__('os')"]}, "malformed"),
    ],
)
def test_an_outline_that_is_not_understood_or_leaves_the_film_is_counted(
    outline: dict[str, object], reason: str, archive: Callable[[str], Path]
) -> None:
    root = archive("inbreast")
    inbreast.write_outlines(root / "AllXML/20586908.xml", inbreast.outline("Mass", *inbreast.square()), outline)
    report, films = scan_regions(root)
    assert report.refused == {reason: 1} and report.incomplete == 1
    assert refused_of(films, "20586908_") == [reason]


def test_outlines_of_no_film_are_counted_and_too_large_files_are_not_parsed(
    archive: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = archive("inbreast")
    inbreast.write_outlines(root / "AllXML/1.xml", inbreast.outline("Mass", (10, 10), (20, 10), (20, 20)))
    monkeypatch.setattr("mammogan.data.regions.outline_file.MOST_BYTES", 1000)
    report, _ = scan_regions(root)
    assert report.refused == {"no_film": 1, "too_large": 2}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (",L,CC,96,96,", ",L,CC,192,192,", "size"),
        (",L,CC,", ",R,CC,", "side"),
        (",10,28,22,41,", ",10,28,22,141,", "outside"),
        (",10,28,22,41,", ",22,28,10,41,", "malformed"),
        (",10,28,22,41,", ",x,28,22,41,", "malformed"),
        (",10,28,22,41,", ",,,,,", "no_outline"),
        ("'Mass', 'Suspicious Calcification'", "'Mass', 'Something new'", "unknown_name"),
        ("['Mass', 'Suspicious Calcification']", "Mass", "malformed"),
    ],
)
def test_a_box_that_cannot_be_of_its_film_is_counted(
    old: str, new: str, reason: str, archive: Callable[[str], Path]
) -> None:
    root = archive("vindr")
    table = root / "finding_annotations.csv"
    header, first, *rest = table.read_text().splitlines()
    assert old in first
    table.write_text("\n".join([header, first.replace(old, new), *rest]))
    report, films = scan_regions(root)
    assert report.refused == {reason: 1} and report.incomplete == 1 and report.films == 9
    assert report.lesions == {"mass, suspicious calcification": 9}
    assert sum(len(film["refused"]) for film in films) == 1


def test_a_box_of_no_film_and_a_broken_table_are_counted(archive: Callable[[str], Path]) -> None:
    root = archive("vindr")
    table = root / "finding_annotations.csv"
    header, first, *rest = table.read_text().splitlines()
    image = first.split(",")[2]
    table.write_text("\n".join([header, first.replace(image, "0" * 32), *rest]))
    assert scan_regions(root)[0].refused == {"no_film": 1}
    table.write_text("\n".join([header, first + ",a,b,c", *rest]))
    report = scan_regions(root)[0]
    assert report.refused == {"unread": 1} and "finding_annotations.csv: line 2: expected as many" in report.unread[0]


def test_a_scan_takes_away_the_regions_of_an_earlier_one_if_there_are_none(
    archive: Callable[[str], Path],
) -> None:
    root = archive("vindr")
    path = scan_regions(root)[0].path
    (root / "finding_annotations.csv").unlink()
    assert scanned(root, root.parent / "labels.csv", FILMS, overwrite=True).regions is None and not path.exists()


def test_regions_survive_an_archive_that_moved_and_tables_that_were_joined(
    archive: Callable[[str], Path], tmp_path: Path
) -> None:
    tables = []
    for name in ("vindr", "inbreast"):
        root = archive(name)
        scanned(root, tmp_path / f"{name}.csv", FILMS)
        root.rename(tmp_path / f"moved-{name}")
        table = tmp_path / f"{name}.csv"
        table.write_text(table.read_text().replace(f"{name}/", f"moved-{name}/"))
        tables.append(table)
    join_tables(tables, tmp_path / "both" / "labels.csv")
    fold_tables.execute(fold_tables.Options(tmp_path / "both" / "labels.csv", tmp_path / "folds", 2))
    workspace, samples = shards_of(tmp_path / "folds" / "fold-1.csv")
    regions = regions_of(workspace)
    found = [regions.of(sample.key, sample.facts) is not None for sample in samples]
    assert sum(found) == 10 + 2 and not regions.unknown


def test_a_table_that_lost_its_regions_leaves_those_of_the_workspace_and_says_so(
    archive: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = archive("inbreast")
    path = scan_regions(root)[0].path
    workspace, _ = shards_of(root.parent / "labels.csv")
    held = workspace.regions.read_bytes()
    path.unlink()
    shards_of(root.parent / "labels.csv")
    assert workspace.regions.read_bytes() == held and f"delete {workspace.regions}" in capsys.readouterr().out


def test_a_file_that_could_be_of_two_films_gets_no_region(archive: Callable[[str], Path], tmp_path: Path) -> None:
    root = archive("inbreast")
    report, _ = scan_regions(root)
    table = root.parent / "labels.csv"
    rows = rows_of(table)
    (film,) = (row for row in rows if "20586908" in row["path"])
    twin = tmp_path / "clinic" / film["path"]
    twin.parent.mkdir(parents=True)
    write_mammogram(twin, breast(seed=77)[:, ::-1].copy(), "R")
    with open(table, "a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, rows[0]).writerow(
            {**film, "path": f"clinic/{film['path']}", "patient": "other", "study": ""}
        )
    workspace, samples = shards_of(table)
    regions = regions_of(workspace)
    assert len(samples) == len(rows) + 1
    assert sum(regions.of(sample.key, sample.facts) is not None for sample in samples) == report.films - 1
    assert len(regions.unknown) == 2


def test_regions_that_were_damaged_or_that_others_may_read_are_refused(archive: Callable[[str], Path]) -> None:
    root = archive("inbreast")
    path = scan_regions(root)[0].path
    path.chmod(0o644)
    with pytest.raises(UserError, match="chmod 600"):
        shards_of(root.parent / "labels.csv")
    assert not (root.parent / "work" / "shards").exists()
    path.chmod(0o600)
    path.write_text(path.read_text().replace('"R"', '"L"'))
    with pytest.raises(UserError, match="repeat mammogan scan"):
        convert_cohort(root.parent / "labels.csv", Workspace(root.parent / "work"), [SIZE], jobs=1)
