"""Trainings of the lesion objective: they finish, resume bit-identically after kill -9, on any ranks, and are used."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from generators import save_cad
from training_states import assert_same, killed_after
from trainings import LESION, codes, command, run_on_ranks, start_ranks

from mammogan.attack.config import GenerateConfig
from mammogan.attack.generate import generate
from mammogan.data.shards.reader import read_shard
from mammogan.errors import MissingInput, UserError
from mammogan.training import gan
from mammogan.training.run.checkpoint import load
from mammogan.training.run.run_folder import Run
from mammogan.training.run.trained_networks import load_generator_with_facts
from mammogan.workspace import Direction, Resolution, Workspace

SMALL = Resolution(96, 96)


@pytest.fixture(scope="module")
def trained(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Remover and bank of one workspace, made without interruption."""
    root = tmp_path_factory.mktemp("lesion") / "work"
    shutil.copytree(converted.root, root)
    workspace = Workspace(root, "lesion")
    begin(workspace)
    for kind in ("remove-lesion", "insert-lesion"):
        subprocess.run(command(kind, workspace), check=True, timeout=200)
    return workspace


def begin(workspace: Workspace) -> None:
    """A CAD that counts as trained."""
    save_cad(workspace, SMALL)
    Run(workspace.cad_run(SMALL)).finish({})


def fresh(of: Workspace, to: Path) -> Workspace:
    """The same shards and CAD, without generators."""
    shutil.copytree(of.root, to, ignore=shutil.ignore_patterns("gan-*", "adversarial*"))
    return Workspace(to, "lesion")


def remover(workspace: Workspace) -> Run:
    return Run(workspace.gan_run(SMALL, Direction.REMOVE))


def test_its_runs_lie_beside_the_studys_and_say_what_they_are(trained: Workspace) -> None:
    assert remover(trained).path.name == "gan-96x96-remove-lesion"
    done = json.loads(remover(trained).done.read_text())
    assert done["epochs"] == 2 and done["critic"]["adversarial_epochs"] == 1
    state = load(remover(trained).newest)
    assert (state["arch"], state["objective"], state["cell"]) == ("residual-map", "lesion", 4)
    assert not remover(trained).best.exists(), "the last averaged weights are the result"
    events = [json.loads(line) for line in remover(trained).metrics.read_text().splitlines()]
    assert {"critic", "gap", "map", "change", "critic_sd", "auc_adversarial"} <= events[-1].keys()


def test_validation_follows_every_second_epoch_and_the_last_one(trained: Workspace, tmp_path: Path) -> None:
    workspace = fresh(trained, tmp_path / "work")
    config = replace(LESION, validate_every=2, lesion=replace(LESION.lesion, epochs=3))
    gan.train_gan(config, Direction.REMOVE, workspace)
    lines = [json.loads(line) for line in remover(workspace).metrics.read_text().splitlines()]
    assert ["validation_fooled" in line for line in lines if line["event"] == "epoch"] == [False, True, True]


def test_killed_with_9_and_resumed_the_remover_ends_bit_identical(trained: Workspace, tmp_path: Path) -> None:
    workspace = fresh(trained, tmp_path / "work")
    killed_after("remove-lesion", workspace, 3)
    subprocess.run(command("remove-lesion", workspace), check=True, timeout=200)
    assert_same(load(remover(workspace).newest), load(remover(trained).newest))


def test_two_ranks_learn_what_one_learns(trained: Workspace, tmp_path: Path) -> None:
    alone, two = fresh(trained, tmp_path / "alone"), fresh(trained, tmp_path / "two")
    subprocess.run(command("remove-lesion", alone, exact=True), check=True, timeout=200)
    run_on_ranks("remove-lesion", two, 2)
    first, second = load(remover(alone).newest), load(remover(two).newest)
    for name in ("gnet", "generator", "critic"):
        for weight, value in first[name].items():
            torch.testing.assert_close(second[name][weight], value, rtol=1e-8, atol=1e-10, msg=weight)
    assert codes(start_ranks([command("insert-lesion", two, exact=True)] * 2)) == [0, 0]


def test_more_epochs_resume_and_other_settings_are_refused_by_name(trained: Workspace, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    copy = Workspace(tmp_path / "work", "lesion")
    with pytest.raises(UserError, match=r"lesion\.sparse was 20\.0, now 5\.0"):
        gan.train_gan(replace(LESION, lesion=replace(LESION.lesion, sparse=5.0)), Direction.REMOVE, copy)
    gan.train_gan(replace(LESION, lesion=replace(LESION.lesion, epochs=3)), Direction.REMOVE, copy)
    assert load(remover(copy).newest)["epoch"] == 3


def test_without_a_remover_the_inserter_names_the_command(trained: Workspace, tmp_path: Path) -> None:
    workspace = fresh(trained, tmp_path / "work")
    with pytest.raises(MissingInput, match=r"--objective lesion --direction remove"):
        gan.train_gan(LESION, Direction.INSERT, workspace)


def test_a_bank_with_too_few_lesions_is_refused_and_says_what_to_do(trained: Workspace, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "work", ignore=shutil.ignore_patterns("gan-*-insert-*"))
    config = replace(LESION, lesion=replace(LESION.lesion, bank_least=10_000))
    with pytest.raises(UserError, match=r"10000 are needed.*--lesion\.epochs"):
        gan.train_gan(config, Direction.INSERT, Workspace(tmp_path / "work", "lesion"))


def test_generation_removes_with_the_network_and_inserts_from_the_bank(trained: Workspace, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    workspace = Workspace(tmp_path / "work", "lesion")
    generate(workspace, GenerateConfig(objective="lesion", tries=2, device="cpu"))
    folder = workspace.adversarial(SMALL)
    assert folder == tmp_path / "work" / "adversarial-lesion" / "96x96"
    index = json.loads((folder / "index.json").read_text())
    for shard in index["shards"]:
        for made in read_shard(folder / shard["name"]):
            assert made.facts["objective"] == "lesion" and made.facts["synthetic"]
            assert ("tries" in made.facts) == (made.facts["direction"] == "insert")
    before = {s["name"]: s["sha256"] for s in index["shards"]}
    generate(workspace, GenerateConfig(objective="lesion", tries=1, device="cpu"))
    after = {s["name"]: s["sha256"] for s in json.loads((folder / "index.json").read_text())["shards"]}
    assert [name for name in before if before[name] != after[name]] == ["test-insert-000000.tar"]


def test_the_bank_is_no_network_and_says_so(trained: Workspace) -> None:
    network, facts = load_generator_with_facts(trained.gan_run(SMALL, Direction.REMOVE))
    assert facts.arch == "residual-map" and network(torch.rand(1, 1, 96, 96)).shape == (1, 1, 96, 96)
    with pytest.raises(UserError, match="bank of lesions"):
        load_generator_with_facts(trained.gan_run(SMALL, Direction.INSERT))
