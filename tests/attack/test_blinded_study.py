"""Reader studies: altered and original mammograms that only a key tells apart."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from exports import FLAT, NATIVE, export, held, planned, samples

from mammogan.attack.config import DicomConfig
from mammogan.data.dicom.placement import Placement, content
from mammogan.data.dicom.read import place, read_mammogram
from mammogan.errors import UserError
from mammogan.io.atomic import read_json
from mammogan.io.temporary import temporary
from mammogan.workspace import Workspace


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


def test_leftovers_of_killed_processes_are_not_given_to_the_readers(altered: Workspace, tmp_path: Path) -> None:
    config = DicomConfig(dicom=True, blinded=tmp_path / "key.json")
    folder = export(altered, config)
    before = held(folder)
    torn = temporary(folder / "STUDY_0123456789ab.dcm").name.replace(str(os.getpid()), str(2**22 + 1))
    for name in (torn, "STUDY_0123456789ab.dcm"):
        (folder / name).write_bytes(b"torn")
    export(altered, config)
    assert held(folder) == before and len(list(folder.iterdir())) == len(before)


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
