"""A classifier of one's own in the place of the workspace's CAD: one grammar, from the training of a GAN to Table 1."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SMALL
from generators import save_cad, save_gnet
from trainings import EXACT, GAN, LESION

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.attack.model_export.export import export_model
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.evaluate import evaluate
from mammogan.evaluation.original_scores import score_originals
from mammogan.evaluation.score_plan import scorings
from mammogan.io.atomic import read_json
from mammogan.io.tables import read_own_csv
from mammogan.training.gan import train_gan
from mammogan.training.run.cad_source import cad_source
from mammogan.training.run.preflight import check_gan_inputs
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

GRAMMARS = ("run", "exported", "checkpoint", "factory")
STUDY = replace(GAN, epochs=(1, 0, 0, 0, 0), epoch_batches=2, gnet_every=1, compute=EXACT)
LESIONS = replace(LESION, lesion=replace(LESION.lesion, epochs=1, epoch_batches=2), compute=EXACT)
SCORE = EvaluateConfig(bootstrap=100, device="cpu", examples=1, controls=False)
PARTS = """
import torch
from torch import nn

from mammogan.models.networks import Cad


class Bright(nn.Module):
    \"\"\"The probability of cancer is the brightest pixel of a blurred image.\"\"\"

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, pixels):
        return self.weight.to(pixels.dtype) * nn.functional.avg_pool2d(pixels, 5, 1).flatten(1).amax(1).clamp(0, 1)


class Wrong(Bright):
    def forward(self, pixels):
        return super().forward(pixels)[:, None].expand(-1, 3)


def critic():
    torch.manual_seed(3)
    return Cad(0.05)


def function():
    return lambda pixels: pixels.mean((1, 2, 3))
"""


@pytest.fixture
def elsewhere(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """One CAD by each word of the grammar; the workspace itself has none."""
    (tmp_path / "cad_parts.py").write_text(textwrap.dedent(PARTS))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cad_parts", raising=False)
    save_cad(workspace, SMALL)
    run = workspace.cad_run(SMALL).rename(tmp_path / "their-run")
    exported = export_model(run, tmp_path / "handed-on", device="cpu")
    copy = tmp_path / "copied" / "their.pt"
    copy.parent.mkdir()
    copy.write_bytes(Run(run).best.read_bytes())
    return {"run": str(run), "exported": str(exported), "checkpoint": str(copy), "factory": "cad_parts:critic"}


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_by_each_word_of_the_grammar_a_gan_is_trained_attacks_are_made_and_table_1_is_written(
    grammar: str, elsewhere: dict[str, str], workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    cad = elsewhere[grammar]
    unknown = ("cad_parts:critic", "mammogan.attack.baselines:Fgsm") if grammar == "factory" else ()
    with pytest.raises(MissingInput, match="train-cad"):
        train_gan(STUDY, Direction.REMOVE, workspace)
    train_gan(replace(STUDY, cad=cad), Direction.REMOVE, workspace)
    assert ("origin unknown" in capsys.readouterr().out) == bool(unknown)
    trained = Run(workspace.gan_run(SMALL, Direction.REMOVE))
    assert trained.cad_sha256 == cad_source(workspace, SMALL, cad).sha256()
    attack = GenerateConfig(attack="fgsm", cad=cad, device="cpu")
    if unknown:
        with pytest.raises(UserError, match=r"the CAD that it attacks.* --origin-unknown mammogan.attack.ba"):
            generate(workspace, attack)
    generate(workspace, replace(attack, origin_unknown=unknown))
    config = replace(SCORE, cad=cad, objective=("fgsm",))
    if unknown:
        with pytest.raises(UserError, match="cad_parts:critic is of unknown origin: nothing says"):
            evaluate(workspace, config)
    page = evaluate(workspace, replace(config, origin_unknown=unknown))
    notice = read_json(page.parent / "table1.json")["resolutions"][f"{SMALL}, fgsm"]["notice"]
    assert ("Origin unknown: it is not known what cad_parts:critic" in notice) == bool(unknown)


def test_any_torch_module_is_scored_and_fooled_with_the_lesion_objective_and_no_discriminator_begins_as_it(
    elsewhere: dict[str, str], workspace: Workspace
) -> None:
    with pytest.raises(UserError, match=r"begins with the CAD's body and neck.*Critic.*found Bright.*--objective les"):
        check_gan_inputs(replace(STUDY, cad="cad_parts:Bright"), workspace)
    own = workspace.of("lesion")
    train_gan(replace(LESIONS, cad="cad_parts:Bright"), Direction.REMOVE, own)
    assert Run(own.gan_run(SMALL, Direction.REMOVE)).done.is_file()
    [path] = score_originals(workspace, replace(SCORE, cad="cad_parts:Bright", origin_unknown=("cad_parts:Bright",)))
    assert all(0 <= float(row["probability"]) <= 1 for row in read_own_csv(path))


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("cad_parts:function", "expected it to return a torch module.* can be a --victim"),
        ("cad_parts:nothing", "cannot be imported here"),
        ("no_such_module:cad", "cannot be imported here"),
        ("none/best.pt", r"--cad none/best.pt: none/best.pt is not there \(tried /.*\); expected a run folder"),
        ("FOLDER", "has no checkpoint of a classifier"),
        ("FOLDER/model.onnx", "A .onnx file can be a --victim"),
    ],
)
def test_what_can_be_no_cad_is_refused_before_anything_starts(
    named: str, told: str, elsewhere: dict[str, str], workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    if named.startswith("FOLDER/"):
        (tmp_path / "empty" / "model.onnx").touch()
    cad = named.replace("FOLDER", str(tmp_path / "empty"))
    with pytest.raises(UserError, match=told):
        check_gan_inputs(replace(STUDY, cad=cad), workspace)
    with pytest.raises(UserError, match=told):
        score_originals(workspace, replace(SCORE, cad=cad, origin_unknown=(cad,)))


def test_what_a_module_gives_is_refused_by_its_shape(elsewhere: dict[str, str], workspace: Workspace) -> None:
    with pytest.raises(UserError, match=r"CAD cad_parts:Wrong: expected logits of shape \(2, 2\)"):
        score_originals(workspace, replace(SCORE, cad="cad_parts:Wrong", origin_unknown=("cad_parts:Wrong",)))


def test_the_studys_generators_are_made_without_asking_a_cad(elsewhere: dict[str, str]) -> None:
    with pytest.raises(UserError, match="--cad is asked by --attack and by the insertion of --objective lesion alone"):
        GenerateConfig(cad=elsewhere["run"])


def test_other_weights_of_the_same_factory_are_another_cad(elsewhere: dict[str, str], workspace: Workspace) -> None:
    import cad_parts  # type: ignore[import-not-found]

    for direction in Direction:
        save_gnet(workspace, SMALL, direction)
    generate(workspace, GenerateConfig(device="cpu"))
    config = replace(SCORE, cad="cad_parts:Bright", origin_unknown=("cad_parts:Bright",))
    evaluate(workspace, config)
    assert not any(task.outdated() for scoring in scorings(workspace, config) for task in scoring.tasks())
    first = cad_parts.Bright.__init__

    def heavier(self: object) -> None:
        first(self)
        self.weight.data.mul_(0.5)  # type: ignore[attr-defined]

    cad_parts.Bright.__init__ = heavier
    assert all(task.outdated() for scoring in scorings(workspace, config) for task in scoring.tasks())
