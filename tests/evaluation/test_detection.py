"""Detectors of attacks: tested on other patients, with what they were trained on beside, and in front of the CAD."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL
from deeper import TINY, evaluated_phantoms

from mammogan.data.blobs.blob_detector import breast_of
from mammogan.evaluation.beyond.attacked import Attacked
from mammogan.evaluation.beyond.config import page_folder
from mammogan.evaluation.beyond.deeper_run import DeeperRun
from mammogan.evaluation.beyond.detector_material import KeptDetectors, Material, images_of
from mammogan.evaluation.beyond.evaluate_deeper import evaluate_deeper
from mammogan.evaluation.beyond.originals import Originals
from mammogan.io.atomic import read_json
from mammogan.workspace import Direction, Workspace

pytestmark = pytest.mark.usefixtures("coarse_figures")
DETECTION = replace(
    TINY,
    section=("detection",),
    baseline=("noise=2048",),
    detect=("noise=2048",),
    detector_images=8,
    detector_steps=25,
    detector_seeds=2,
)


@pytest.fixture(scope="module")
def evaluated(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return evaluated_phantoms(phantom, tmp_path_factory.mktemp("detection") / "work")


@pytest.fixture
def workspace(evaluated: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(evaluated.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


def test_every_attack_and_direction_has_detectors_tested_across_all_and_none_is_trained_twice(
    workspace: Workspace,
) -> None:
    evaluate_deeper(workspace, DETECTION)
    found = read_json(page_folder(workspace, SMALL) / "evaluation.json")["sections"]["detection"]
    assert list(found["forensics"]) == ["GAN", "noise 2048"]
    tests = ["GAN, remove", "GAN, insert", "noise 2048, remove", "noise 2048, insert"]
    rows = {(one["attack"], one["direction"], one["trained_on"]): one for one in found["learned"]}
    assert {(attack, direction) for attack, direction, _ in rows} == {
        (attack, str(direction)) for attack in ("GAN", "noise 2048") for direction in Direction
    }
    assert all(list(one["test"]) == tests and len(one["train"]) == 2 for one in rows.values())
    gan = rows["GAN", "insert", "train, validation"]  # an untrained generator's images look like no mammogram
    assert min(gan["train"]) > 0.9 and min(gan["test"]["GAN, insert"]) > 0.9
    noise = next(one for one in found["in_front"] if one["attack"] == "noise 2048")
    for direction in map(str, Direction):
        without, through = noise["without"][direction], noise["through"][direction]
        assert through["denominator"] == without["denominator"]
        assert through["numerator"] <= without["numerator"]
    files = {path: path.stat().st_mtime_ns for path in workspace.root.glob("deeper/*/detectors/*.pt")}
    evaluate_deeper(workspace, DETECTION)
    assert files and {path: path.stat().st_mtime_ns for path in files} == files


def test_training_alarm_and_test_are_of_different_patients(workspace: Workspace) -> None:
    run = DeeperRun.of(workspace, DETECTION)
    material = Material.of(run)
    train, alarm, test = (set(of.patients) for of in (material.train, material.alarm, run.originals))
    assert train and alarm and test and not (train & alarm or train & test or alarm & test)
    assert set(material.validation.keys) <= set(material.train.keys)


def test_a_detector_is_trained_again_when_its_images_or_its_file_are_not_what_they_were(
    workspace: Workspace, tmp_path: Path
) -> None:
    originals = DeeperRun.of(workspace, DETECTION).originals
    images = images_of(brighter(originals, 3000), None, originals)
    kept = KeptDetectors(tmp_path / "detectors", 3, "cpu")
    first = kept.of("x", images, 0).scores(originals.pixels)
    (file,) = (tmp_path / "detectors").iterdir()
    made = file.stat().st_mtime_ns
    assert np.array_equal(kept.of("x", images, 0).scores(originals.pixels), first)
    assert file.stat().st_mtime_ns == made
    file.write_bytes(file.read_bytes()[:200])
    assert np.array_equal(kept.of("x", images, 0).scores(originals.pixels), first)
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 64  # among the weights: torch reads them as others
    file.write_bytes(raw)
    assert np.array_equal(kept.of("x", images, 0).scores(originals.pixels), first)
    other = kept.of("x", images_of(brighter(originals, 2000), None, originals), 0)
    assert not np.array_equal(other.scores(originals.pixels), first)


def brighter(originals: Originals, by: int) -> Attacked:
    pixels = np.stack([np.where(breast_of(one), np.minimum(one, 60000) + by, one) for one in originals.pixels])
    return Attacked("brighter", "baseline", originals, pixels.astype(np.uint16), np.ones(len(originals), bool))


def test_real_images_are_of_the_class_that_the_attack_pretends(workspace: Workspace) -> None:
    originals = DeeperRun.of(workspace, DETECTION).originals
    images = images_of(brighter(originals, 1000), Direction.REMOVE, originals)
    assert len(images.adversarial) == originals.positive.sum() and len(images.real) == (~originals.positive).sum()
    assert images.patients == set(originals.patients)
