"""From an archive as it is downloaded to the section on localisation: its boxes are the truth of its mammograms."""

from __future__ import annotations

from pathlib import Path

import pytest
from archives import vindr
from archives.scanning import scanned
from conftest import SMALL
from deeper import evaluated_phantoms

from mammogan.data.archives.selection import Selection
from mammogan.errors import UserError
from mammogan.evaluation.beyond.config import DeeperConfig, page_folder
from mammogan.evaluation.beyond.evaluate_deeper import evaluate_deeper
from mammogan.io.atomic import PRIVATE, read_json
from mammogan.io.records import read_record, write_record

pytestmark = pytest.mark.usefixtures("coarse_figures")


def test_removals_are_compared_with_the_boxes_of_an_archive_that_can_be_used(tmp_path: Path) -> None:
    vindr.write(tmp_path / "vindr")
    table = tmp_path / "vindr" / "finding_annotations.csv"
    lines = table.read_text().splitlines()
    of_test = next(number for number, line in enumerate(lines) if "Mass" in line and line.endswith("test"))
    lines[of_test] = lines[of_test].replace(",96,96,", ",960,960,")
    table.write_text("\n".join(lines))
    scanned(tmp_path / "vindr", tmp_path / "labels.csv", Selection(split="official"))
    workspace = evaluated_phantoms(tmp_path, tmp_path / "work")
    config = DeeperConfig(images=6, baseline=("noise=2048",), section=("localisation",), device="cpu")
    page = evaluate_deeper(workspace, config)
    found = read_json(page_folder(workspace, SMALL) / "evaluation.json")["sections"]["localisation"]
    removals = [row for row in found["rows"] if row["direction"] == "remove"]
    assert [row["energy_near_lesion"]["images"] for row in removals] == [2, 2]
    generator, noise = ((row["energy_near_lesion"]["median"], row["breast_near_lesion"]["median"]) for row in removals)
    top, left, bottom, right = vindr.LESION
    area = (bottom - top + 1) * (right - left + 1) / SMALL.height / SMALL.width
    assert area < noise[1] == generator[1] < 5 * area  # the breast is a part of the image
    assert abs(noise[0] / noise[1] - 1) < 0.2  # noise is alike everywhere in the breast
    assert "a lesion region of theirs could not be used: 1." in page.read_text()
    held = read_record(workspace.regions)
    write_record(workspace.regions, {"samples": {f"{key}-x": film for key, film in held["samples"].items()}}, PRIVATE)
    with pytest.raises(UserError, match="so the file is of another workspace"):
        evaluate_deeper(workspace, config)
