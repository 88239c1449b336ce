"""The settings that shards are made with, as settings.json and index.json beside them record them. Nothing heavy is
imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mammogan.data.conversion.additions import added_to, is_earlier
from mammogan.data.shards.index import ADDITIONS, INDEX, read_index
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_record
from mammogan.left_by_others import ours_in
from mammogan.workspace import Workspace

CONVERSION = 6
"""Version of the conversion; increased whenever the same file and settings give other pixels than before."""
SETTINGS = "settings.json"
COHORT = "cohort_sha256"
"""Name of the cohort's fingerprint among the settings."""
SHAPE = {"resolution": str, COHORT: str, "conversion": int}
MADE_AGAIN = "Delete it and repeat the same mammogan make-shards command, which {}"


def settings_of(
    cohort: Mapping[str, Any],
    divided: str,
    *,
    shard_images: int,
    voi: str,
    voi_index: int,
    fit: str,
    clean_background: bool,
    codec: str,
) -> dict[str, Any]:
    """Return what settings.json records. ``cohort``: its fingerprints; ``divided``: how patients were put into
    splits."""
    return {
        "conversion": CONVERSION,
        "voi": voi,
        "fit": fit,
        "kernel": "bicubic, antialiased",
        "shard_images": shard_images,
        "split": divided,
        **cohort,
        # Only when requested, so that shards from before these settings existed can still be resumed.
        **({"voi_index": voi_index} if voi_index else {}),
        **({"clean_background": True} if clean_background else {}),
        **({"codec": codec} if codec != "png" else {}),
    }


def read_settings(path: Path) -> dict[str, Any]:
    """Read the settings that a folder of shards was made with. Raises UserError if the file is damaged."""
    return read_record(path, SHAPE, MADE_AGAIN.format("writes it again and keeps the shards that fit"))


def held_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings that a folder of shards was made with: those of its index if settings.json is gone, and None
    if both are. Raises UserError if the file is damaged."""
    if file_exists(folder / SETTINGS):
        return read_settings(folder / SETTINGS)
    if file_exists(folder / INDEX):
        settings: dict[str, Any] = read_index(folder)["settings"]
        return settings or None
    return None


def all_held_settings(workspace: Workspace) -> dict[Path, dict[str, Any]]:
    """Return the settings of every folder of shards of a workspace that says how it was made, by the folder."""
    found = {folder: held_settings(folder) for folder in ours_in(workspace.root, "shards/*")}
    return {folder: settings for folder, settings in found.items() if settings is not None}


def differences(held: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, as they were and as they are now. Rows that were only added differ from
    nothing."""
    held, ours = ({"codec": "png", **made} for made in (held, ours))
    if is_earlier(added_to(held), added_to(ours)):
        held = {**held, ADDITIONS: ours.get(ADDITIONS)}
    names = sorted({*held, *ours} - {"resolution"})
    return {name: (held.get(name), ours.get(name)) for name in names if held.get(name) != ours.get(name)}
