"""The phantom cohort's folder: what it says, what it hides, and that it comes out the same."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from scipy import ndimage

from mammogan.data.phantom.cohort import make_cohort
from mammogan.data.phantom.picture import draw
from mammogan.data.phantom.plan import plan_cohort
from mammogan.data.phantom.settings import PhantomConfig, parse_size
from mammogan.errors import UserError

SCRIPT = Path(__file__).parents[2] / "shards" / "make_phantom.py"
CONFIG = PhantomConfig(patients=10, seed=7, height=192, width=160, preset="demo", twins=True)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "cohort"
    make_cohort(CONFIG, out, jobs=1)
    return out


@pytest.fixture(scope="module")
def truth(cohort: Path) -> dict[str, dict]:
    return json.loads((cohort / "truth.json").read_text())["images"]


def digests(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def shown(path: Path) -> np.ndarray:
    """What a viewer shows, as it lies in the file: bright where much is absorbed."""
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array.astype(int)
    return 4095 - pixels if dataset.PhotometricInterpretation == "MONOCHROME1" else pixels


def run_script(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)


def test_one_and_two_processes_write_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    done = run_script(
        *("--out", str(tmp_path / "again"), "--patients", "10", "--seed", "7", "--size", "192x160"),
        *("--preset", "demo", "--twins", "--jobs", "2"),
    )
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "again") == digests(cohort)
    assert "34 images of 10 patients" in done.stdout
    assert "make-shards --cohort" in done.stdout
    assert "12.5 times the physical contrast" in done.stdout


def test_another_seed_draws_other_pixels() -> None:
    patient = plan_cohort(CONFIG)[0]
    one, other = (draw(replace(CONFIG, seed=seed), patient, patient.images[0]).pixels for seed in (7, 8))
    assert (one != other).mean() > 0.1


def test_every_file_says_in_its_bytes_that_it_is_synthetic(cohort: Path) -> None:
    everything = [*(cohort / "dicom").glob("*.dcm"), *(cohort / "twins").glob("*.dcm")]
    assert len(everything) == 34 + 6
    for path in everything:
        content = path.read_bytes()
        assert b"\x08\x00\x1c\x00CS\x04\x00YES " in content
        assert b"PHANTOM^NOT A PATIENT" in content
        dataset = pydicom.dcmread(path)
        assert dataset.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.1.2"
        assert dataset.PatientID.startswith("SYN-")
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.ContentQualification == "RESEARCH"
        assert dataset.BurnedInAnnotation == "NO"
        assert "SYNTHETIC" in dataset.ImageType
        assert "research" in dataset.Manufacturer
        assert dataset.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
        assert (dataset.StudyDate, dataset.PatientBirthDate) == ("", "")
        assert (dataset.BitsAllocated, dataset.BitsStored) == (16, 12)
        assert dataset.pixel_array.max() <= 4095


def test_uids_differ_between_all_images_and_twins(cohort: Path) -> None:
    instances = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in cohort.rglob("*.dcm")]
    assert len(set(instances)) == len(instances)


def test_table_truth_masks_and_files_agree(cohort: Path, truth: dict[str, dict]) -> None:
    with open(cohort / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [image["file"] for image in truth.values()]
    for row, (name, image) in zip(rows, truth.items(), strict=True):
        dataset = pydicom.dcmread(cohort / row["path"], stop_before_pixels=True)
        assert (row["patient"], row["laterality"], row["view"]) == (
            *(dataset.PatientID, dataset.ImageLaterality, dataset.ViewPosition),
        )
        assert (row["label"], row["density"]) == (image["label"], image["density"])
        assert (row["label"] == "positive") == bool(image["lesions"]) == (image["mask"] is not None)
        assert (cohort / "masks" / f"{name}.png").exists() == (row["label"] == "positive")
        assert (cohort / "twins" / f"{name}.dcm").exists() == (row["label"] == "positive")


def test_masks_lie_where_the_truth_says_and_inside_the_breast(cohort: Path, truth: dict[str, dict]) -> None:
    for image in truth.values():
        if image["mask"]:
            mask = np.asarray(Image.open(cohort / image["mask"]))
            assert set(np.unique(mask)) == {0, 255}
            (lesion,) = image["lesions"]
            assert mask[int(lesion["row"]), int(lesion["col"])] == 255
            assert (shown(cohort / image["file"])[mask > 0] > 0).all()


def test_headers_of_positives_and_negatives_have_the_same_elements(cohort: Path, truth: dict[str, dict]) -> None:
    def elements(image: dict) -> set[tuple[int, str]]:
        dataset = pydicom.dcmread(cohort / image["file"], stop_before_pixels=True)
        own = {"SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"}
        return {(element.tag, str(element.value)) for element in dataset if element.keyword not in own}

    def kind(image: dict) -> tuple[str, str, bool]:
        return image["laterality"], image["view"], image["monochrome1"]

    negatives = {kind(image): elements(image) for image in truth.values() if image["label"] == "negative"}
    compared = [image for image in truth.values() if image["label"] == "positive" and kind(image) in negatives]
    assert compared
    assert all(elements(image) == negatives[kind(image)] for image in compared)


def test_right_breasts_lie_with_the_chest_wall_on_the_right(cohort: Path, truth: dict[str, dict]) -> None:
    orientation = {"LCC": ["A", "R"], "LMLO": ["A", "FR"], "RCC": ["P", "L"], "RMLO": ["P", "FL"]}
    for image in truth.values():
        pixels = shown(cohort / image["file"])
        wall, far = (0, -1) if image["laterality"] == "L" else (-1, 0)
        assert (pixels[:, wall] > 0).sum() > 50
        assert (pixels[:, far] > 0).sum() == 0
        dataset = pydicom.dcmread(cohort / image["file"], stop_before_pixels=True)
        assert list(dataset.PatientOrientation) == orientation[image["laterality"] + image["view"]]


def test_the_inverting_device_stores_a_share_of_patients_that_look_the_same(
    cohort: Path, truth: dict[str, dict]
) -> None:
    inverted = [image for image in truth.values() if image["monochrome1"]]
    assert len({image["patient"] for image in inverted}) == 2
    for image in inverted:
        dataset = pydicom.dcmread(cohort / image["file"])
        assert dataset.PhotometricInterpretation == "MONOCHROME1"
        assert dataset.PresentationLUTShape == "INVERSE"
        assert dataset.pixel_array[0, 0 if image["laterality"] == "R" else -1] == 4095
        assert shown(cohort / image["file"]).mean() < 1500


def test_twins_equal_their_positives_outside_the_lesion_and_differ_inside(cohort: Path, truth: dict[str, dict]) -> None:
    for image in truth.values():
        if image["twin"]:
            difference = shown(cohort / image["file"]) - shown(cohort / image["twin"])
            lesion = np.asarray(Image.open(cohort / image["mask"])) > 0
            assert (difference[~ndimage.binary_dilation(lesion, iterations=1)] == 0).all()
            assert np.median(difference[lesion]) > 100


def test_conspicuity_changes_nothing_but_the_lesions(cohort: Path, truth: dict[str, dict], tmp_path: Path) -> None:
    make_cohort(replace(CONFIG, conspicuity=0.5, twins=False), tmp_path / "fainter", jobs=1)
    assert json.loads((tmp_path / "fainter" / "truth.json").read_text())["contrast_gain"] == 6.25
    for image in truth.values():
        fainter = shown(tmp_path / "fainter" / image["file"])
        if image["label"] == "negative":
            assert (fainter == shown(cohort / image["file"])).all()
        else:
            lesion = np.asarray(Image.open(cohort / image["mask"])) > 0
            twin = shown(cohort / image["twin"])
            ratio = (fainter - twin)[lesion].mean() / (shown(cohort / image["file"]) - twin)[lesion].mean()
            assert 0.3 < ratio < 0.8


def test_shares_are_exact_in_small_and_large_cohorts() -> None:
    for patients in (2, 10, 100, 400):
        plan = plan_cohort(replace(CONFIG, patients=patients))
        positive = [patient for patient in plan if patient.label == "positive"]
        assert len(positive) == max(1, round(0.285 * patients))
        assert {len(patient.images) for patient in positive} == {2}
        assert {len(patient.images) for patient in plan if patient.label == "negative"} == {4}
        for label in ("positive", "negative"):
            images = [image for patient in plan if patient.label == label for image in patient.images]
            assert sum(image.distractor for image in images) == round(0.3 * len(images))


def test_a_finished_cohort_is_left_alone_and_a_stopped_one_completed(cohort: Path, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    shutil.copytree(cohort, stopped)
    assert make_cohort(CONFIG, stopped, jobs=1).drawn_now == 0
    (stopped / "labels.csv").unlink()
    (stopped / "truth.json").unlink()
    next(iter((stopped / "drawn").glob("*.json"))).unlink()
    next(iter((stopped / "twins").glob("*.dcm"))).unlink()
    assert make_cohort(CONFIG, stopped, jobs=1).drawn_now in (1, 2)
    assert digests(stopped) == digests(cohort)


def test_a_folder_of_other_settings_is_refused_with_what_differs(cohort: Path, tmp_path: Path) -> None:
    before = digests(cohort)
    with pytest.raises(UserError, match="patients 10 there, 12 requested") as refused:
        make_cohort(replace(CONFIG, patients=12, preset="physical"), cohort, jobs=1)
    assert "preset demo there, physical requested" in str(refused.value)
    assert digests(cohort) == before
    (tmp_path / "holiday.txt").write_text("x")
    with pytest.raises(UserError, match="not empty"):
        make_cohort(CONFIG, tmp_path, jobs=1)


def test_nonsense_is_refused_all_at_once() -> None:
    with pytest.raises(UserError) as refused:
        PhantomConfig(patients=0, seed=-1, height=50, width=400, preset="demo", conspicuity=-1)
    assert all(word in str(refused.value) for word in ("--patients", "--seed", "--size", "--conspicuity"))
    with pytest.raises(UserError, match="HEIGHTxWIDTH"):
        parse_size("large")


def test_the_command_shows_its_help_without_heavy_imports_and_refuses_without_a_traceback(tmp_path: Path) -> None:
    helped = run_script("--help")
    assert "--conspicuity" in helped.stdout
    refused = run_script("--out", str(tmp_path / "x"), "--size", "large")
    assert refused.returncode == 2
    assert "HEIGHTxWIDTH" in refused.stderr
    assert "Traceback" not in refused.stderr
    heavy = "import sys; sys.argv = ['x', '--help']; import runpy\ntry: runpy.run_path(%r, run_name='__main__')\n"
    heavy += "except SystemExit: pass\nprint([m for m in ('numpy', 'scipy', 'pydicom', 'torch') if m in sys.modules])"
    listed = subprocess.run(
        [sys.executable, "-c", heavy % str(SCRIPT)], capture_output=True, text=True, check=True, env=os.environ
    )
    assert listed.stdout.splitlines()[-1] == "[]"


def test_the_contact_sheet_shows_images_of_both_labels_and_writes_no_cohort(tmp_path: Path) -> None:
    done = run_script("--contact-sheet", str(tmp_path / "sheet.png"), "--patients", "10", "--size", "192x160")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    rows = np.array_split(np.asarray(Image.open(tmp_path / "sheet.png")), 2)
    assert [row.max() for row in rows] == [255, 255] and all(row.std() > 20 for row in rows)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy: tests/packages.sh installs it")
def test_the_dicom_validator_finds_no_error(cohort: Path) -> None:
    for path in sorted(cohort.rglob("*.dcm"))[:6]:
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        lines = (said.stdout + said.stderr).splitlines()
        # the tool is older than Synthetic Data (0008,001C)
        assert [line for line in lines if line.startswith("Error") and "(0x0008,0x001c)" not in line] == []
