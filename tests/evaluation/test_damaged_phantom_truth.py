"""A phantom's mask or lesion-free twin that is damaged, gone, or another's is named before any figure comes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SMALL
from edited import edit_record
from PIL import Image, ImageChops

from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort
from mammogan.data.phantom.origin import PhantomCohort
from mammogan.data.shards.reader import Sample, read_shard
from mammogan.errors import UserError
from mammogan.evaluation.phantom_truth import PhantomTruth, compare_with_truth
from mammogan.workspace import Workspace


def with_another_crc(path: Path, other: Path) -> None:
    """Change the checksum of a PNG's pixels, which stands before the 12 bytes of its end."""
    content = bytearray(path.read_bytes())
    content[-13] ^= 1
    path.write_bytes(content)


Damage = Callable[[Path, Path], object]
"""What is done to a file, with another one of its kind."""
MASKS: dict[str, Damage] = {
    "cut": lambda path, other: path.write_bytes(path.read_bytes()[:40]),
    "with another checksum": with_another_crc,
    "gone": lambda path, other: path.unlink(),
    "of another size": lambda path, other: Image.new("L", (20, 20), 255).save(path),
    "moved": lambda path, other: ImageChops.offset(Image.open(path), 0, 7).save(path),
}
TWINS: dict[str, Damage] = {
    "cut": lambda path, other: path.write_bytes(path.read_bytes()[:3000]),
    "empty": lambda path, other: path.write_bytes(b""),
    "gone": lambda path, other: path.unlink(),
    "another's": lambda path, other: shutil.copy(other, path),
}


@pytest.fixture
def shards(phantom: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(phantom, tmp_path / "phantom")
    workspace = Workspace(tmp_path / "work")
    convert_cohort(tmp_path / "phantom" / "labels.csv", workspace, [SMALL], jobs=1)
    return workspace


def with_lesions(workspace: Workspace) -> list[Sample]:
    folder = workspace.shards(SMALL)
    positive = [shard for shard in ShardIndex.load(folder).shards if shard.label == "positive"]
    return [sample for shard in positive for sample in read_shard(folder / shard.name)]


def test_what_is_damaged_or_anothers_is_named_with_the_remedy(shards: Workspace) -> None:
    root = shards.root.parent / "phantom"
    real, *others = with_lesions(shards)
    sound = PhantomTruth(shards.cohort).of(real.key, real.facts)
    assert sound is not None and sound.twin_file is not None
    for sample in (real, *others):
        known = PhantomTruth(shards.cohort).of(sample.key, sample.facts)
        assert known is not None and compare_with_truth(sample.pixels, sample.pixels, known).progress == 0
    twin, mask = sound.twin_file, root / "masks" / f"{sound.twin_file.stem}.png"
    other = next(path for path in twin.parent.iterdir() if path.stem[:6] != twin.stem[:6])
    for path, damages in ((mask, MASKS), (twin, TWINS)):
        content = path.read_bytes()
        for what, damage in damages.items():
            damage(path, other)
            with pytest.raises(UserError, match=rf"{path.name} is damaged: .*repeat mammogan make-phantom"):
                truth = PhantomTruth(shards.cohort).of(real.key, real.facts)
                assert truth is not None, what
                compare_with_truth(real.pixels, real.pixels, truth)
            path.write_bytes(content)


def test_mammograms_of_another_cohort_in_the_place_of_these_are_named_and_deleted_ones_are_not_needed(
    shards: Workspace,
) -> None:
    sample = with_lesions(shards)[0]
    known = PhantomTruth(shards.cohort).of(sample.key, sample.facts)
    assert known is not None and known.twin_file is not None
    drawn = known.twin_file.parent.parent / "dicom" / known.twin_file.name
    shutil.copy(known.twin_file, drawn)
    with pytest.raises(UserError, match=rf"dicom/{drawn.name} is damaged: its sha256 is not the one in truth.json"):
        PhantomTruth(shards.cohort).of(sample.key, sample.facts)
    drawn.unlink()
    assert PhantomTruth(shards.cohort).of(sample.key, sample.facts) is not None


def test_a_truth_of_an_earlier_version_which_says_nothing_of_its_files_is_refused(shards: Workspace) -> None:
    truth = shards.root.parent / "phantom" / "truth.json"
    edit_record(truth, lambda held: held.update(schema=1))
    sample = with_lesions(shards)[0]
    with pytest.raises(UserError, match=r"truth.json is damaged: it is of an earlier version.*draw them again"):
        PhantomTruth(shards.cohort).of(sample.key, sample.facts)


SIGNS = ("record_format", "content_sha256")
"""What records of earlier versions did not have."""


@pytest.mark.parametrize("lost", [("preset", "conspicuity"), ("conspicuity",), None], ids=str)
def test_settings_of_phantoms_that_lack_some_are_damaged_since_the_contrast_would_be_guessed(
    phantom: Path, tmp_path: Path, lost: tuple[str, ...] | None
) -> None:
    held = json.loads((phantom / "settings.json").read_text())
    kept = {} if lost is None else {name: held[name] for name in held if name not in (*lost, *SIGNS)}
    (tmp_path / "settings.json").write_text(json.dumps(kept))
    with pytest.raises(UserError, match=r"does not say .*conspicuity.*Delete the folder of the phantoms"):
        PhantomCohort.of(tmp_path)
    (tmp_path / "settings.json").write_text('{"editor.fontSize": 12}')
    assert PhantomCohort.of(tmp_path) is None, "the settings of another program"
