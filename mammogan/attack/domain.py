"""Do these mammograms come from where the models learned, and these generators from this CAD?

If not, figures may be had, but only with their name on.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from mammogan.config import UserError
from mammogan.data.index import ShardIndex


def check_domain(models: Iterable[tuple[str, str | None]], shards: ShardIndex, out_of_domain: str) -> None:
    """UserError when one of the models was trained on other shards than these and nobody says that this is meant.

    Each is told by its name and its run's shards_sha256; None, a run that does not say, is let through.
    """
    found = shards.fingerprint
    for model, trained_on in models:
        if not out_of_domain and trained_on not in (found, None):
            raise UserError(
                f"{model} was trained on other mammograms than those in {shards.folder}: its shards have "
                f"the fingerprint {str(trained_on)[:12]}, these {found[:12]}. Remove its run folder and train it anew, "
                "or give --models the workspace whose runs/ were trained on these. If it shall read what it was not "
                'made for, say how that differs, as in --out-of-domain "film, models from phantoms"'
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
