"""A GAN's training on two nodes of a real SLURM: what it learns, and what it learns when it is disturbed."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest
from conftest import ROOT

from mammogan.workspace import Workspace
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
    wait_for_next_checkpoint,
)

pytestmark = pytest.mark.slurm


def test_all_ranks_end_with_the_same_weights(reference: Reference) -> None:
    assert len(reference.of_ranks) == 2 and len(set(reference.of_ranks)) == 1


def test_a_training_that_was_cancelled_and_then_lost_a_rank_resumes_each_time_it_is_submitted_again(
    ready: Workspace, reference: Reference
) -> None:
    first = train_gan(ready)
    wait_for_next_checkpoint(gan_run(ready))
    slurm("scancel", first)
    assert wait_for_end(first) == "CANCELLED"
    second = train_gan(ready)
    wait_for_next_checkpoint(gan_run(ready))
    [rank] = ranks_on("node2")
    os.kill(rank, signal.SIGKILL)
    assert wait_for_end(second) == "FAILED" and not ranks_on("node1")
    assert not gan_run(ready).done.exists()
    third = train_gan(ready, "--wait")
    said = said_by_first_rank(ready)
    assert said.count("2 rank(s) on cpu") == 3 and said.count("from epoch 0, batch 0") == 1, said
    assert "on node1, node2" in said
    assert json.loads((gan_run(ready).path / "launch.json").read_text())["job_ids"] == [third]
    assert_bit_identical(ready, reference)


def test_torchrun_on_the_nodes_of_an_allocation_learns_the_same(
    ready: Workspace, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)
    salloc = ("salloc", "--quiet", "--nodes=2", "--gpus-per-node=1", "--cpus-per-task=1", "--time=10")
    torchrun = (ROOT / "slurm" / "torchrun.sh", ROOT / "launch" / "train_gan.py")
    slurm(*salloc, *map(str, torchrun), *gan_words(ready), seconds=200)
    assert_bit_identical(ready, reference)
