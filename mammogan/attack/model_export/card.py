"""Write the card of a model that is handed on: what it is, what it was trained on, and what it must not be used for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mammogan.attack.model_export.nearest import Nearest
from mammogan.data.shards.damage import naming, opened
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import read_facts
from mammogan.training.run.checkpoint_kind import described, kind_of
from mammogan.workspace import LABELS, SPLITS

CARD = "MODEL_CARD.md"
CONVERSION = ("resolution", "voi", "voi_index", "fit", "kernel", "clean_background", "conversion")
"""Settings of the shards that decide the pixels that a model expects."""


def card(
    name: str,
    state: Mapping[str, Any],
    recorded: Mapping[str, Any],
    known: str | None,
    index: ShardIndex | None,
    nearest: Nearest | None,
) -> str:
    """Return the card as Markdown. ``known``: the fingerprint of the shards that it was trained on, if anything says
    it; ``index`` is of these shards, None if they are not at hand."""
    parts = [
        [f"# {name}", "", f"This is {described(dict(state))}, exported by MammoGAN."],
        ["## Intended use", "", *_use(kind_of(dict(state)))],
        ["## What it was trained on", "", *(_data(index) if index else _unknown(known))],
        ["## How well it does on the validation mammograms", "", *_figures(state)],
        ["## What is known of memorised training mammograms", "", *_memorised(state, nearest)],
        ["## Settings", "", *_settings(state, recorded)],
        ["## Loading it", "", *_loading(state)],
        ["## Passing it on", "", *PASSING_ON],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


PASSING_ON = (
    "`sha256sum -c SHA256SUMS` shows whether a file was changed. MammoGAN compares the weights, this card and the "
    "settings with it, too. The weights come from the mammograms named above: whether you may pass them on is decided "
    "by the agreement under which you received those, not by the licence of MammoGAN.",
)


def _use(kind: str) -> Iterator[str]:
    what = "tells mammograms with cancer from others" if kind == "cad" else "alters mammograms so that a CAD errs"
    yield (
        f"Research on adversarial mammograms. The network {what}, for mammograms that were converted as described "
        "below. **Not for clinical use**: no figure here says anything about patients elsewhere, and nothing was "
        "approved by anybody. What a generator makes is synthetic and must be marked as such."
    )


def _data(index: ShardIndex) -> Iterator[str]:
    yield "| split | label | mammograms | patients |\n|---|---|---|---|"
    for split in SPLITS:
        for label in LABELS:
            shards = [shard for shard in index.of_split(split) if shard.label == label]
            patients = {sample.patient for shard in shards for sample in shard.samples}
            used = " (not trained on)" if split == "test" else " (to choose the best epoch)" * (split == "validation")
            yield f"| {split}{used} | {label} | {sum(shard.count for shard in shards)} | {len(patients)} |"
    origins = _origins(index)
    yield ""
    yield f"Of the training mammograms, {origins['synthetic']} are phantoms or otherwise synthetic, {origins['film']}"
    yield f"are digitised film, and {origins['patients']} are digital mammograms of patients, by their headers."
    yield f"Conversion of the DICOM files: {', '.join(_conversion(index))}."
    yield f"Fingerprint of the shards: `{index.fingerprint}`."


def _origins(index: ShardIndex) -> Counter[str]:
    found = Counter[str]()
    for shard in index.of_split("train"):
        with opened(index.folder / shard.name) as tar:
            for sample in shard.samples:
                with naming(index.folder / shard.name, sample.key):
                    facts = read_facts(tar, sample)
                    found["synthetic" if facts["synthetic"] else "film" if facts["film"] else "patients"] += 1
    return found


def _conversion(index: ShardIndex) -> list[str]:
    return [f"{name} {index.settings[name]}" for name in CONVERSION if name in index.settings]


def _unknown(known: str | None) -> Iterator[str]:
    yield "**Not known here.** The shards that it was trained on are not beside its run, or are others by now."
    if known:
        yield f"Its run or its weights record their fingerprint: `{known}`."
    else:
        yield "Neither its run nor its weights record which they were: **origin unknown**."


def _figures(state: Mapping[str, Any]) -> Iterator[str]:
    figures = {name: value for name, value in state.items() if name.startswith("validation_")}
    if not figures:
        yield "The checkpoint records none."
    for name, value in figures.items():
        yield f"- {name.removeprefix('validation_')}: {'not known' if value is None else f'{value:.4g}'}"


def _memorised(state: Mapping[str, Any], nearest: Nearest | None) -> Iterator[str]:
    if kind_of(dict(state)) == "cad":
        yield "A classifier makes no images. Whether its weights give training mammograms away was not measured."
    elif nearest is None:
        yield "Not measured: the training and validation mammograms are not beside its run."
    else:
        yield from nearest.lines()


def _settings(state: Mapping[str, Any], recorded: Mapping[str, Any]) -> Iterator[str]:
    made_by = recorded.get("made_by", {})
    yield f"All settings of the training are in `config.yaml`. Epoch {state.get('epoch')}" + (
        f", phase {state['phase']}." if state.get("phase") else "."
    )
    if version := made_by.get("mammogan") or made_by.get("version"):
        yield f"Trained with MammoGAN {version}."
    if sha256 := recorded.get("cad_sha256"):
        yield f"Trained against the CAD with the sha256 `{sha256}`."


def _loading(state: Mapping[str, Any]) -> Iterator[str]:
    which = "load_cad" if kind_of(dict(state)) == "cad" else "load_generator"
    yield f"`mammogan.{which}(Path(this folder))`, or `--models` with the folder around this one."
    yield "Pixels: (N,1,H,W), 0 to 1, chest wall at the left, of shards that were converted as above."
    if ":" in str(state.get("arch", "")):
        yield f"Its class is not part of this folder: `{state['arch']}` must be importable."


def write_card(folder: Path, text: str) -> None:
    """Write the card into the folder of the exported model."""
    from mammogan.io.atomic import write_text

    write_text(folder / CARD, text)
