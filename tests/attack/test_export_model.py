"""Models that can be handed on: the same network from a file without code, and a card with what was measured."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, SMALL
from generators import save_all, save_cad, save_lighting_gnet

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.attack.model_export.export import export_model
from mammogan.attack.model_export.nearest import measure_nearest
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import shards_fingerprint
from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.evaluate import evaluate
from mammogan.training.run.checkpoint import load, save
from mammogan.training.run.run_folder import Run
from mammogan.training.run.safetensors_file import read_safetensors, write_safetensors
from mammogan.training.run.trained_networks import load_cad, load_generator
from mammogan.workspace import Direction, Workspace

FOUR_BYTES = b'{"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}'
EMPTY = b'{"dtype": "F32", "shape": [%d, 1000, 0], "data_offsets": [0, 0]}'
OURS = b'{"__metadata__": {"mammogan": "{}"}, "a.b": '
SECRET = "/home/jane/vgg11.pth"


@pytest.fixture
def trained(workspace: Workspace) -> Workspace:
    """Networks whose runs say that they were trained on the workspace's shards."""
    save_all(workspace, SMALL)
    recorded = {
        "config": {"resolution": str(SMALL), "vgg_weights": SECRET, "start_from": SECRET},
        "shards_sha256": shards_fingerprint(workspace.shards(SMALL)),
    }
    for run in (workspace.cad_run(SMALL), *(workspace.gan_run(SMALL, direction) for direction in Direction)):
        (run / "config.yaml").write_text(yaml.safe_dump(recorded))
    return workspace


@pytest.fixture
def handed_on(trained: Workspace, tmp_path: Path) -> Path:
    for run in (trained.cad_run(SMALL), *(trained.gan_run(SMALL, direction) for direction in Direction)):
        export_model(run, tmp_path / "handed-on", outputs=2, device="cpu")
    return tmp_path / "handed-on"


def test_an_exported_network_is_the_same_network(trained: Workspace, handed_on: Path) -> None:
    pixels = torch.rand(2, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    for load_one, run in (
        (load_cad, trained.cad_run(SMALL)),
        (load_generator, trained.gan_run(SMALL, Direction.REMOVE)),
    ):
        with torch.inference_mode():
            assert torch.equal(load_one(run)(pixels), load_one(handed_on / run.name)(pixels))
    exported = load(handed_on / f"gan-{SMALL}-insert" / "model.safetensors")
    assert exported["direction"] == "insert" and exported["kind"] == "gan"


def test_another_workspace_is_attacked_and_scored_with_exported_models(
    converted: Workspace, handed_on: Path, tmp_path: Path
) -> None:
    elsewhere = Workspace(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    (elsewhere.root / "shards").symlink_to(converted.root / "shards")
    generate(elsewhere, GenerateConfig(models=handed_on, device="cpu"))
    page = evaluate(elsewhere, EvaluateConfig(models=handed_on, bootstrap=100, examples=1, device="cpu"))
    assert page.is_file() and not (elsewhere.root / "runs").exists()


def test_the_folder_has_sums_a_card_with_numbers_and_nobodys_paths(trained: Workspace, handed_on: Path) -> None:
    folder = handed_on / f"gan-{SMALL}-remove"
    assert sorted(path.name for path in folder.iterdir()) == [
        "MODEL_CARD.md", "SHA256SUMS", "config.yaml", "model.safetensors",
    ]  # fmt: skip
    subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    card = (folder / "MODEL_CARD.md").read_text()
    index = ShardIndex.load(trained.shards(SMALL))
    positives = index.counts["train"]["positive"]
    assert f"| train | positive | {positives} | " in card and index.fingerprint in card
    assert f"{sum(index.counts['train'].values())} are phantoms or otherwise synthetic, 0\nare" in card
    assert "Not for clinical use" in card and "voi header" in card
    assert "Altered validation mammograms: " in card and f"{sum(index.counts['train'].values())} training" in card
    assert "A classifier makes no images" in (handed_on / f"cad-{SMALL}" / "MODEL_CARD.md").read_text()
    for path in handed_on.rglob("*"):
        assert not path.is_file() or (b"/home/jane" not in path.read_bytes() and str(trained.root) not in str(path))


def test_an_output_that_is_a_training_mammogram_is_found(trained: Workspace) -> None:
    index = ShardIndex.load(trained.shards(SMALL))
    [learnt] = torch.stack([torch.from_numpy(_first_training(index))])

    class Memory(torch.nn.Module):
        """Gives one training mammogram, with noise, whatever it sees."""

        def __init__(self) -> None:
            super().__init__()
            self.learnt = torch.nn.Parameter(learnt.float() / 65535)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            noise = torch.randn(self.learnt.shape, generator=torch.Generator().manual_seed(0))
            return (self.learnt + 0.001 * noise).clamp(0, 1).expand_as(pixels)

    cpu = torch.device("cpu")
    found = measure_nearest(index, Memory(), Direction.REMOVE, 3, 1000, cpu)
    assert found is not None and found.outputs.min() > 0.95 > 0.8 > found.originals.max()
    honest = load_generator(save_lighting_gnet(trained, SMALL, Direction.REMOVE).parent.parent)
    seen = measure_nearest(index, honest, Direction.REMOVE, 3, 1000, cpu)
    assert seen is not None and np.abs(seen.outputs - seen.originals).max() < 0.3 and seen.training == seen.of


def _first_training(index: ShardIndex) -> np.ndarray:  # type: ignore[type-arg]
    from mammogan.data.shards.reader import read_sample

    shard = index.of_split("train")[0]
    return read_sample(index.folder / shard.name, shard.samples[0]).pixels


def test_an_export_never_writes_into_a_run_or_among_other_files(trained: Workspace, tmp_path: Path) -> None:
    run, other = trained.cad_run(SMALL), tmp_path / "other" / f"cad-{SMALL}"
    (other / "checkpoints").mkdir(parents=True)
    (tmp_path / "link").symlink_to(run.parent)
    with_notes = tmp_path / "notes" / run.name
    with_notes.mkdir(parents=True)
    (with_notes / "results.csv").write_text("1")
    before = {path: path.read_bytes() for path in run.parent.rglob("*") if path.is_file()}
    for out, told in (
        (run.parent, "is the run itself, and an exported model needs a folder of its own; give another --out"),
        (tmp_path / "link", "is the run itself"),
        (other.parent, r"is a run \(it has checkpoints/\)"),
        (with_notes.parent, "holds results.csv, which is of no exported model"),
    ):
        for overwrite in (False, True):
            with pytest.raises(UserError, match=told):
                export_model(run, out, overwrite=overwrite)
    assert before == {path: path.read_bytes() for path in run.parent.rglob("*") if path.is_file()}
    assert not list(other.glob("*.*")) and [path.name for path in with_notes.iterdir()] == ["results.csv"]
    exported = export_model(run, tmp_path / "handed-on")
    with pytest.raises(UserError, match="is the run itself"):
        export_model(exported, exported.parent, overwrite=True)
    (exported / "model.safetensors").unlink()  # as where an export was interrupted
    (run / "config.yaml").unlink()
    assert not (export_model(run, tmp_path / "handed-on") / "config.yaml").exists(), "that of the export before"


@pytest.mark.parametrize("change", [{"cad": {"a": 3}}, {"cad": {1: torch.zeros(2)}}, {"width": 0.1}])
def test_what_cannot_be_used_is_not_exported(trained: Workspace, tmp_path: Path, change: dict[str, object]) -> None:
    run = Run(trained.cad_run(SMALL))
    save(run.best, load(run.best) | change)
    with pytest.raises(UserError, match=r"its weights are those of another network|cannot be used"):
        export_model(run.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_that_is_not_the_runs_result_is_not_exported(trained: Workspace, tmp_path: Path) -> None:
    run = Run(trained.cad_run(SMALL))
    run.finish({})
    save_cad(trained, SMALL, seed=1)
    with pytest.raises(UserError, match=r"best\.pt is not the one that its training ended with"):
        export_model(run.path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_do_not_say_their_data_are_of_unknown_origin(trained: Workspace, tmp_path: Path) -> None:
    run = trained.cad_run(SMALL)
    (run / "config.yaml").unlink()
    assert "origin unknown" not in (export_model(run, tmp_path / "known") / "MODEL_CARD.md").read_text()
    silent = {name: value for name, value in load(Run(run).best).items() if name != "card"}
    save(Run(run).best, silent)
    card = (export_model(run, tmp_path / "out") / "MODEL_CARD.md").read_text()
    assert "origin unknown" in card and not (tmp_path / "out" / run.name / "config.yaml").exists()


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 1.0])
def test_a_changed_or_cut_export_is_damaged(place: float, handed_on: Path) -> None:
    path = handed_on / f"cad-{SMALL}" / "model.safetensors"
    whole = path.read_bytes()
    position = min(int(len(whole) * place), len(whole) - 1)
    path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
    with pytest.raises(UserError, match="damaged: its sha256 is not the one in SHA256SUMS"):
        load_cad(path.parent)
    (path.parent / "SHA256SUMS").unlink()
    path.write_bytes(whole[:position])
    with pytest.raises(UserError, match="damaged"):
        load_cad(path.parent)


@pytest.mark.parametrize("other", ["cut", "emptied", "binary", "shouted", "renamed", "twice", "from Windows"])
def test_changed_weights_are_damaged_whatever_became_of_the_list_of_sums(other: str, handed_on: Path) -> None:
    path = handed_on / f"cad-{SMALL}" / "model.safetensors"
    content, sums = bytearray(path.read_bytes()), path.parent / "SHA256SUMS"
    text, which = sums.read_text(), "best"
    content[-3000] ^= 1
    path.write_bytes(content)
    line = next(line for line in text.splitlines() if "model" in line)
    lists = {
        "cut": text[: text.index(path.name) + 5],
        "emptied": "",
        "binary": text.replace("  ", " *"),
        "shouted": text.replace(line, line[:64].upper() + line[64:]),
        "twice": f"{text}{hashlib.sha256(content).hexdigest()}  {path.name}\n",
        "from Windows": "\ufeff" + text.replace("\n", "\r\n"),
    }
    sums.write_bytes(lists.get(other, text).encode())
    if other == "renamed":
        which = str(path.rename(path.with_name("of-anna.safetensors")))
    with pytest.raises(UserError, match=r"damaged: (its sha256 is not|SHA256SUMS beside it has no line)"):
        load_cad(path.parent, which=which)


def test_the_sound_model_is_read_with_a_list_that_another_program_wrote_and_without_one(handed_on: Path) -> None:
    folder = handed_on / f"cad-{SMALL}"
    sums = folder / "SHA256SUMS"
    for text in (sums.read_text().replace("  ", " *./"), "\ufeff# of the lab\r\n" + sums.read_text().upper()):
        sums.write_text(text.replace("MODEL.SAFETENSORS", "model.safetensors"))
        load_cad(folder)
    sums.unlink()
    load_cad(folder)


@pytest.mark.parametrize("name", ["config.yaml", "MODEL_CARD.md"])
def test_settings_and_card_of_an_export_are_those_that_were_exported(name: str, handed_on: Path) -> None:
    folder = handed_on / f"cad-{SMALL}"
    (folder / name).write_text((folder / name).read_text() + "\n")
    with pytest.raises(UserError, match=f"the sha256 of {name} beside it is not the one in SHA256SUMS"):
        load_cad(folder)
    (folder / name).unlink()
    load_cad(folder)  # weights that are handed on alone say themselves what they were trained on


@pytest.mark.parametrize(
    "header",
    [
        b"[]", b"null", b"{", b'{"a": {}}', b'{"__metadata__": 3}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}}',
        b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [9999999999999], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}',
        b"[" * 200_000,
        b'{"__metadata__": {"mammogan": "' + b"[" * 200_000 + b'"}, "a.b": ' + FOUR_BYTES + b"}",
        OURS + FOUR_BYTES.replace(b"[4]", b"[4" + b",1" * 9000 + b"]") + b"}",
        OURS + FOUR_BYTES + b', "a.c": ' + EMPTY % 2**70 + b"}",
        OURS + FOUR_BYTES + b', "a.c": ' + EMPTY % 2**62 + b"}",
    ],
)  # fmt: skip
def test_a_file_that_is_no_export_is_refused_with_its_name(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\0\0")
    with pytest.raises(UserError, match=r"model.safetensors is damaged"):
        load(path)


def test_the_format_is_that_of_the_safetensors_library(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    tensors = {
        "a.weight": torch.randn(3, 2, 1, 1), "b": torch.tensor(7), "half": torch.ones(3, dtype=torch.bfloat16),
        "none": torch.empty(0, 4), "yes": torch.tensor([True, False]),
    }  # fmt: skip
    write_safetensors(tmp_path / "ours", tensors, {"format": "pt"})
    theirs = library.load_file(tmp_path / "ours")
    library.save_file(tensors, tmp_path / "theirs", {"format": "pt"})
    ours, metadata = read_safetensors(tmp_path / "theirs")
    assert metadata == {"format": "pt"} and theirs.keys() == ours.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(theirs[name], tensor) and torch.equal(ours[name], tensor)
        assert ours[name].dtype == tensor.dtype and ours[name].shape == tensor.shape


def test_a_bank_of_lesions_is_not_exported_since_it_is_made_of_patients(trained: Workspace, tmp_path: Path) -> None:
    run = Run(trained.of("lesion").gan_run(SMALL, Direction.INSERT))
    bank = {"kind": "gan", "arch": "transplant", "phase": "lesion", "epoch": 0, "cell": 4, "radius": 3.0}
    save(run.best, bank | {"lesions": [{"growth": torch.zeros(3, 3), "surroundings": 0.5}]})
    with pytest.raises(UserError, match="pieces of training mammograms"):
        export_model(run.path, tmp_path)
    assert not any(tmp_path.glob("gan-*"))


def test_the_command_says_what_to_read_and_refuses_what_is_there(trained: Workspace, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mammogan", "export-model", trained.cad_run(SMALL), "--out", tmp_path / "out"]
    first, second = (subprocess.run(words, capture_output=True, text=True, cwd=ROOT) for _ in range(2))
    assert first.returncode == 0 and "MODEL_CARD.md before you hand it on" in first.stdout
    assert second.returncode == 2 and "--overwrite" in second.stderr and "Traceback" not in second.stderr
    with pytest.raises(MissingInput, match="no checkpoint"):
        export_model(tmp_path / "nowhere", tmp_path / "out")
