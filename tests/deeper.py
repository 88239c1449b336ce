"""A workspace with untrained networks that mammogan evaluate-deeper can measure, and what its tests share."""

from __future__ import annotations

from pathlib import Path

from conftest import SMALL
from generators import save_all

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.evaluation.beyond.config import DeeperConfig
from mammogan.evaluation.evaluate import evaluate
from mammogan.workspace import Workspace

TINY = DeeperConfig(
    images=6,
    baseline=("noise=2048", "pgd-l2=512"),
    section=("points", "attacks", "transfer", "robustness", "localisation", "realism"),
    device="cpu",
)


def evaluated_phantoms(cohort: Path, root: Path) -> Workspace:
    """Shards at 96x96, untrained networks, adversarial images and their scores."""
    workspace = Workspace(root)
    convert_cohort(cohort / "labels.csv", workspace, [SMALL], jobs=1)
    save_all(workspace, SMALL)
    generate(workspace, GenerateConfig(device="cpu"))
    evaluate(workspace, EvaluateConfig(bootstrap=100, examples=1, device="cpu", controls=False))
    return workspace
