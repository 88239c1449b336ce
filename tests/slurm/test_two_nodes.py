"""A GAN's training on two nodes of a real SLURM: what it learns, and what it learns when it is disturbed."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest
from conftest import ROOT

from mammogan.config import Workspace
from slurm.trainings import (
    Reference,
    assert_bit_identical,
    gan_run,
    gan_words,
    ranks_on,
    said_by_first_rank,
    slurm,
    train_gan,
    wait_for_end,
    wait_for_first_checkpoint,
)

pytestmark = pytest.mark.slurm


def test_all_ranks_end_with_the_same_weights(reference: Reference) -> None:
    assert len(reference.of_ranks) == 2 and len(set(reference.of_ranks)) == 1


def test_when_one_rank_is_killed_the_job_ends_and_submitted_again_has_the_weights_of_an_undisturbed_one(
    ready: Workspace, reference: Reference
) -> None:
    job = train_gan(ready)
    wait_for_first_checkpoint(ready)
    [rank] = ranks_on("node2")
    os.kill(rank, signal.SIGKILL)
    assert wait_for_end(job) == "FAILED"
    assert not gan_run(ready).done.exists() and not ranks_on("node1")
    again = train_gan(ready, "--wait")
    said = said_by_first_rank(ready)
    assert "2 rank(s) on cpu" in said and "on node1, node2" in said and "from epoch 0, batch 0" in said
    assert json.loads((gan_run(ready).path / "launch.json").read_text())["job_ids"] == [again] != [job]
    assert_bit_identical(ready, reference)


def test_torchrun_on_the_nodes_of_an_allocation_learns_the_same(
    ready: Workspace, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)
    salloc = ("salloc", "--quiet", "--nodes=2", "--gpus-per-node=1", "--cpus-per-task=1", "--time=10")
    torchrun = (ROOT / "slurm" / "torchrun.sh", ROOT / "launch" / "train_gan.py")
    slurm(*salloc, *map(str, torchrun), *gan_words(ready), seconds=200)
    assert_bit_identical(ready, reference)
