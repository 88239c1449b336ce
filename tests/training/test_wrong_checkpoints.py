"""A checkpoint in the wrong place is refused with what it is, before anything is built."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, SMALL
from generators import save_cad, save_gnet
from PIL import Image
from training_states import run_of
from trainings import CAD, LESION

import mammogan
from mammogan.attack.insertion_choice import NO_CHOICE
from mammogan.attack.methods import load_attack
from mammogan.attack.model_export.export import export_model
from mammogan.cli.train_cad import check_settings as check_stage
from mammogan.cli.train_gan import check_settings
from mammogan.errors import UserError
from mammogan.io.temporary import this_host
from mammogan.study.outdated import training_outdated
from mammogan.training.cad import train_cad
from mammogan.training.gan import train_gan
from mammogan.training.run.checkpoint import load, save
from mammogan.training.run.checkpoint_kind import PARTS, check_kind
from mammogan.training.run.exported import write_exported, write_sums
from mammogan.training.run.preflight import as_learned
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run
from mammogan.training.run.start_from import start_state
from mammogan.training.run.trained_networks import read_generator
from mammogan.workspace import EXPORTED, Direction, Workspace


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


@pytest.mark.parametrize("kind", [torch.int8, torch.complex64])
def test_weights_of_whole_or_complex_numbers_are_refused_and_not_cast(saved: Workspace, kind: torch.dtype) -> None:
    cad, gan = saved.cad_run(SMALL), saved.gan_run(SMALL, Direction.REMOVE)
    for run, network, use in ((cad, "cad", mammogan.load_cad), (gan, "gnet", mammogan.load_generator)):
        path = run / "checkpoints/best.pt"
        state = load(path)
        name = next(name for name in state[network] if name.endswith("weight"))
        for found in (torch.float64, kind):
            state[network][name] = state[network][name].to(found)
            save(path, state)
            if found.is_floating_point:
                use(run)
        with pytest.raises(
            UserError, match=rf"those of another network \({name} holds {kind}, expected floating point"
        ):
            use(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name_wherever_a_checkpoint_is_loaded(
    saved: Workspace, tmp_path: Path, value: float
) -> None:
    loaders = {
        saved.cad_run(SMALL): ("cad", mammogan.load_cad),
        saved.gan_run(SMALL, Direction.REMOVE): ("gan", mammogan.load_generator),
    }
    for run, (kind, use) in loaders.items():
        path, network = run / "checkpoints/best.pt", "cad" if kind == "cad" else "gnet"
        exported = export_model(run, tmp_path / "handed-on", device="cpu")
        state = load(path)
        name = list(state[network])[-1]
        state[network][name].flatten()[0] = value
        save(path, state)
        write_exported(exported / EXPORTED, state)
        write_sums(exported)
        for loading in (
            lambda run=run, use=use: use(run),
            lambda exported=exported, use=use: use(exported),
            lambda run=run: export_model(run, tmp_path / "again", device="cpu"),
            lambda path=path, kind=kind: start_state(str(path), kind, {}, saved.shards(SMALL)),
        ):
            with pytest.raises(UserError, match=rf"whose {network}\.{name} has values that are no numbers.*train it"):
                loading()


def test_a_lesion_of_a_bank_that_is_no_number_is_refused(tmp_path: Path) -> None:
    lesion = {"growth": torch.full((3, 3), float("nan")), "surroundings": 0.5}
    bank = {"kind": "gan", "arch": "transplant", "phase": "bank", "epoch": 1, "cell": 2, "radius": 3.0}
    with pytest.raises(UserError, match=r"whose lesions\.0\.growth has values that are no numbers"):
        check_kind(tmp_path / "x.pt", bank | {"lesions": [lesion]}, "gan")


def test_a_mask_of_infinities_in_a_class_of_ones_own_is_no_fault(tmp_path: Path) -> None:
    state = {"kind": "cad", "arch": "theirs:Cad", "width": 1, "cad": {"mask": torch.tensor([0.0, float("-inf")])}}
    check_kind(tmp_path / "x.pt", state, "cad")
    with pytest.raises(UserError, match=r"whose cad\.mask has values"):
        check_kind(tmp_path / "x.pt", state | {"cad": {"mask": torch.tensor([float("nan")])}}, "cad")


def test_a_training_does_not_go_on_with_weights_that_are_no_numbers(workspace: Workspace) -> None:
    train_cad(CAD, workspace)
    run = run_of("cad", workspace)
    run.done.unlink()
    state = load(run.newest)
    state["cad"]["last.bias"][0] = float("nan")
    save(run.newest, state)
    with pytest.raises(UserError, match=r"newest.pt holds .* whose cad\.last\.bias has values that are no numbers"):
        train_cad(CAD, workspace)


@pytest.mark.parametrize("arch", ["unet", "residual-map", "transplant"])
def test_every_generator_without_one_of_its_parts_is_refused_by_name(tmp_path: Path, arch: str) -> None:
    for part in PARTS[arch]:  # type: ignore[union-attr]
        example: dict[str, Any] = {"lesions": [], "gnet": {}, "phase": "x", "gnet_norm": "batch"}
        state = {name: example.get(name, 1) for name in PARTS[arch] if name != part}  # type: ignore[union-attr]
        with pytest.raises(UserError, match=rf"x.pt holds a generator.* cannot be used: {part} is missing"):
            check_kind(tmp_path / "x.pt", {"kind": "gan", "arch": arch, **state}, "gan")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"direction": "sideways"}, "its direction is neither remove nor insert"),
        ({"direction": 7}, "its direction is neither remove nor insert"),
        ({"cell": 0}, "its cells are of 0 pixels"),
        ({"radius": -1.0}, "its lesions have a radius of -1.0 cells"),
        ({"radius": float("nan")}, "its lesions have a radius of nan cells"),
        ({"lesions": [{"growth": torch.zeros(3), "surroundings": 1}]}, r"an odd number of cells, found \(3,\)"),
        ({"lesions": [{"growth": torch.zeros(4, 4), "surroundings": 1}]}, r"an odd number of cells, found \(4, 4\)"),
    ],
)
def test_a_bank_of_lesions_that_is_none_is_refused(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    bank = {"kind": "gan", "arch": "transplant", "phase": "bank", "epoch": 0, "cell": 4, "radius": 1.5}
    sound = bank | {"lesions": [{"growth": torch.zeros(5, 5), "surroundings": 0.4}], "direction": "insert"}
    check_kind(tmp_path / "x.pt", sound, "gan")
    with pytest.raises(UserError, match=rf"x\.pt holds a generator .*that cannot be used: .*{told}"):
        check_kind(tmp_path / "x.pt", sound | change, "gan")


def test_a_function_that_a_checkpoint_names_in_the_place_of_a_network_is_not_called(saved: Workspace) -> None:
    best = saved.gan_run(SMALL, Direction.REMOVE) / "checkpoints/best.pt"
    torch.save(load(best) | {"arch": "os:_exit", "width": 1}, best)
    with pytest.raises(UserError, match=r"generator 'os:_exit': expected a subclass of torch\.nn\.Module"):
        mammogan.load_generator(best.parent.parent, which=str(best))


def test_code_that_lies_beside_a_checkpoint_is_not_run(saved: Workspace, tmp_path: Path) -> None:
    best = saved.gan_run(SMALL, Direction.REMOVE) / "checkpoints/best.pt"
    torch.save(load(best) | {"arch": "planted:Net"}, best)
    (saved.root / "planted.py").write_text(f"import os; os.mkdir({str(tmp_path / 'ran')!r})\n", encoding="utf-8")
    read = f"import mammogan; mammogan.load_generator({str(best.parent.parent)!r}, which={str(best)!r})"
    for named in ("", f"{os.pathsep}{saved.root}"):
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{named}"}
        words = [sys.executable, "-c", read]
        result = subprocess.run(words, cwd=saved.root, env=environment, capture_output=True, text=True, check=False)
        told = "lies in the workspace and is not run" in result.stderr
        assert (told, (tmp_path / "ran").exists()) == (not named, bool(named)), result.stderr


@pytest.mark.parametrize("name", ["kind", "arch"])
def test_a_kind_that_is_no_text_is_refused(saved: Workspace, name: str) -> None:
    for best, kind in (
        (saved.cad_run(SMALL) / "checkpoints/best.pt", "cad"),
        (saved.gan_run(SMALL, Direction.REMOVE) / "checkpoints/best.pt", "gan"),
    ):
        with pytest.raises(UserError, match=f"its {name} is no text"):
            check_kind(best, load(best) | {name: ["cad"]}, kind)  # type: ignore[arg-type]


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


def test_an_earlier_checkpoint_of_a_finished_training_is_refused_in_the_place_of_its_result(saved: Workspace) -> None:
    run = Run(saved.gan_run(SMALL, Direction.REMOVE))
    save_gnet(saved, SMALL, Direction.REMOVE, seed=1)
    later = run.best.read_bytes()
    run.finish({})
    assert read_generator(run.path)[1].epoch == 1
    save_gnet(saved, SMALL, Direction.REMOVE, seed=0)
    with pytest.raises(UserError, match=r"best.pt is not the one that its training ended with.*another put in its pla"):
        read_generator(run.path)
    run.done.unlink()
    assert read_generator(run.path)[1].epoch == 0  # a training that goes on believes it
    run.best.write_bytes(later)
    cad = Run(saved.cad_run(SMALL))
    cad.finish({})
    save_cad(saved, SMALL, seed=1)
    with pytest.raises(UserError, match=r"best\.pt is not the one that its training ended with"):
        mammogan.load_cad(cad.path)


def test_no_other_checkpoint_takes_the_place_of_a_result_that_is_gone(workspace: Workspace) -> None:
    train_cad(CAD, workspace)
    run = run_of("cad", workspace)
    kept = run.best.rename(run.path / "kept.pt")
    gone = r"best.pt, the result of this finished training, is gone\. Bring it back from a copy, or remove the folder"
    for use in (
        lambda: mammogan.load_cad(run.path),
        lambda: train_cad(CAD, workspace),
        lambda: check_stage(run.path, as_learned(CAD)),
    ):
        with pytest.raises(UserError, match=gone):
            use()
    assert training_outdated(run, as_learned(CAD), {}) == "best.pt is gone"
    assert mammogan.load_cad(run.path, which="newest").training is False, "asked for by name"
    kept.rename(run.best)
    run.newest.unlink()
    assert training_outdated(run, as_learned(CAD), {}) == "", "it is needed no more"
    train_cad(CAD, workspace)


def test_a_bank_of_lesions_that_is_gone_is_made_again(workspace: Workspace) -> None:
    lesion = workspace.of("lesion")
    train_cad(CAD, workspace)
    train_gan(LESION, Direction.REMOVE, lesion)
    train_gan(LESION, Direction.INSERT, lesion)
    run = Run(lesion.gan_run(SMALL, Direction.INSERT))
    made = load(run.newest)
    run.newest.unlink()
    assert training_outdated(run, LESION, {}) == "newest.pt is gone"
    check_settings(run.path, LESION)
    train_gan(LESION, Direction.INSERT, lesion)
    assert len(load(run.newest)["lesions"]) == len(made["lesions"])


def test_pictures_of_a_training_say_in_words_and_in_the_file_that_they_are_synthetic(tmp_path: Path) -> None:
    reporter = Reporter(Run(tmp_path), "gan", writes=True, tensorboard=False)
    reporter.triplets(0, torch.zeros(2, 1, 96, 96), torch.zeros(2, 1, 96, 96))
    reporter.close()
    with Image.open(tmp_path / "pictures" / "epoch-0000.png") as picture:
        assert picture.text["Description"] == "synthetic: altered by MammoGAN, not a clinical image"  # type: ignore[attr-defined]
        shown = np.array(picture)
    above, below = shown[: -2 * 96], shown[-2 * 96 :]
    assert below.shape == (192, 3 * 96)
    assert all((above[:, column : column + 96] > 128).sum() > 50 for column in (0, 96, 192))
