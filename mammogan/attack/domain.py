"""Do these mammograms come from where the models learned, and these generators from this CAD?

If not, figures may be had, but only with their name on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from mammogan.config import Resolution, UserError, Workspace
from mammogan.data.stream import shards_fingerprint


def check_domain(
    model: str, trained_on: str | None, workspace: Workspace, resolution: Resolution, out_of_domain: str
) -> None:
    """UserError when ``model`` was trained on other shards than the workspace's and nobody says that this is meant.

    ``trained_on`` is its run's shards_sha256; None, a run that does not say, is let through.
    """
    if trained_on is None or out_of_domain:
        return
    found = shards_fingerprint(workspace.shards(resolution))
    if found != trained_on:
        raise UserError(
            f"{model} was trained on other mammograms than those in {workspace.shards(resolution)}: its shards have "
            f"the fingerprint {trained_on[:12]}, these {found[:12]}. Remove its run folder and train it anew, or give "
            "--models the workspace whose runs/ were trained on these. If it shall read what it was not made for, say "
            'how that differs, as in --out-of-domain "film, models from phantoms"'
        )


def notice_of_another_cad(generators: Iterable[Path], cad_sha256: str) -> str:
    """What to tell when generators, given by their runs, were trained against another CAD than this; else nothing.

    A run that does not say which CAD it was trained against is let through.
    """
    other = sorted(run.name for run in generators if _trained_against(run) not in (cad_sha256, None))
    if not other:
        return ""
    return (
        f"The generators were trained against another state of this CAD ({', '.join(other)}), as when it was trained "
        "on afterwards: the figures show how well they fool a CAD that they did not learn from. Remove their run "
        "folders and train them anew for figures of an attack on this one."
    )


def _trained_against(run: Path) -> str | None:
    record = run / "config.yaml"
    read = yaml.safe_load(record.read_text(encoding="utf-8")) if record.is_file() else None
    found: str | None = (read or {}).get("cad_sha256")
    return found
