"""Altered mammograms as DICOM files: valid, exact, marked, nobody's; and the attack at the originals' own size."""

from __future__ import annotations

import pickle
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from conftest import SMALL, checked, front_door
from dicoms import NAME, RECORD, breast, write_cohort, write_mammogram, write_table
from generators import save_gnet
from scipy.ndimage import binary_dilation, gaussian_filter

from mammogan.attack.dicom_export import DicomTask, finish_dicom, make_keys, plan_dicom, write_dicom
from mammogan.attack.generate import generate, generate_shard, plan
from mammogan.attack.mark import find_mark
from mammogan.attack.native import put_back
from mammogan.attack.settings import DicomConfig, GenerateConfig
from mammogan.config import Direction, MissingInput, Resolution, UserError, Workspace
from mammogan.data.dicom import place, read_mammogram
from mammogan.data.placement import Placement, content, place_pixels
from mammogan.data.shards import write_shards
from mammogan.data.stream import read_shard
from mammogan.files import read_json, sha256

CONFIG = GenerateConfig(device="cpu")
SIZED, NATIVE = DicomConfig(dicom=True), DicomConfig(dicom=True, native=True)
SYNTHETIC_DATA = (0x0008, 0x001C)
FLAT = Resolution(128, 96)
FLAT_SHAPE = (FLAT.height, FLAT.width)


@pytest.fixture(scope="module")
def altered_once(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Phantoms of 256x208 as shards of 128x96, altered by untrained generators."""
    folder = tmp_path_factory.mktemp("export")
    checked(
        "shards/make_phantom.py", "--out", folder / "phantom", "--patients", "12", "--seed", "2", "--size", "256x208",
        "--preset", "demo", "--jobs", "1",
    )  # fmt: skip
    workspace = Workspace(folder / "work")
    write_shards(folder / "phantom" / "labels.csv", workspace, [FLAT], jobs=1)
    for direction in Direction:
        save_gnet(workspace, FLAT, direction)
    generate(workspace, CONFIG)
    return workspace


@pytest.fixture
def altered(altered_once: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(altered_once.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


def export(workspace: Workspace, config: DicomConfig, resolution: Resolution = FLAT) -> Path:
    """Write everything in this process; the folder it is in."""
    tasks = planned(workspace, config, resolution)
    make_keys(tasks)
    for task in tasks:
        write_dicom(task)
    finish_dicom(tasks)
    return tasks[0].folder.path


def planned(workspace: Workspace, config: DicomConfig, resolution: Resolution = FLAT) -> list[DicomTask]:
    return plan_dicom(plan(workspace, resolution, CONFIG), config)


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
    """Pixels of a file as stored that the mark does not cover."""
    free = np.ones(shape, bool)
    free[slice(*file["mark"]["rows"]), slice(*file["mark"]["columns"])] = False
    return free


def test_a_file_reads_as_the_altered_pixels_turned_as_the_scanner_wrote_them(altered: Workspace) -> None:
    folder = export(altered, SIZED)
    files = files_of(folder)
    assert {fake.key for _, fake in samples(altered)} == set(files)
    for real, fake in samples(altered):
        placement = Placement.from_json(real.facts["placement"])
        dataset = pydicom.dcmread(folder / files[fake.key]["file"])
        expected = placement.canonical(content(fake.pixels, placement))
        free = without_mark(files[fake.key], expected.shape)
        assert np.array_equal(dataset.pixel_array[free], expected[free])
        assert (dataset.Rows, dataset.Columns) == placement.content_shape
        assert placement.flip_h == (real.facts["laterality"] == "R")
        assert [float(mm) for mm in dataset.ImagerPixelSpacing] == real.facts["spacing_mm"]


def test_orientation_says_how_right_and_left_breasts_lie(altered: Workspace) -> None:
    folder = export(altered, SIZED)
    orientation = {"LCC": ["A", "R"], "LMLO": ["A", "FR"], "RCC": ["P", "L"], "RMLO": ["P", "FL"]}
    found = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.glob("*.dcm"))]
    assert len({d.ImageLaterality for d in found}) == 2
    assert all(list(d.PatientOrientation) == orientation[d.ImageLaterality + d.ViewPosition] for d in found)


def test_the_native_file_scales_down_to_the_altered_mammogram(altered: Workspace) -> None:
    folder = export(altered, NATIVE)
    files = files_of(folder)
    for real, fake in samples(altered):
        placement = Placement.from_json(real.facts["placement"])
        path = folder / files[fake.key]["file"]
        shown = placement.canonical(pydicom.dcmread(path).pixel_array)
        assert shown.shape == (256, 208)
        off = np.abs(place_pixels(shown.astype(np.float32), placement).astype(float) - fake.pixels)
        change = np.abs(fake.pixels.astype(float) - real.pixels)
        unmarked = placement.canonical(without_mark(files[fake.key], shown.shape)).astype(np.float32)
        free = content(place_pixels(unmarked * 65535, placement), placement) == 65535
        assert content(off, placement)[free].mean() < 0.01 * content(change, placement)[free].mean()


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("shape", [(400, 312), (300, 250), (97, 70)])
def test_a_change_goes_back_to_the_original_and_nothing_else_changes(
    tmp_path: Path, side: str, shape: tuple[int, int]
) -> None:
    stored = breast(shape) if side == "L" else breast(shape)[:, ::-1].copy()
    source = read_mammogram(write_mammogram(tmp_path / "a.dcm", stored, side), side, "CC")
    real, placement = place(source, FLAT)
    changed = np.zeros(FLAT_SHAPE, bool)
    changed[40:60, 10:30] = True
    lesion = gaussian_filter(np.random.default_rng(1).normal(0, 1, FLAT_SHAPE), 1.2) * 15000
    fake = np.clip(real + changed * lesion, 0, 65535).astype(np.uint16)
    native = put_back(source.pixels, real, fake, placement)

    rows, cols = np.mgrid[: shape[0], : shape[1]]
    row, col = placement.from_source(*(placement.canonical(grid) for grid in (rows, cols)))
    near = binary_dilation(changed, np.ones((5, 5)))
    inside = near[np.rint(row).astype(int).clip(0, 127), np.rint(col).astype(int).clip(0, 95)]
    assert np.array_equal(native[~inside], np.rint(source.pixels).astype(np.uint16)[~inside])

    off = place_pixels(native.astype(np.float32), placement).astype(float) - fake
    change = (fake.astype(float) - real)[changed]
    if shape[0] > 200:  # where the original is finer than the shard
        assert np.sqrt((off[changed] ** 2).mean()) < 0.02 * np.sqrt((change**2).mean())
    assert np.array_equal(put_back(source.pixels, real, real, placement), np.rint(source.pixels).astype(np.uint16))


def test_every_file_says_that_it_is_synthetic_and_whose_it_is_not(altered: Workspace) -> None:
    folder = export(altered, NATIVE)
    for real, fake in samples(altered):
        file = files_of(folder)[fake.key]
        assert file["file"] == f"SYNTHETIC_{fake.facts['direction']}-{real.key}.dcm"
        assert file["sha256"] == sha256(folder / file["file"])
        assert file["checkpoint_sha256"] == fake.facts["generator"]["checkpoint_sha256"]
        raw = (folder / file["file"]).read_bytes()
        assert b"\x08\x00\x1c\x00CS\x04\x00YES " in raw
        dataset = pydicom.dcmread(folder / file["file"])
        assert dataset[SYNTHETIC_DATA].value == "YES"
        assert dataset.ContentQualification == "RESEARCH"
        assert list(dataset.ImageType) == ["DERIVED", "SECONDARY", "", "SYNTHETIC"]
        [item] = dataset.ContributingEquipmentSequence
        [purpose] = item.PurposeOfReferenceCodeSequence
        assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109100", "DCM")
        assert file["checkpoint_sha256"] in item.ContributionDescription
        assert dataset.BurnedInAnnotation == "YES"
        patient = fake.facts["patient"]
        assert dataset.PatientID == f"SYN-{patient}"
        assert dataset.PatientName == f"SYNTHETIC^NOT A PATIENT^{patient}"
        assert (dataset.Modality, dataset.PresentationIntentType) == ("MG", "FOR PRESENTATION")
        assert (dataset.BitsStored, dataset.PhotometricInterpretation) == (16, "MONOCHROME2")


def test_nothing_of_the_patient_or_the_scanner_gets_into_a_file(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "hospital", shape=(230, 180))
    workspace = Workspace(tmp_path / "work")
    write_shards(table, workspace, [SMALL], jobs=1)
    for direction in Direction:
        save_gnet(workspace, SMALL, direction)
    generate(workspace, CONFIG)
    sources = [pydicom.dcmread(path) for path in (tmp_path / "hospital").rglob("*.dcm")]
    uids = {source[name].value for source in sources for name in ("SOPInstanceUID", "SeriesInstanceUID")}
    private = [NAME, NAME.lower(), RECORD, "ACC777", "General Hospital", "19500203", "20200102", str(tmp_path), *uids]
    for config in (SIZED, NATIVE, replace(NATIVE, blinded=tmp_path / "key.json")):
        folder = export(workspace, config, SMALL)
        made = list(folder.iterdir())
        assert made
        for path in made:
            raw = path.read_bytes()
            assert not [word for word in private if word.encode() in raw]
        for path in folder.glob("*.dcm"):
            dates = [e for e in pydicom.dcmread(path).iterall() if e.VR in ("DA", "TM", "DT") and e.value]
            assert not dates


def test_the_same_generator_gives_the_same_bytes_and_another_one_other_uids(altered: Workspace, tmp_path: Path) -> None:
    shutil.copytree(altered.root, tmp_path / "other")
    folder, other = export(altered, SIZED), export(Workspace(tmp_path / "other"), SIZED)
    assert held(folder) == held(other)
    before = {path.name: pydicom.dcmread(path).SOPInstanceUID for path in folder.glob("*.dcm")}
    assert len(set(before.values())) == len(before)
    native = {pydicom.dcmread(path).SOPInstanceUID for path in export(altered, NATIVE).glob("*.dcm")}
    assert not native & set(before.values())

    save_gnet(altered, FLAT, Direction.REMOVE, seed=1)
    generate(altered, CONFIG)
    export(altered, SIZED)
    after = {path.name: pydicom.dcmread(path).SOPInstanceUID for path in folder.glob("*.dcm")}
    assert {name for name in before if before[name] != after[name]} == {n for n in before if "_remove-" in n}
    assert before.keys() == after.keys()


def test_views_of_one_patient_by_one_generator_are_one_study(altered: Workspace) -> None:
    studies: dict[tuple, set] = {}
    for path in export(altered, SIZED).glob("*.dcm"):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        direction = path.name.partition("-")[0]
        studies.setdefault((direction, dataset.PatientID), set()).add(dataset.StudyInstanceUID)
    assert studies and all(len(uids) == 1 for uids in studies.values())


def test_what_is_written_is_left_alone_and_what_is_gone_is_written_again(altered: Workspace) -> None:
    folder = export(altered, SIZED)
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    export(altered, SIZED)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times
    before = held(folder)
    next(folder.glob("*.dcm")).unlink()
    assert any(task.outdated() for task in planned(altered, SIZED))
    export(altered, SIZED)
    assert held(folder) == before


def test_files_go_with_the_altered_shards_they_were_written_from(altered: Workspace) -> None:
    folder = export(altered, SIZED)
    (altered.adversarial(FLAT) / "test-remove-000000.tar").unlink()
    [_, insert] = planned(altered, SIZED)
    finish_dicom([insert])
    assert not list(folder.glob("*remove*")) and list(folder.glob("*insert*"))
    assert {file["direction"] for file in read_json(folder / "index.json")["files"]} == {"insert"}


def test_the_index_waits_for_all_files(altered: Workspace) -> None:
    tasks = planned(altered, SIZED)
    write_dicom(pickle.loads(pickle.dumps(tasks[0])))
    with pytest.raises(UserError, match=r"test-insert-000000\.tar; run the same command again"):
        finish_dicom(tasks)
    assert not (tasks[0].folder.path / "index.json").exists()


@pytest.mark.parametrize("shape", [(256, 208), (1024, 832), (96, 96)])
@pytest.mark.parametrize("right", [False, True])
def test_the_mark_leaves_the_breast_free(shape: tuple[int, int], right: bool) -> None:
    shown = breast(shape, bits=16)
    shown = shown[:, ::-1] if right else shown
    mark = find_mark(shown, right)
    assert not mark.over_breast and not shown[mark.box].any()
    burnt = mark.burn(shown)
    outside = np.ones(shape, bool)
    outside[mark.box] = False
    assert np.array_equal(burnt[outside], shown[outside])
    assert set(np.unique(burnt[mark.box])) == {0, 65535}
    assert 0.05 < mark.letters.mean() < 0.5


@pytest.mark.parametrize("right", [False, True])
def test_the_mark_goes_to_the_side_away_from_the_chest_wall_where_it_must(right: bool) -> None:
    shown = np.zeros((416, 320), np.uint16)
    shown[:, :150] = np.random.default_rng(0).integers(20000, 50000, (416, 150))
    shown = shown[:, ::-1] if right else shown
    mark = find_mark(shown, right)
    assert not mark.over_breast and not shown[mark.box].any()
    assert (mark.left == 0) is right


def test_a_picture_without_a_free_corner_is_marked_all_the_same() -> None:
    filled = np.full((128, 96), 40000, np.uint16)
    filled[::7, ::5] = 42000
    filled[:, -3:] = 0
    mark = find_mark(filled, False)
    assert mark.over_breast and mark.to_json()["over_breast"] is True
    assert mark.burn(filled)[mark.box].max() == 65535


def test_a_blinded_study_has_both_kinds_without_a_mark_and_only_the_key_tells(
    altered: Workspace, tmp_path: Path
) -> None:
    key = tmp_path / "safe" / "key.json"
    config = DicomConfig(dicom=True, blinded=key)
    folder = export(altered, config)
    assert key.stat().st_mode & 0o777 == 0o600
    assert not (folder / "index.json").exists()
    private = altered.adversarial(FLAT) / ".done" / folder.name
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in private.iterdir())
    told = {file["key"]: file for file in read_json(key)["files"]}
    assert {path.name for path in folder.iterdir()} == {file["file"] for file in told.values()}
    seen = set()
    for real, fake in samples(altered):
        placement = Placement.from_json(real.facts["placement"])
        for sample, is_altered in ((real, False), (fake, True)):
            file = told[sample.key]
            assert file["altered"] is is_altered
            dataset = pydicom.dcmread(folder / file["file"])
            expected = placement.canonical(content(sample.pixels, placement))
            assert np.array_equal(dataset.pixel_array, expected)
            assert real.key not in file["file"] and real.facts["patient"] not in str(dataset)
            assert ("SYNTHETIC" in dataset.ImageType) is is_altered
            assert ("ContributingEquipmentSequence" in dataset) is is_altered
            assert dataset.ContentQualification == "RESEARCH"
            seen.add((str(dataset.PatientName), dataset.StudyDescription, dataset.BurnedInAnnotation))
    assert len(seen) == 1
    before = held(folder), key.read_bytes()
    assert export(altered, config) == folder and (held(folder), key.read_bytes()) == before


def test_an_original_in_a_blinded_study_is_converted_to_what_its_shard_holds(
    altered: Workspace, tmp_path: Path
) -> None:
    key = tmp_path / "key.json"
    folder = export(altered, replace(NATIVE, blinded=key))
    told = {file["key"]: file["file"] for file in read_json(key)["files"]}
    for real, _ in samples(altered):
        source = read_mammogram(folder / told[real.key], real.facts["laterality"], real.facts["view"])
        pixels, placement = place(source, FLAT)
        assert placement.to_json() == real.facts["placement"]
        assert np.abs(pixels.astype(int) - real.pixels).max() <= 1
        assert source.facts["flags"] == []


def test_a_key_is_for_one_study_and_stays_away_from_its_readers(altered: Workspace, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    folder = export(altered, DicomConfig(dicom=True, blinded=key))
    with pytest.raises(UserError, match="files of another key"):
        planned(altered, DicomConfig(dicom=True, blinded=tmp_path / "new.json"))
    with pytest.raises(UserError, match="needs a key file of its own"):
        export(altered, DicomConfig(dicom=True, native=True, blinded=key))
    with pytest.raises(UserError, match="among the files that readers get"):
        planned(altered, DicomConfig(dicom=True, blinded=folder / "key.json"))
    (tmp_path / "notes.json").write_text("[]")
    with pytest.raises(UserError, match="not a key file"):
        export(altered, DicomConfig(dicom=True, native=True, blinded=tmp_path / "notes.json"))


def test_a_missing_or_other_original_is_told_by_its_key_without_its_path(altered: Workspace, tmp_path: Path) -> None:
    row = next(line for line in altered.cohort.read_text().splitlines() if line.endswith(",positive,test"))
    key, path = row.split(",")[0], row.split(",")[2]
    text = altered.cohort.read_text()
    altered.cohort.write_text(text.replace(path, str(tmp_path / "gone.dcm")))
    with pytest.raises(MissingInput, match=f"original of {key} is not where") as gone:
        export(altered, NATIVE)
    assert "gone.dcm" not in str(gone.value)
    write_mammogram(tmp_path / "gone.dcm", breast((256, 208))[:, ::-1].copy(), "R")
    with pytest.raises(UserError, match=f"original of {key} is not what its shard was made from") as other:
        export(altered, NATIVE)
    assert "gone.dcm" not in str(other.value)
    altered.cohort.unlink()
    with pytest.raises(MissingInput, match=r"shards/make_shards\.py"):
        planned(altered, NATIVE)


def test_originals_without_a_spacing_or_with_burnt_in_text_are_not_passed_over(tmp_path: Path) -> None:
    rows = []
    for number in range(6):
        lacks = {"without": ("ImagerPixelSpacing",)} if number % 2 else {"BurnedInAnnotation": "YES"}
        write_mammogram(tmp_path / f"{number}.dcm", breast(seed=number), **lacks)  # type: ignore[arg-type]
        rows.append((f"{number}.dcm", str(number), "L", "CC", ("positive", "negative")[number % 2], "test"))
    table = write_table(tmp_path / "labels.csv", rows, ("path", "patient", "laterality", "view", "label", "split"))
    workspace = Workspace(tmp_path / "work")
    write_shards(table, workspace, [SMALL], jobs=1)
    for direction in Direction:
        save_gnet(workspace, SMALL, direction)
    generate(workspace, CONFIG)
    folder = export(workspace, SIZED, SMALL)
    index = read_json(folder / "index.json")
    assert [left["reason"] for left in index["left_out"]] == ["no_spacing"] * 3
    found = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
    assert [(d.PatientIdentityRemoved, d.BurnedInAnnotation) for d in found] == [("NO", "YES")] * 3


def test_labels_that_were_cleaned_from_the_shards_are_not_in_native_files(tmp_path: Path) -> None:
    rows = []
    for number in range(6):
        pixels = breast((256, 208), seed=number)
        pixels[230:245, 150:190:2] = 4000
        write_mammogram(tmp_path / f"{number}.dcm", pixels)
        rows.append((f"{number}.dcm", str(number), "L", "CC", ("positive", "negative")[number % 2], "test"))
    table = write_table(tmp_path / "labels.csv", rows, ("path", "patient", "laterality", "view", "label", "split"))
    workspace = Workspace(tmp_path / "work")
    write_shards(table, workspace, [FLAT], jobs=1, clean_background=True)
    for direction in Direction:
        save_gnet(workspace, FLAT, direction)
    generate(workspace, CONFIG)
    folder = export(workspace, replace(NATIVE, blinded=tmp_path / "key.json"))
    for file in read_json(tmp_path / "key.json")["files"]:
        if not file["altered"]:
            assert not pydicom.dcmread(folder / file["file"]).pixel_array[220:, 140:].any()


def test_the_front_door_writes_files_resumes_and_refuses_half_an_order(altered: Workspace, tmp_path: Path) -> None:
    words = ("launch/generate.py", "--workspace", altered.root, "--cluster", "none", "--device", "cpu")
    key = tmp_path / "key.json"
    dry = front_door(*words, "--dicom", "--blinded", key, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert not key.exists() and not list(altered.adversarial(FLAT).glob("dicom*"))
    first = front_door(*words, "--dicom", "--native")
    assert first.returncode == 0, first.stderr
    assert f"{FLAT}: 0 of 2 shards are up to date" in first.stdout
    second = front_door(*words, "--dicom", "--native")
    assert f"{FLAT}: 2 of 2 shards are up to date" in second.stdout
    refused = front_door(*words, "--native")
    assert refused.returncode == 2 and "add --dicom" in refused.stderr and "Traceback" not in refused.stderr
    array = front_door("launch/generate.py", "--workspace", altered.root, "--cluster", "slurm", "--dicom", "--dry-run")
    assert array.returncode == 0 and "#SBATCH --array=0-1%" in array.stdout


def test_a_shard_that_is_altered_anew_is_written_anew(altered: Workspace) -> None:
    export(altered, SIZED)
    save_gnet(altered, FLAT, Direction.INSERT, seed=3)
    [remove, insert] = planned(altered, SIZED)
    assert (remove.outdated(), insert.outdated()) == (False, True)
    generate_shard(insert.shard)
    assert insert.outdated() and write_dicom(insert) and not insert.outdated()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy: apt-get install dicom3tools")
def test_the_dicom_validator_finds_no_error(altered: Workspace, tmp_path: Path) -> None:
    for config in (SIZED, NATIVE, replace(SIZED, blinded=tmp_path / "key.json")):
        for path in sorted(export(altered, config).glob("*.dcm")):
            said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
            lines = (said.stdout + said.stderr).splitlines()
            assert "MammographyImageForPresentation" in lines
            # the tool is older than Synthetic Data (0008,001c)
            assert [line for line in lines if line.startswith("Error") and "(0x0008,0x001c)" not in line] == []
