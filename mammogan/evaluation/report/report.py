"""Write the report folder: predictions, tables, figures and the HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mammogan.attack.config import EvaluateConfig
from mammogan.evaluation.predictions import write_predictions
from mammogan.evaluation.report.curves import draw_roc, draw_shift
from mammogan.evaluation.report.page import DUTY, write_page
from mammogan.evaluation.report.sections import Pictures, banners, caption_note
from mammogan.evaluation.report.tables import write_table_csv, write_table_json, write_table_markdown
from mammogan.evaluation.report.triplets import draw_triplets, draw_twins
from mammogan.evaluation.result import Result
from mammogan.io.provenance import made_by
from mammogan.workspace import Direction

TRIPLETS, TWINS = "triplets", "twins"
"""Prefixes of the example pictures, which not every report has."""


def write_report(folder: Path, results: Sequence[Result], config: EvaluateConfig) -> None:
    """Write every file of the report, and delete example pictures of an earlier report that this one does not have."""
    facts = settings_and_versions(config)
    write_predictions(folder / "predictions.csv", [p for result in results for p in result.predictions])
    write_table_json(folder / "table1.json", results, facts)
    write_table_csv(folder / "table1.csv", results)
    write_table_markdown(folder / "table1.md", results, banners(results, facts))
    pictures = draw(folder, results, config.threshold)
    write_page(folder / "index.html", results, pictures, facts)
    for path in [*folder.glob(f"{TRIPLETS}-*.png"), *folder.glob(f"{TWINS}-*.png")]:
        if path.name not in pictures.names():
            path.unlink()


INTERVALS = {
    "shares": "Wilson, 95%, on the number of images divided by the design effect of patients",
    "AUCs": "Wald on the logit, 95%, images of a patient clustered",
    "medians": "percentiles of resampled patients, 95%",
}
"""How each kind of figure gets its interval."""


def settings_and_versions(config: EvaluateConfig) -> dict[str, Any]:
    """Return the settings and versions for the top of table1.json and the foot of the page."""
    banner = f"Out of domain: {config.out_of_domain}" if config.out_of_domain else ""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "split": config.split,
        "threshold": config.threshold,
        "bootstrap": {"draws": config.bootstrap, "seed": config.seed, "unit": "patient", "of": "medians"},
        "intervals": INTERVALS,
        "out_of_domain": banner,
        "notice": DUTY,
        "made_by": made_by(),
    }


def draw(folder: Path, results: Sequence[Result], threshold: float) -> Pictures:
    """Draw all figures as PNG files in ``folder``."""
    cases, note = {result.name: result.cases for result in results}, caption_note(results)
    draw_roc(folder / "roc.png", cases, {result.name: result.table for result in results}, threshold, note)
    draw_shift(folder / "shift.png", cases, threshold, note)
    triplets: dict[tuple[str, Direction], str] = {}
    twins: dict[str, str] = {}
    for result in results:
        name, file_name = result.name, result.file_name
        for direction, examples in result.examples.items():
            if examples:
                triplets[name, direction] = f"{TRIPLETS}-{file_name}-{direction}.png"
                draw_triplets(folder / triplets[name, direction], examples, result.note)
        if result.twins:
            twins[name] = f"{TWINS}-{file_name}.png"
            draw_twins(folder / twins[name], result.twins, result.note)
    return Pictures("roc.png", "shift.png", triplets, twins)
