"""What fools the CAD without touching the lesion does what it says, and stands in the report beside the generators."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import SMALL, positives, run_script
from generators import WIDTH, card, save_all, save_gnet
from predictions_file import read_predictions

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.data.blobs.blob_detector import breast_of
from mammogan.errors import MissingInput
from mammogan.evaluation.evaluate import evaluate
from mammogan.evaluation.lesion.controls import descend, less_contrast, measure_controls
from mammogan.evaluation.phantom_truth import PhantomTruth
from mammogan.evaluation.score_plan import ScoreTask, plan
from mammogan.evaluation.scoring import control_scores, score_shard
from mammogan.io.atomic import read_json
from mammogan.models.networks import Cad
from mammogan.training.run.checkpoint import save
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

CONFIG = EvaluateConfig(bootstrap=100, examples=1, device="cpu")
pytestmark = pytest.mark.usefixtures("coarse_figures")


@pytest.fixture(scope="module")
def altered(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Untrained networks of both objectives, and their adversarial images; the CAD knows the phantoms by heart."""
    root = tmp_path_factory.mktemp("controls") / "work"
    shutil.copytree(converted.root, root)
    workspace, lesion = Workspace(root), Workspace(root, "lesion")
    save_all(workspace, SMALL)
    for direction in Direction:
        save_gnet(lesion, SMALL, direction, seed=1)
    state = {"width": WIDTH, "cad": learned_by_heart(workspace).state_dict(), **card(workspace, SMALL)}
    save(Run(workspace.cad_run(SMALL)).best, state)
    for view in (workspace, lesion):
        generate(view, GenerateConfig(device="cpu"))
    return workspace


@pytest.fixture
def ready(altered: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(altered.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


def twins(workspace: Workspace) -> list[np.ndarray]:
    truth = PhantomTruth(workspace.cohort)
    known = [truth.of(real.key, real.facts) for real in positives(workspace)]
    return [one.twin for one in known if one is not None and one.twin is not None]


def learned_by_heart(workspace: Workspace) -> Cad:
    """A tiny CAD that tells the test's positives from their twins."""
    torch.manual_seed(0)
    cad, real = Cad(WIDTH), [sample.pixels for sample in positives(workspace)]
    pixels = torch.from_numpy(np.stack(real + twins(workspace)).astype(np.float32) / 65535)[:, None]
    label = torch.tensor([1] * len(real) + [0] * len(real))
    optimiser = torch.optim.Adam(cad.parameters(), 2e-3)
    cad.eval()
    for _ in range(200):
        logits = cad(pixels)
        if bool(((logits[:, 1] - logits[:, 0]) * (2 * label - 1) > 1).all()):
            return cad
        optimiser.zero_grad()
        F.cross_entropy(logits, label).backward()
        optimiser.step()
    raise AssertionError("the CAD did not learn its few images")


def of_positives(workspace: Workspace) -> ScoreTask:
    [task] = [task for task in plan(workspace, SMALL, CONFIG) if task.controls]
    return task


def test_less_contrast_keeps_the_breasts_mean_and_the_air() -> None:
    pixels = np.zeros((96, 96), np.uint16)
    pixels[10:80, :60] = np.random.default_rng(0).integers(20000, 50000, (70, 60))
    pixels[90, 90] = 300
    breast = breast_of(pixels)
    made = less_contrast(pixels)
    assert made[breast].mean() == pytest.approx(pixels[breast].mean(), abs=0.5)
    assert made[breast].std() == pytest.approx(0.8 * pixels[breast].std(), rel=1e-4)
    assert np.array_equal(made[~breast], pixels[~breast])
    assert not less_contrast(np.zeros((96, 96), np.uint16)).any()


@pytest.mark.parametrize("budget", [1.0, 2.0])
def test_descent_spends_its_budget_in_the_breast_and_lowers_the_margin(altered: Workspace, budget: float) -> None:
    cad = learned_by_heart(altered)
    real = np.stack([sample.pixels for sample in positives(altered)])
    made = descend(real, cad, budget)
    change = (made.astype(float) - real) / 65535
    within = np.sqrt((change**2).sum((1, 2)))
    breasts = np.stack([breast_of(pixels) for pixels in real])
    clipped = ((made == 65535) | (breasts & (made == 0))).any((1, 2))
    assert within[~clipped] == pytest.approx(budget, abs=0.002) and (within <= budget + 0.002).all()
    assert not clipped.all()
    assert not change[~breasts].any()
    with torch.no_grad():
        before, after = (
            cad(torch.from_numpy(pixels.astype(np.float32) / 65535)[:, None]).diff(dim=1) for pixels in (real, made)
        )
    assert (after < before).all()


def test_a_cad_without_a_gradient_moves_nothing() -> None:
    cad = Cad(WIDTH).eval()
    torch.nn.init.zeros_(cad.last.weight)
    real = np.full((1, 96, 96), 30000, np.uint16)
    assert np.array_equal(descend(real, cad, 1.0), real)


def test_the_twin_is_called_negative_and_lies_at_the_lesion(ready: Workspace) -> None:
    score_shard(of_positives(ready))
    scores = control_scores([of_positives(ready)])
    assert scores is not None
    of_twins = [score for score in scores if score.control == "twin"]
    assert len(of_twins) == len(positives(ready))
    for score in of_twins:
        assert score.probability < 0.5 and score.removal is not None
        assert score.removal.removed == 0 and score.removal.energy_near == pytest.approx(1, abs=0.1)
    assert {score.control for score in scores} == {"twin", "contrast", "l2-1", "l2-2"}


def test_controls_are_measured_once_and_again_with_another_identity_generator(ready: Workspace) -> None:
    task = of_positives(ready)
    assert score_shard(task) and not score_shard(task)
    assert task.controls is not None and not measure_controls(task.controls, Cad(WIDTH), PhantomTruth(ready.cohort))
    before = task.path.stat().st_mtime_ns
    best = Run(ready.gan_run(SMALL, Direction.REMOVE)).best
    shutil.copy(best, best.with_name("identity.pt"))
    again = of_positives(ready)
    assert again.outdated() == "controls: the identity-trained generator changed"
    assert score_shard(again) and task.path.stat().st_mtime_ns == before
    scores = control_scores([again]) or []
    made = {score.key: score.probability for score in scores if score.control == "identity"}
    rows = {row["real"]["key"]: row["fake"]["probability"] for row in read_json(again.path)["scores"]}
    assert made == pytest.approx(rows, abs=1e-6)  # the same weights as the best ones here


def test_a_deleted_identity_generator_is_said_in_report_and_terminal_and_its_return_ends_it(
    ready: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(ready.gan_run(SMALL, Direction.REMOVE))
    shutil.copy(run.best, run.identity)
    run.finish({"epochs": 1})
    page = evaluate(ready, CONFIG).read_text()
    said = "identity.pt is missing, though its training had kept it"
    assert said not in page and "A control is missing" not in capsys.readouterr().out
    kept = run.identity.rename(ready.root / "identity.pt")
    page = evaluate(ready, CONFIG).read_text()
    assert page.count("A control is missing, the identity-trained generator") == 1
    assert said in page and said in capsys.readouterr().out
    found = read_json(ready.report / "table1.json")["resolutions"]
    assert all(said in column["controls"]["identity"]["reason"] for column in found.values())
    assert said in (ready.report / "table1.md").read_text(encoding="utf-8")
    kept.rename(run.identity)
    assert said not in evaluate(ready, CONFIG).read_text()


def test_an_identity_generator_that_no_training_had_kept_is_no_loss(ready: Workspace) -> None:
    Run(ready.gan_run(SMALL, Direction.REMOVE)).finish({"epochs": 1})
    page = evaluate(ready, CONFIG).read_text()
    assert "not trained" in page and "A control is missing" not in page


def test_two_objectives_are_shown_side_by_side_in_one_report_with_one_set_of_controls(ready: Workspace) -> None:
    page = evaluate(ready, CONFIG).read_text()
    names = [str(SMALL), f"{SMALL}, lesion objective"]
    assert read_json(ready.report / "done.json")["columns"] == names
    assert read_json(ready.report / "done.json")["resolutions"] == [str(SMALL)]
    assert {f"triplets-{SMALL}{of}-remove.png" for of in ("", "-lesion")} <= {p.name for p in ready.report.iterdir()}
    assert "<th>96 × 96, lesion objective</th>" in page and "96x96, lesion objective (95%" in (
        ready.report / "table1.md"
    ).read_text(encoding="utf-8")
    for text in ("Was a lesion put in?", "in dB", "Controls", "not trained", "says nothing about removal"):
        assert text in page
    assert page.count("Contrast × 0.8") == 1 and "The generator, lesion objective" in page
    found = read_json(ready.report / "table1.json")["resolutions"]
    assert list(found) == names
    first, second = (found[name]["controls"] for name in names)
    assert first["twin"] == second["twin"] and first["generator"] != second["generator"]
    assert first["twin"]["fooled"]["value"] == 1.0 and first["identity"]["reason"] == "not trained"
    assert found[names[1]]["insertion"]["images"] and found[names[1]]["lesion_truth"]["closer_db"]["images"]
    rows = read_predictions(ready.report / "predictions.csv")
    assert {row.objective for row in rows} == {"study", "lesion"}
    assert not (ready.root / "report-lesion").exists()
    assert len(list((ready.root / "scores-lesion").rglob("*.json"))) == 2
    assert len(list(ready.scores("test").glob("controls/*/*.json"))) == 1


def test_one_objective_is_evaluated_alone_and_one_that_has_no_images_is_refused(ready: Workspace) -> None:
    evaluate(ready, EvaluateConfig(bootstrap=100, examples=1, device="cpu", objective=("lesion",), controls=False))
    [(name, found)] = read_json(ready.report / "table1.json")["resolutions"].items()
    assert name == f"{SMALL}, lesion objective" and found["controls"] is None
    assert "<h2>Controls</h2>" not in (ready.report / "index.html").read_text()
    shutil.rmtree(ready.root / "adversarial-lesion")
    with pytest.raises(MissingInput, match=r"adversarial-lesion; run\n.* --objective lesion"):
        evaluate(ready, EvaluateConfig(objective=("study", "lesion"), device="cpu"))


def test_shares_and_arrays_hold_the_shards_of_all_objectives(ready: Workspace) -> None:
    words = ("launch/evaluate.py", "--workspace", ready.root, "--device", "cpu", "--cluster")
    shown = run_script(*words, "slurm", "--dry-run")
    assert shown.returncode == 0 and "#SBATCH --array=0-3%" in shown.stdout, shown.stdout + shown.stderr
    done = run_script(*words, "none", "--share", "4/4", "--no-controls")
    assert done.returncode == 0 and len(list(Workspace(ready.root, "lesion").scores("test").rglob("*.json"))) == 1
