"""Checkpoints: written in the background, kept one back, and never believed when they are damaged."""

from __future__ import annotations

import hashlib
import shutil
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import run_script
from generators import save_all
from hypothesis import given, settings
from hypothesis import strategies as st
from trainings import CAD

from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import read_json
from mammogan.training import cad
from mammogan.training.run.async_save import Saver, snapshot
from mammogan.training.run.checkpoint import Damaged, load, load_newest, save
from mammogan.training.run.checkpoint_files import choose_checkpoint
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Resolution, Workspace

SMALL = Resolution(96, 96)
STATE = {"weights": {"a": torch.arange(600.0).view(20, 30).t(), "b": torch.tensor(3)}, "best": None, "sums": [[1.5, 2]]}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "state.pt"
    save(path, STATE)
    return path


def same(found: dict[str, object]) -> bool:
    weights = found["weights"]
    assert isinstance(weights, dict)
    equal = all(torch.equal(weights[name], value) for name, value in STATE["weights"].items())  # type: ignore[union-attr]
    return equal and found["best"] is None and found["sums"] == STATE["sums"]


def test_a_checkpoint_is_a_zip_that_torch_reads(saved: Path) -> None:
    assert zipfile.ZipFile(saved).testzip() is None
    assert same(load(saved)) and same(torch.load(saved, weights_only=True))


def test_a_checkpoint_that_version_0_1_sealed_is_read(saved: Path, tmp_path: Path) -> None:
    sealed = saved.read_bytes()[:-2] + (71).to_bytes(2, "little")  # its comment was a sha256
    (tmp_path / "sealed.pt").write_bytes(sealed + b"sha256 " + hashlib.sha256(sealed).hexdigest().encode())
    assert same(load(tmp_path / "sealed.pt"))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_cut_or_changed_is_found_damaged_or_does_not_matter(saved: Path, data: st.DataObject) -> None:
    whole = bytearray(saved.read_bytes())
    at = data.draw(st.one_of(st.integers(0, len(whole) - 1), st.integers(len(whole) - 100, len(whole) - 1)), label="at")
    kind = data.draw(st.sampled_from(["cut", "flipped", "zeroed", "longer"]))
    if kind == "cut":
        del whole[at:]
    elif kind == "flipped":
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "zeroed":  # a block that never reached the disk
        whole[at : at + 512] = bytes(len(whole[at : at + 512]))
    else:
        whole += bytes(at % 50 + 1)
    path = saved.with_name("changed.pt")
    path.write_bytes(whole)
    try:
        assert same(load(path))
    except Damaged as error:
        assert "changed.pt is damaged" in str(error) and "train again" in str(error)


def test_a_checkpoint_that_torch_saved_without_a_seal_is_read(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "plain.pt")
    assert same(load(tmp_path / "plain.pt"))


def test_a_checkpoint_with_code_in_it_is_refused_and_none_is_said_to_be_missing(tmp_path: Path) -> None:
    torch.save({"run": print}, tmp_path / "code.pt")
    with pytest.raises(Damaged, match="UnpicklingError"):
        load(tmp_path / "code.pt")
    with pytest.raises(MissingInput, match="train first"):
        load(tmp_path / "none.pt")


def test_saving_copies_at_once_and_writes_later(tmp_path: Path) -> None:
    run, weights = Run(tmp_path), torch.zeros(1000)
    saver, gate = Saver(run), threading.Event()
    saver._thread.submit(gate.wait)  # a disk that takes its time
    saver.newest({"weights": weights, "epochs": [1]})
    saver.best({"weights": weights})
    weights += 1
    assert not run.newest.exists()
    gate.set()
    saver.wait()
    assert load(run.newest)["weights"].sum() == load(run.best)["weights"].sum() == 0


def test_the_next_save_waits_for_the_former_and_keeps_it(tmp_path: Path) -> None:
    run = Run(tmp_path)
    saver = Saver(run)
    for number in range(4):
        saver.newest({"number": number})
        assert number == 0 or run.newest.is_file()
    saver.wait()
    assert load(run.newest) == {"number": 3} and load(run.previous) == {"number": 2}
    assert sorted(p.name for p in run.newest.parent.iterdir()) == ["newest-1.pt", "newest.pt"]


def test_what_goes_wrong_while_writing_is_raised_by_the_next_save_and_by_waiting(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("no folder")
    saver = Saver(Run(tmp_path))
    saver.newest({"number": 0})
    with pytest.raises(OSError):
        saver.newest({"number": 1})
    with pytest.raises(OSError):
        saver.wait()


def test_a_snapshot_keeps_types_values_and_strides_and_shares_nothing() -> None:
    network = torch.nn.BatchNorm2d(3).to(memory_format=torch.channels_last)
    state = {"network": network.state_dict(), "rates": (0.5, 0.9), "image": torch.rand(2, 3, 4, 4)}
    state["image"] = state["image"].to(memory_format=torch.channels_last)
    taken = snapshot(state)
    assert type(taken["network"]) is type(state["network"]) and taken["rates"] == (0.5, 0.9)
    assert taken["network"]._metadata == state["network"]._metadata
    assert taken["image"].stride() == state["image"].stride() and torch.equal(taken["image"], state["image"])
    before = taken["network"]["running_mean"].clone()
    network(torch.rand(4, 3, 2, 2))
    assert torch.equal(taken["network"]["running_mean"], before)


def test_the_previous_checkpoint_is_used_when_the_newest_is_damaged_or_gone(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(MissingInput):
        load_newest(run)
    for number in (1, 2):
        save(run.newest, {"number": number}, run.previous)
    assert load_newest(run) == ({"number": 2}, "")
    newest = run.newest.read_bytes()
    run.newest.write_bytes(newest[:-99])
    state, told = load_newest(run)
    assert state == {"number": 1} and told.startswith("newest.pt is damaged (")
    assert told.endswith(": resuming from newest-1.pt")
    run.newest.unlink()
    assert load_newest(run) == ({"number": 1}, "newest.pt is not there: resuming from newest-1.pt")
    assert choose_checkpoint(run.path, "newest") == choose_checkpoint(run.path) == run.previous
    run.previous.write_bytes(b"")
    with pytest.raises(UserError, match=r"newest.pt is not there; newest-1.pt is damaged .*train again"):
        load_newest(run)


@pytest.mark.parametrize("fault", ["torn", "changed", "gone"])
def test_a_training_resumes_from_the_previous_checkpoint_and_ends_as_it_would_have(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    run = Run(workspace.cad_run(SMALL))
    cad.train_cad(CAD, workspace)
    undisturbed = load(run.newest)
    run.done.unlink()
    damage(run.newest, fault)
    capsys.readouterr()
    cad.train_cad(CAD, workspace)
    out = capsys.readouterr().out
    assert f"newest.pt is {'not there' if fault == 'gone' else 'damaged'}" in out and "from epoch 1, batch 3" in out
    assert all(torch.equal(value, load(run.newest)["cad"][name]) for name, value in undisturbed["cad"].items())
    assert run.done.is_file() and load(run.previous)["epoch"] == 1, "the damaged one was not kept"


def test_a_training_that_cannot_resume_leaves_its_folder_unchanged(workspace: Workspace) -> None:
    run = Run(workspace.cad_run(SMALL))
    cad.train_cad(CAD, workspace)
    for path in (run.newest, run.previous):
        damage(path, "changed")
    before = {path: path.read_bytes() for path in (run.done, run.path / "config.yaml", run.best, run.metrics)}
    with pytest.raises(UserError, match=r"newest.pt is damaged .* newest-1.pt is damaged"):
        cad.train_cad(replace(CAD, epochs=CAD.epochs + 1), workspace)
    assert {path: path.read_bytes() for path in before} == before


def test_best_networks_that_came_after_the_state_that_is_left_are_kept_as_the_best(workspace: Workspace) -> None:
    run = Run(workspace.cad_run(SMALL))
    cad.train_cad(CAD, workspace)
    better = load(run.best) | {"epoch": CAD.epochs, "validation_auc": 2.0}  # as another machine's rounding may have it
    save(run.best, better)
    run.done.unlink()
    run.newest.unlink()
    cad.train_cad(CAD, workspace)
    assert load(run.best)["validation_auc"] == load(run.newest)["best"] == 2.0
    assert read_json(run.done)["best_validation_auc"] == 2.0


def damage(path: Path, fault: str) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    if fault == "gone":
        path.unlink()
    else:
        path.write_bytes(whole if fault == "changed" else whole[: len(whole) // 2])


def test_generation_and_evaluation_say_which_checkpoint_is_damaged(workspace: Workspace) -> None:
    save_all(workspace, SMALL)
    best = sorted((workspace.root / "runs").glob("*/checkpoints/best.pt"))
    assert len(best) == 3
    damage(best[1], "changed")
    common = ("--workspace", workspace.root, "--device", "cpu")
    generated = run_script("launch/generate.py", *common, "--cluster", "none")
    assert generated.returncode == 2 and "Traceback" not in generated.stderr
    assert f"error: checkpoint {best[1]} is damaged: its bytes" in generated.stderr
    save_all(workspace, SMALL)
    assert run_script("launch/generate.py", *common, "--cluster", "none").returncode == 0
    damage(best[0], "torn")
    evaluated = run_script("launch/evaluate.py", *common)
    assert evaluated.returncode == 2 and f"error: checkpoint {best[0]} is damaged" in evaluated.stderr
    shutil.rmtree(workspace.root)
