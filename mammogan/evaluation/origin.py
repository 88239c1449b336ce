"""Say how the networks of a report were trained, and on which cohort: what Table 1 cannot be read without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mammogan.config import CLASSIFIER
from mammogan.data.inspect.population import Population
from mammogan.data.shards.index import ShardIndex
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Workspace

Facts = dict[str, Any]


def cohort_facts(workspace: Workspace, index: ShardIndex, population: Population) -> Facts:
    """Return the cohort's name, how it was divided into splits, and its fingerprint.

    The name is that of each phantom cohort, else of the workspace's folder.
    """
    named = sorted({name for part in population.parts for name in part.cohorts})
    return {
        "name": "; ".join(named) or workspace.root.absolute().name,
        "split": index.settings.get("split", "not recorded"),
        "fingerprint": index.fingerprint,
    }


def training_facts(cad: Run | None, generators: Mapping[str, Facts], models: Workspace) -> dict[str, Facts]:
    """Return the settings of the CAD's training and of each generator's, by 'cad' or direction.

    ``generators`` has the name of each one's run, which is in ``models``, and its epoch. Empty for a run that records
    none.
    """
    found = {"cad": _cad_settings(cad.settings if cad else {})}
    for direction, made in generators.items():
        of = _gan_settings(Run(models.run(made["run"])).settings)
        found[direction] = of | ({"epoch": made.get("epoch")} if of else {})
    return found


def _cad_settings(config: Facts) -> Facts:
    return config and {
        **{name: config.get(name) for name in ("resolution", "classifier", "width", "epochs", "pairs", "seed")},
        "start": _start(config),
        "keep": config.get("keep", "auc"),
    }


def _start(config: Facts) -> str:
    """Say what Vnet started from."""
    if config.get("classifier", CLASSIFIER) != CLASSIFIER:
        return "a network of one's own"
    weights = config.get("vgg_weights")
    named = {"auto": "ImageNet weights", "none": "random weights"}
    return f"Vnet from {named.get(str(weights), 'the weights of a file')}"


def _gan_settings(config: Facts) -> Facts:
    if not config:
        return {}
    is_lesion = config.get("objective") == "lesion"
    sizes = config.get("lesion", {}) if is_lesion else config
    return {
        **{name: config.get(name) for name in ("resolution", "generator", "width", "seed")},
        "epochs": sizes.get("epochs"),
        "pairs": sizes.get("pairs"),
        "start": "random weights" if is_lesion else "random weights; its discriminator from the CAD",
    }
