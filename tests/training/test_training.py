"""Trainings: they finish, resume bit-identically after kill -9, and refuse to mix settings."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from training_states import assert_same, killed_after, result_of, run_of
from trainings import CAD, COMPUTE, GAN, command, write_vgg_weights

from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import read_json
from mammogan.io.records import write_record
from mammogan.training import cad, gan
from mammogan.training.run.checkpoint import load, save
from mammogan.training.run.checkpoint_files import choose_checkpoint
from mammogan.training.run.run_folder import Run
from mammogan.training.run.trained_networks import load_cad, load_generator_with_facts
from mammogan.workspace import Direction, Resolution, Workspace

SMALL = Resolution(96, 96)


@pytest.fixture(scope="module")
def trained(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a CAD and both GANs, trained without interruption."""
    root = tmp_path_factory.mktemp("trained") / "work"
    shutil.copytree(converted.root, root)
    workspace = Workspace(root)
    for kind in ("cad", "remove", "insert"):
        subprocess.run(command(kind, workspace), check=True, timeout=200)
    return workspace


def events(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.metrics.read_text().splitlines()]


def test_a_training_leaves_a_complete_run_folder(trained: Workspace) -> None:
    for kind in ("cad", "remove", "insert"):
        run = run_of(kind, trained)
        assert run.done.is_file() and run.newest.is_file() and (run.path / "config.yaml").is_file()
        assert "torch==" in (run.path / "packages.txt").read_text()
        assert not list(run.path.rglob("*.tmp"))
    epochs = [e for e in events(run_of("cad", trained)) if e["event"] == "epoch"]
    assert [e["epoch"] for e in epochs] == [0, 1]
    assert all(0 <= e["validation_auc"] <= 1 for e in epochs)


def test_a_gan_runs_the_phases_in_order_and_says_what_ended_each(trained: Workspace) -> None:
    ended = [e for e in events(run_of("remove", trained)) if e["event"] == "phase"]
    assert [e["phase"] for e in ended] == ["warm-gnet", "warm-dnet", "last-layer", "head", "all"]
    assert all(e["ended_by"] == "its cap of 1 epochs" for e in ended)
    assert list((run_of("remove", trained).path / "pictures").glob("*.png"))


def test_the_trained_networks_load_from_their_runs(trained: Workspace) -> None:
    pixels = torch.rand(2, 1, 96, 96)
    classifier = load_cad(trained.cad_run(SMALL))
    assert not classifier.training and classifier.positive_probability(pixels).shape == (2,)
    gnet, facts = load_generator_with_facts(trained.gan_run(SMALL, Direction.REMOVE), which="newest")
    assert gnet(pixels).shape == pixels.shape and len(facts.sha256) == 64 and facts.phase == "all"


def test_the_generator_is_kept_as_it_was_before_its_adversary(trained: Workspace) -> None:
    run = run_of("remove", trained)
    gnet, facts = load_generator_with_facts(run.path, which=str(run.identity))
    assert (facts.phase, facts.epoch, facts.direction, facts.run) == ("warm-gnet", 1, "remove", run.path.name)
    state, newest = load(run.identity), load(run.newest)
    assert state["arch"] == newest["arch"] == "unet" and "critic" not in state
    assert not torch.equal(state["gnet"]["last.weight"], newest["gnet"]["last.weight"])
    assert newest["reproduction"] == next(e["change"] for e in events(run) if e.get("phase") == "warm-gnet")
    assert gnet(torch.rand(1, 1, 96, 96)).shape == (1, 1, 96, 96)


def test_every_adversarial_epoch_reports_the_critic(trained: Workspace) -> None:
    for kind in ("remove", "insert"):
        epochs = [e for e in events(run_of(kind, trained)) if e["event"] == "epoch"]
        assert ["critic_sd" in e for e in epochs] == [False, True, True, True, True]
        assert ["critic_alive" in e for e in epochs] == [False, False, True, True, True], "Gnet does not learn in two"
        assert all(e["critic_gradient"] >= 0 and 0 <= e["auc_adversarial"] <= 1 for e in epochs[1:])
        told = read_json(run_of(kind, trained).done)["critic"]
        assert (told["alive_epochs"], told["adversarial_epochs"]) == (sum(e["critic_alive"] for e in epochs[2:]), 3)


def with_critic(workspace: Workspace, scale: float, capsys: pytest.CaptureFixture[str], **changed: Any) -> Run:
    """A run whose critic's last layer has been multiplied, and then learned nothing in two epochs against Gnet."""
    run = run_of("remove", workspace)
    shutil.rmtree(run.path)
    config = replace(GAN, lr_dnet=0.0, compute=replace(COMPUTE, save_minutes=9.0))
    gan.train_gan(replace(config, epochs=(1, 1, 0, 0, 0)), Direction.REMOVE, workspace)
    state = load(run.newest)
    critic = {k: v * scale if k.startswith("last.") else v for k, v in state["critic"].items()}
    save(run.newest, state | {"critic": critic} | changed)
    capsys.readouterr()
    gan.train_gan(replace(config, epochs=(1, 1, 2, 0, 0)), Direction.REMOVE, workspace)
    return run


def test_no_epoch_of_a_dead_critic_is_the_best_and_its_death_is_reported_once(
    trained: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    run = with_critic(Workspace(tmp_path / "work"), 0.0, capsys)
    assert not run.best.exists() and choose_checkpoint(run.path) == run.newest
    assert capsys.readouterr().out.count("the critic is dead in epoch 2") == 1
    done = read_json(run.done)
    assert done["best_on_validation"] is None and done["critic"]["died_in_epoch"] == 2
    assert "no best generator and the newest is used" in done["critic"]["notice"]
    assert "more identity epochs (the first of --epochs, now 1), --lr-dnet below 0, or" in done["critic"]["notice"]
    assert [e["critic_sd"] for e in events(run) if "critic_alive" in e] == [0.0, 0.0]


def test_validation_follows_every_second_epoch_of_an_adversarial_phase_and_its_last_one(
    trained: Workspace, tmp_path: Path
) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    workspace = Workspace(tmp_path / "work")
    run = run_of("remove", workspace)
    shutil.rmtree(run.path)
    config = replace(GAN, validate_every=2, epochs=(2, 1, 0, 3, 0), compute=replace(COMPUTE, save_minutes=9.0))
    gan.train_gan(config, Direction.REMOVE, workspace)
    epochs = [(e["phase"], "validation_fooled" in e) for e in events(run) if e["event"] == "epoch"]
    assert epochs[:3] == [("warm-gnet", True), ("warm-gnet", False), ("warm-dnet", False)]
    assert epochs[3:] == [("head", False), ("head", True), ("head", True)]
    gan.train_gan(replace(config, epochs=(2, 1, 0, 4, 0)), Direction.REMOVE, workspace)
    assert "validation_fooled" in [e for e in events(run) if e["event"] == "epoch"][-1]


def test_the_best_of_a_living_critic_is_kept_with_its_score(
    trained: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    run = with_critic(Workspace(tmp_path / "work"), 1e3, capsys, reproduction=0.0)
    best, done = load(run.best), read_json(run.done)
    assert best["epoch"] in (3, 4) and best["arch"] == "unet" and best["validation_rank"] > -math.inf
    assert load(run.newest)["best"]["rank"] == best["validation_rank"]
    assert done["critic"] == {"alive_epochs": 2, "adversarial_epochs": 2, "died_in_epoch": None, "notice": None}
    assert done["best_on_validation"]["identity"] == best["validation_identity"]


def test_a_checkpoint_of_a_version_that_watched_no_critic_is_resumed(
    trained: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    run = run_of("remove", Workspace(tmp_path / "work"))
    run.best.unlink(missing_ok=True)
    state = load(run.newest)
    new = ("arch", "critic_life", "reproduction")
    old = {name: value for name, value in state.items() if name not in new} | {"best": [0.5, 0.01]}
    save(run.newest, old)
    write_record(run.done, result_of(run))  # that version recorded no hashes either
    assert load_generator_with_facts(run.path, which="newest")[1].phase == "all"
    gan.train_gan(replace(GAN, epochs=(1, 1, 1, 1, 2)), Direction.REMOVE, Workspace(tmp_path / "work"))
    state = load(run.newest)
    assert state["reproduction"] is None and state["critic_life"]["adversarial_epochs"] == 1
    assert run.best.exists() == bool(state["critic_life"]["alive_epochs"])
    assert (state["best"]["fooled"], state["best"]["rank"]) == (0.5, -math.inf) or run.best.exists()


def test_running_again_does_nothing(trained: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    before = run_of("cad", trained).newest.stat().st_mtime_ns
    cad.train_cad(CAD, trained)
    assert "trained before" in capsys.readouterr().out
    assert run_of("cad", trained).newest.stat().st_mtime_ns == before


@pytest.mark.parametrize("kind", ["cad", "remove"])
def test_killed_with_9_and_resumed_it_ends_bit_identical(kind: str, trained: Workspace, workspace: Workspace) -> None:
    if kind != "cad":
        shutil.copytree(trained.cad_run(SMALL), workspace.cad_run(SMALL))
    for batches in (2, 3):
        killed_after(kind, workspace, batches)
    subprocess.run(command(kind, workspace), check=True, timeout=200)
    resumed, undisturbed = run_of(kind, workspace), run_of(kind, trained)
    assert_same(load(resumed.newest), load(undisturbed.newest))
    if kind != "cad":
        assert_same(load(resumed.identity), load(undisturbed.identity))
        assert result_of(resumed) == result_of(undisturbed)
    varying = ("time", "images_per_second")
    told = [[{k: v for k, v in e.items() if k not in varying} for e in events(r)] for r in (resumed, undisturbed)]
    assert told[0] == told[1]


def test_other_settings_are_refused_by_name_and_more_epochs_resume(trained: Workspace, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    copy = Workspace(tmp_path / "work")
    with pytest.raises(UserError, match=r"lr_fnet was 0.001, now 0.01"):
        cad.train_cad(replace(CAD, lr_fnet=0.01), copy)
    cad.train_cad(replace(CAD, epochs=3), copy)
    assert [e["epoch"] for e in events(run_of("cad", copy)) if e["event"] == "epoch"] == [0, 1, 2]


def test_an_extension_that_is_killed_is_not_taken_for_finished(trained: Workspace, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    run = run_of("cad", Workspace(tmp_path / "work"))
    longer = replace(CAD, epochs=3)
    assert run.is_finished(CAD) and not run.is_finished(longer)
    run.begin(longer, {})  # and here it is killed
    assert not run.is_finished(longer)


def test_other_inputs_are_refused(trained: Workspace, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    copy = Workspace(tmp_path / "work")
    state = load(run_of("cad", copy).best)
    torch.save(state | {"epoch": 99}, run_of("cad", copy).best)
    with pytest.raises(UserError, match=r"the CAD is not the one it was started with.*remove the folder"):
        gan.train_gan(GAN, Direction.REMOVE, copy)


def test_a_raised_cap_lets_the_last_phase_continue(trained: Workspace, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    copy = Workspace(tmp_path / "work")
    gan.train_gan(replace(GAN, epochs=(1, 1, 1, 1, 2)), Direction.REMOVE, copy)
    assert [e["phase"] for e in events(run_of("remove", copy)) if e["event"] == "epoch"][-2:] == ["all", "all"]
    assert load(run_of("remove", copy).newest)["phase"] == "all"


def test_each_phase_moves_its_parts_and_gnet_steps_every_other_batch(trained: Workspace, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    copy = Workspace(tmp_path / "work")
    shutil.rmtree(copy.gan_run(SMALL, Direction.REMOVE))
    expected = [{"gnet"}, {"last"}, {"last", "gnet"}, {"last", "fnet", "gnet"}, {"last", "fnet", "vnet", "gnet"}]
    rates = [GAN.lr_warm, GAN.lr_warm, GAN.lr_dnet, GAN.lr_dnet, GAN.lr_dnet]
    before: dict[str, torch.Tensor] | None = None
    for n, (moved, rate) in enumerate(zip(expected, rates, strict=True)):
        epochs = tuple(int(i <= n) for i in range(5))
        gan.train_gan(replace(GAN, epochs=epochs, epoch_batches=4), Direction.REMOVE, copy)  # type: ignore[arg-type]
        state = load(run_of("remove", copy).newest)
        weights = {f"critic.{k}": v for k, v in state["critic"].items()} | {
            f"gnet.{k}": v for k, v in state["gnet"].items() if k.endswith("weight")
        }
        if before is not None:
            changed = {
                k.split(".")[1] if k.startswith("critic") else "gnet"
                for k in weights
                if not torch.equal(weights[k], before[k])
            }
            assert changed == moved, state["phase"]
            assert state["critic_stepper"]["optimizer"]["param_groups"][0]["lr"] == rate
        before = weights
    steps = {int(s["step"]) for s in state["gnet_stepper"]["optimizer"]["state"].values()}
    assert steps == {4 + 3 * 2}, "every batch of the identity phase, then every second of three phases of four"


def test_a_stop_rule_ends_a_phase_before_its_cap(trained: Workspace, tmp_path: Path) -> None:
    shutil.copytree(trained.root, tmp_path / "work")
    copy = Workspace(tmp_path / "work")
    shutil.rmtree(copy.gan_run(SMALL, Direction.REMOVE))
    config = replace(GAN, lr_warm=0.01, epochs=(0, 60, 0, 0, 0), stop_rules=True)
    gan.train_gan(replace(config, compute=replace(COMPUTE, save_minutes=9.0)), Direction.REMOVE, copy)
    ended = [e for e in events(run_of("remove", copy)) if e["event"] == "phase"]
    gaps = [e["gap"] for e in events(run_of("remove", copy)) if e["event"] == "epoch"]
    assert ended[0]["ended_by"] == "gap above 0.2" and len(gaps) < 60
    assert gaps[-1] > 0.2 and max(gaps[:-1], default=0) <= 0.2


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_with_finite_losses(precision: str, workspace: Workspace) -> None:
    compute = replace(COMPUTE, precision=precision, save_minutes=9.0)  # type: ignore[arg-type]
    cad.train_cad(replace(CAD, compute=compute, epochs=1, epoch_batches=16), workspace)
    epoch = next(e for e in events(run_of("cad", workspace)) if e["event"] == "epoch")
    assert 0 < epoch["focal"] < 1 and epoch["penalty"] > 0
    assert epoch["skipped"] <= 12, "the loss scale may start too high, and must come down"


def test_missing_inputs_name_the_command(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="mammogan make-shards"):
        cad.train_cad(CAD, Workspace(tmp_path / "nothing"))
    with pytest.raises(MissingInput, match=r"mammogan train-cad --workspace .* --resolution 96x96"):
        gan.train_gan(GAN, Direction.REMOVE, workspace)


def test_a_frozen_vnet_does_not_move_in_the_first_epochs(workspace: Workspace) -> None:
    weights = write_vgg_weights(workspace.root / "vgg.pth")
    config = replace(CAD, vgg_weights=str(weights), fnet_epochs=1, compute=replace(COMPUTE, save_minutes=9.0))
    start = {f"vnet.{k.removeprefix('features.')}": v for k, v in torch.load(weights).items()}
    cad.train_cad(replace(config, epochs=1), workspace)
    after_first = load(run_of("cad", workspace).newest)["cad"]
    assert all(torch.equal(after_first[name], value) for name, value in start.items())
    cad.train_cad(config, workspace)
    after_second = load(run_of("cad", workspace).newest)["cad"]
    assert not any(torch.equal(after_second[name], value) for name, value in start.items() if "weight" in name)
    torch.save({name: value + 1 for name, value in torch.load(weights).items()}, weights)
    with pytest.raises(UserError, match="the file of Vnet's weights is not the one it was started with"):
        cad.train_cad(config, workspace)


def test_one_rank_that_resumes_what_one_rank_saved_says_nothing_of_ranks(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    cad.train_cad(replace(CAD, epochs=1), workspace)
    cad.train_cad(CAD, workspace)
    told = capsys.readouterr().out
    assert "from epoch 1, batch 0" in told and "resuming with" not in told
