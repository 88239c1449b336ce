"""A training that begins with the weights of another one: they are those, it is recorded, and the old run stays."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trainings
import yaml
from conftest import SMALL

from mammogan.attack.model_export.export import export_model
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import sha256
from mammogan.io.records import read_yaml_record, write_yaml_record
from mammogan.training.cad import CadTraining, train_cad
from mammogan.training.gan import train_gan
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.checkpoint import load, save
from mammogan.training.run.model_card import CARD
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

ALONE = Ranks(0, 1, torch.device("cpu"))
SHORT = replace(trainings.CAD, epochs=1)


@pytest.fixture(scope="module")
def trained_once(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("trained") / "work"
    shutil.copytree(converted.root, root)
    train_cad(SHORT, Workspace(root))
    train_gan(replace(trainings.GAN, epochs=(1, 0, 0, 0, 0)), Direction.REMOVE, Workspace(root))
    return Workspace(root)


@pytest.fixture
def trained(trained_once: Workspace, tmp_path: Path) -> Workspace:
    """A workspace whose CAD and remover are renamed, so that new ones may begin with their weights."""
    shutil.copytree(trained_once.root, tmp_path / "work")
    for run in (tmp_path / "work/runs").iterdir():
        run.rename(run.with_name(f"{run.name}-before"))
    return Workspace(tmp_path / "work")


def before(workspace: Workspace, run: Path) -> Run:
    return Run(workspace.root / "runs" / f"{run.name}-before")


def test_a_cad_begins_with_those_weights_and_records_them(trained: Workspace) -> None:
    old, new = before(trained, trained.cad_run(SMALL)), Run(trained.cad_run(SMALL))
    config = replace(SHORT, start_from=str(old.path), lr_fnet=1e-4, vgg_weights="auto", seed=7)
    begun = CadTraining(config, trained, ALONE).cad.state_dict()
    held = load(old.best)["cad"]
    assert begun.keys() == held.keys() and all(torch.equal(begun[name], held[name]) for name in held)
    train_cad(config, trained)
    recorded = yaml.safe_load((new.path / "config.yaml").read_text())
    assert recorded["start_sha256"] == sha256(old.best) and recorded["config"]["start_from"] == str(old.path)
    assert recorded["start_shards_sha256"] == old.shards_sha256
    assert not torch.equal(load(new.best)["cad"]["last.weight"], held["last.weight"]), "it has learned on"


def test_it_resumes_without_the_old_run_and_keeps_the_record(trained: Workspace) -> None:
    old, new = before(trained, trained.cad_run(SMALL)), Run(trained.cad_run(SMALL))
    config = replace(SHORT, start_from=str(old.path))
    train_cad(config, trained)
    recorded = new.started_from
    shutil.rmtree(old.path)
    train_cad(replace(config, epochs=2), trained)
    assert new.started_from == recorded != {} and load(new.newest)["epoch"] == 2
    with pytest.raises(UserError, match=r"start_from was .*, now"):
        train_cad(replace(config, start_from=""), trained)


def test_a_generator_begins_with_those_of_its_direction(trained: Workspace) -> None:
    before(trained, trained.cad_run(SMALL)).path.rename(trained.cad_run(SMALL))
    old = before(trained, trained.gan_run(SMALL, Direction.REMOVE))
    config = replace(trainings.GAN, epochs=(1, 0, 0, 0, 0), start_from=str(old.path), lr_warm=0.0)
    train_gan(config, Direction.REMOVE, trained)
    made, held = (load(run.newest)["gnet"] for run in (Run(trained.gan_run(SMALL, Direction.REMOVE)), old))
    weights = [name for name, value in held.items() if "running" not in name and value.is_floating_point()]
    assert weights and all(torch.equal(made[name], held[name]) for name in weights)
    with pytest.raises(UserError, match="direction remove instead of insert"):
        train_gan(config, Direction.INSERT, trained)


def test_an_exported_model_is_trained_on(trained: Workspace, tmp_path: Path) -> None:
    old = before(trained, trained.cad_run(SMALL))
    exported = export_model(old.path, tmp_path / "handed-on")
    begun = CadTraining(replace(SHORT, start_from=str(exported)), trained, ALONE).cad.state_dict()
    held = load(old.best)["cad"]
    assert all(torch.equal(begun[name], held[name]) for name in held)


def test_other_networks_are_refused_with_what_differs(trained: Workspace, tmp_path: Path) -> None:
    old = before(trained, trained.cad_run(SMALL))
    gan = before(trained, trained.gan_run(SMALL, Direction.REMOVE))
    for start, match in ((old, "width 0.05 instead of 0.1"), (gan, r"should hold a classifier \(CAD\)")):
        with pytest.raises(UserError, match=match):
            train_cad(replace(SHORT, width=0.1, start_from=str(start.path)), trained)
    with pytest.raises(MissingInput, match="no checkpoint"):
        train_cad(replace(SHORT, start_from=str(tmp_path / "nowhere")), trained)
    assert not Run(trained.cad_run(SMALL)).has_state


def test_weights_of_other_mammograms_are_warned_of(trained: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    old = before(trained, trained.cad_run(SMALL))
    config = replace(SHORT, start_from=str(old.path))
    CadTraining(config, trained, ALONE)
    assert "begins with the weights of" in (said := capsys.readouterr().out) and "WARNING" not in said
    recorded = read_yaml_record(old.path / "config.yaml")
    write_yaml_record(old.path / "config.yaml", recorded | {"shards_sha256": "another"})
    save(old.best, load(old.best) | {CARD: {"trained_on": {"shards_sha256": "another"}}})
    old.done.unlink()
    CadTraining(config, trained, ALONE)
    assert "WARNING: these weights were trained on other mammograms" in capsys.readouterr().out
