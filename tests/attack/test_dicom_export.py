"""Altered mammograms as DICOM files: valid, exact, marked, nobody's."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from conftest import SMALL, run_script
from dicoms import NAME, RECORD, breast, write_cohort, write_mammogram, write_table
from exports import CONFIG, FLAT, NATIVE, SIZED, export, files_of, held, planned, samples, without_mark
from generators import save_gnet
from pydicom.uid import JPEGLSNearLossless

from mammogan.attack.dicom.export import finish_dicom, write_dicom
from mammogan.attack.dicom.watermark import find_mark
from mammogan.attack.generate import generate, generate_shard
from mammogan.data.conversion.convert_cohort import convert_cohort, verify
from mammogan.data.dicom.placement import Placement, content
from mammogan.data.dicom.read import read_mammogram
from mammogan.errors import UserError
from mammogan.io.atomic import read_json, sha256
from mammogan.workspace import Direction, Workspace

SYNTHETIC_DATA = (0x0008, 0x001C)


def test_a_file_reads_as_the_adversarial_pixels_turned_as_the_scanner_wrote_them(altered: Workspace) -> None:
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
    convert_cohort(table, workspace, [SMALL], jobs=1)
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


def test_files_are_removed_with_the_adversarial_shards_they_were_written_from(altered: Workspace) -> None:
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


def test_a_picture_without_a_free_corner_is_marked_anyway() -> None:
    filled = np.full((128, 96), 40000, np.uint16)
    filled[::7, ::5] = 42000
    filled[:40, 70:] = 0
    mark = find_mark(filled, False)
    assert mark.over_breast and mark.to_json()["over_breast"] is True
    assert (mark.top, mark.box[1].stop) == (0, 96)
    assert mark.burn(filled)[mark.box].max() == 65535


def test_originals_without_a_spacing_or_with_burnt_in_text_are_not_passed_over(tmp_path: Path) -> None:
    rows = []
    for number in range(6):
        lacks = {"without": ("ImagerPixelSpacing",)} if number % 2 else {"BurnedInAnnotation": "YES"}
        write_mammogram(tmp_path / f"{number}.dcm", breast(seed=number), **lacks)  # type: ignore[arg-type]
        rows.append((f"{number}.dcm", str(number), "L", "CC", ("positive", "negative")[number % 2], "test"))
    table = write_table(tmp_path / "labels.csv", rows, ("path", "patient", "laterality", "view", "label", "split"))
    workspace = Workspace(tmp_path / "work")
    convert_cohort(table, workspace, [SMALL], jobs=1)
    for direction in Direction:
        save_gnet(workspace, SMALL, direction)
    generate(workspace, CONFIG)
    folder = export(workspace, SIZED, SMALL)
    index = read_json(folder / "index.json")
    assert [left["reason"] for left in index["left_out"]] == ["no_spacing"] * 3
    found = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
    assert [(d.PatientIdentityRemoved, d.BurnedInAnnotation) for d in found] == [("NO", "YES")] * 3


CLAIMS = {
    "nothing said": ({}, (None, "YES", ""), (None, "", "")),
    "no text, never lossy": (
        {"BurnedInAnnotation": "NO", "LossyImageCompression": "00"},
        ("YES", "YES", "00"),
        ("YES", "NO", "00"),
    ),
    "text, once lossy": (
        {"BurnedInAnnotation": "YES", "LossyImageCompression": "01"},
        ("NO", "YES", "01"),
        ("NO", "YES", "01"),
    ),
    "a value that means nothing": ({"BurnedInAnnotation": "MAYBE"}, (None, "YES", ""), (None, "", "")),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_an_export_claims_no_more_than_the_original_says(
    tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    elements, marked, blinded = CLAIMS[case]
    rows = []
    for number in range(6):
        with warnings.catch_warnings(action="ignore"):
            write_mammogram(tmp_path / f"{number}.dcm", breast(seed=number), **elements)  # type: ignore[arg-type]
        rows.append((f"{number}.dcm", str(number), "L", "CC", ("positive", "negative")[number % 2], "test"))
    table = write_table(tmp_path / "labels.csv", rows, ("path", "patient", "laterality", "view", "label", "split"))
    workspace = Workspace(tmp_path / "work")
    convert_cohort(table, workspace, [SMALL], jobs=1)
    assert verify(workspace.shards(SMALL)) == []
    for direction in Direction:
        save_gnet(workspace, SMALL, direction)
    generate(workspace, CONFIG)
    key = tmp_path / "key.json"
    for config, expected in ((SIZED, marked), (replace(SIZED, blinded=key), blinded)):
        folder = export(workspace, config, SMALL)
        found = {
            (d.get("PatientIdentityRemoved"), d.BurnedInAnnotation, d.LossyImageCompression)
            for d in map(pydicom.dcmread, folder.glob("*.dcm"))
        }
        assert found == {expected}
        listed = read_json(key if config.blinded else folder / "index.json")["files"]
        known = {"": "unknown"}.get(blinded[1], blinded[1])
        assert {file["text_in_pixels"] for file in listed} == {known}
        assert ("nobody knows whether text is burnt" in capsys.readouterr().out) == (known == "unknown")


def test_what_was_compressed_with_loss_stays_so_although_its_header_is_silent(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(write_mammogram(tmp_path / "x.dcm", breast()))
    dataset.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
    if "LossyImageCompression" in dataset:
        del dataset.LossyImageCompression
    dataset.save_as(tmp_path / "x.dcm")
    assert read_mammogram(tmp_path / "x.dcm", "L", "CC").facts["lossy_compression"] == "01"


def test_the_command_writes_files_resumes_and_refuses_an_incomplete_request(altered: Workspace, tmp_path: Path) -> None:
    words = ("launch/generate.py", "--workspace", altered.root, "--cluster", "none", "--device", "cpu")
    key = tmp_path / "key.json"
    dry = run_script(*words, "--dicom", "--blinded", key, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert not key.exists() and not list(altered.adversarial(FLAT).glob("dicom*"))
    first = run_script(*words, "--dicom", "--native")
    assert first.returncode == 0, first.stderr
    assert f"{FLAT}: 0 of 2 shards are up to date" in first.stdout
    second = run_script(*words, "--dicom", "--native")
    assert f"{FLAT}: 2 of 2 shards are up to date" in second.stdout
    refused = run_script(*words, "--native")
    assert refused.returncode == 2 and "add --dicom" in refused.stderr and "Traceback" not in refused.stderr
    array = run_script("launch/generate.py", "--workspace", altered.root, "--cluster", "slurm", "--dicom", "--dry-run")
    assert array.returncode == 0 and "#SBATCH --array=0-1%" in array.stdout


def test_a_shard_that_is_generated_again_is_written_again(altered: Workspace) -> None:
    export(altered, SIZED)
    save_gnet(altered, FLAT, Direction.INSERT, seed=3)
    [remove, insert] = planned(altered, SIZED)
    assert (remove.outdated(), insert.outdated()) == (False, True)
    generate_shard(insert.shard)
    assert insert.outdated() and write_dicom(insert) and not insert.outdated()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy: tests/packages.sh installs it")
def test_the_dicom_validator_finds_no_error(altered: Workspace, tmp_path: Path) -> None:
    for config in (SIZED, NATIVE, replace(SIZED, blinded=tmp_path / "key.json")):
        for path in sorted(export(altered, config).glob("*.dcm")):
            said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
            lines = (said.stdout + said.stderr).splitlines()
            assert "MammographyImageForPresentation" in lines
            # the tool is older than Synthetic Data (0008,001c)
            assert [line for line in lines if line.startswith("Error") and "(0x0008,0x001c)" not in line] == []
