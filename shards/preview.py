"""Look at what was made, and at what was left out: pages of small 8-bit pictures.

    python shards/preview.py --workspace work --shard train-positive-000000
    python shards/preview.py --workspace work --orientation     samples whose side or way up is in doubt
    python shards/preview.py --workspace work --flags burned_in_annotation bits_exceeded
    python shards/preview.py --workspace work --left-out        files that were not used, each with its reason

Pages of samples are work/preview-<HxW>-<what>.png and carry pseudonyms only. That of files left out may show names that
are burnt into pixels: it is work/private/left-out.png and only you may read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mammogan.command_line import run
from mammogan.config import MissingInput, Resolution, UserError, Workspace

if TYPE_CHECKING:
    from mammogan.data.index import ShardIndex
    from mammogan.data.preview import Picture


@dataclass(frozen=True)
class Preview:
    workspace: Path = Path("work")
    """Folder that holds the shards."""
    resolution: str = ""
    """high, low or HEIGHTxWIDTH; none given: the smallest that is there."""
    shard: str = ""
    """Show this one, such as test-negative-000000."""
    orientation: bool = False
    """Show samples with a flag about their orientation."""
    flags: tuple[str, ...] = ()
    """Show samples with one of these flags; docs/data.md has them all, and so has the message about a wrong one."""
    left_out: bool = False
    """Show the files that no shard holds."""
    most: int = 200
    """Pictures on one page at most."""
    out: Path | None = None
    """Folder for the pages; the workspace, and its private/ for files left out, when not given."""


def main(asked: Preview) -> int:
    if not (asked.shard or asked.orientation or asked.flags or asked.left_out) or asked.most < 1:
        raise UserError("expected --shard NAME, --orientation, --flags FLAG ... or --left-out, and --most of 1 or more")
    from mammogan.data.flags import ORIENTATION
    from mammogan.data.preview import of_left_out, of_shard, with_flags
    from mammogan.files import PRIVATE

    workspace = Workspace(asked.workspace)
    if asked.left_out:
        title = "left out: may show what identifies a patient; keep it private"
        path = (asked.out or workspace.salt.parent) / "left-out.png"
        _draw(of_left_out(workspace), path, title, asked.most, PRIVATE)
    if asked.shard:
        index = _index(workspace, asked.resolution)
        name = asked.shard.removesuffix(".tar")
        path = (asked.out or workspace.root) / f"preview-{index.resolution}-{name}.png"
        _draw(of_shard(index, name), path, f"{index.resolution} {name}", asked.most)
    if flags := (*asked.flags, *(ORIENTATION if asked.orientation else ())):
        index = _index(workspace, asked.resolution)
        what = "flags" if asked.flags else "orientation"
        path = (asked.out or workspace.root) / f"preview-{index.resolution}-{what}.png"
        _draw(with_flags(index, flags), path, f"{index.resolution}: {', '.join(flags)}", asked.most)
    return 0


def _index(workspace: Workspace, resolution: str) -> ShardIndex:
    from mammogan.data.index import ShardIndex

    there = [Resolution.parse(resolution)] if resolution else sorted(workspace.resolutions())
    if not there:
        raise MissingInput(
            f"{workspace.root}: no finished shards; run python shards/make_shards.py --cohort labels.csv "
            f"--workspace {workspace.root}"
        )
    return ShardIndex.load(workspace.shards(there[0]))


def _draw(pictures: Iterator[Picture], path: Path, title: str, most: int, mode: int | None = None) -> None:
    from itertools import islice

    from mammogan.data.preview import draw
    from mammogan.terminal import say

    shown = list(islice(pictures, most + 1))
    if not shown:
        say(f"{title}: none")
        return
    if len(shown) > most:
        say(f"{title}: more than {most}, the first are shown (--most decides)")
    try:
        draw(shown[:most], path, title, mode=mode)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); name a folder where you may write: --out"
        ) from None
    say(f"look at {path}")


if __name__ == "__main__":
    run(Preview, main, __doc__)
