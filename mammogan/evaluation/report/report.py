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
from mammogan.evaluation.score_plan import FILES
from mammogan.io.provenance import made_by
from mammogan.left_by_others import ours_in
from mammogan.workspace import Direction

TRIPLETS, TWINS = "triplets", "twins"
"""Prefixes of the example pictures, which not every report has."""


def write_report(folder: Path, results: Sequence[Result], config: EvaluateConfig) -> list[str]:
    """Write every file of the report, delete example pictures of an earlier report that this one does not have, and
    return the names of the files."""
    facts, (predictions, table_json, table_csv, table_md, page) = settings_and_versions(config), FILES
    write_predictions(folder / predictions, [p for result in results for p in result.predictions])
    write_table_json(folder / table_json, results, facts)
    write_table_csv(folder / table_csv, results)
    write_table_markdown(folder / table_md, results, banners(results, facts))
    pictures = draw(folder, results, config.threshold)
    write_page(folder / page, results, pictures, facts)
    for path in [*ours_in(folder, f"{TRIPLETS}-*.png"), *ours_in(folder, f"{TWINS}-*.png")]:
        if path.name not in pictures.names():
            path.unlink()
    return [*FILES, *pictures.names()]


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
