"""Phantoms altered by untrained generators, and what tests of their DICOM files share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import draw_phantoms
from generators import save_gnet

from mammogan.attack.config import DicomConfig, GenerateConfig
from mammogan.attack.dicom.dicom_task import DicomTask, make_keys, plan_dicom
from mammogan.attack.dicom.export import finish_dicom, write_dicom
from mammogan.attack.generate import generate, plan
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.shards.reader import read_shard
from mammogan.io.atomic import read_json, sha256
from mammogan.workspace import Direction, Resolution, Workspace

CONFIG = GenerateConfig(device="cpu")
SIZED, NATIVE = DicomConfig(dicom=True), DicomConfig(dicom=True, native=True)
FLAT = Resolution(128, 96)
FLAT_SHAPE = (FLAT.height, FLAT.width)


def altered_phantoms(folder: Path) -> Workspace:
    """A workspace in ``folder``: phantoms of 256x208 as shards of 128x96, altered by untrained generators."""
    workspace = Workspace(folder / "work")
    convert_cohort(draw_phantoms(folder / "phantom", 12, 2, "256x208"), workspace, [FLAT], jobs=1)
    for direction in Direction:
        save_gnet(workspace, FLAT, direction)
    generate(workspace, CONFIG)
    return workspace


def export(
    workspace: Workspace, config: DicomConfig, resolution: Resolution = FLAT, generation: GenerateConfig = CONFIG
) -> Path:
    """Write everything in this process; the folder it is in."""
    tasks = planned(workspace, config, resolution, generation)
    make_keys(tasks)
    for task in tasks:
        write_dicom(task)
    finish_dicom(tasks)
    return tasks[0].folder.path


def planned(
    workspace: Workspace, config: DicomConfig, resolution: Resolution = FLAT, generation: GenerateConfig = CONFIG
) -> list[DicomTask]:
    return plan_dicom(plan(workspace, resolution, generation), config)


def samples(workspace: Workspace, resolution: Resolution = FLAT) -> list[tuple]:
    """(real, fake) of the test split."""
    pairs = []
    for direction in Direction:
        reals = read_shard(workspace.shards(resolution) / f"test-{direction.source}-000000.tar")
        fakes = read_shard(workspace.adversarial(resolution) / f"test-{direction}-000000.tar")
        pairs += list(zip(reals, fakes, strict=True))
    return pairs


def files_of(folder: Path) -> dict[str, dict]:
    """The index's entries by the key of the altered mammogram."""
    return {file["key"]: file for file in read_json(folder / "index.json")["files"]}


def held(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in folder.glob("*.dcm")}


def without_mark(file: dict, shape: tuple[int, ...]) -> np.ndarray:
    """Which pixels of a file, as stored, the mark does not cover."""
    free = np.ones(shape, bool)
    free[slice(*file["mark"]["rows"]), slice(*file["mark"]["columns"])] = False
    return free
