"""A process or thread that the system refuses to start is a sentence with what to do, and nothing is lost by it."""

from __future__ import annotations

import gc
import os
import resource
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mammogan.cluster.processes import start
from mammogan.data.loading.pairs import PairedStream
from mammogan.data.parallel.pool import in_order
from mammogan.data.parallel.process import Worker
from mammogan.data.phantom.cohort import make_cohort
from mammogan.data.phantom.settings import PhantomConfig
from mammogan.data.shards.reader import ShardImages
from mammogan.errors import NotStarted
from mammogan.workspace import LABELS, Resolution, Workspace

SAYS = "no further process can be started .*ulimit -u.*give fewer --jobs.*what is finished is kept"
MORE_THAN_ANY_STACK = 1 << 46
CONFIG = PhantomConfig(patients=10, seed=7, height=192, width=160, preset="demo")


def double(number: int) -> int:
    return 2 * number


@contextmanager
def open_files_left(spare: int) -> Iterator[None]:
    """This process may open so many files more, as if its limit (ulimit -n) were near."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def no_further_thread() -> Iterator[None]:
    before = threading.stack_size(MORE_THAN_ANY_STACK)
    try:
        yield
    finally:
        threading.stack_size(before)


@pytest.mark.parametrize("spare", range(5))
def test_a_worker_that_cannot_start_says_so_and_can_be_closed(spare: int) -> None:
    worker = Worker(double)
    with open_files_left(spare), pytest.raises(NotStarted, match=SAYS):
        worker.result(1, None)
    worker.close()


def test_a_worker_starts_once_there_is_room_again() -> None:
    worker = Worker(double)
    with open_files_left(3), pytest.raises(NotStarted):
        worker.result(1, None)
    assert worker.result(1, None) == 2
    worker.close()


@pytest.mark.parametrize("spare", [0, 2, 4])
def test_work_over_several_processes_that_cannot_start_ends_with_the_sentence(spare: int) -> None:
    results = in_order(double, range(3), 2)
    with open_files_left(spare), pytest.raises(NotStarted, match=SAYS):
        list(results)


def test_a_thread_that_cannot_start_is_a_sentence_too() -> None:
    with no_further_thread(), pytest.raises(NotStarted, match=SAYS):
        list(in_order(double, range(3), 2))


def test_a_stage_of_a_study_that_cannot_start_is_a_sentence_too() -> None:
    with open_files_left(0), pytest.raises(NotStarted, match=SAYS):
        start([sys.executable, "-c", ""], {}, None)


@pytest.mark.parametrize("spare", [2, 8])
def test_phantoms_whose_processes_cannot_start_are_a_sentence_too(spare: int, tmp_path: Path) -> None:
    with open_files_left(spare), pytest.raises(NotStarted, match=SAYS):
        make_cohort(CONFIG, tmp_path / "out", jobs=2)


def pairs(workspace: Workspace) -> PairedStream:
    one, other = (ShardImages(workspace.shards(Resolution(96, 96)), "train", label) for label in LABELS)
    return PairedStream(one, other, 2, seed=0, workers=4)


@pytest.mark.filterwarnings(
    "ignore:This DataLoader will create",
    "error:.*_MultiProcessingDataLoaderIter:pytest.PytestUnraisableExceptionWarning",
)
@pytest.mark.parametrize("spare", [0, 3, 8, 14])
def test_loader_workers_that_cannot_start_are_a_sentence_too(converted: Workspace, spare: int) -> None:
    stream = pairs(converted)
    with open_files_left(spare), pytest.raises(NotStarted, match=SAYS):
        list(stream.epoch(0))
    ended = weakref.ref(stream)
    del stream
    gc.collect()
    assert ended() is None  # and torch printed no traceback of its own


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_loader_workers_for_which_there_is_no_thread_are_a_sentence_too(converted: Workspace) -> None:
    with no_further_thread(), pytest.raises(NotStarted, match=SAYS):
        list(pairs(converted).epoch(0))
