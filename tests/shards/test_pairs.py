"""Shards come back as the 16-bit mammograms they are, in an order that depends on seed and epoch alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.loading.pairs import PairedStream, epoch_order
from mammogan.data.shards.reader import ShardImages, read_shard
from mammogan.errors import UserError
from mammogan.io.atomic import read_json
from mammogan.workspace import Resolution, Workspace

SMALL = Resolution(96, 96)


def images(workspace: Workspace, label: str = "negative", split: str = "train") -> ShardImages:
    return ShardImages(workspace.shards(SMALL), split, label)  # type: ignore[arg-type]


def test_sequential_and_random_access_give_the_same_mammograms(converted: Workspace) -> None:
    folder = converted.shards(SMALL)
    for label in ("negative", "positive"):
        by_offset = images(converted, label)
        names = [s["name"] for s in read_json(folder / "index.json")["shards"]]
        shards = [folder / n for n in names if n.startswith(f"train-{label}")]
        samples = [sample for shard in shards for sample in read_shard(shard)]
        assert [s.key for s in samples] == [m.key for m in by_offset.members]
        for i, sample in enumerate(samples):
            assert sample.pixels.dtype == np.uint16 and sample.pixels.shape == (96, 96)
            assert np.array_equal(by_offset[i][0].numpy(), sample.pixels)
            assert sample.facts["label"] == label and len(np.unique(sample.pixels)) > 256


def test_of_many_shards_only_some_are_open_at_once(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mammogan.data.shards.reader.OPEN_AT_ONCE", 2)
    workspace = Workspace(tmp_path / "work")
    convert_cohort(phantom / "labels.csv", workspace, [SMALL], jobs=1, shard_images=1)
    many = images(workspace)
    assert len({member.shard for member in many.members}) == len(many) > 4
    before = len(list(Path("/proc/self/fd").iterdir()))
    once, again = ([many[i].clone() for i in range(len(many))] for _ in range(2))
    assert all(torch.equal(*both) for both in zip(once, again, strict=True))
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 2


def test_a_pair_stream_divides_one_global_batch_over_the_ranks(converted: Workspace) -> None:
    first, second = images(converted, "positive"), images(converted, "negative")
    whole = list(PairedStream(first, second, 4, seed=3).epoch(1))
    halves = [list(PairedStream(first, second, 4, 3, rank, 2).epoch(1)) for rank in (0, 1)]
    assert len(whole) == len(halves[0]) == max(len(first), len(second)) // 4
    for batch, low, high in zip(whole, *halves, strict=True):
        for side in (0, 1):
            together = torch.cat([low[side].int(), high[side].int()])
            assert torch.equal(batch[side].int(), together)


def test_an_epoch_resumes_from_any_batch_also_with_workers(converted: Workspace) -> None:
    first, second = images(converted, "positive"), images(converted, "negative")
    whole = list(PairedStream(first, second, 2, seed=3).epoch(5))
    rest = list(PairedStream(first, second, 2, seed=3, workers=1).epoch(5, start=3))
    assert len(rest) == len(whole) - 3
    for expected, found in zip(whole[3:], rest, strict=True):
        assert all(torch.equal(a.int(), b.int()) for a, b in zip(expected, found, strict=True))


def test_every_commoner_mammogram_is_seen_once_before_any_is_seen_again() -> None:
    order = epoch_order(10, 25, (0, 1, 2))
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert order[:10] != order[10:20]
    assert epoch_order(10, 25, (0, 2, 2)) != order == epoch_order(10, 25, (0, 1, 2))


def test_pairs_that_ranks_cannot_share_are_refused_with_the_legal_numbers(converted: Workspace) -> None:
    with pytest.raises(UserError, match=r"use \[1, 2, 4\] ranks"):
        PairedStream(images(converted), images(converted), 4, 0, rank=0, ranks=3)


def test_a_shard_shorter_than_its_index_is_noticed(workspace: Workspace) -> None:
    stream = images(workspace)
    shard = workspace.shards(SMALL) / stream.members[-1].shard
    shard.write_bytes(shard.read_bytes()[: stream.members[-1].offset + 10])
    with pytest.raises(ValueError, match=r"(?s)shorter than its index.*check-shards"):
        images(workspace)[len(stream) - 1]


def test_json_members_hold_the_facts_and_no_path(converted: Workspace) -> None:
    folder = converted.shards(SMALL)
    shard = next(folder.glob("*.tar"))
    facts = json.dumps([s.facts for s in read_shard(shard)])
    assert '"synthetic": true' in facts and "/" not in facts.replace("//", "")


def test_loader_workers_ignore_the_signal_of_pre_emption(converted: Workspace) -> None:
    """A forked worker inherits the handler that requeues the job: only the training process may act on the signal."""
    program = f"""
import multiprocessing, os, signal
from pathlib import Path
from mammogan.data.loading.pairs import PairedStream, ShardImages
signal.signal(signal.SIGUSR2, lambda *_: open("requeued", "a").write("x"))
images = ShardImages(Path({str(converted.shards(SMALL))!r}), "train", "negative")
batches = PairedStream(images, images, 2, 0, workers=1).epoch(0)
next(batches)
for worker in multiprocessing.active_children():
    os.kill(worker.pid, signal.SIGUSR2)
print(len(list(batches)))
"""
    folder = converted.root
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, timeout=60)
    assert result.returncode == 0 and int(result.stdout) > 0, result.stderr
    assert not (folder / "requeued").exists()
