"""The result of a run is the checkpoint that it ended with, whatever else lies in its folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import SMALL
from generators import save_cad
from trainings import CAD

import mammogan
from mammogan.attack.model_export.export import export_model
from mammogan.cli.train_cad import check_settings as check_stage
from mammogan.errors import UserError
from mammogan.training.cad import train_cad
from mammogan.training.run.checkpoint_files import choose_checkpoint
from mammogan.training.run.preflight import as_learned
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Workspace


@pytest.fixture
def saved(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    save_cad(workspace, SMALL)
    return workspace


def test_a_model_that_lies_beside_a_runs_checkpoints_is_not_its_result(
    saved: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = Run(saved.cad_run(SMALL)), Workspace(tmp_path / "other")
    save_cad(other, SMALL, seed=1)
    exported = export_model(other.cad_run(SMALL), tmp_path / "handed-on")
    run.finish({})
    shutil.copy(exported / "model.safetensors", run.path)
    for which in ("best", "newest"):
        assert choose_checkpoint(run.path, which).parent == run.best.parent
    mammogan.load_cad(run.path)
    told = capsys.readouterr().out
    assert told.count("note: ") == 1 and f"{run.exported} is not used: a folder with checkpoints/" in told
    save_cad(saved, SMALL, seed=1)
    with pytest.raises(UserError, match=r"best\.pt is not the one that its training ended with"):
        mammogan.load_cad(run.path)
    assert choose_checkpoint(exported) == exported / "model.safetensors"


def test_a_run_of_the_workspace_comes_before_a_model_that_was_exported_into_it(saved: Workspace) -> None:
    run = saved.cad_run(SMALL)
    exported = export_model(run, saved.root)
    assert exported == saved.root / run.name and saved.cad_run(SMALL) == run
    shutil.rmtree(run)
    assert saved.cad_run(SMALL) == exported


def test_no_training_writes_into_the_folder_of_an_exported_model(workspace: Workspace) -> None:
    save_cad(workspace, SMALL)
    run = workspace.cad_run(SMALL)
    exported = export_model(run, workspace.root)
    shutil.rmtree(run)
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    for train in (lambda: train_cad(CAD, workspace), lambda: check_stage(exported, as_learned(CAD))):
        with pytest.raises(UserError, match=r"holds an exported model, and a training needs a folder of its own"):
            train()
    assert before == {path.name: path.read_bytes() for path in exported.iterdir()}


def test_a_best_checkpoint_that_a_finished_training_never_had_is_refused(saved: Workspace) -> None:
    run = Run(saved.cad_run(SMALL))
    foreign = run.best.rename(run.newest).read_bytes()
    run.finish({})
    run.best.write_bytes(foreign)
    with pytest.raises(UserError, match=r"best\.pt is of no use here: its training ended without one"):
        mammogan.load_cad(run.path)
    mammogan.load_cad(run.path, which="newest")
