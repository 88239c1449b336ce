"""Check finished shards, and draw a page of pictures of them.

    python shards/check_shards.py --workspace work
    python shards/check_shards.py --workspace work --resolution low

Looks at every byte: index, checksums, counts, members, bit depth and shape of each image, each JSON against its schema,
and whether a patient, a study or a source image is in two splits. Every fault is listed, with what to do; exit code 1
when there is one. Then come images and positives of each split, and a warning for every two mammograms in different
splits that look alike, as one exported twice would: look at them (shards/preview.py); it is no fault.
Draws work/contact-<HxW>.png: look whether every chest wall is at the left and every background black.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mammogan.command_line import run
from mammogan.config import MissingInput, Resolution, Workspace

FAULTY = 1


@dataclass(frozen=True)
class CheckShards:
    workspace: Path = Path("work")
    """Folder that holds the shards."""
    resolution: tuple[str, ...] = ()
    """high, low or HEIGHTxWIDTH; none given: all that are there."""
    contact: bool = True
    """Draw the contact sheets."""


def main(asked: CheckShards) -> int:
    workspace = Workspace(asked.workspace)
    resolutions = [Resolution.parse(text) for text in asked.resolution] or workspace.resolutions()
    if not resolutions:
        raise MissingInput(
            f"{asked.workspace}: no finished shards; run python shards/make_shards.py --cohort labels.csv "
            f"--workspace {asked.workspace}"
        )
    faults = [fault for resolution in resolutions for fault in _check(workspace, resolution, asked.contact)]
    return FAULTY if faults else 0


def _check(workspace: Workspace, resolution: Resolution, contact: bool) -> list[str]:
    from mammogan.data.contact import draw_contact_sheet
    from mammogan.data.near_duplicates import near_duplicates
    from mammogan.data.shards import ShardIndex, verify
    from mammogan.terminal import say

    folder = workspace.shards(resolution)
    faults = verify(folder)
    for fault in faults:
        say(f"FAULT {resolution}: {fault}")
    if faults:
        say(
            f"{resolution}: {len(faults)} fault{'s' if len(faults) > 1 else ''}. Delete the faulty tars and index.json "
            f"in {folder}, then run the make_shards.py command of before: it makes these anew and keeps the others. "
            "With --overwrite it makes all anew, which also ends leaks between splits"
        )
        return faults
    index = ShardIndex.load(folder)
    say(f"{resolution}: {sum(s.count for s in index.shards)} images in {len(index.shards)} shards, all sound")
    for split, labels in index.counts.items():
        say(f"  {split:<11}{sum(labels.values()):6d} images, {labels['positive']} positive")
    for pair in near_duplicates(index):
        say(f"WARNING {resolution}: {pair}: one image? Then drop a row of the table, or give both one patient")
    if contact:
        sheet = workspace.root / f"contact-{resolution}.png"
        try:
            draw_contact_sheet(index, sheet)
            say(f"look at {sheet}")
        except OSError as error:  # of a workspace that may only be read: a picture is no part of the check
            say(f"{sheet} cannot be written ({error.strerror}), so there is no picture; --no-contact leaves it out")
    return []


if __name__ == "__main__":
    run(CheckShards, main, __doc__)
