"""Somebody else's classifier, generator, loss term and attack work without a change to the package."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ROOT, SMALL, run_script
from own_parts import Brightness, Fgsm, ResNet18, SmoothStep
from trainings import CAD, GAN

import mammogan
from mammogan.attack.baselines import Baseline
from mammogan.attack.config import BASELINES, EvaluateConfig, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.attack.own_attack import attack_class
from mammogan.config import CadConfig, GanConfig
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import read_shard
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.evaluate import evaluate
from mammogan.evaluation.score_plan import columns
from mammogan.io.atomic import read_json
from mammogan.models.networks import Critic
from mammogan.models.penalty import method_for
from mammogan.models.registry import build_classifier, build_generator, register_classifier
from mammogan.models.torchvision_import import import_torchvision
from mammogan.study.settings import read_sections
from mammogan.training import gan_state
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

OWN_CAD = replace(CAD, classifier="own_parts:ResNet18", epochs=1)
OWN_GAN = replace(GAN, generator="own_parts:Brightness", epochs=(1, 0, 0, 0, 1))


@pytest.fixture(scope="module")
def attacked(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A resnet trained, and attacked by a generator of two weights in both directions."""
    root = tmp_path_factory.mktemp("own") / "work"
    shutil.copytree(converted.root, root)
    workspace = Workspace(root)
    mammogan.train_cad(OWN_CAD, workspace)
    for direction in Direction:
        mammogan.train_gan(OWN_GAN, direction, workspace)
    return workspace


def test_another_classifier_is_trained_attacked_and_evaluated(attacked: Workspace) -> None:
    assert isinstance(mammogan.load_cad(attacked.cad_run(SMALL)), ResNet18)
    assert isinstance(mammogan.load_generator(attacked.gan_run(SMALL, Direction.REMOVE)), Brightness)
    generate(attacked, GenerateConfig(device="cpu", split=("test",)))
    evaluate(attacked, EvaluateConfig(device="cpu", bootstrap=100, objective=("study",), controls=False))
    table = (attacked.report / "table1.md").read_text(encoding="utf-8")
    assert "96x96 (95% interval)" in table


def test_its_penalty_falls_back_to_plain_autograd_and_that_is_recorded(
    attacked: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_json(Run(attacked.cad_run(SMALL)).done)["penalty_method"] == "reference"
    shutil.copytree(attacked.root / "shards", tmp_path / "work" / "shards")
    mammogan.train_cad(OWN_CAD, Workspace(tmp_path / "work"))
    assert capsys.readouterr().out.count("cannot take the fast gradient penalty") == 1


def test_a_classifier_with_batch_norm_is_refused() -> None:
    with pytest.raises(UserError, match=r"has batch norm.*GroupNorm"):
        build_classifier("own_parts:WithBatchNorm", 1.0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg19", r"expected .*vgg11-cad.*, or MODULE:CLASS"),
        ("no_such_module:Net", "cannot be imported here .*PYTHONPATH"),
        ("own_parts:NoSuchClass", "cannot be imported here"),
        ("own_parts:Brightness", "expected a subclass of .*Critic"),
    ],
)
def test_a_classifier_that_cannot_be_built_is_refused_with_the_reason(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_classifier(name, 1.0)


def test_a_registered_name_gives_its_class() -> None:
    register_classifier("resnet18-of-the-test")(ResNet18)
    assert isinstance(build_classifier("resnet18-of-the-test", 1.0), ResNet18)
    with pytest.raises(ValueError, match="registered already"):
        register_classifier("resnet18-of-the-test")(Brightness)


@pytest.fixture
def smooth_step(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gan_state, "GeneratorStep", SmoothStep)
    yield


@pytest.mark.usefixtures("smooth_step")
def test_another_term_of_the_loss_is_trained_logged_and_drawn(attacked: Workspace, tmp_path: Path) -> None:
    root = tmp_path / "work"
    for name in ("shards", "runs"):
        shutil.copytree(attacked.root / name, root / name)
    run = Run(Workspace(root).gan_run(SMALL, Direction.REMOVE))
    shutil.rmtree(run.path)
    config = replace(OWN_GAN, compute=replace(OWN_GAN.compute, tensorboard=True))
    mammogan.train_gan(config, Direction.REMOVE, Workspace(root))
    epochs = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert all(event["variation"] >= 0 for event in epochs if event["event"] == "epoch")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    drawn = EventAccumulator(str(run.path / "tensorboard"))
    drawn.Reload()
    assert "variation" in drawn.Tags()["scalars"]


def test_an_attack_of_ten_lines_gets_into_adversarial_shards_and_table_1(attacked: Workspace) -> None:
    config = GenerateConfig(attack="fgsm=own_parts:Fgsm", device="cpu")
    workspace = attacked.of(config.method)
    generate(workspace, config)
    index = read_json(workspace.adversarial(SMALL) / "index.json")
    entry = next(entry for entry in index["shards"] if entry["direction"] == "remove")
    assert json.loads(entry["made_from"]["attack_settings"]) == Fgsm.settings
    real = next(
        shard for shard in ShardIndex.load(attacked.shards(SMALL)).shards if shard.name == entry["source_shard"]
    )
    originals = {sample.key: sample for sample in read_shard(attacked.shards(SMALL) / real.name)}
    for made in read_shard(workspace.adversarial(SMALL) / entry["name"]):
        original = originals[made.facts["source_key"]].pixels.astype(int)
        assert 0 < abs(made.pixels.astype(int) - original).max() <= 256 + 2
        assert made.facts["synthetic"] and made.facts["objective"] == "fgsm"
    evaluate(attacked, EvaluateConfig(device="cpu", bootstrap=100, objective=("fgsm",), controls=False))
    assert "96x96, fgsm" in (attacked.report / "table1.md").read_text(encoding="utf-8")
    assert all(not task for task in outdated(workspace, config)), "nothing is left to make"


def test_the_examples_of_the_docs_can_be_imported_and_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 4
    monkeypatch.setattr(gan_state, "GeneratorStep", gan_state.GeneratorStep)  # one example replaces it
    (tmp_path / "my_parts.py").write_text("\n".join(examples))
    monkeypatch.syspath_prepend(tmp_path)
    import_torchvision()  # as the package does: the pair of torch and torchvision here may not match
    cad = build_classifier("my_parts:ResNet18", 1.0)
    generator, pixels = build_generator("my_parts:Brightness", 1.0), torch.rand(2, 1, 96, 96)
    assert generator(pixels).equal(pixels) and cad(pixels).shape == (2, 2)
    assert gan_state.GeneratorStep.__name__ == "SmoothStep"
    attack = attack_class("my_parts:Fgsm")(cad, Direction.REMOVE)
    assert attack.alter(pixels, [{}, {}]).dtype == torch.uint16


def outdated(workspace: Workspace, config: GenerateConfig) -> list[str]:
    from mammogan.attack.generate import plan

    return [task.outdated() for task in plan(workspace, SMALL, config)]


@pytest.mark.parametrize("attack", ["own_parts:Fgsm", "study=own_parts:Fgsm", "Fgsm=own_parts", "f/x=own_parts:Fgsm"])
def test_an_attack_needs_a_name_and_an_import_path(attack: str) -> None:
    with pytest.raises(UserError, match="expected NAME=MODULE:CLASS"):
        GenerateConfig(attack=attack)


def test_a_copy_of_adversarial_mammograms_is_taken_for_no_attack(attacked: Workspace, tmp_path: Path) -> None:
    shutil.copytree(attacked.root, tmp_path / "work")
    workspace = Workspace(tmp_path / "work")
    generate(workspace, GenerateConfig(attack="fgsm=own_parts:Fgsm", device="cpu"))
    shutil.copytree(workspace.adversarial(SMALL).parent, workspace.root / "adversarial-old")
    assert [view.objective for view, _ in columns(workspace, EvaluateConfig())] == ["study", "fgsm"]
    with pytest.raises(MissingInput, match=r"--attack other=MODULE:CLASS"):
        columns(workspace, EvaluateConfig(objective=("other",)))


def test_a_critic_with_a_forward_pass_of_its_own_is_not_taken_by_the_fast_penalty() -> None:
    class Doubled(Critic):
        def score(self, normalised: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
            return 2 * super().score(normalised, keep)

    assert method_for(Doubled(2, 0.05), OWN_CAD.compute).method == "reference"
    assert method_for(Critic(2, 0.05), OWN_CAD.compute).method == "fast"


def test_a_study_refuses_an_attack_that_it_does_not_train(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("generate: {attack: fgsm=own_parts:Fgsm}")
    with pytest.raises(UserError, match="a study attacks with the generators that it trains"):
        read_sections(tmp_path / "settings.yaml")


def test_the_commands_take_the_names_too(attacked: Workspace) -> None:
    words = ("--workspace", attacked.root, "--cluster", "none")
    refused = run_script("launch/generate.py", *words, "--attack", "fgsm=no_such_module:Fgsm", "--device", "cpu")
    assert refused.returncode == 2 and "cannot be imported here" in refused.stderr


def test_the_study_s_architectures_are_the_default() -> None:
    assert CadConfig().classifier == "vgg11-cad" and GanConfig().generator == "unet"


def test_a_simple_attack_is_chosen_by_name_with_settings_of_the_command_line(attacked: Workspace) -> None:
    config = GenerateConfig(
        attack="strong=pgd-l2", attack_settings=("budget=512", "steps=2"), direction=(Direction.REMOVE,), device="cpu"
    )
    workspace = attacked.of(config.method)
    generate(workspace, config)
    (entry, *_) = read_json(workspace.adversarial(SMALL) / "index.json")["shards"]
    assert json.loads(entry["made_from"]["attack_settings"]) == {"budget": 512, "steps": 2}
    assert not any(outdated(workspace, config))
    weaker = replace(config, attack_settings=("budget=256", "steps=2"))
    assert all(outdated(workspace, weaker)), "other settings make other images"
    for wrong in ("budget", "size=3", "budget=much"):
        with pytest.raises(UserError, match="--attack-settings"):
            outdated(workspace, replace(config, attack_settings=(wrong,)))
    with pytest.raises(UserError, match="give an attack"):
        GenerateConfig(attack_settings=("budget=3",))


def test_every_simple_attack_has_its_class() -> None:
    for name in BASELINES:
        config = GenerateConfig(attack=name)
        assert config.method == name and issubclass(attack_class(config.factory), Baseline)
