"""Other victims: files without foreign code, functions of the user's own, and systems elsewhere that only see files."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, SMALL
from deeper import TINY, evaluated_phantoms
from generators import WIDTH, save_cad
from PIL import Image

from mammogan.data.shards.reader import Sample
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.beyond.config import page_folder
from mammogan.evaluation.beyond.evaluate_deeper import evaluate_deeper
from mammogan.evaluation.victims.export import key_file
from mammogan.evaluation.victims.image_set import set_in_memory
from mammogan.evaluation.victims.kept_scores import KeptScores
from mammogan.evaluation.victims.loading import load_victim
from mammogan.evaluation.victims.victim import NetworkVictim
from mammogan.io.atomic import read_json
from mammogan.io.tables import read_own_csv
from mammogan.models.networks import Cad
from mammogan.models.own_cad import as_logits, own_cad
from mammogan.workspace import Workspace

pytestmark = pytest.mark.usefixtures("coarse_figures")
BLACK_BOX = """
import csv, pathlib, sys
import numpy as np
from PIL import Image
folder = pathlib.Path(sys.argv[1])
rows = list(csv.DictReader(open(folder / "images.csv")))
with open(sys.argv[2], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["image", "probability"])
    for row in rows:
        pixels = np.array(Image.open(folder / row["file"])).astype(float) / 65535
        writer.writerow([row["image"], min(1.0, 3 * pixels[pixels > 0.01].mean() ** 2)])
"""
"""A system elsewhere: it knows a folder of files and their table, and nothing of this package."""
NO_NUMBERS = """
import torch


def cad():
    network = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(network.bias, float("nan"))
    return network
"""
TRANSFER = replace(TINY, section=("transfer",))


@pytest.fixture(scope="module")
def evaluated(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return evaluated_phantoms(phantom, tmp_path_factory.mktemp("victims") / "work")


@pytest.fixture
def workspace(evaluated: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(evaluated.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


@pytest.fixture(scope="module")
def cad() -> Cad:
    torch.manual_seed(1)
    return Cad(WIDTH).eval()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.rand(1, 1, SMALL.height, SMALL.width, generator=torch.Generator().manual_seed(2))


def export(workspace: Workspace, folder: Path, **others: object) -> None:
    evaluate_deeper(workspace, replace(TRANSFER, export_for_scoring=folder, **others))


def scored_elsewhere(exported: Path, table: Path) -> Path:
    words = [sys.executable, "-I", "-c", BLACK_BOX, str(exported), str(table)]
    subprocess.run(words, check=True, timeout=120, env={})
    return table


def test_a_black_box_that_knows_only_files_gets_a_column_of_the_transfer_table(
    workspace: Workspace, tmp_path: Path
) -> None:
    exported = tmp_path / "to-score"
    export(workspace, exported)
    table = scored_elsewhere(exported, tmp_path / "scores.csv")
    evaluate_deeper(workspace, replace(TRANSFER, victim_scores=(f"B={table}",)))
    found = read_json(page_folder(workspace, SMALL) / "evaluation.json")["sections"]["transfer"]
    assert list(found["victims"]) == ["A", "B"] and found["victims"]["B"]["what"] == "scores from outside"
    names = [row["attack"] for row in found["rows"]]
    assert names[:3] == ["GAN", "GAN, wrong way", "GAN, another image's change"] and "pgd-l2 512" in names
    assert all(set(row["fooled"]) == {"A", "B"} for row in found["rows"])
    # The untrained generator changes all brightness, which is all that this black box looks at.
    changed = found["rows"][0]["called_positive"]["B"]
    assert changed != found["rows"][names.index("noise 2048")]["called_positive"]["B"]


def test_exported_files_tell_nothing_and_are_named_as_before_when_exported_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    export(workspace, tmp_path / "one")
    key = read_json(key_file(workspace, SMALL))
    assert key_file(workspace, SMALL).stat().st_mode & 0o777 == 0o600
    names = sorted(path.name for path in (tmp_path / "one").glob("*.png"))
    assert len(names) == len(key["images"]) and {name.removesuffix(".png") for name in names} == set(key["images"])
    table = (tmp_path / "one" / "images.csv").read_text()
    patients = {sample["key"].split("-")[0] for sample in key["images"].values()}
    assert not any(word in table for word in (*patients, "GAN", "pgd", "originals", "positive"))
    first = Image.open(tmp_path / "one" / names[0])
    assert first.mode.startswith("I;16") and first.size == (SMALL.width, SMALL.height)
    rows = [row for row in read_own_csv(tmp_path / "one" / "images.csv") if row["laterality"] == "R"]
    right = np.array(Image.open(tmp_path / "one" / rows[0]["file"])).astype(float)
    assert right[:, -10:].mean() > right[:, :10].mean()  # as a scanner shows it: the chest wall on the right
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / ".DS_Store").write_bytes(b"of macOS")
    export(workspace, tmp_path / "two")
    assert sorted(path.name for path in (tmp_path / "two").glob("*.png")) == names
    (tmp_path / "two" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"expected a new folder, found notes\.txt"):
        export(workspace, tmp_path / "two")


def test_the_recipe_of_the_docs_makes_a_list_of_exams_of_the_exported_files(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = (ROOT / "docs" / "evaluation.md").read_text()
    recipe = docs[docs.index("    import csv, pickle") :].split("\n\n")[0]
    export(workspace, tmp_path / "to-score")
    monkeypatch.chdir(tmp_path)
    exec(textwrap.dedent(recipe), {})
    with open("exam_list_before_cropping.pkl", "rb") as file:
        exams = pickle.load(file)
    assert len(exams) == len(list((tmp_path / "to-score").glob("*.png")))
    for exam in exams:
        assert exam.pop("horizontal_flip") == "NO" and set(exam) == {"L-CC", "R-CC", "L-MLO", "R-MLO"}
        (name,) = (name for names in exam.values() for name in names)
        assert (tmp_path / "to-score" / f"{name}.png").is_file()


def test_dicom_files_for_a_viewer_or_a_pacs_have_neutral_names_and_say_what_they_are_in_their_headers(
    workspace: Workspace, tmp_path: Path
) -> None:
    import pydicom

    export(workspace, tmp_path / "dicom", export_format="dicom")
    key = read_json(key_file(workspace, SMALL))["images"]
    for path in (tmp_path / "dicom").glob("*.dcm"):
        ds = pydicom.dcmread(path)
        is_real = key[path.stem]["set"] in ("originals", "validation")
        assert path.stem in ds.PatientID and ds.pixel_array.shape == (SMALL.height, SMALL.width)
        assert ("altered" in ds.DerivationDescription) != is_real


def rows_of(table: Path, change: Callable[[list[str]], list[str]]) -> None:
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *change(rows)]) + "\n")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda rows: rows[1:], "is missing"),
        (lambda rows: [*rows, "0123,0.5"], "line .*: '0123' was not exported"),
        (lambda rows: [*rows, rows[0]], "is there twice"),
        (lambda rows: [rows[0].split(",")[0] + ",nan", *rows[1:]], "line 2: .* has nan"),
        (lambda rows: [rows[0].split(",")[0] + ",1.5", *rows[1:]], "line 2: .* has 1.5"),
        (lambda rows: [rows[0].split(",")[0] + ",high", *rows[1:]], "line 2: .* has no number but 'high'"),
    ],
    ids=["missing", "extra", "twice", "nan", "above one", "no number"],
)
def test_a_table_of_scores_that_is_not_exactly_of_the_export_is_refused_with_the_row(
    exported: tuple[Workspace, Path], tmp_path: Path, change: Callable[[list[str]], list[str]], fault: str
) -> None:
    workspace, table = exported
    own = tmp_path / "scores.csv"
    shutil.copy(table, own)
    rows_of(own, change)
    with pytest.raises(UserError, match=fault):
        evaluate_deeper(workspace, replace(TRANSFER, victim_scores=(f"B={own}",)))


@pytest.fixture(scope="module")
def exported(evaluated: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    root = tmp_path_factory.mktemp("exported")
    shutil.copytree(evaluated.root, root / "work")
    workspace = Workspace(root / "work")
    export(workspace, root / "to-score")
    return workspace, scored_elsewhere(root / "to-score", root / "scores.csv")


def test_scores_of_images_that_changed_since_the_export_are_refused(
    exported: tuple[Workspace, Path], tmp_path: Path
) -> None:
    workspace, table = exported
    other = replace(TRANSFER, baseline=("noise=1024",), victim_scores=(f"B={table}",))
    with pytest.raises(UserError, match="the set of images 'noise 1024' was not exported"):
        evaluate_deeper(workspace, other)


def test_a_checkpoint_is_a_victim_whose_scores_are_kept_in_its_own_name(workspace: Workspace, tmp_path: Path) -> None:
    other = save_cad(Workspace(tmp_path / "other"), SMALL, seed=7)
    evaluate_deeper(workspace, replace(TRANSFER, victim=(f"B={other}",)))
    folder = workspace.root / "deeper" / str(SMALL) / "scores"
    a, b = (read_json(folder / name / "originals.json")["scores"] for name in "AB")
    assert a.keys() == b.keys() and a != b
    assert {path.name for path in (folder / "A").iterdir()} == {path.name for path in (folder / "B").iterdir()}


def test_attacks_are_made_against_each_differentiable_victim_too(workspace: Workspace, tmp_path: Path) -> None:
    other = save_cad(Workspace(tmp_path / "other"), SMALL, seed=7)
    evaluate_deeper(workspace, replace(TINY, section=("robustness",), victim=(f"B={other}",)))
    found = read_json(page_folder(workspace, SMALL) / "evaluation.json")["sections"]["robustness"]["rows"]
    attacks = ["", "noise 2048", "pgd-l2 512"]
    assert [(row["victim"], row["attack"]) for row in found] == [(name, attack) for name in "AB" for attack in attacks]
    aucs = {(row["victim"], row["attack"]): row["auc"]["value"] for row in found}
    assert all(aucs[name, "pgd-l2 512"] <= aucs[name, ""] for name in "AB")
    assert aucs["A", "pgd-l2 512"] < aucs["A", ""]
    made = workspace.root / "deeper" / str(SMALL) / "attacks"
    one, two = (np.load(made / f"test-pgd-l2-512{name}.npy") for name in ("", "-against-B"))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize("member", ["data/sample_inputs/model.pt", "data/weights/weight_0"])
def test_a_pt2_file_that_has_pickled_a_program_is_refused_before_it_runs(tmp_path: Path, member: str) -> None:
    network = torch.nn.Linear(2, 2)
    sound, planted = tmp_path / "sound.pt2", tmp_path / "planted.pt2"
    torch.export.save(torch.export.export(network, (torch.zeros(1, 2),)), sound)
    program = io.BytesIO()
    torch.save({"x": MakesAFolder(tmp_path / "ran")}, program)
    with zipfile.ZipFile(sound) as before, zipfile.ZipFile(planted, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name.endswith("weights_config.json"):
                content = content.replace(b'"use_pickle": false', b'"use_pickle": true')
            after.writestr(name, program.getvalue() if name.endswith(member) else content)
    with pytest.raises(UserError, match="is more than tensors"):
        load_victim(f"B={planted}", "cpu")
    assert not (tmp_path / "ran").exists()


class MakesAFolder:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_pt2_file_gives_the_scores_and_gradients_of_its_network_bit_for_bit(
    cad: Cad, pixels: torch.Tensor, tmp_path: Path
) -> None:
    torch.export.save(torch.export.export(cad, (pixels,)), tmp_path / "cad.pt2")
    victim = load_victim(f"B={tmp_path / 'cad.pt2'}", "cpu")
    assert isinstance(victim, NetworkVictim) and victim.differentiable
    assert torch.equal(victim.positive_probability(pixels), cad.positive_probability(pixels))
    gradients = []
    for logits in (cad, victim.logits):
        variable = pixels.clone().requires_grad_(True)
        gradients.append(torch.autograd.grad(logits(variable)[:, 1].sum(), variable)[0])
    assert torch.equal(*gradients)


def test_a_network_of_ones_own_with_a_weight_that_is_no_number_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, told = torch.nn.Linear(2, 2), r"its bias has values that are no numbers \(NaN or infinite\)\. Give the"
    network.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    torch.export.save(torch.export.export(network, (torch.zeros(1, 2),)), tmp_path / "sound.pt2")
    load_victim(f"B={tmp_path / 'sound.pt2'}", "cpu")
    torch.nn.init.constant_(network.bias, float("inf"))
    torch.export.save(torch.export.export(network, (torch.zeros(1, 2),)), tmp_path / "no-numbers.pt2")
    (tmp_path / "failed_training.py").write_text(NO_NUMBERS)
    monkeypatch.syspath_prepend(tmp_path)
    for load_one in (
        lambda: load_victim(f"B={tmp_path / 'no-numbers.pt2'}", "cpu"),
        lambda: load_victim("B=failed_training:cad", "cpu"),
        lambda: own_cad("failed_training:cad"),
    ):
        with pytest.raises(UserError, match=told):
            load_one()


def test_an_onnx_file_gives_the_scores_of_its_network(cad: Cad, pixels: torch.Tensor, tmp_path: Path) -> None:
    for name in ("onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    torch.onnx.export(cad, (pixels,), tmp_path / "cad.onnx", dynamo=True, verbose=False)
    victim = load_victim(f"B={tmp_path / 'cad.onnx'}", "cpu")
    assert not victim.differentiable
    assert float((victim.positive_probability(pixels) - cad.positive_probability(pixels)).abs().max()) < 1e-6


def test_a_function_of_the_users_own_is_a_victim(
    pixels: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def factory():\n    return lambda pixels: pixels.mean((1, 2, 3))\n"
    (tmp_path / "my_victim.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    victim = load_victim("B=my_victim:factory", "cpu")
    assert abs(float(victim.positive_probability(pixels)) - float(pixels.mean())) < 1e-6
    samples = [Sample("k", np.full((8, 8), 65535, np.uint16), {})]
    kept = KeptScores(victim, tmp_path / "scores")
    assert abs(kept.scores(set_in_memory("white", samples))[0] - 1) < 1e-6


@pytest.mark.parametrize(
    ("text", "fault", "error"),
    [
        ("B", "expected NAME=WHERE", UserError),
        ("A=x.pt", "A is the CAD that is attacked", UserError),
        ("B=nowhere.pt2", "is not there", MissingInput),
        ("B=.", "has no checkpoint of a classifier", MissingInput),
        ("B=no_such_module:factory", "cannot be imported here", UserError),
    ],
)
def test_a_victim_that_cannot_be_loaded_is_refused_with_what_was_expected(
    text: str, fault: str, error: type[UserError]
) -> None:
    with pytest.raises(error, match=fault):
        load_victim(text, "cpu")


def test_what_is_neither_logits_nor_probabilities_is_refused() -> None:
    assert torch.allclose(as_logits("B", torch.tensor([[0.25]]), 1).softmax(1)[:, 1], torch.tensor([0.25]))
    for wrong in (torch.zeros(2, 3), torch.tensor([0.5, 1.5]), torch.tensor([0.5, float("nan")])):
        with pytest.raises(UserError, match="expected logits of shape"):
            as_logits("B", wrong, 2)
