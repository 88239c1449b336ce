"""Nothing that a file, its name or the table says of a person leaves the private files: every text is a marker."""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
from conftest import run_script
from dicoms import breast, write_mammogram, write_table
from malformed import endless_header
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless

from mammogan.workspace import Workspace

TEXTS = {"LO": 40, "SH": 16, "ST": 60, "LT": 60, "UT": 60, "PN": 40, "UC": 40, "AE": 16, "UR": 40, "CS": 16}


@dataclass
class Markers:
    """Texts that occur nowhere else, each once."""

    made: list[str] = field(default_factory=list)

    def text(self, longest: int = 40) -> str:
        return self._keep(f"ZQX{len(self.made):05d}VKW"[:longest])

    def uid(self) -> str:
        return self._keep(f"1.2.826.0.1.86420975{len(self.made):05d}")

    def date(self) -> str:
        """The days of a year in which nobody was examined."""
        number = len(self.made)
        return self._keep(f"17{number // 28 // 12 % 100:02d}{number // 28 % 12 + 1:02d}{number % 28 + 1:02d}")

    def time(self) -> str:
        return self._keep(f"235959.{913000 + len(self.made)}")

    def _keep(self, text: str) -> str:
        self.made.append(text)
        return text


def planted(path: Path, markers: Markers, seed: int, **options: Any) -> Path:
    """A mammogram whose every text, name, number, date, time and UID is a marker."""
    write_mammogram(path, breast(seed=seed), **options)
    dataset = pydicom.dcmread(path)
    for keyword, vr in (
        *(("PatientName", "PN"), ("PatientID", "LO"), ("PatientAddress", "LO"), ("PatientComments", "LT")),
        *(("OtherPatientIDs", "LO"), ("PatientBirthDate", "DA"), ("PatientBirthTime", "TM"), ("StudyDate", "DA")),
        *(("SeriesTime", "TM"), ("AcquisitionDateTime", "DT"), ("AccessionNumber", "SH"), ("StudyID", "SH")),
        *(("InstitutionName", "LO"), ("InstitutionAddress", "ST"), ("StationName", "SH"), ("OperatorsName", "PN")),
        *(("ReferringPhysicianName", "PN"), ("DeviceSerialNumber", "LO"), ("SeriesDescription", "LO")),
        *(("StudyDescription", "LO"), ("ImageComments", "LT"), ("DerivationDescription", "ST"), ("DetectorID", "SH")),
        *(("StudyInstanceUID", "UI"), ("SeriesInstanceUID", "UI"), ("SOPInstanceUID", "UI"), ("ProtocolName", "LO")),
        *(("FrameOfReferenceUID", "UI"), ("RetrieveAETitle", "AE"), ("BodyPartExamined", "CS"), ("Manufacturer", "LO")),
        *(("ManufacturerModelName", "LO"), ("VOILUTFunction", "CS"), ("WindowCenterWidthExplanation", "LO")),
    ):
        setattr(dataset, keyword, _marker(markers, vr))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.SourceApplicationEntityTitle = markers.text(16)
    dataset.add_new(0x00091001, "LO", markers.text())
    item = Dataset()
    item.PatientID, item.SOPInstanceUID = markers.text(), markers.uid()  # type: ignore[attr-defined]
    dataset.ReferencedStudySequence = [item]
    dataset.save_as(path)
    return path


def _marker(markers: Markers, vr: str) -> str:
    if vr == "UI":
        return markers.uid()
    if vr == "TM":
        return markers.time()
    return markers.date() if vr in ("DA", "DT") else markers.text(TEXTS[vr])


def spoilt(path: Path, change: str) -> None:
    """Make a file faulty in a way whose error or warning quotes the file or its name."""
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-4000])
    elif change == "text":
        path.write_bytes(path.read_bytes()[140:])
    elif change == "value":
        content = path.read_bytes()
        assert b"0.07\\0.07" in content
        path.write_bytes(content.replace(b"0.07\\0.07", b"ZQXV\\0.07"))
    else:
        dataset = pydicom.dcmread(path)
        dataset.Modality = path.stem[:16]
        dataset.save_as(path)


@pytest.fixture(scope="module")
def markers() -> Markers:
    return Markers()


@pytest.fixture(scope="module")
def converted(markers: Markers, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """The workspace of a run in two processes over sound and faulty files, and all that the run printed."""
    root = tmp_path_factory.mktemp("planted")
    folder, rows = root / "cohort" / markers.text(), []
    for number in range(30):
        name = f"{markers.text()}/{markers.text()}.dcm"
        options = {"compress": JPEG2000Lossless} if number % 3 == 0 else {}
        if number % 4 == 0:
            options["window"] = (2000.0, 1000.0, "LINEAR")
        path = planted(folder / name, markers, number, **options)
        if number in (4, 9, 14, 19, 24):
            spoilt(path, ("cut", "text", "value", "modality", "cut")[number // 5])
        if number == 7:
            endless_header(path)
        rows.append((f"{folder.name}/{name}", markers.text(), "L", "CC", ("positive", "negative")[number % 2]))
    table = write_table(folder.parent / f"{markers.text()}.csv", rows)
    work = Workspace(root / "work")
    words = ("--cohort", table, "--workspace", work.root, "--resolution", "96x96", "128x96", "--shard-images", "5")
    ran = run_script("shards/make_shards.py", *words, "--jobs", "2", "--file-seconds", "3", "--clean-background")
    checked = run_script("shards/check_shards.py", "--workspace", work.root)
    again = run_script("shards/make_shards.py", *words, "--jobs", "2", "--max-failures", "1", "--clean-background")
    assert (ran.returncode, checked.returncode, again.returncode) == (3, 0, 2), ran.stderr + again.stderr
    assert "mammograms converted: 30 of 30" in ran.stdout and "1 left out: timeout" in ran.stdout
    return work, "".join(run.stdout + run.stderr for run in (ran, checked, again))


def published(work: Workspace) -> list[Path]:
    """All that was written but for the private files, which only their owner may read."""
    return [
        path for path in work.root.rglob("*") if path != work.cohort and work.salt.parent not in (path, *path.parents)
    ]


def test_the_markers_are_where_they_should_be_else_the_others_prove_nothing(
    converted: tuple[Workspace, str], markers: Markers
) -> None:
    work, _ = converted
    cohort, quarantine = work.cohort.read_text(), (work.salt.parent / "quarantine.csv").read_text()
    assert len(set(markers.made)) == len(markers.made) > 1000
    assert sum(marker in cohort for marker in markers.made) >= 60
    assert sum(marker in quarantine for marker in markers.made) >= 5


def test_no_marker_is_printed(converted: tuple[Workspace, str], markers: Markers) -> None:
    _, told = converted
    assert [marker for marker in markers.made if marker in told] == []
    assert "ZQX" not in told and "86420975" not in told and "Traceback" not in told


def test_no_marker_is_in_any_file_or_name_outside_the_private_ones(
    converted: tuple[Workspace, str], markers: Markers
) -> None:
    work, _ = converted
    files = [path for path in published(work) if path.is_file()]
    assert sum(path.suffix == ".tar" for path in files) >= 8
    for path in published(work):
        content = path.read_bytes() if path.is_file() else b""
        told = content + str(path.relative_to(work.root)).encode() + unpacked(content)
        assert b"ZQX" not in told and b"86420975" not in told, path
        assert [marker for marker in markers.made if marker.encode() in told] == [], path


def unpacked(content: bytes) -> bytes:
    """What compressed text chunks of the pictures in it would hold."""
    texts = b""
    for chunk in (b"zTXt", b"iTXt", b"tEXt", b"eXIf"):
        assert chunk not in content
    for start in (at for at in range(0, len(content), 512) if content[at : at + 2] == b"x\x9c"):
        with suppress(zlib.error):  # pixels may begin like a stream by chance; what is no stream holds no text
            texts += zlib.decompressobj().decompress(content[start:])
    return texts


def test_private_files_are_their_owners_alone(converted: tuple[Workspace, str]) -> None:
    work, _ = converted
    private = [work.cohort, *work.salt.parent.rglob("*")]
    assert {path.name for path in private} == {"cohort.csv", "salt", "quarantine.csv", "lock"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in private if path.name != "lock")
    assert work.salt.parent.stat().st_mode & 0o077 == 0
    assert (work.salt.parent / "lock").read_bytes() == b""
