"""Items over processes: in order; an item that kills its process or hangs is lost alone; nothing outlives the run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mammogan.data.parallel import process
from mammogan.data.parallel.memory import available
from mammogan.data.parallel.pool import Lost, cores, in_order, processes

TESTS = Path(__file__).parent


def square(number: int) -> int:
    time.sleep(0.05 if number % 3 == 0 else 0)
    return number * number


def square_or_die(number: int) -> int:
    if number == 5:
        os._exit(11)
    if number == 8:
        os.kill(os.getpid(), signal.SIGSEGV)
    return square(number)


def square_or_hang(number: int) -> int:
    if number == 5:
        never_return()
    return square(number)


def never_return(_: int = 0) -> None:
    """As native code hangs: it heeds no interrupt and lets no other thread of Python run."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def own_process(number: int) -> int:
    return os.getpid()


def refuse(number: int) -> int:
    raise ValueError(f"no {number}")


def swallow_memory(megabytes: int) -> int | None:
    try:
        return len(bytearray(megabytes << 20))
    except MemoryError:
        return None


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    assert list(in_order(square, range(20), jobs)) == [n * n for n in range(20)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_only_the_items_that_kill_their_process_are_lost(jobs: int) -> None:
    results = list(in_order(square_or_die, range(12), jobs, seconds=60))
    assert [n for n, result in enumerate(results) if result != n * n] == [5, 8]
    assert [(lost.why, lost.detail) for lost in (results[5], results[8]) if isinstance(lost, Lost)] == [
        ("crashed", "its process ended with exit code 11"),
        ("crashed", "its process ended by SIGSEGV"),
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_item_that_hangs_is_given_up_after_its_time_and_the_others_continue(jobs: int) -> None:
    results = list(in_order(square_or_hang, range(12), jobs, seconds=0.5))
    assert results == [Lost("timeout", "no result after 0.5 s") if n == 5 else n * n for n in range(12)]


def test_an_item_that_needs_more_memory_than_a_process_may_take_fails_and_its_process_continues() -> None:
    twice_its_share = process.MEMORY >> 19
    assert list(in_order(swallow_memory, [1, twice_its_share, 2], 1, seconds=60)) == [1 << 20, None, 2 << 20]


def test_a_process_killed_from_outside_costs_its_item_and_says_so() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _run_of("never_return", "[0]")], cwd=TESTS, stdout=subprocess.PIPE, text=True
    ) as run:
        os.kill(_wait_for(lambda: _workers_of(run.pid))[0], signal.SIGKILL)
        told, _ = run.communicate(timeout=30)
    assert "why='killed'" in told and "SIGKILL" in told


def test_processes_are_replaced_before_what_native_code_leaks_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "RECYCLE", 3)
    served = list(in_order(own_process, range(7), 1, seconds=60))
    assert [served.count(number) for number in dict.fromkeys(served)] == [3, 3, 1]
    assert os.getpid() not in served


def test_an_exception_of_the_function_is_raised_here() -> None:
    with pytest.raises(ValueError, match="no 0"):
        list(in_order(refuse, range(3), 2))


def test_no_process_is_left_when_the_results_are_not_wanted_any_more() -> None:
    results = in_order(square_or_hang, range(12), 2, seconds=60)
    assert next(results) == 0
    started = _workers_of(os.getpid())
    assert started
    results.close()
    _wait_for(lambda: not any(_lives(worker) for worker in started))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_outlives_the_run_however_it_ends(ending: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _run_of("never_return", "[0, 1]")], cwd=TESTS, stderr=subprocess.DEVNULL
    ) as run:
        workers = _wait_for(lambda: len(found := _workers_of(run.pid)) == 2 and found)
        run.send_signal(ending)
        assert run.wait(timeout=20) != 0
    _wait_for(lambda: not any(_lives(worker) for worker in workers))


def test_as_many_processes_as_cores_and_free_memory_allow_unless_a_number_is_requested(tmp_path: Path) -> None:
    assert processes(0, need=1) == cores()
    assert processes(0, need=available()) == processes(0, need=1 << 60) == 1
    assert processes(7, need=1 << 60) == 7


def _machine(root: Path, **texts: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal: 64000000 kB\nMemAvailable: 32000000 kB\n")
    for name, text in texts.items():
        file = root / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_free_memory_is_the_machines_where_no_group_bounds_it(tmp_path: Path) -> None:
    assert available(_machine(tmp_path)) == 32_000_000 * 1024


def test_free_memory_is_what_the_tightest_group_above_has_left(tmp_path: Path) -> None:
    """A SLURM job in a slice, cgroups of version 2."""
    root = _machine(
        tmp_path,
        proc__self__cgroup="0::/slurm/job_1/step_0\n",
        sys__fs__cgroup__slurm__job_1__memory_DOT_max="4000000000\n",
        sys__fs__cgroup__slurm__job_1__memory_DOT_current="1500000000\n",
        sys__fs__cgroup__slurm__job_1__memory_DOT_stat="anon 500000000\ninactive_file 1000000000\n",
        sys__fs__cgroup__slurm__job_1__step_0__memory_DOT_max="max\n",
        sys__fs__cgroup__slurm__job_1__step_0__memory_DOT_current="5\n",
    )
    assert available(root) == 3_500_000_000


def test_free_memory_in_a_container_of_the_older_kind_is_its_own(tmp_path: Path) -> None:
    root = _machine(
        tmp_path,
        proc__self__cgroup="5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n",
        sys__fs__cgroup__memory__memory_DOT_limit_in_bytes="2000000000\n",
        sys__fs__cgroup__memory__memory_DOT_usage_in_bytes="500000000\n",
    )
    assert available(root) == 1_500_000_000


def _run_of(function: str, items: str) -> str:
    """A program that prints the results of a run in two processes."""
    return (
        "import sys; sys.path.insert(0, '.')\n"
        "import test_pool\nfrom mammogan.data.parallel.pool import in_order\n"
        f"print(list(in_order(test_pool.{function}, {items}, 2, seconds=300)))"
    )


def _workers_of(parent: int) -> list[int]:
    """Processes of ours that ``parent`` started and that have begun to serve, by the system's own table."""
    children = Path(f"/proc/{parent}/task").glob("*/children")
    found = [int(child) for task in children for child in task.read_text().split()]
    return [child for child in found if b"spawn_main" in _command(child) and _heeds_no_interrupt(child)]


def _command(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def _heeds_no_interrupt(process: int) -> bool:
    status = Path(f"/proc/{process}/status").read_text()
    ignored = int(status.split("SigIgn:")[1].split()[0], 16)
    return bool(ignored >> (signal.SIGINT - 1) & 1)


def _lives(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def _wait_for(wanted: Callable[[], object], seconds: float = 30) -> object:
    end = time.monotonic() + seconds
    while not (found := wanted()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found
