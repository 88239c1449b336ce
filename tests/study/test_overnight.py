"""A conversion left alone for a night: files that hang or crash, failures without end, disks that fill or vanish."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicoms import COLUMNS, NAME, RECORD, breast, write_cohort, write_mammogram, write_table
from malformed import endless_header

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.conversion.convert_cohort import convert_cohort, verify
from mammogan.data.conversion.convert_image import Skipped
from mammogan.data.conversion.failure_limit import LOST_IN_A_ROW, Failures, TooMany
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

ROOT = Path(__file__).parents[2]
SIZE = Resolution(96, 96)
NOBODY = 65534


def convert(table: Path, work: Workspace, **options: Any) -> Any:
    return convert_cohort(table, work, **{"resolutions": [SIZE], "jobs": 1, "shard_images": 2, **options})


def contents(work: Workspace, pattern: str = "*") -> dict[str, bytes]:
    """What a reader of shards sees."""
    return {path.name: path.read_bytes() for path in sorted(work.shards(SIZE).glob(pattern)) if path.is_file()}


def new_workspace(root: Path, like: Workspace) -> Workspace:
    """One that gives the same pseudonyms, so that shards can be compared."""
    work = Workspace(root)
    work.salt.parent.mkdir(parents=True)
    shutil.copy(like.salt, work.salt)
    return work


def no_leftovers(work: Workspace) -> bool:
    return not list(work.root.rglob("*.tmp"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 patients, all splits given, so that more rows do not move any."""
    folder = tmp_path_factory.mktemp("cohort")
    rows = []
    for number in range(24):
        write_mammogram(folder / f"{NAME}/{number}.dcm", breast(seed=number))
        split = ("train", "train", "validation", "test")[number // 2 % 4]
        rows.append(
            (f"{NAME}/{number}.dcm", f"{RECORD}-{number}", "L", "CC", ("positive", "negative")[number % 2], split)
        )
    return write_table(folder / "labels.csv", rows, (*COLUMNS, "split"))


@pytest.fixture(scope="module")
def whole(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The shards as an undisturbed run makes them."""
    work = Workspace(tmp_path_factory.mktemp("whole"))
    convert(table, work)
    return work


@pytest.fixture
def slow(table: Path, tmp_path: Path) -> Path:
    """The same cohort with a file first that keeps a reader busy for long."""
    shutil.copytree(table.parent, tmp_path / "slow")
    slow = tmp_path / "slow" / table.name
    endless_header(tmp_path / "slow" / NAME / "0.dcm")
    return slow


@contextmanager
def running(table: Path, work: Workspace, *words: str) -> Iterator[subprocess.Popen[str]]:
    """make_shards.py at work on the first file of its table."""
    command = ["--cohort", table, "--workspace", work.root, "--resolution", "96x96", "--shard-images", "2", *words]
    script = str(ROOT / "shards/make_shards.py")
    with subprocess.Popen(
        [sys.executable, script, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        wait_for(lambda: busy_worker(run.pid))
        yield run


def busy_worker(parent: int) -> int | None:
    """A process that ``parent`` started, once it has begun to work: it heeds no interrupt then."""
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in task.read_text().split():
            status = Path(f"/proc/{child}/status").read_text()
            if int(status.split("SigIgn:")[1].split()[0], 16) >> (signal.SIGINT - 1) & 1 and "spawn_main" in (
                Path(f"/proc/{child}/cmdline").read_text()
            ):
                return int(child)
    return None


def wait_for(wanted: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
    return found


def test_a_file_that_hangs_costs_itself_and_changes_no_byte_of_the_shards(
    slow: Path, whole: Workspace, tmp_path: Path
) -> None:
    work = new_workspace(tmp_path / "work", whole)
    report = convert(slow, work, jobs=2, file_seconds=3)
    assert (report.files, report.used, report.skipped) == (24, 23, {"timeout": 1})
    assert any("1 left out: timeout, not done within --file-seconds" in line for line in report.lines())
    (slow.parent / NAME / "0.dcm").write_text("not an image")
    other = new_workspace(tmp_path / "other", whole)
    convert(slow, other)
    assert contents(work, "*.tar") == contents(other, "*.tar")
    shutil.copy(slow.parent / NAME / "1.dcm", slow.parent / NAME / "0.dcm")
    write_mammogram(slow.parent / NAME / "0.dcm", breast(seed=0))
    assert convert(slow, work).used == 24
    assert contents(work) == contents(whole)


@pytest.mark.parametrize(("by", "reason"), [(signal.SIGSEGV, "decoder_crashed"), (signal.SIGKILL, "out_of_memory")])
def test_a_decoder_that_crashes_or_is_killed_costs_its_file_and_the_run_continues(
    slow: Path, whole: Workspace, tmp_path: Path, by: signal.Signals, reason: str
) -> None:
    work = new_workspace(tmp_path / "work", whole)
    with running(slow, work, "--jobs", "1") as run:
        time.sleep(0.5)
        os.kill(busy_worker(run.pid) or 0, by)
        told, errors = run.communicate(timeout=60)
    assert run.returncode == 3 and errors == ""
    assert "24 files in, 23 used" in told and f"1 left out: {reason}" in told
    assert verify(work.shards(SIZE)) == []
    write_mammogram(slow.parent / NAME / "0.dcm", breast(seed=0))
    assert convert(slow, work).used == 24 and contents(work) == contents(whole)


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_run_that_is_ended_in_the_middle_leaves_no_process_and_is_finished_by_the_next(
    slow: Path, whole: Workspace, tmp_path: Path, by: signal.Signals, code: int
) -> None:
    work = new_workspace(tmp_path / "work", whole)
    with running(slow, work, "--jobs", "2") as run:
        worker = busy_worker(run.pid)
        run.send_signal(by)
        _, errors = run.communicate(timeout=30)
    assert run.returncode == code and "Traceback" not in errors
    wait_for(lambda: not Path(f"/proc/{worker}").exists())
    write_mammogram(slow.parent / NAME / "0.dcm", breast(seed=0))
    assert convert(slow, work).used == 24
    assert contents(work) == contents(whole) and no_leftovers(work)


@pytest.fixture
def failing(table: Path, tmp_path: Path) -> Path:
    """The cohort with seven files that cannot be used, the first three in shards of their own."""
    shutil.copytree(table.parent, tmp_path / "failing")
    for number in (8, 9, 10, 11, 12, 13, 14):
        (tmp_path / "failing" / NAME / f"{number}.dcm").write_text("text" if number % 2 else "")
    return tmp_path / "failing" / table.name


@pytest.mark.parametrize("limit", ["6", "25%"])
def test_too_many_failures_stop_the_run_with_their_reasons_and_keep_what_is_finished(
    failing: Path, whole: Workspace, tmp_path: Path, limit: str
) -> None:
    work = new_workspace(tmp_path / "work", whole)
    with pytest.raises(UserError) as stopped:
        convert(failing, work, max_failures=limit)
    told = str(stopped.value)
    assert "stopped: 7 files are left out, and --max-failures allows 6" in told
    assert "4 left out: empty" in told and "3 left out: not_dicom" in told and "resumes from there" in told
    assert NAME not in told
    assert len((work.salt.parent / "quarantine.csv").read_text().splitlines()) == 8
    finished = {path: path.stat().st_mtime_ns for path in work.shards(SIZE).glob("*.tar")}
    assert finished and not (work.shards(SIZE) / "index.json").exists() and no_leftovers(work)
    report = convert(failing, work, max_failures="7")
    assert (report.used, report.skipped) == (17, {"empty": 4, "not_dicom": 3})
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


def test_a_disk_that_vanishes_stops_the_run_and_the_next_run_resumes(
    slow: Path, whole: Workspace, tmp_path: Path
) -> None:
    """The mount point of the mammograms is there, and then is not."""
    mount, work = tmp_path / "mount", new_workspace(tmp_path / "work", whole)
    mount.symlink_to(slow.parent / NAME)
    rows = [line.replace(NAME, str(mount), 1).split(",") for line in slow.read_text().splitlines()[1:]]
    write_table(slow, rows, (*COLUMNS, "split"))
    with running(slow, work, "--jobs", "1", "--file-seconds", "3") as run:
        mount.unlink()
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 2 and "10 files one after another" in errors and "Is their disk still there?" in errors
    assert "9 left out: unreadable" in errors and "1 left out: timeout" in errors and "Traceback" not in errors
    write_mammogram(slow.parent / NAME / "0.dcm", breast(seed=0))
    mount.symlink_to(slow.parent / NAME)
    assert convert(slow, work).used == 24
    assert verify(work.shards(SIZE)) == [] and no_leftovers(work)


def test_a_disk_that_answers_with_an_error_counts_as_lost_and_no_patient_is_named() -> None:
    """As a network disk does: here by a name that no file system takes, which Path.exists makes an error of."""
    row = Mammogram(2, "key", "patient", Path("/" + "DOE^JANE" * 40), "L", "CC", "negative", "train", None)
    with pytest.raises(OSError, match="DOE"):
        row.path.exists()
    failures = Failures(most=None)
    with pytest.raises(TooMany, match="Is their disk still there") as stopped:
        for _ in range(LOST_IN_A_ROW):
            failures.count(row, Skipped("unreadable"))
    assert "DOE" not in str(stopped.value)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The system then refuses larger ones as it refuses any on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 30, 200, 1500, 3000, 15000, 20000])
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_is_reported_for_any_file_and_the_next_run_makes_the_same_bytes(
    table: Path, whole: Workspace, tmp_path: Path, size: int
) -> None:
    work = Workspace(tmp_path / "work")
    with (
        files_no_larger_than(size),
        pytest.raises(UserError, match=r"cannot be written: .*GB are left; free some space"),
    ):
        convert(table, work, salt_file=whole.salt if size > 30 else None)
    assert no_leftovers(work) and not list(work.root.rglob("*.tar")) and not list(work.root.rglob("index.json"))
    assert convert(table, work, salt_file=whole.salt).used == 24
    assert contents(work) == contents(whole)


def test_shards_finished_before_the_disk_was_full_are_kept(table: Path, whole: Workspace, tmp_path: Path) -> None:
    work = new_workspace(tmp_path / "work", whole)
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    large = write_mammogram(
        table.parent / NAME / "large.dcm", np.random.default_rng(1).integers(1500, 2600, (480, 480), np.uint16)
    )
    rows.append([str(large), "large", "L", "CC", "negative", "test"])
    longer = write_table(table.parent / "longer.csv", rows, (*COLUMNS, "split"))
    options: dict[str, Any] = {"resolutions": [Resolution(480, 480)], "shard_images": 1}
    undisturbed = new_workspace(tmp_path / "undisturbed", whole)
    convert(longer, undisturbed, **options)
    sizes = sorted(path.stat().st_size for path in undisturbed.root.rglob("*.tar"))
    with files_no_larger_than(sizes[-2]), pytest.raises(UserError, match="cannot be written"):
        convert(longer, work, **options)
    finished = {path: path.stat().st_mtime_ns for path in work.root.rglob("*.tar")}
    assert len(finished) == 24 and no_leftovers(work)
    report = convert(longer, work, **options)
    assert report.used == 25 and report.converted_now == 1
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


def test_a_log_on_a_full_disk_ends_the_run_in_one_sentence(table: Path, whole: Workspace, tmp_path: Path) -> None:
    work = new_workspace(tmp_path / "work", whole)
    words = ["--cohort", table, "--workspace", work.root, "--resolution", "96x96", "--shard-images", "2"]
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, str(ROOT / "shards/make_shards.py"), *map(str, words)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert ran.returncode == 2 and "No space left on device" in ran.stderr and "Traceback" not in ran.stderr
    assert convert(table, work).used == 24 and contents(work) == contents(whole) and no_leftovers(work)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user of the machine may enter, which the folders of tests are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def without_rights_of_root() -> Iterator[None]:
    """Root may read and write what it likes: be nobody for the time."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_workspace_that_may_not_be_written_is_reported(table: Path, open_to_all: Path) -> None:
    cohort = write_cohort(open_to_all / "cohort")
    work = Workspace(open_to_all / "work")
    work.root.mkdir()
    work.root.chmod(0o555)
    expected = r"work cannot be written: Permission denied. give a --workspace where you may write"
    with without_rights_of_root(), pytest.raises(UserError, match=expected):
        convert(cohort, work)
    assert not list(work.root.iterdir())
    work.root.chmod(0o755)
    assert convert(cohort, work).used == 9


def test_a_file_where_the_workspace_should_be_is_reported(table: Path, tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file")
    with pytest.raises(UserError, match="work cannot be written"):
        convert(table, Workspace(tmp_path / "work"))


def test_a_table_that_may_not_be_read_or_is_missing_is_reported(open_to_all: Path, tmp_path: Path) -> None:
    table = write_cohort(open_to_all / "cohort")
    table.parent.chmod(0o000)
    with without_rights_of_root(), pytest.raises(UserError, match="cannot be read: Permission denied"):
        convert(table, Workspace(tmp_path / "work"))
    table.parent.chmod(0o755)
    for nothing, expected in ((table.parent, "found a folder"), (table / "x.csv", "no such file")):
        with pytest.raises(UserError, match=expected):
            convert(nothing, Workspace(tmp_path / "work"))
    assert not (tmp_path / "work").exists()
