"""Whatever lies in a folder of mammograms, the run goes on and every file is used or left out for a reason."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicoms import breast, write_mammogram, write_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from malformed import Case, Suite, bomb, declared_as, no_files
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.cohort.pseudonyms import Pseudonyms
from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort, verify
from mammogan.data.conversion.convert_image import Converted, Skipped, Task, convert
from mammogan.data.dicom.read import read_mammogram
from mammogan.data.dicom.reasons import OF_COPIES, OF_THE_FILE
from mammogan.data.inspect.preview import of_left_out
from mammogan.data.parallel.pool import Lost, in_order
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)


def task(path: Path) -> Task:
    row = Mammogram(2, "key", "patient", path, "L", "CC", "negative", "train", None)
    return Task(row, (SIZE,), Pseudonyms(b"secret"))


def outcome(path: Path) -> str:
    """'used' or the reason code."""
    result = convert(task(path))
    return result.code if isinstance(result, Skipped) else "used"


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return Suite(tmp_path_factory.mktemp("malformed")).all()


def test_each_of_hundreds_of_malformed_files_gets_one_of_the_outcomes_that_are_right_for_it(cases: list[Case]) -> None:
    found = {case: outcome(case.path) for case in cases}
    wrong = [
        f"{case.name}: {code}, not {set(case.outcomes)}" for case, code in found.items() if code not in case.outcomes
    ]
    assert not wrong, "\n".join(wrong)
    assert len(cases) > 200 and len(set(found.values())) > 10
    assert set(found.values()) <= {*OF_THE_FILE, "used"}


def test_a_cohort_of_malformed_files_is_converted_to_its_end_and_every_one_is_used_or_left_out(
    cases: list[Case], tmp_path: Path
) -> None:
    labels = ("positive", "negative")
    rows = [(str(case.path), str(n // 4), "L", "CC", labels[n // 4 % 2]) for n, case in enumerate(cases)]
    table = write_table(tmp_path / "labels.csv", rows)
    work = Workspace(tmp_path / "work")
    report = convert_cohort(table, work, [SIZE], jobs=2, shard_images=50, file_seconds=120)
    assert report.files == len(cases) == report.used + sum(report.skipped.values())
    assert set(report.skipped) <= {*OF_THE_FILE, *OF_COPIES} and "unexpected" not in report.skipped
    index = ShardIndex.load(work.shards(SIZE))
    assert sum(shard.count for shard in index.shards) == report.used > 100
    assert len(index.excluded) == len((work.salt.parent / "quarantine.csv").read_text().splitlines()) - 1
    assert verify(work.shards(SIZE)) == []


def test_a_header_value_without_end_is_cut_in_the_list_and_the_next_run_reads_it(tmp_path: Path) -> None:
    """csv reads no cell beyond 131072 characters."""
    long = pydicom.dcmread(write_mammogram(tmp_path / "0.dcm", breast()))
    long.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    with warnings.catch_warnings(action="ignore"):
        long.Modality = "X" * 150_000
        long.save_as(tmp_path / "0.dcm")
    paths = [tmp_path / "0.dcm", *(write_mammogram(tmp_path / f"{n}.dcm", breast(seed=n)) for n in range(1, 9))]
    (tmp_path / "8.dcm").write_bytes(b"")
    rows = [(path.name, str(n), "L", "CC", ("positive", "negative")[n % 2]) for n, path in enumerate(paths)]
    table, work = write_table(tmp_path / "labels.csv", rows), Workspace(tmp_path / "work")
    for _ in range(2):
        report = convert_cohort(table, work, [SIZE], jobs=1, shard_images=1)
        assert report.skipped == {"not_mg": 1, "empty": 1} and report.used == 7
    assert "Modality XXX" in (work.salt.parent / "quarantine.csv").read_text()
    assert len(list(of_left_out(work))) == 2


def test_paths_at_which_no_file_can_be_read_are_left_out_at_once(tmp_path: Path) -> None:
    assert {name: outcome(path) for name, path in no_files(tmp_path / "paths")} == dict.fromkeys(
        (name for name, _ in no_files(tmp_path / "again")), "unreadable"
    )


@pytest.mark.parametrize("real", [JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize(
    "declared", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.3"]
)
def test_a_stream_declared_as_another_compression_gives_its_own_pixels(
    tmp_path: Path, real: str, declared: str
) -> None:
    path = write_mammogram(tmp_path / "x.dcm", breast(bits=16), bits=16, compress=real)
    path.write_bytes(declared_as(path.read_bytes(), real, declared))
    source = read_mammogram(path, "L", "CC")
    assert np.array_equal(source.pixels, breast(bits=16)) and source.facts["flags"] == ["syntax_corrected"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("sound")
    return write_mammogram(folder / "x.dcm", breast(), window=(2000.0, 1000.0, "LINEAR")).read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.integers(128, 1100), st.integers(0, 255), min_size=1, max_size=6))
def test_changed_bytes_of_a_header_lead_to_a_sample_or_to_a_reason(
    sound: bytes, tmp_path: Path, changes: dict[int, int]
) -> None:
    content = bytearray(sound)
    for at, value in changes.items():
        content[at] = value
    (tmp_path / "x.dcm").write_bytes(content)
    assert outcome(tmp_path / "x.dcm") in {*OF_THE_FILE, "used"} - {"unexpected", "unreadable"}


def test_changed_bytes_of_compressed_pixels_lead_to_a_sample_or_to_a_reason(tmp_path: Path) -> None:
    """In processes: here a decoder of native code may crash, hang or ask for any memory."""
    random = np.random.default_rng(7)
    tasks = []
    for number in range(120):
        syntax = (JPEG2000Lossless, JPEGLSLossless, RLELossless)[number % 3]
        path = write_mammogram(tmp_path / f"{number}.dcm", breast(seed=number), compress=syntax)
        content = bytearray(path.read_bytes())
        for at in random.integers(len(content) - 3000, len(content), 4):
            content[at] = random.integers(256)
        path.write_bytes(content)
        tasks.append(task(path))
    found = Counter(
        result.why if isinstance(result, Lost) else result.code if isinstance(result, Skipped) else "used"
        for result in in_order(convert, tasks, 2, seconds=20)
    )
    assert found.total() == 120 and set(found) <= {*OF_THE_FILE, "used", "crashed"} - {"unexpected"}


def test_a_file_that_unfolds_to_more_than_a_process_may_take_costs_itself_only(tmp_path: Path) -> None:
    after = write_mammogram(tmp_path / "after.dcm", breast())
    files = [task(bomb(tmp_path / "bomb.dcm", gigabytes=2.5)), task(after)]
    bombed, sound = in_order(convert, files, 1, seconds=100)
    assert isinstance(bombed, Skipped) and bombed.code == "out_of_memory"
    assert isinstance(sound, Converted)
