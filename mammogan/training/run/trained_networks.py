"""Load what trainings leave: classifiers, generators, and the facts that identify them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mammogan.config import CLASSIFIER, GENERATOR, LESION_GENERATORS
from mammogan.errors import UserError
from mammogan.io.atomic import sha256
from mammogan.io.terminal import say
from mammogan.models.lesion import LesionGenerator
from mammogan.models.networks import Critic
from mammogan.models.own_cad import own_cad
from mammogan.models.registry import (
    build_classifier,
    build_generator,
    is_known_generator,
    sources_of,
)
from mammogan.models.weight_values import fill
from mammogan.training.run.begun_with import SOURCES
from mammogan.training.run.cad_source import CadSource
from mammogan.training.run.checkpoint import load
from mammogan.training.run.checkpoint_files import (
    CheckpointFacts,
    check_same_file,
    choose_checkpoint,
    run_of,
    trained_on,
)
from mammogan.training.run.checkpoint_kind import check_kind, with_weights

ARCHS = (GENERATOR, *LESION_GENERATORS)
"""Kinds of generators: the study's Gnet, the lesion objective's remover, and its bank of lesions (no network). Besides
these, a generator of your own has its import path, MODULE:CLASS."""


def load_cad(run: str | Path, device: torch.device | str = "cpu", which: str = "best") -> Critic:
    """Load the classifier of a run folder, in eval mode; ``positive_probability`` is its probability of cancer.

    ``which`` is "best" (on validation), "newest" or the path of a checkpoint.
    """
    path = choose_checkpoint(Path(run), which)
    state = load(path)
    check_kind(path, state, "cad")
    run_of(path).check_result(path)
    trained_on(path, state)  # refused if config.yaml beside it is another training's
    say_if_source_changed(state, sources_of(classifier=state.get("arch", CLASSIFIER)))

    def build() -> Critic:
        cad = build_classifier(state.get("arch", CLASSIFIER), state["width"])
        fill(cad, state["cad"])
        return cad

    return with_weights(path, state, build).to(device).eval()


def load_source(source: CadSource, device: torch.device | str = "cpu") -> Critic:
    """Load the classifier of --cad, in eval mode: of a checkpoint, or of a factory of one's own."""
    if source.factory:
        return own_cad(source.factory).to(device)
    return load_cad(source.path.parent, device, which=str(source.path))


def check_same_cad(source: CadSource, planned: str) -> None:
    """Raise UserError if the classifier is not the one that the work was planned with."""
    check_same_file(source.factory or source.path, source.sha256(), planned)


def read_generator(run: Path, which: str = "best") -> tuple[dict[str, Any], CheckpointFacts]:
    """Read the state of a run's generator, and its origin.

    ``which`` is 'best' (on validation, see ``Fooled.score``), 'newest', or a path.
    """
    path = choose_checkpoint(run, which)
    state = load(path)
    check_kind(path, state, "gan")
    refuse_other_arch(path, state)
    origin = state.get("direction"), trained_on(path, state), state.get("arch", ARCHS[0])
    found = sha256(path)
    run_of(path).check_result(path, found)
    return state, CheckpointFacts(path, found, state["phase"], state["epoch"], *origin)


def load_generator(run: str | Path, device: torch.device | str = "cpu", which: str = "best") -> nn.Module:
    """Load the generator of a run folder: a network from mammograms to adversarial mammograms, in eval mode.

    It takes pixels (N,1,H,W), uint16 or floats in [0,1], and returns floats in [0,1] of the same shape. ``which`` is
    "best" (on validation), "newest" or the path of a checkpoint. Raises UserError if the run has no network: insertion
    in the lesion objective uses a bank of lesions, see mammogan.attack.methods.
    """
    return load_generator_with_facts(Path(run), device, which)[0]


def load_generator_with_facts(
    run: Path, device: torch.device | str = "cpu", which: str = "best"
) -> tuple[nn.Module, CheckpointFacts]:
    """Load a generator as ``load_generator`` does, and return its origin too."""
    state, facts = read_generator(run, which)
    if facts.arch == "transplant":
        raise UserError(f"checkpoint {facts.path} is a bank of lesions, no network; mammogan generate uses it")
    return network_of(state, facts.path).to(device).eval(), facts


def network_of(state: dict[str, Any], path: Path) -> nn.Module:
    """Build the network from a state of ``read_generator``; ``path`` is its checkpoint, for the error message."""

    def build() -> nn.Module:
        if state.get("arch") == "residual-map":
            return LesionGenerator.of_state(state)
        say_if_source_changed(state, sources_of(generator=state.get("arch", GENERATOR)))
        gnet = build_generator(state.get("arch", GENERATOR), state["width"], state["gnet_norm"])
        fill(gnet, state["gnet"])
        return gnet

    return with_weights(path, state, build)


def say_if_source_changed(state: dict[str, Any], sources: dict[str, str]) -> None:
    """Report a class of your own whose source file is not the one that the checkpoint was trained with."""
    for name, now in sources.items():
        if state.get(name, now) != now:
            _say_once(
                f"note: {SOURCES[name]}, {state['arch']}, has changed since this network was trained: the same weights "
                "may give other results"
            )


_say_once = functools.cache(say)


def refuse_other_arch(path: Path, state: dict[str, Any]) -> None:
    """Raise UserError if a checkpoint's generator is none of ``ARCHS``; without a recorded kind it is the first."""
    arch = state.get("arch", ARCHS[0])
    if arch not in ARCHS and not is_known_generator(arch):
        raise UserError(
            f"checkpoint {path} holds a generator of the kind {arch!r}, and this version knows {', '.join(ARCHS)}: use "
            "the version of MammoGAN that trained it, or name another checkpoint"
        )
