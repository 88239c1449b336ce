"""Classes of your own are checked before a job is submitted, identified by their source, and never half understood."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, SMALL, positives, run_script
from generators import card, save_cad, save_gnet
from own_parts import Fgsm, ResNet18
from trainings import CAD, GAN

import mammogan
from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.attack.plan_to_submit import plan_to_submit
from mammogan.config import CadConfig, GanConfig
from mammogan.data.shards.reader import shards_fingerprint
from mammogan.errors import UserError
from mammogan.evaluation.evaluate import evaluate
from mammogan.evaluation.lesion import controls
from mammogan.io.atomic import read_json
from mammogan.io.records import write_yaml_record
from mammogan.models.penalty import method_for
from mammogan.training.run.cad_source import CadSource
from mammogan.training.run.checkpoint import load, save
from mammogan.training.run.preflight import check_cad_class
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

SUBMITTED = ("--cluster", "slurm", "--dry-run")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of its own with a classifier and a generator: own_networks.py."""
    text = (ROOT / "tests" / "own_parts.py").read_text(encoding="utf-8")
    (tmp_path / "own_networks.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)
    return tmp_path / "own_networks.py"


@pytest.fixture(scope="module")
def generated(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """An untrained resnet as CAD, generators that change the brightness, and what they make."""
    root = tmp_path_factory.mktemp("generated") / "work"
    shutil.copytree(converted.root, root)
    workspace = Workspace(root)
    torch.manual_seed(0)
    arch = {"arch": "own_parts:ResNet18", "width": 1.0, **card(workspace, SMALL)}
    cad = Run(workspace.cad_run(SMALL))
    save(cad.best, {**arch, "cad": ResNet18(2).state_dict()})
    cad.finish({})
    network = {"arch": "own_parts:Brightness", "width": 1.0, "gnet_norm": "batch", "kind": "gan", "phase": "head"}
    network |= card(workspace, SMALL)
    for direction in Direction:
        run = Run(workspace.gan_run(SMALL, direction))
        for path, weight in ((run.best, [0.9, 0.0]), (run.identity, [1.0, 0.0])):
            state = {**network, "gnet": {"weight": torch.tensor(weight)}, "direction": str(direction), "epoch": 1}
            save(path, state)
    generate(workspace, GenerateConfig(device="cpu"))
    generate(workspace, GenerateConfig(attack="fgsm=own_parts:Fgsm", device="cpu"))
    return workspace


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"vgg_weights": "vgg.pth"}, "--vgg-weights vgg.pth"),
        ({"fnet_epochs": 5}, "--fnet-epochs 5"),
    ],
)
def test_a_setting_of_the_studys_classifier_is_refused_with_another_one(
    settings: dict[str, object], option: str
) -> None:
    with pytest.raises(UserError, match=f"{option}: of --classifier vgg11-cad alone"):
        CadConfig(classifier="own_parts:ResNet18", **settings)  # type: ignore[arg-type]
    CadConfig(**settings)  # type: ignore[arg-type]


def test_the_normalisation_of_gnet_is_refused_with_another_generator() -> None:
    with pytest.raises(UserError, match="--gnet-norm group: of --generator unet alone"):
        GanConfig(generator="own_parts:Brightness", gnet_norm="group")
    assert GanConfig(gnet_norm="group").gnet_norm == "group"


def test_memory_that_only_the_fast_penalty_can_save_is_refused_where_it_cannot_be_taken() -> None:
    saving = replace(CAD.compute, recompute=True)
    with pytest.raises(UserError, match=r"--compute.recompute .*\(ResNet18"):
        method_for(ResNet18(2), saving)


@pytest.mark.parametrize(
    ("script", "options", "reason"),
    [
        ("train_cad", ("--classifier", "no_such_module:Net"), "cannot be imported here"),
        ("train_cad", ("--classifier", "resnet18"), "known only in the Python process that registered it"),
        ("train_gan", ("--generator", "own_parts:NoSuchClass"), "cannot be imported here"),
        ("generate", ("--attack", "mine=collections:OrderedDict"), "a class with a method alter"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused_before_anything_is_submitted(
    generated: Workspace, script: str, options: tuple[str, str], reason: str
) -> None:
    refused = run_script(f"launch/{script}.py", "--workspace", generated.root, *SUBMITTED, *options)
    assert refused.returncode == 2 and "#SBATCH" not in refused.stdout
    assert reason in refused.stderr and "Traceback" not in refused.stderr


def test_a_class_that_only_the_settings_of_a_run_name_is_not_imported(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    best = save_cad(workspace, SMALL)
    gnets = [save_gnet(workspace, SMALL, direction) for direction in Direction]
    Run(workspace.cad_run(SMALL)).finish({})
    write_yaml_record(best.parents[1] / "config.yaml", {"config": {"classifier": "planted:Net"}})
    shards = shards_fingerprint(workspace.shards(SMALL))
    for gnet in gnets:
        record = {"config": {"generator": "planted:Net"}, "shards_sha256": shards}
        write_yaml_record(gnet.parents[1] / "config.yaml", record)
    checks = {
        "vgg11-cad": lambda: check_cad_class(CadSource(best)),
        "unet": lambda: plan_to_submit(workspace, SMALL, GenerateConfig(device="cpu")),
    }
    for usual, check in checks.items():
        with pytest.raises(UserError, match=rf"names the network planted:Net, but .*best\.pt holds {usual}"):
            check()
    assert not (tmp_path / "ran").exists()


def test_a_study_refuses_it_too(generated: Workspace, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("cad: {classifier: 'no_such_module:Net'}\n", encoding="utf-8")
    words = ("--workspace", generated.root, "--resolution", str(SMALL), "--config", tmp_path / "study.yaml")
    refused = run_script("launch/study.py", *words, *SUBMITTED)
    assert refused.returncode == 2 and "cannot be imported here" in refused.stderr, refused.stdout + refused.stderr
    assert "#SBATCH" not in refused.stdout


def test_a_changed_source_is_reported_and_the_training_resumes(
    own: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    cad = replace(CAD, classifier="own_networks:ResNet18", epochs=1)
    gan = replace(GAN, generator="own_networks:Brightness", epochs=(1, 0, 0, 0, 0))
    mammogan.train_cad(cad, workspace)
    mammogan.train_gan(gan, Direction.REMOVE, workspace)
    runs = Run(workspace.cad_run(SMALL)), Run(workspace.gan_run(SMALL, Direction.REMOVE))
    recorded = [yaml.safe_load((run.path / "config.yaml").read_text()) for run in runs]
    assert "has changed" not in capsys.readouterr().out
    for kind, run, record in zip(("classifier", "generator"), runs, recorded, strict=True):
        assert load(run.newest)[f"{kind}_source_sha256"] == record[f"{kind}_source_sha256"]
    own.write_text(own.read_text(encoding="utf-8") + "\n# another line\n", encoding="utf-8")
    mammogan.train_cad(replace(cad, epochs=2), workspace)
    mammogan.load_generator(runs[1].path)
    told = capsys.readouterr().out
    assert "cad-96x96: the source file of the classifier has changed since the training was started" in told
    assert "the source file of the generator, own_networks:Brightness, has changed since this network" in told


def test_the_controls_are_measured_with_another_classifier_too(
    generated: Workspace, coarse_figures: None, tmp_path: Path
) -> None:
    shutil.copytree(generated.root, tmp_path / "work")
    workspace = Workspace(tmp_path / "work")
    page = evaluate(workspace, EvaluateConfig(device="cpu", bootstrap=100, examples=1)).read_text(encoding="utf-8")
    found = read_json(workspace.report / "table1.json")["resolutions"][str(SMALL)]["controls"]
    assert set(found) == {"generator", *controls.NAMES}
    assert {row["images"] for row in found.values()} == {len(positives(workspace))}
    cad = mammogan.load_cad(workspace.cad_run(SMALL))
    real = torch.from_numpy(np.stack([sample.pixels for sample in positives(workspace)]))
    moved = torch.from_numpy(controls.descend(real.numpy(), cad, 1.0))
    with torch.no_grad():
        before, after = (cad(pixels[:, None]).diff(dim=1) for pixels in (real, moved))
    assert (after < before).all(), "gradient descent lowers the margin of this classifier"
    assert f"{SMALL}, fgsm, attack own_parts:Fgsm (remove), its source file:" in page.replace("×", "x")
    assert "(remove, , epoch" not in page


def test_an_adversarial_dicom_names_the_class_of_an_attack(generated: Workspace) -> None:
    from mammogan.attack.dicom.object import contribution
    from mammogan.data.shards.reader import read_shard

    view = generated.of("fgsm")
    made = next(read_shard(view.adversarial(SMALL) / "test-remove-000000.tar"))
    said = contribution(made.facts)
    assert "attack own_parts:Fgsm, source file sha256" in said and "phase" not in said
    assert Fgsm.__module__ == "own_parts"
