"""Check finished shards, and draw a page of pictures of them.

    mammogan check-shards --workspace work
    mammogan check-shards --workspace work --resolution low

This reads every byte: it checks the index, checksums, counts and members, bit depth and shape of each image, each JSON
against its schema, and whether a patient, a study or a source image is in two splits. Every fault is listed, with what
to do; the exit code is 1 if there is one. Then it prints the number of images and positives of each split, and a
warning for every two mammograms in different splits that look alike, as when one was exported twice: look at them
(mammogan preview). A warning also names patients in different splits whose files have one PatientID, and copies of our
files that other programs made, such as "index (1).json": they are ignored. A warning is no fault. What was made from
the shards is checked too, where there is some: adversarial mammograms (every byte), their DICOM files, and scores.

It also draws work/contact-<HxW>.png: check there that every chest wall is at the left and every background is black.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mammogan.errors import MissingInput
from mammogan.io.options import run
from mammogan.io.shell import shell_word
from mammogan.workspace import Resolution, Workspace

FAULTY = 1
"""Exit code when a fault was found."""


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder that holds the shards."""
    resolution: tuple[str, ...] = ()
    """high, low or HEIGHTxWIDTH, one or more; when none is given, all that have shards."""
    contact: bool = True
    """Draw the contact sheets, the pages of pictures."""


def execute(options: Options) -> int:
    """Check the requested resolutions; return FAULTY if there is a fault, else 0."""
    workspace = Workspace(options.workspace)
    resolutions = [Resolution.parse(text) for text in options.resolution] or workspace.resolutions()
    if not resolutions:
        raise MissingInput(
            f"{options.workspace}: no finished shards; run mammogan make-shards --cohort labels.csv "
            f"--workspace {shell_word(options.workspace)}"
        )
    _say_what_others_left(workspace)
    faults = [fault for resolution in resolutions for fault in _check(workspace, resolution, options.contact)]
    return FAULTY if faults else 0


def _say_what_others_left(workspace: Workspace) -> None:
    from mammogan.io.terminal import say
    from mammogan.left_by_others import said_of_others

    for sentence in said_of_others(workspace.root, ("shards*", "adversarial*", "scores*", "private*", "runs*")):
        say(f"WARNING: {sentence}")


def _check(workspace: Workspace, resolution: Resolution, contact: bool) -> list[str]:
    from mammogan.data.inspect.verify_results import verify_results
    from mammogan.io.terminal import say

    made = verify_results(workspace, resolution)
    for fault in made:
        say(f"FAULT {resolution}: {fault}")
    if made:
        say(
            f"{resolution}: {len(made)} faulty result{'s' if len(made) > 1 else ''}. Delete the files named above "
            "and the index.json beside them, and repeat mammogan generate (for scores mammogan evaluate), which makes "
            "these again"
        )
    return made + _check_shards(workspace, resolution, contact)


def _check_shards(workspace: Workspace, resolution: Resolution, contact: bool) -> list[str]:
    from mammogan.data.conversion.convert_cohort import ShardIndex, verify
    from mammogan.data.inspect.contact_sheet import draw_contact_sheet
    from mammogan.data.inspect.near_duplicates import near_duplicates
    from mammogan.data.inspect.same_women import same_women
    from mammogan.io.terminal import say

    folder = workspace.shards(resolution)
    faults = verify(folder)
    for fault in faults:
        say(f"FAULT {resolution}: {fault}")
    if faults:
        say(
            f"{resolution}: {len(faults)} fault{'s' if len(faults) > 1 else ''}. Delete the faulty tars and index.json "
            f"in {folder}, then run the original make-shards command: it remakes these and keeps the others. "
            "With --overwrite it makes all shards again, which also removes leaks between splits"
        )
        return faults
    index = ShardIndex.load(folder)
    say(f"{resolution}: {sum(s.count for s in index.shards)} images in {len(index.shards)} shards, all sound")
    for split, labels in index.counts.items():
        say(f"  {split:<11}{sum(labels.values()):6d} images, {labels['positive']} positive")
    for women in same_women(index):
        say(f"WARNING {resolution}: {women}")
    for pair in near_duplicates(index):
        say(f"WARNING {resolution}: {pair}: one image? Then drop a row of the table, or give both one patient")
    if contact:
        sheet = workspace.root / f"contact-{resolution}.png"
        try:
            draw_contact_sheet(index, sheet)
            say(f"look at {sheet}")
        except OSError as error:  # the workspace may be read-only: the picture is no part of the check
            say(f"{sheet} cannot be written ({error.strerror}), so there is no picture; --no-contact leaves it out")
    return []


def main() -> NoReturn:
    run(Options, execute, __doc__)
