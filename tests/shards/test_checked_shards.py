"""A tar that was cut short, or whose samples are not what the index says, is refused before any figure comes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SMALL, run_script
from generators import save_all, save_cad

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.folder import AdversarialFolder, pair_shards
from mammogan.attack.generate import generate
from mammogan.data.shards.index import ShardIndex
from mammogan.errors import UserError
from mammogan.evaluation.evaluate import evaluate
from mammogan.evaluation.scores import read_pairs
from mammogan.workspace import Workspace

GENERATE = GenerateConfig(device="cpu")
EVALUATE = EvaluateConfig(bootstrap=100, examples=1, device="cpu")


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    save_all(workspace, SMALL)
    return workspace


def cut(folder: Path, name: str, where: str) -> int:
    """Cut a tar before its last sample, or inside it; how many samples it held."""
    [shard] = [shard for shard in ShardIndex.load(folder).shards if shard.name == name]
    last = shard.samples[-1]
    kept = {"between samples": last.pixels_offset - 512, "inside pixels": last.pixels_offset + last.pixels_size // 2}
    tar = folder / name
    tar.write_bytes(tar.read_bytes()[: kept[where]])
    return shard.count


@pytest.mark.parametrize("where", ["between samples", "inside pixels"])
def test_mammograms_that_were_cut_off_are_missed_and_no_shard_is_made_of_the_rest(ready: Workspace, where: str) -> None:
    count = cut(ready.shards(SMALL), "test-negative-000000.tar", where)
    result = run_script("launch/generate.py", "--workspace", ready.root, "--cluster", "none", "--device", "cpu")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert f"test-negative-000000.tar is damaged: expected {count} samples, " in result.stderr
    assert "Delete it and run\n  mammogan make-shards --cohort labels.csv --workspace" in result.stderr
    assert not list(ready.adversarial(SMALL).glob("*insert*")) + list(ready.adversarial(SMALL).glob("index.json"))


@pytest.mark.parametrize("where", ["between samples", "inside pixels"])
@pytest.mark.parametrize(
    ("altered", "name", "command"),
    [
        (False, "test-positive-000000.tar", "mammogan make-shards"),
        (True, "test-remove-000000.tar", "mammogan generate"),
    ],
)
def test_no_figure_comes_of_a_shard_that_was_cut_short(
    ready: Workspace, altered: bool, name: str, command: str, where: str
) -> None:
    generate(ready, GENERATE)
    count = cut(ready.adversarial(SMALL) if altered else ready.shards(SMALL), name, where)
    with pytest.raises(UserError, match=rf"{name} is damaged: expected {count} samples, .*\n  {command}"):
        evaluate(ready, EVALUATE)
    assert not (ready.report / "done.json").exists()


def test_the_command_named_by_the_error_repairs_an_adversarial_shard(ready: Workspace) -> None:
    generate(ready, GENERATE)
    tar = ready.adversarial(SMALL) / "test-remove-000000.tar"
    whole = tar.read_bytes()
    cut(ready.adversarial(SMALL), tar.name, "between samples")
    tar.unlink()
    generate(ready, GENERATE)
    assert tar.read_bytes() == whole


def test_an_adversarial_mammogram_in_the_place_of_another_is_refused(ready: Workspace) -> None:
    generate(ready, GENERATE)
    pairs = pair_shards(ShardIndex.load(ready.shards(SMALL)), AdversarialFolder(ready, SMALL), "test")
    [pair] = [pair for _, pair in pairs if pair.fake and "remove" in pair.fake.path.name]
    [inserted] = [pair for _, pair in pairs if pair.fake and "insert" in pair.fake.path.name]
    assert pair.fake
    with pytest.raises(UserError, match=r"found \S+-insert where the adversarial version of .* is expected"):
        list(read_pairs(replace(pair, fake=inserted.fake)))
    other = ready.adversarial(SMALL) / "test-insert-000000.tar"
    pair.fake.path.write_bytes(other.read_bytes())
    with pytest.raises(UserError, match=r"found \S+-insert where \S+-remove is expected"):
        list(read_pairs(pair))


def test_a_cad_that_gives_no_probability_is_refused_with_the_mammogram_it_failed_at(ready: Workspace) -> None:
    import torch

    generate(ready, GENERATE)
    checkpoint = save_cad(ready, SMALL)
    state = torch.load(checkpoint, weights_only=True)
    for weights in state["cad"].values():
        weights.mul_(1e30)  # numbers whose products are none
    torch.save(state, checkpoint)
    with pytest.raises(UserError, match=r"probability from 0 to 1 and gives none for \S+ \(nan\)"):
        evaluate(ready, EVALUATE)
    assert not (ready.report / "table1.json").exists()
