"""The page "Beyond Table 1": every attack on the same originals, thresholds from validation, nothing made twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, checked
from deeper import TINY, evaluated_phantoms
from edited import edit_record
from generators import save_cad, save_gnet

from mammogan.attack.config import EvaluateConfig
from mammogan.data.blobs.blob_detector import breast_of
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.beyond.attack_sources import mismatched
from mammogan.evaluation.beyond.attacked import Attacked
from mammogan.evaluation.beyond.config import SECTIONS, DeeperConfig, Name, kept_folder, page_folder
from mammogan.evaluation.beyond.deeper_run import DeeperRun
from mammogan.evaluation.beyond.evaluate_deeper import evaluate_deeper
from mammogan.evaluation.beyond.originals import choose_originals
from mammogan.evaluation.beyond.shares import Calls
from mammogan.evaluation.evaluate import evaluate
from mammogan.io.atomic import read_json, sha256
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

AS_BEFORE = EvaluateConfig(bootstrap=100, examples=1, device="cpu", controls=False)
pytestmark = pytest.mark.usefixtures("coarse_figures")


@pytest.fixture(scope="module")
def evaluated(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return evaluated_phantoms(phantom, tmp_path_factory.mktemp("deeper") / "work")


@pytest.fixture
def workspace(evaluated: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(evaluated.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


def made_at(workspace: Workspace) -> dict[str, int]:
    folder = kept_folder(workspace, SMALL)
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_one_command_writes_the_page_and_its_numbers_and_a_second_one_makes_nothing_again(workspace: Workspace) -> None:
    words = ("--images", "6", "--baseline", *TINY.baseline, "--section", *TINY.section)
    checked("launch/evaluate_deeper.py", "--workspace", workspace.root, *words, "--device", "cpu")
    folder = page_folder(workspace, SMALL)
    page, found = (folder / "beyond.html").read_text(), read_json(folder / "evaluation.json")
    assert "At which threshold?" in page and "Is the GAN worse than a simple attack?" in page
    assert "pgd-l2 512" in page and 'src="data:image/png' in page and (folder / "attacks.png").is_file()
    rows = {row["attack"]: row for row in found["sections"]["attacks"]["rows"]}
    assert list(rows) == ["GAN", "noise 2048", "pgd-l2 512"]
    assert rows["noise 2048"]["change_in_grey_of_65535"]["linf_largest"] <= 2048 + 16
    assert 0 < rows["pgd-l2 512"]["change_in_grey_of_65535"]["rms_largest"] <= 512 + 16
    before = made_at(workspace)
    evaluate_deeper(workspace, TINY)
    assert before and made_at(workspace) == before


def test_another_cad_makes_its_attacks_and_scores_again(workspace: Workspace) -> None:
    attacks = DeeperConfig(images=6, baseline=("pgd-l2=512",), section=("attacks",), device="cpu")
    evaluate_deeper(workspace, attacks)
    before = made_at(workspace)
    save_cad(workspace, SMALL, seed=5)
    evaluate(workspace, AS_BEFORE)
    evaluate_deeper(workspace, attacks)
    after = made_at(workspace)
    assert before.keys() == after.keys() and all(after[name] != before[name] for name in before)


def test_a_workspace_whose_cad_is_from_outside_is_evaluated_deeper_with_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    theirs = workspace.cad_run(SMALL).rename(tmp_path / "their-run")
    config = replace(TINY, section=("points", "attacks"), baseline=("pgd-l2=512",))
    with pytest.raises(MissingInput, match="train-cad"):
        evaluate_deeper(workspace, config)
    page = evaluate_deeper(workspace, replace(config, cad=str(theirs)))
    found = read_json(page.parent / "evaluation.json")
    assert found["victims"]["A"] == sha256(Run(theirs).best) and str(tmp_path) not in str(found)
    other = save_cad(Workspace(tmp_path / "other"), SMALL, seed=5)
    with pytest.raises(MissingInput, match=f"mammogan evaluate --workspace {workspace.root} --cad {other}"):
        evaluate_deeper(workspace, replace(config, cad=str(other), origin_unknown=(other.parent.parent.name,)))


@pytest.mark.parametrize("section", SECTIONS)
def test_a_cad_that_did_not_score_table_1_is_refused_with_the_names_of_both(
    workspace: Workspace, tmp_path: Path, section: Name
) -> None:
    theirs = save_cad(Workspace(tmp_path / "theirs"), SMALL, seed=5).parent.parent.rename(tmp_path / "their-cad")
    config = DeeperConfig(images=4, section=(section,), cad=str(theirs), origin_unknown=("their-cad",), device="cpu")
    ours, other = sha256(Run(workspace.cad_run(SMALL)).best), sha256(Run(theirs).best)
    told = f"with cad-{SMALL} \\(sha256 {ours[:12]}\\), and this is their-cad \\(sha256 {other[:12]}\\)"
    with pytest.raises(MissingInput, match=rf"{told}(?s:.*)evaluate --workspace {workspace.root} --cad {theirs}"):
        evaluate_deeper(workspace, config)
    assert not kept_folder(workspace, SMALL).exists()


def test_operating_points_come_of_scores_that_evaluate_has_made(workspace: Workspace) -> None:
    save_cad(workspace, SMALL, seed=5)
    with pytest.raises(MissingInput, match=f"mammogan evaluate --workspace {workspace.root}"):
        evaluate_deeper(workspace, DeeperConfig(section=("points",), device="cpu"))


def test_a_cad_of_other_mammograms_is_refused_unless_the_page_says_so(workspace: Workspace) -> None:
    attacks = DeeperConfig(images=4, baseline=("noise=2048",), section=("attacks",), device="cpu")
    index = workspace.shards(SMALL) / "index.json"
    edit_record(index, lambda values: values.update(shards=[s for s in values["shards"] if s["split"] != "train"]))
    with pytest.raises(UserError, match="trained on other mammograms"):
        evaluate_deeper(workspace, attacks)
    page = evaluate_deeper(workspace, replace(attacks, out_of_domain="made of other <phantoms>"))
    assert "Out of domain: made of other &lt;phantoms&gt;" in page.read_text()


def test_the_table_of_points_is_table_1_at_its_threshold(workspace: Workspace) -> None:
    evaluate_deeper(workspace, DeeperConfig(section=("points",), device="cpu"))
    table1 = read_json(workspace.report / "table1.json")["resolutions"][str(SMALL)]["table1"]
    found = read_json(page_folder(workspace, SMALL) / "evaluation.json")["sections"]["points"]
    here = found["table1"]["GAN"]["given"]
    for row in ("positives_right", "fooled_remove", "negatives_right", "fooled_insert", "fooled_both"):
        assert [here[row][n] for n in ("numerator", "denominator")] == [
            table1[row][n] for n in ("numerator", "denominator")
        ]
    assert abs(found["auc"]["GAN"]["real"]["value"] - table1["auc_real"]["value"]) < 1e-12
    assert abs(found["auc"]["GAN"]["adversarial"]["value"] - table1["auc_adversarial"]["value"]) < 1e-12
    assert [point["name"] for point in found["points"]] == ["given", "Youden", "90% sensitivity", "90% specificity"]


def test_a_page_on_phantoms_says_so_in_its_title_first_sentence_tables_and_pictures_and_is_one_file(
    workspace: Workspace,
) -> None:
    page = evaluate_deeper(workspace, DeeperConfig(section=("points",), device="cpu")).read_text()
    kind = "phantom mammograms, lesion contrast x12.5"
    assert "<h1>Beyond Table 1, on phantom mammograms</h1>" in page
    assert f"No patient was imaged: {kind}, drawn by a program." in page
    assert page.count(f"<caption>{kind.capitalize()}.") == page.count("<table>") > 1
    assert f"At which threshold? ({kind})" in page and 'src="data:image/png' in page and 'src="points.png"' not in page
    found = read_json(page_folder(workspace, SMALL) / "evaluation.json")["mammograms"]
    assert [part["kind"] for part in found] == [kind]


def test_a_change_of_another_image_is_that_of_another_patient_of_the_class(workspace: Workspace) -> None:
    originals = choose_originals(workspace, SMALL, "test", 12)
    changed = originals.pixels.copy()
    for at in range(len(originals)):  # each image gets its own number added in the breast
        breast = breast_of(changed[at])
        changed[at][breast] = changed[at][breast] + 160 * (at + 1)
    attacked = Attacked("x", "generator", originals, changed, np.ones(len(originals), bool))
    control = mismatched(attacked)
    assert control.made.any() and control.kind == "control"
    for at in np.flatnonzero(control.made):
        change = control.pixels[at].astype(int) - originals.pixels[at]
        (amount,) = {round(one / 160) for one in np.unique(change[np.abs(change) > 80])}
        other = amount - 1
        assert originals.patients[other] != originals.patients[at]
        assert originals.positive[other] == originals.positive[at]


def test_shares_count_only_right_calls_that_have_an_adversarial_image() -> None:
    calls = Calls(
        ["a", "a", "b", "c", "d"],
        np.array([True, True, True, False, False]),
        np.array([0.9, 0.8, 0.2, 0.1, 0.3]),
        np.array([0.1, 0.9, 0.9, 0.8, np.nan]),
        0.5,
    )
    remove, insert, both = (calls.fooled(d) for d in (Direction.REMOVE, Direction.INSERT, None))
    assert (remove.numerator, remove.denominator) == (1, 2)
    assert (insert.numerator, insert.denominator) == (1, 1)
    assert (both.numerator, both.denominator) == (2, 3)
    assert calls.read(Direction.REMOVE).numerator == 2


def test_the_wrong_way_control_gives_each_class_to_the_other_generator(workspace: Workspace) -> None:
    save_gnet(workspace, SMALL, Direction.INSERT, seed=3)  # the adversarial images are of the one before
    run = DeeperRun.of(workspace, TINY)
    source = run.wrong_way_sources["GAN"]
    wrong, right = run.attacked(source), run.attacked(run.sources[0])
    assert wrong.name == "GAN, wrong way" and wrong.made.all()
    same = np.array([np.array_equal(a, b) for a, b in zip(wrong.pixels, right.pixels, strict=True)])
    assert not same[run.originals.positive].any()  # through the one that inserts
    assert same[~run.originals.positive].all()  # the one that removes has the weights that the other had


@pytest.mark.parametrize("text", ["pgd", "pgd-l2", "pgd-l2=-1", "pgd-l2=x", "gan=256"])
def test_a_baseline_without_a_budget_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected NAME=BUDGET"):
        DeeperConfig(baseline=(text,))
