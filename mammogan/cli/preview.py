"""Draw pages of small 8-bit pictures: of what is in the shards, and of the files that were left out.

    mammogan preview --workspace work --shard train-positive-000000
    mammogan preview --workspace work --orientation     samples whose orientation is in doubt
    mammogan preview --workspace work --flags burned_in_annotation bits_exceeded
    mammogan preview --workspace work --left-out        files that were not used, each with its reason

Pages of samples are work/preview-<HxW>-<what>.png and show pseudonyms only. The page of files that were left out may
show names that are burnt into pixels: it is work/private/left-out.png, and only you may read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mammogan.errors import MissingInput, UserError
from mammogan.io.options import run
from mammogan.io.shell import shell_word
from mammogan.workspace import Resolution, Workspace

if TYPE_CHECKING:
    from mammogan.data.inspect.preview import Picture
    from mammogan.data.shards.index import ShardIndex


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder that holds the shards."""
    resolution: str = ""
    """high, low or HEIGHTxWIDTH; when not given, the smallest that has shards."""
    shard: str = ""
    """Show this shard, such as test-negative-000000."""
    orientation: bool = False
    """Show samples with a flag about their orientation."""
    flags: tuple[str, ...] = ()
    """Show samples with one of these flags; docs/data.md lists all flags, and so does the message about a wrong one."""
    left_out: bool = False
    """Show the files that are in no shard."""
    most: int = 200
    """Most pictures on one page."""
    out: Path | None = None
    """Folder for the pages; when not given, the workspace, and its private/ for files that were left out."""


def execute(options: Options) -> int:
    if not (options.shard or options.orientation or options.flags or options.left_out) or options.most < 1:
        raise UserError("expected --shard NAME, --orientation, --flags FLAG ... or --left-out, and --most of 1 or more")
    from mammogan.data.dicom.flags import ORIENTATION
    from mammogan.data.inspect.preview import of_left_out, of_shard, with_flags
    from mammogan.io.atomic import PRIVATE

    workspace = Workspace(options.workspace)
    if options.left_out:
        title = "left out: may show what identifies a patient; keep it private"
        path = (options.out or workspace.salt.parent) / "left-out.png"
        _draw(of_left_out(workspace), path, title, options.most, PRIVATE)
    if options.shard:
        index = _index(workspace, options.resolution)
        name = options.shard.removesuffix(".tar")
        path = (options.out or workspace.root) / f"preview-{index.resolution}-{name}.png"
        _draw(of_shard(index, name), path, f"{index.resolution} {name}", options.most)
    if flags := (*options.flags, *(ORIENTATION if options.orientation else ())):
        index = _index(workspace, options.resolution)
        what = "flags" if options.flags else "orientation"
        path = (options.out or workspace.root) / f"preview-{index.resolution}-{what}.png"
        _draw(with_flags(index, flags), path, f"{index.resolution}: {', '.join(flags)}", options.most)
    return 0


def _index(workspace: Workspace, resolution: str) -> ShardIndex:
    from mammogan.data.shards.index import ShardIndex

    there = [Resolution.parse(resolution)] if resolution else sorted(workspace.resolutions())
    if not there:
        raise MissingInput(
            f"{workspace.root}: no finished shards; run mammogan make-shards --cohort labels.csv "
            f"--workspace {shell_word(workspace.root)}"
        )
    return ShardIndex.load(workspace.shards(there[0]))


def _draw(pictures: Iterator[Picture], path: Path, title: str, most: int, mode: int | None = None) -> None:
    from itertools import islice

    from mammogan.data.inspect.preview import draw
    from mammogan.io.terminal import say

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


def main() -> NoReturn:
    run(Options, execute, __doc__)
