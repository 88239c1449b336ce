"""Cohort table to shards: exact, reproducible, resumable, private, verified."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run_script
from dicoms import COLUMNS, NAME, RECORD, breast, write_cohort, write_mammogram, write_table
from pydicom.uid import JPEG2000Lossless

from mammogan.data.conversion.convert_cohort import ShardIndex, convert_cohort, verify
from mammogan.data.shards.reader import ShardImages, read_shard
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

ROOT = Path(__file__).parents[2]
SIZE, OTHER = Resolution(96, 96), Resolution(128, 96)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort"), patients=12)


@pytest.fixture(scope="module")
def finished(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Shards of the cohort, made once; tests that change something copy them."""
    work = Workspace(tmp_path_factory.mktemp("finished"))
    convert_cohort(cohort, work, [SIZE, OTHER], jobs=1, shard_images=3)
    return work


@pytest.fixture
def copied(finished: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(finished.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


def convert(cohort: Path, work: Workspace, **options: Any) -> Any:
    return convert_cohort(cohort, work, **{"resolutions": [SIZE, OTHER], "jobs": 1, "shard_images": 3, **options})


def make_shards(cohort: Path, work: Workspace, *resolutions: str) -> subprocess.CompletedProcess[str]:
    words = ("--cohort", cohort, "--workspace", work.root, "--resolution", *resolutions, "--jobs", "1")
    return run_script("shards/make_shards.py", *words)


def contents(work: Workspace) -> dict[str, bytes]:
    """Everything that a reader of shards sees."""
    return {
        str(path.relative_to(work.root)): path.read_bytes()
        for path in sorted((work.root / "shards").glob("*/*"))
        if path.is_file()
    }


def test_sixteen_bit_pixels_of_a_file_arrive_in_the_shard_exactly(tmp_path: Path) -> None:
    rows, expected = [], []
    for number in range(6):
        pixels = breast((96, 96), seed=number, bits=16)
        write_mammogram(tmp_path / f"{number}.dcm", pixels, bits=16, compress=JPEG2000Lossless if number % 2 else None)
        rows.append((f"{number}.dcm", str(number), "L", "CC", "positive", "test"))
        expected.append(pixels)
    table = write_table(tmp_path / "labels.csv", rows, (*COLUMNS, "split"))
    work = Workspace(tmp_path / "work")
    convert(table, work, resolutions=[SIZE], shard_images=256)
    samples = list(read_shard(work.shards(SIZE) / "test-positive-000000.tar"))
    assert [np.array_equal(sample.pixels, want) for sample, want in zip(samples, expected, strict=True)] == [True] * 6


def test_samples_keep_the_tables_order_and_carry_both_labels_and_placement(finished: Workspace, cohort: Path) -> None:
    rows = [line.split(",") for line in finished.cohort.read_text().splitlines()[1:]]
    index = ShardIndex.load(finished.shards(OTHER))
    for split in ("train", "validation", "test"):
        for label in ("positive", "negative"):
            wanted = [row[0] for row in rows if row[5:7] == [label, split]]
            shards = [shard for shard in index.shards if (shard.split, shard.label) == (split, label)]
            assert [sample.key for shard in shards for sample in shard.samples] == wanted
            assert index.counts[split][label] == len(wanted) > 0
    first = next(read_shard(finished.shards(OTHER) / "train-positive-000000.tar")).facts
    assert first["y_cancer"] == 1 and first["label"] == "positive" and first["flip_h"] is True
    assert first["placement"]["shape"] == [128, 96] and first["placement"]["content_shape"] == [96, 96]
    assert first["spacing_mm"] == [0.07, 0.07]


def test_offsets_of_the_index_lead_to_the_members(finished: Workspace) -> None:
    index = ShardIndex.load(finished.shards(SIZE))
    images = ShardImages(index.folder, "train", "negative")
    pixels = [
        sample.pixels
        for shard in index.shards
        if (shard.split, shard.label) == ("train", "negative")
        for sample in read_shard(index.folder / shard.name)
    ]
    assert len(images) == len(pixels) > 3
    assert all(np.array_equal(images[n][0].numpy(), want) for n, want in enumerate(pixels))


def test_no_patient_is_in_two_splits_and_sound_shards_have_no_faults(finished: Workspace) -> None:
    index = ShardIndex.load(finished.shards(SIZE))
    splits: dict[str, set[str]] = {}
    for shard in index.shards:
        for sample in shard.samples:
            splits.setdefault(sample.patient, set()).add(shard.split)
    assert len(splits) == 12 and all(len(found) == 1 for found in splits.values())
    assert verify(finished.shards(SIZE)) == verify(finished.shards(OTHER)) == []


def test_the_bytes_do_not_depend_on_the_number_of_processes_or_on_the_place(
    finished: Workspace, cohort: Path, tmp_path: Path
) -> None:
    work = Workspace(tmp_path / "elsewhere")
    convert(cohort, work, jobs=2, salt_file=finished.salt)
    assert contents(work) == contents(finished)


def test_a_rerun_changes_nothing_and_converts_nothing(copied: Workspace, cohort: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.root.glob("shards/*/*.tar")}
    report = convert(cohort, copied)
    assert report.converted_now == 0 and report.used == report.files == 18
    assert {path: path.stat().st_mtime_ns for path in copied.root.glob("shards/*/*.tar")} == before


def test_a_deleted_or_shortened_shard_is_made_again_and_no_other(
    copied: Workspace, finished: Workspace, cohort: Path
) -> None:
    (copied.shards(SIZE) / "train-negative-000000.tar").unlink()
    shortened = copied.shards(OTHER) / "test-positive-000000.tar"
    shortened.write_bytes(shortened.read_bytes()[:-512])
    report = convert(cohort, copied)
    assert report.converted_now == 3 + 1
    assert contents(copied) == contents(finished)


def test_a_run_killed_in_the_middle_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "cohort", patients=24)
    killed, whole = Workspace(tmp_path / "killed"), Workspace(tmp_path / "whole")
    convert(table, whole, resolutions=[SIZE], shard_images=2)
    killed.salt.parent.mkdir(parents=True)
    shutil.copy(whole.salt, killed.salt)
    words = [
        "--cohort",
        table,
        "--workspace",
        killed.root,
        "--resolution",
        "96x96",
        "--jobs",
        "1",
        "--shard-images",
        "2",
    ]
    command = [sys.executable, str(ROOT / "shards" / "make_shards.py"), *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not list(killed.shards(SIZE).glob(".done/*.json")):
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed.shards(SIZE) / "index.json").exists()
    report = convert(table, killed, resolutions=[SIZE], shard_images=2)
    assert 0 < report.converted_now < report.files
    assert contents(killed) == contents(whole)


def test_other_settings_are_refused_by_name_and_overwrite_makes_the_shards_again(
    copied: Workspace, cohort: Path
) -> None:
    with pytest.raises(UserError, match=r"voi was header, is linear_bits.*--overwrite"):
        convert(cohort, copied, voi="linear_bits")
    with pytest.raises(UserError, match=r"split was seed 0, is seed 5"):
        convert(cohort, copied, seed=5)
    assert verify(copied.shards(SIZE)) == []
    report = convert(cohort, copied, voi="linear_bits", overwrite=True)
    assert report.converted_now == 18
    assert ShardIndex.load(copied.shards(SIZE)).settings["voi"] == "linear_bits"
    assert verify(copied.shards(SIZE)) == []


def test_interrupted_overwriting_resumes_and_overwriting_after_its_end_makes_all_again(
    copied: Workspace, cohort: Path
) -> None:
    folder = copied.shards(SIZE)
    words = [
        *("--cohort", cohort, "--workspace", copied.root, "--resolution", SIZE, OTHER, "--shard-images", 1),
        *("--jobs", 1, "--overwrite"),
    ]
    command = [sys.executable, str(ROOT / "shards" / "make_shards.py"), *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (folder / ".anew").is_file() or len(list(folder.glob(".done/*.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    made = {path: path.stat().st_mtime_ns for path in folder.glob(".done/*.json")}
    assert not (folder / "index.json").exists() and 0 < len(made) < 18
    options = {"shard_images": 1, "overwrite": True}
    assert 0 < convert(cohort, copied, **options).converted_now < 18 and verify(folder) == []
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert convert(cohort, copied, **options).converted_now == 18


def test_one_workspace_cannot_hold_two_splits(copied: Workspace, cohort: Path) -> None:
    third = Resolution(160, 128)
    with pytest.raises(UserError, match="One workspace has one split"):
        convert(cohort, copied, seed=5, resolutions=[third])
    assert convert(cohort, copied, resolutions=[third]).used == 18


def test_a_second_run_at_the_same_time_is_refused(copied: Workspace, cohort: Path) -> None:
    import fcntl

    with open(copied.salt.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match=r"another mammogan make-shards is writing here"):
            convert(cohort, copied)


def test_impossible_numbers_are_refused(cohort: Path, tmp_path: Path) -> None:
    for options, expected in (
        ({"jobs": -1}, "expected 0"),
        ({"file_seconds": -1}, "expected 0"),
        ({"file_seconds": float("nan")}, "expected 0"),
        ({"shard_images": 0}, "at least 1 image"),
        ({"max_failures": "many"}, "a number of files such as 20, or a share such as 5%"),
        ({"max_failures": "120%"}, "a number of files such as 20, or a share such as 5%"),
    ):
        with pytest.raises(UserError, match=expected):
            convert(cohort, Workspace(tmp_path), **options)


def test_a_table_with_faults_writes_nothing(tmp_path: Path) -> None:
    table = write_table(tmp_path / "labels.csv", [("absent.dcm", "x", "L", "CC", "negative")])
    with pytest.raises(UserError, match="line 2, path"):
        convert(table, Workspace(tmp_path / "work"))
    assert not (tmp_path / "work").exists()


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A cohort in which one file is cut, one is text, and one repeats the pixels of its patient's other image."""
    table = write_cohort(tmp_path / "cohort", patients=10)
    folder = table.parent / NAME.lower()
    (folder / "0R.dcm").write_bytes((folder / "0R.dcm").read_bytes()[:4000])
    (folder / "1L.dcm").write_text("not an image")
    (folder / "3R.dcm").write_bytes((folder / "3L.dcm").read_bytes())
    return table


def test_bad_files_are_skipped_counted_and_listed_without_a_path(damaged: Path, tmp_path: Path) -> None:
    work = Workspace(tmp_path / "work")
    ran = make_shards(damaged, work, "96x96", "128x96")
    assert ran.returncode == 3, ran.stderr
    assert "15 files in, 12 used" in ran.stdout
    for resolution in (SIZE, OTHER):
        index = ShardIndex.load(work.shards(resolution))
        assert sorted(row["reason"] for row in index.excluded) == ["duplicate", "not_dicom", "truncated"]
        assert [set(row) for row in index.excluded] == [{"line", "key", "reason"}] * 3
        assert sum(shard.count for shard in index.shards) == 12
        assert verify(work.shards(resolution)) == []
    private = (work.salt.parent / "quarantine.csv").read_text()
    assert "0R.dcm" in private and "1L.dcm" in private
    assert "no DICM at byte 128: another kind of file" in private and "force" not in private
    again = convert(damaged, work, shard_images=256)
    assert next(again.lines()) == "15 files in, 12 used (an earlier run processed 15 of the files)"
    assert again.converted_now == 0 and again.skipped == {"duplicate": 1, "not_dicom": 1, "truncated": 1}
    assert (work.salt.parent / "quarantine.csv").read_text() == private


def test_a_repaired_file_is_added_by_a_rerun_that_redoes_its_shard_only(damaged: Path, tmp_path: Path) -> None:
    work = Workspace(tmp_path / "work")
    assert convert(damaged, work, resolutions=[SIZE], shard_images=1).used == 12
    write_mammogram(damaged.parent / NAME.lower() / "1L.dcm", breast(seed=77), "L")
    report = convert(damaged, work, resolutions=[SIZE], shard_images=1)
    assert (report.used, report.converted_now) == (13, 1)
    assert sum(shard.count for shard in ShardIndex.load(work.shards(SIZE)).shards) == 13
    assert verify(work.shards(SIZE)) == []


def test_files_for_which_memory_ran_out_are_tried_again_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: Any) -> None:
        raise MemoryError

    table, work = write_cohort(tmp_path / "cohort", patients=6), Workspace(tmp_path / "work")
    with monkeypatch.context() as patched:
        patched.setattr("mammogan.data.conversion.convert_image.place", run_out)
        with pytest.raises(UserError, match="9 left out: out_of_memory, memory ran out; give fewer --jobs"):
            convert(table, work)
    assert convert(table, work).used == 9


@pytest.mark.parametrize("order", [[SIZE, OTHER], [OTHER, SIZE]])
def test_a_file_lost_between_two_resolutions_counts_as_left_out_and_is_listed_once(
    tmp_path: Path, order: list[Resolution]
) -> None:
    table, work = write_cohort(tmp_path / "cohort", patients=12), Workspace(tmp_path / "work")
    assert convert(table, work, resolutions=order[:1]).used == 18
    (table.parent / NAME.lower() / "1L.dcm").write_text("not an image")
    report = convert(table, work)
    assert (report.files, report.used, report.skipped) == (18, 17, {"not_dicom": 1})
    assert sum(number for by_label in report.counts.values() for number in by_label.values()) == 17
    listed = (work.salt.parent / "quarantine.csv").read_text().splitlines()
    assert len(listed) == 2 and "1L.dcm" in listed[1] and "not_dicom" in listed[1]


def test_one_image_under_two_patients_or_labels_is_distinguished_from_a_repetition(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "cohort", patients=12)
    folder = table.parent / NAME.lower()
    for repeated, of in (("3R", "3L"), ("5L", "7L"), ("4R", "9R")):
        (folder / f"{repeated}.dcm").write_bytes((folder / f"{of}.dcm").read_bytes())
    rows = [line.split(",") for line in table.read_text().splitlines()]
    rows.append([f"{NAME.lower()}/other label.dcm", f"{RECORD}-11", "L", "CC", "positive"])
    (folder / "other label.dcm").write_bytes((folder / "11L.dcm").read_bytes())
    report = convert(write_table(table, rows[1:], rows[0]), Workspace(tmp_path / "work"))
    assert report.skipped == {"duplicate": 1, "duplicate_conflict": 1, "labels_conflict": 4}
    told = "\n".join(report.lines())
    assert "1 left out: duplicate_conflict, same pixels as a kept row of another patient: one" in told


def test_images_with_declared_burnt_in_text_are_used_and_counted_also_by_a_rerun(tmp_path: Path) -> None:
    table, work = write_cohort(tmp_path / "cohort", patients=6), Workspace(tmp_path / "work")
    for number in (1, 3):
        write_mammogram(table.parent / NAME.lower() / f"{number}L.dcm", breast(seed=number), BurnedInAnnotation="YES")
    first, again = convert(table, work), convert(table, work)
    for report in (first, again):
        assert report.used == 9 and report.flagged == {"burned_in_annotation": 2}
        assert any("2 used with a flag: burned_in_annotation" in line for line in report.lines())


def test_a_finished_folder_copied_without_its_hidden_markers_is_refused_and_kept(
    copied: Workspace, finished: Workspace, cohort: Path
) -> None:
    shutil.rmtree(copied.shards(SIZE) / ".done")
    with pytest.raises(UserError, match=r"96x96 holds shards, but its hidden folder \.done.*cp -a.*--overwrite"):
        convert(cohort, copied)
    assert contents(copied) == contents(finished)
    shutil.copytree(finished.shards(SIZE) / ".done", copied.shards(SIZE) / ".done")
    assert convert(cohort, copied).converted_now == 0
    shutil.rmtree(copied.shards(SIZE) / ".done")
    assert convert(cohort, copied, overwrite=True).converted_now == 18


def test_an_unfinished_folder_copied_without_its_hidden_markers_is_refused_too(copied: Workspace, cohort: Path) -> None:
    shutil.rmtree(copied.shards(SIZE) / ".done")
    (copied.shards(SIZE) / "index.json").unlink()
    with pytest.raises(UserError, match=r"hidden folder \.done"):
        convert(cohort, copied)


def test_a_folder_in_which_a_run_was_killed_before_its_first_marker_is_begun_again(
    copied: Workspace, finished: Workspace, cohort: Path
) -> None:
    for made in [*copied.shards(SIZE).glob("*.tar"), copied.shards(SIZE) / "index.json"]:
        made.unlink()
    shutil.rmtree(copied.shards(SIZE) / ".done")
    (copied.shards(SIZE) / "train-positive-000000.tar").write_bytes(b"")
    convert(cohort, copied)
    assert contents(copied) == contents(finished)


def test_nothing_that_names_a_patient_leaves_the_private_files(damaged: Path, tmp_path: Path) -> None:
    work = Workspace(tmp_path / "work")
    ran = run_script(
        "shards/make_shards.py", "--cohort", damaged, "--workspace", work.root, "--resolution", "96x96", "--jobs", "1"
    )
    told = (ran.stdout + ran.stderr).encode()
    published = b"".join(path.read_bytes() for path in (work.root / "shards").rglob("*") if path.is_file())
    names = " ".join(str(path) for path in (work.root / "shards").rglob("*")).encode()
    for secret in (NAME, NAME.lower(), RECORD, "19500203", "20200102", "ACC777", "General Hospital", ".dcm", "1.2.826"):
        assert secret.encode() not in told + published + names, secret
    assert all(
        path.stat().st_mode & 0o077 == 0 for path in (work.cohort, work.salt, work.salt.parent / "quarantine.csv")
    )


def test_a_table_of_which_nothing_can_be_used_is_an_error(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.dcm").write_text("text")
    rows = [(f"{n}.dcm", str(n), "L", "CC", ("positive", "negative")[n % 2]) for n in range(6)]
    ran = make_shards(write_table(tmp_path / "t.csv", rows), Workspace(tmp_path / "work"), "96x96")
    assert ran.returncode == 2
    assert "no file of the table could be used" in ran.stderr and "6 left out: not_dicom" in ran.stderr
    assert not list((tmp_path / "work").glob("shards/*/index.json"))


def test_mistakes_on_the_command_line_are_reported_in_one_message(cohort: Path, tmp_path: Path) -> None:
    for script, words, message in (
        ("shards/make_shards.py", ("--cohort", tmp_path / "absent.csv", "--workspace", tmp_path), "no such file"),
        (
            "shards/make_shards.py",
            ("--cohort", cohort, "--workspace", tmp_path, "--resolution", "100x100"),
            "multiples of 32",
        ),
        ("shards/check_shards.py", ("--workspace", tmp_path), "mammogan make-shards"),
    ):
        ran = run_script(script, *words)
        assert ran.returncode == 2 and message in ran.stderr and "Traceback" not in ran.stderr


def test_the_help_of_make_shards_says_that_a_replaced_file_is_not_noticed() -> None:
    told = " ".join(run_script("shards/make_shards.py", "--help").stdout.split())
    assert "replaced by another under the same name is not noticed: give --overwrite" in told


def test_a_replaced_file_is_taken_in_with_overwrite(tmp_path: Path) -> None:
    table, work = write_cohort(tmp_path / "cohort", patients=6), Workspace(tmp_path / "work")
    convert(table, work, resolutions=[SIZE])
    before = contents(work)
    write_mammogram(table.parent / NAME.lower() / "1L.dcm", breast(seed=99))
    assert convert(table, work, resolutions=[SIZE]).converted_now == 0 and contents(work) == before
    assert convert(table, work, resolutions=[SIZE], overwrite=True).used == 9 and contents(work) != before


@pytest.mark.parametrize("script", ["make_shards.py", "check_shards.py", "list_films.py", "make_phantom.py"])
def test_help_answers_at_once(script: str) -> None:
    start = time.monotonic()
    ran = run_script(f"shards/{script}", "--help")
    assert ran.returncode == 0 and "--" in ran.stdout
    assert time.monotonic() - start < 2  # 0.2 s on a free core; torch alone takes longer than this bound
