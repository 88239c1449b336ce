"""Do these mammograms come from where the models learned? If not, figures may be had, but only with their name on."""

from __future__ import annotations

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
