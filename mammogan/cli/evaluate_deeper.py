"""Measure what Table 1 leaves open, and write the page "Beyond Table 1".

    mammogan evaluate-deeper --workspace work
    mammogan evaluate-deeper --workspace work --images 20 --baseline noise=256 pgd-l2=256
    mammogan evaluate-deeper --workspace work --section points attacks
    mammogan evaluate-deeper --workspace work --cad their/run    if mammogan evaluate was given the same

Which attack fools whom, at which threshold, where, how visibly, and who notices? mammogan generate and mammogan
evaluate have to have run. The page goes to WORKSPACE/report/beyond/<size>/beyond.html, all numbers to evaluation.json
beside it; docs/evaluation.md explains them.

Images of simple attacks and all scores are kept in WORKSPACE/deeper/, so the same command continues a stopped run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from mammogan.evaluation.beyond.config import DeeperConfig
from mammogan.io.options import Flat, run
from mammogan.workspace import Workspace


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder that holds shards, runs, adversarial mammograms and scores; the page is written there too."""
    config: Path | None = None
    """YAML file with values for these options."""
    evaluation: Flat[DeeperConfig] = field(default=DeeperConfig())


def execute(options: Options) -> int:
    from mammogan.evaluation.beyond.evaluate_deeper import evaluate_deeper

    evaluate_deeper(Workspace(options.workspace), options.evaluation)
    return 0


def main() -> NoReturn:
    run(Options, execute, __doc__)
