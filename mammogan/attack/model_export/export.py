"""Export the network of a run: weights, settings, a card, and the sha256 of each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mammogan.attack.model_export.card import card, write_card
from mammogan.attack.model_export.nearest import Nearest, measure_nearest
from mammogan.data.shards.index import ShardIndex
from mammogan.errors import MissingInput, UserError
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_yaml_record, write_yaml_record
from mammogan.io.terminal import say
from mammogan.left_by_others import ours_in
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.checkpoint import load
from mammogan.training.run.checkpoint_files import choose_checkpoint, trained_on
from mammogan.training.run.checkpoint_kind import check_kind, kind_of
from mammogan.training.run.exported import BESIDE, SUMS, write_exported, write_sums
from mammogan.training.run.run_folder import REMEDY, Run
from mammogan.training.run.trained_networks import load_cad, load_generator, network_of
from mammogan.workspace import EXPORTED, Direction

WRITTEN = (EXPORTED, SUMS, *BESIDE)
"""Names of the files of an exported model."""
OF_THIS_MACHINE = ("vgg_weights", "start_from")
"""Settings that may be paths."""


def export_model(
    run: Path,
    out: Path,
    checkpoint: str = "best",
    outputs: int = 20,
    training_images: int = 5000,
    device: str = "auto",
    overwrite: bool = False,
) -> Path:
    """Write ``out``/<name of the run>/ and return it.

    ``checkpoint`` is best or newest. If the shards that a generator was trained on are beside its run, the nearest
    training mammograms of its ``outputs`` are measured. Raises MissingInput without a checkpoint, UserError for what
    must not be handed on, such as a bank of lesions, and for a folder that is there already or holds anything else.
    """
    if outputs < 1 or training_images < 1:
        raise UserError(f"--outputs {outputs} --training-images {training_images}: expected at least 1 of each")
    path = choose_checkpoint(run, checkpoint)
    if not file_exists(path):
        raise MissingInput(f"no checkpoint {path}; expected the folder of a run that was trained, as work/runs/cad-*")
    folder = out / run.absolute().name
    _refuse_folder(folder, run, overwrite)
    state = load(path)
    check_kind(path, state, "cad" if kind_of(state) == "cad" else "gan")
    _refuse_parts_of_patients(run, state)
    use = load_cad if kind_of(state) == "cad" else load_generator
    use(run, which=str(path))  # what cannot be used here is not handed on
    recorded = _recorded(run)
    known = trained_on(path, state)
    index = _index_of(run, recorded, known)
    nearest = _nearest(path, state, index, outputs, training_images, device)
    folder.mkdir(parents=True, exist_ok=True)
    for name in WRITTEN:  # the folder counts as exported when the weights are there, so they are the last
        (folder / name).unlink(missing_ok=True)
    write_card(folder, card(folder.name, state, recorded, known, index, nearest))
    if recorded:
        write_yaml_record(folder / "config.yaml", recorded)
    write_exported(folder / EXPORTED, state)
    write_sums(folder)
    return folder


def _refuse_folder(folder: Path, run: Path, overwrite: bool) -> None:
    """Raise UserError if writing into this folder would change what no export wrote: the run itself, another one, or
    anything else of the user's."""
    if folder.resolve() == run.resolve() or os.path.lexists(Run(folder).newest.parent):
        whose = "the run itself" if folder.resolve() == run.resolve() else "a run (it has checkpoints/)"
        raise UserError(f"{folder} is {whose}, and an exported model needs a folder of its own; give another --out")
    if file_exists(folder / EXPORTED):
        if overwrite:
            return
        raise UserError(f"{folder} holds an exported model already; give another --out, or --overwrite")
    if other := sorted(path.name for path in ours_in(folder) if path.name not in WRITTEN):
        raise UserError(
            f"{folder} holds {other[0]}, which is of no exported model; give another --out, or move what it holds away"
        )


def _refuse_parts_of_patients(run: Path, state: dict[str, Any]) -> None:
    if "lesions" in state:
        raise UserError(
            f"{run} is a bank of lesions: pieces of training mammograms, not weights. To hand it on is to hand on "
            "parts of patients' images, so it is not exported"
        )


def _recorded(run: Path) -> dict[str, Any]:
    """Return what config.yaml records, without the folders of this machine; empty if there is none."""
    path = run / "config.yaml"
    recorded = read_yaml_record(path, {"config": dict}, REMEDY) if file_exists(path) else {}
    config = recorded.get("config", {})
    for name in OF_THIS_MACHINE:
        if config.get(name):
            config[name] = Path(config[name]).name
    return recorded


def _index_of(run: Path, recorded: dict[str, Any], known: str | None) -> ShardIndex | None:
    """Return the index of the shards that the run was trained on, if they are beside it; None if not."""
    resolution = recorded.get("config", {}).get("resolution")
    shards = run.absolute().parent.parent / "shards" / str(resolution)
    if not file_exists(shards / "index.json"):
        return None
    index = ShardIndex.load(shards)
    return index if known == index.fingerprint else None


def _nearest(
    path: Path, state: dict[str, Any], index: ShardIndex | None, outputs: int, training_images: int, device: str
) -> Nearest | None:
    if kind_of(state) == "cad" or index is None:
        return None
    if not state.get("direction"):
        say("the checkpoint does not say whether it removes or inserts, so its outputs are not compared")
        return None
    direction = Direction(state["direction"])
    network = network_of(state, path)
    return measure_nearest(index, network, direction, outputs, training_images, choose_device(device))
