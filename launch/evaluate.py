"""Score real and altered mammograms with the CAD and write WORKSPACE/report/: Table 1 with intervals, and a page.

    python launch/evaluate.py --workspace work
    python launch/evaluate.py --workspace films/work --models work --out-of-domain "film, models from phantoms"

Open report/index.html; the numbers are in table1.json, table1.csv, table1.md and predictions.csv beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mammogan.attack.settings import EvaluateConfig
from mammogan.command_line import Flat, run
from mammogan.config import Workspace


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    config: Path | None = None
    """YAML file with values for these options."""
    evaluation: Flat[EvaluateConfig] = field(default=EvaluateConfig())


def main(options: Options) -> None:
    from mammogan.attack.evaluate import evaluate

    evaluate(Workspace(options.workspace), options.evaluation)


if __name__ == "__main__":
    run(Options, main, __doc__)
