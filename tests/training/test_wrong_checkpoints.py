"""A checkpoint in the wrong place is refused with what it is, before anything is built."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SMALL
from generators import save_cad, save_gnet
from training_states import run_of
from trainings import CAD

import mammogan
from mammogan.attack.methods import NO_CHOICE, load_attack
from mammogan.errors import UserError
from mammogan.io.temporary import this_host
from mammogan.training.cad import train_cad
from mammogan.training.run.checkpoint import load, save
from mammogan.training.run.checkpoint_kind import PARTS, check_kind
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run
from mammogan.training.run.trained_networks import read_generator
from mammogan.workspace import Direction, Workspace


@pytest.fixture
def saved(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    save_cad(workspace, SMALL)
    save_gnet(workspace, SMALL, Direction.REMOVE)
    return workspace


def test_a_generators_file_as_the_cads_and_the_cads_as_a_generators_are_refused(saved: Workspace) -> None:
    cad, gan = saved.cad_run(SMALL), saved.gan_run(SMALL, Direction.REMOVE)
    of_cad, of_gan = cad / "checkpoints/best.pt", gan / "checkpoints/best.pt"
    with pytest.raises(UserError, match=r"should hold a classifier \(CAD\) and holds a generator \(GAN\), direction"):
        mammogan.load_cad(cad, which=str(of_gan))
    with pytest.raises(UserError, match=r"should hold a generator \(GAN\) and holds a classifier \(CAD\)"):
        mammogan.load_generator(gan, which=str(of_cad))
    facts = read_generator(gan)[1]
    shutil.copy(of_cad, of_gan)
    with pytest.raises(UserError, match="should hold a generator"):
        load_attack(facts, NO_CHOICE, "cpu")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("width"), "width is missing"),
        (lambda state: state.update(width="wide"), "width: expected a whole number or a number, found text"),
        (lambda state: state.update(width=-1.0), "its width is -1.0"),
        (lambda state: state.update(width=float("nan")), "its width is nan"),
        (lambda state: state.update(width=0.2), "its weights are those of another network"),
        (lambda state: state.update(cad={}), "its weights are those of another network"),
        (lambda state: state.update(cad=None), "cad: expected a mapping, found nothing"),
        (lambda state: state.update(kind="gan"), r"holds a generator \(GAN\)"),
        (lambda state: state.clear(), "holds no network of MammoGAN"),
        (lambda state: state.update(arch="resnet"), "classifier 'resnet': expected"),
    ],
)
def test_a_cad_without_one_of_its_parts_is_refused(
    saved: Workspace, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    path = saved.cad_run(SMALL) / "checkpoints/best.pt"
    state = load(path)
    change(state)
    save(path, state)
    with pytest.raises(UserError, match=told):
        mammogan.load_cad(saved.cad_run(SMALL))


@pytest.mark.parametrize("arch", ["unet", "residual-map", "transplant"])
def test_every_generator_without_one_of_its_parts_is_refused_by_name(tmp_path: Path, arch: str) -> None:
    for part in PARTS[arch]:  # type: ignore[union-attr]
        example: dict[str, Any] = {"lesions": [], "gnet": {}, "phase": "x", "gnet_norm": "batch"}
        state = {name: example.get(name, 1) for name in PARTS[arch] if name != part}  # type: ignore[union-attr]
        with pytest.raises(UserError, match=rf"x.pt holds a generator.* cannot be used: {part} is missing"):
            check_kind(tmp_path / "x.pt", {"kind": "gan", "arch": arch, **state}, "gan")


def test_a_file_of_torch_that_holds_no_state_is_refused(saved: Workspace) -> None:
    path = saved.cad_run(SMALL) / "checkpoints/best.pt"
    torch.save(torch.zeros(3), path)
    with pytest.raises(UserError, match="holds Tensor, and checkpoints hold a mapping"):
        mammogan.load_cad(saved.cad_run(SMALL))


def test_a_training_does_not_resume_from_another_trainings_checkpoint(workspace: Workspace) -> None:
    train_cad(CAD, workspace)
    run = run_of("cad", workspace)
    run.done.unlink()
    sound = run.newest.read_bytes()
    other = run_of("remove", workspace)
    save_gnet(workspace, SMALL, Direction.REMOVE)
    for foreign, told in ((other.best.read_bytes(), "generator"), (sound, None)):
        run.newest.write_bytes(foreign)
        if told:
            before = (run.path / "config.yaml").read_bytes()
            with pytest.raises(UserError, match=rf"newest.pt is not of this training: it holds a {told}"):
                train_cad(CAD, workspace)
            assert (run.path / "config.yaml").read_bytes() == before and not run.done.exists()
    wider = load(run.newest) | {"width": 0.1}
    save(run.newest, wider)
    with pytest.raises(UserError, match=r"newest.pt is not of this training: it holds width 0.1 instead of 0.05"):
        train_cad(CAD, workspace)
    run.newest.write_bytes(sound)
    shutil.copy(other.best, run.best)
    with pytest.raises(UserError, match=r"best.pt is not of this training"):
        train_cad(CAD, workspace)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_half_a_config_is_called_damaged_and_not_other_settings(tmp_path: Path, share: float) -> None:
    run = Run(tmp_path)
    run.begin(CAD, {"shards_sha256": "ab" * 32})
    run.check(CAD, {"shards_sha256": "ab" * 32})
    config = tmp_path / "config.yaml"
    content = config.read_bytes()
    config.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"config.yaml is damaged: .*Bring it back from a copy; or, if you know") as met:
        run.check(CAD, {"shards_sha256": "ab" * 32})
    assert "other settings" not in str(met.value)


def test_tensorboards_files_do_not_name_the_machine(tmp_path: Path) -> None:
    reporter = Reporter(Run(tmp_path), "cad", writes=True, tensorboard=True)
    reporter.epoch(0, phase="all", validation_auc=0.5)
    reporter.close()
    [written] = (tmp_path / "tensorboard").iterdir()
    assert this_host() in written.name and socket.gethostname() not in written.name
    assert socket.gethostname().encode() not in written.read_bytes()


@pytest.mark.parametrize("more", [b"x", bytes(20), b"PK" * 50])
def test_a_checkpoint_to_which_something_was_appended_is_damaged(saved: Workspace, more: bytes) -> None:
    path = saved.cad_run(SMALL) / "checkpoints/best.pt"
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(UserError, match=r"best.pt is damaged: something was appended"):
        mammogan.load_cad(saved.cad_run(SMALL))
