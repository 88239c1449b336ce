"""What a training knows of the time that it waits for data, and what it says where processes cannot share memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from conftest import ROOT

from mammogan.data.loading.waiting import Waiting, timed


def test_only_the_time_until_a_batch_is_there_counts_as_waiting() -> None:
    def slow() -> Iterator[int]:
        for number in range(2):
            time.sleep(0.1)
            yield number

    before = Waiting.seconds
    for number in timed(slow()):
        time.sleep(0.3)
        assert number < 2
    assert 0.2 <= Waiting.seconds - before < 0.5


WITHOUT_SHARED_MEMORY = """
mount -t tmpfs none /mnt && for device in null zero random urandom; do
    touch /mnt/$device && mount --bind /dev/$device /mnt/$device || exit 77
done && mount --rbind /mnt /dev || exit 77
exec "$@"
"""
STREAM = """
from mammogan.data.loading.pairs import PairedStream
PairedStream([0] * 4, [0] * 4, pairs=2, seed=0, workers=1)
"""


def test_without_shared_memory_loader_workers_are_refused_with_what_to_do() -> None:
    words = ["unshare", "--mount", "sh", "-c", WITHOUT_SHARED_MEMORY, "sh", sys.executable, "-c", STREAM]
    try:
        result = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    except FileNotFoundError:
        pytest.skip("unshare is not installed here")
    if "UserError" not in result.stderr and (result.returncode == 77 or "unshare" in result.stderr):
        pytest.skip(f"no file system can be mounted here: {result.stderr}")
    assert "UserError: loader workers share memory in /dev/shm" in result.stderr
    assert "give --compute.loader-workers 0" in result.stderr
