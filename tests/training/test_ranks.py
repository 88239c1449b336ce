"""Two real gloo processes learn what one learns, in every phase, also after the phases changed."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from training_states import assert_close
from trainings import command, run_on_ranks

from mammogan.training.run.checkpoint import load
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Resolution, Workspace

SMALL = Resolution(96, 96)
WATCHED = ("critic_sd", "critic_sd_sources", "critic_gradient", "auc_source", "auc_adversarial", "change")
COUNTED = ("alive_epochs", "adversarial_epochs", "died_in_epoch")


@pytest.fixture(scope="module")
def twice(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Workspace]:
    """The same trainings in double precision, alone and on two ranks. The GANs start from one and the same CAD."""
    root = tmp_path_factory.mktemp("ranks")
    alone, two = (Workspace(root / name) for name in ("alone", "two"))
    for workspace in (alone, two):
        shutil.copytree(converted.root, workspace.root)
    subprocess.run(command("cad", alone, exact=True), check=True, timeout=200)
    run_on_ranks("cad", two, 2)
    shutil.copytree(two.cad_run(SMALL), root / "own cad of two")
    shutil.rmtree(two.cad_run(SMALL))
    shutil.copytree(alone.cad_run(SMALL), two.cad_run(SMALL))
    subprocess.run(command("remove", alone, exact=True), check=True, timeout=200)
    run_on_ranks("remove", two, 2)
    return alone, two


def test_the_cad_is_the_same_on_two_ranks(twice: tuple[Workspace, Workspace]) -> None:
    own = twice[1].root.parent / "own cad of two"
    assert_close(load(Run(twice[0].cad_run(SMALL)).newest)["cad"], load(Run(own).newest)["cad"])


def test_generator_and_discriminator_are_the_same_on_two_ranks_after_all_phases(
    twice: tuple[Workspace, Workspace],
) -> None:
    states = [load(Run(w.gan_run(SMALL, Direction.REMOVE)).newest) for w in twice]
    assert states[0]["phase"] == "all"
    assert_close(states[0]["gnet"], states[1]["gnet"])
    assert_close(states[0]["critic"], states[1]["critic"])


def test_the_first_rank_alone_writes_and_figures_are_global_means(twice: tuple[Workspace, Workspace]) -> None:
    figures = []
    for workspace in twice:
        lines = Run(workspace.gan_run(SMALL, Direction.REMOVE)).metrics.read_text().splitlines()
        figures.append([e for e in map(json.loads, lines) if e["event"] == "epoch"])
    assert len(figures[0]) == len(figures[1]) == 5
    for one, two in zip(*figures, strict=True):
        for name in ("identity", "gap", "penalty", "validation_identity", *WATCHED):
            if one.get(name) is not None:
                assert two[name] == pytest.approx(one[name], rel=1e-5, abs=1e-9), (one["phase"], name)
    assert all(name in figures[0][-1] for name in WATCHED)


def test_both_ranks_judge_the_critic_as_one_does(twice: tuple[Workspace, Workspace]) -> None:
    runs = [Run(workspace.gan_run(SMALL, Direction.REMOVE)) for workspace in twice]
    lives = [load(run.newest)["critic_life"] for run in runs]
    assert lives[0]["adversarial_epochs"] == 3
    assert [lives[0][name] for name in COUNTED] == [lives[1][name] for name in COUNTED]
    assert runs[0].best.exists() == runs[1].best.exists()
