"""A training resumes from its own checkpoint alone, and another file of torch is called what it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import SMALL
from generators import save_cad
from torch import nn
from training_states import run_of
from trainings import CAD, GAN, LESION

import mammogan
from mammogan.config import CadConfig
from mammogan.errors import UserError
from mammogan.training.cad import train_cad
from mammogan.training.gan import train_gan
from mammogan.training.run.begun_with import BEGUN_WITH, begun_with, changes_of_checkpoint
from mammogan.training.run.checkpoint import load, save
from mammogan.workspace import Direction, Workspace

OTHER = replace(CAD, seed=5, penalty=replace(CAD.penalty, of="target"))


def trained(workspace: Workspace, root: Path, config: CadConfig) -> Workspace:
    shutil.copytree(workspace.root, root)
    train_cad(config, Workspace(root))
    return Workspace(root)


def test_a_checkpoint_of_a_training_with_other_settings_is_refused_and_they_are_named(
    workspace: Workspace, tmp_path: Path
) -> None:
    other = run_of("cad", trained(workspace, tmp_path / "other", OTHER))
    train_cad(CAD, workspace)
    run = run_of("cad", workspace)
    result, kept = load(run.best), run.newest.read_bytes()
    run.done.unlink()
    shutil.copy(other.newest, run.newest)
    told = r"newest.pt is not of this training.*penalty.of was target, now margin; seed was 5, now 0"
    with pytest.raises(UserError, match=told):
        train_cad(CAD, workspace)
    run.newest.write_bytes(kept)
    shutil.copy(other.best, run.best)
    with pytest.raises(UserError, match=r"best.pt is not of this training.*seed was 5, now 0"):
        train_cad(CAD, workspace)
    assert not run.done.exists()
    save(run.best, result)
    train_cad(replace(CAD, epochs=CAD.epochs + 1, compute=replace(CAD.compute, save_minutes=9.0)), workspace)


def test_checkpoints_of_earlier_versions_do_not_say_what_they_were_begun_with_and_are_resumed(
    workspace: Workspace,
) -> None:
    train_cad(CAD, workspace)
    run = run_of("cad", workspace)
    run.done.unlink()
    for path in (run.newest, run.best):
        save(path, {name: value for name, value in load(path).items() if name != BEGUN_WITH})
    train_cad(CAD, workspace)
    assert run.done.exists()


def test_what_a_checkpoint_says_of_its_training_names_no_folder_and_fits_more_epochs() -> None:
    config = replace(CAD, vgg_weights="/home/somebody/vgg.pth", start_from="/home/somebody/runs/cad-96x96")
    state = {BEGUN_WITH: begun_with(config, {"shards_sha256": "ab", "classifier_source_sha256": "cd"})}
    assert "somebody" not in str(state) and "classifier_source_sha256" not in state[BEGUN_WITH]
    moved = replace(config, vgg_weights="vgg.pth", epochs=9, compute=replace(CAD.compute, device="cuda"))
    assert changes_of_checkpoint(state, moved, {"shards_sha256": "ab"}) == []
    assert changes_of_checkpoint(state, replace(moved, vgg_weights="none"), {"shards_sha256": "ef"}) == [
        "vgg_weights was vgg.pth, now none",
        "the shards are not those it was started with (other mammograms, labels or splits)",
    ]
    longer = replace(LESION, lesion=replace(LESION.lesion, epochs=7), cad="elsewhere", validate_every=3)
    begun = {BEGUN_WITH: begun_with(LESION, {"direction": "remove"})}
    assert begun == {BEGUN_WITH: begun_with(longer, {"direction": "remove"})}
    assert changes_of_checkpoint(begun, longer, {"direction": "remove"}) == []


def test_weights_alone_in_the_place_of_the_newest_state_are_called_that(workspace: Workspace) -> None:
    train_cad(CAD, workspace)
    train_gan(GAN, Direction.REMOVE, workspace)
    cad, gan = run_of("cad", workspace), run_of("remove", workspace)
    for run, weights, train in (
        (gan, gan.identity, lambda: train_gan(GAN, Direction.REMOVE, workspace)),
        (cad, cad.best, lambda: train_cad(CAD, workspace)),
    ):
        run.done.unlink()
        shutil.copy(weights, run.newest)
        with pytest.raises(UserError, match=r"newest.pt cannot be resumed from: .* its weights alone.*newest-1.pt"):
            train()


def exported(path: Path) -> None:
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.rand(1, 2),)), path.with_suffix(".pt2"))
    path.with_suffix(".pt2").replace(path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("write", "told"),
    [
        (
            lambda path: torch.jit.script(nn.Linear(2, 2)).save(path),
            r"is a TorchScript program.*as \.pt2.*ONNX.*FACTORY",
        ),
        (exported, r"is a network of torch\.export\.save\. .*--victim under a name that ends in \.pt2.*FACTORY"),
        (lambda path: torch.save(nn.Linear(2, 2), path), r"holds more than tensors.*whole module.*FACTORY"),
    ],
    ids=["TorchScript", "pt2", "module"],
)
def test_another_file_of_torch_is_called_what_it_is_and_not_damaged(
    tmp_path: Path, write: Callable[[Path], object], told: str
) -> None:
    workspace, other = Workspace(tmp_path / "work"), tmp_path / "other.pt"
    save_cad(workspace, SMALL)
    write(other)
    with pytest.raises(UserError, match=told) as met:
        mammogan.load_cad(workspace.cad_run(SMALL), which=str(other))
    assert "damaged" not in str(met.value)
    other.write_bytes(other.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"other\.pt is damaged"):
        mammogan.load_cad(workspace.cad_run(SMALL), which=str(other))
