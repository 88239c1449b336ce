"""Make Tables 2 to 4 of a reader study, with statistics that hold, and a page that shows them.

    mammogan reading-tables --workspace work
    mammogan reading-tables --workspace work --name study-low --folder /media/disk/low
    mammogan reading-tables --workspace work --name study-low --against study

Reading may still go on: the report says what is missing. It goes to WORKSPACE/report/reading-NAME/: open index.html.
answers.csv there has one row an answer, for your own statistics; answers.imrmc is for iMRMC. docs/reading_statistics.md
explains every number.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mammogan.io.options import run
from mammogan.io.terminal import say
from mammogan.reader.config import Unsure
from mammogan.workspace import Workspace


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder in which the study was drawn; its private folder holds the key."""
    name: str = "study"
    """Name of the reading."""
    folder: Path | None = None
    """Reading folder with the answers, if it was copied back to another place."""
    unsure: Unsure = "wrong"
    """How unsure counts in an accuracy. The paper does not say."""
    groups: int = 10
    """Sub-groups of a session for the paper's p-value. The paper does not say."""
    against: str = ""
    """Name of another reading of the same mammograms, to compare image by image: of study-low with study, if it was
    drawn with --low-same-images."""


def execute(options: Options) -> None:
    """Join answers and truth, and write the report."""
    from mammogan.reader.readings import read_folder
    from mammogan.reader.report.in_words import in_words
    from mammogan.reader.report.report import write_report

    workspace = Workspace(options.workspace)
    folder = options.folder or workspace.reading(options.name)
    readings = read_folder(folder, workspace.reading_key(options.name))
    other = options.against
    against = read_folder(workspace.reading(other), workspace.reading_key(other)) if other else None
    report = workspace.root / "report" / f"reading-{options.name}"
    tables = write_report(report, readings, options.unsure, options.groups, against)
    for table in tables[:4]:
        say(table.markdown())
    say(f"{in_words(readings)}\n\nThe page with everything: {report / 'index.html'}")


def main() -> NoReturn:
    run(Options, execute, __doc__)
