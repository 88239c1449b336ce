"""The study as a graph: stages are data; what is done is told by what they have made, when, and what was asked for."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from mammogan.cluster.asked import differences
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.tasks import Task
from mammogan.config import UserError
from mammogan.files import write_text


@dataclass(frozen=True)
class Stage:
    """One command of the line."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Stages that come before; all of them stand earlier in the list."""
    makes: tuple[Path, ...] = ()
    """Files that are there when it is done, and not before."""
    asks: tuple[str, ...] = ()
    """What of its command decides what is made; kept when it has completed. Empty: whatever is there will do."""
    goes_on: Callable[[], bool] | None = None
    """Whether its command would do more, by the record of what is there; asked where it was made by hand."""
    reads: tuple[Path, ...] | None = None
    """Of what the stages that it needs make, the files that it is made from; all of them where it does not say."""
    fine: tuple[int, ...] = (0,)
    """Exit codes after which the line goes on."""
    gpus: int = 0
    """What its one process needs on a cluster; trainings ask for their own."""
    shards: tuple[str, ...] = ()
    """On a cluster: what each task makes of the array that does its work first; its command then completes it."""
    last: str = ""
    """What the job that completes it makes, such as index."""
    cluster: ClusterConfig = field(default=ClusterConfig())
    recorded: tuple[Path, ...] = ()
    """On a cluster: folders in which jobs may be recorded that do the same work, submitted by hand or by a study."""

    @property
    def asked(self) -> str:
        """``asks`` as one line of a shell."""
        return shlex.join(self.asks)


def done_before(stages: Sequence[Stage], folder: Path) -> set[str]:
    """Names of the stages whose results are there, asked for as they were made, and newer than what they are made from.

    The others run their command, which loses nothing: it finds that all is done, goes on, or says why it cannot. Of a
    stage that makes several files, such as shards of several resolutions, some may be missing that another that needs
    it does not read: the other is done all the same.
    """
    done: set[str] = set()
    for stage in stages:
        needs = [need for need in stages if need.name in stage.needs]
        if all(stands_for(stage, need, stages, done, folder) for need in needs) and not why_again(
            stage, inputs_of(stage, stages), folder
        ):
            done.add(stage.name)
    return done


def stands_for(stage: Stage, need: Stage, stages: Sequence[Stage], done: Set[str], folder: Path) -> bool:
    """Whether what a stage reads of one that it needs is there and stays, though more may be asked for of that."""
    part = _as_read_by(stage, need)
    stands = done >= set(need.needs) and not why_again(part, inputs_of(need, stages), folder)
    return need.name in done or (stage.reads is not None and stands)


def _as_read_by(stage: Stage, need: Stage) -> Stage:
    """One of the stages that a stage needs, making only what that reads of it."""
    return need if stage.reads is None else replace(need, makes=tuple(p for p in need.makes if p in stage.reads))


def why_again(stage: Stage, inputs: Sequence[Path], folder: Path) -> str:
    """What speaks against taking as it is what a stage has made; empty when nothing does.

    What was made by hand is taken, unless it says itself that it is not all that is asked for. What the study has made
    and another command has made anew since is not, unless it says itself that it is all that is asked for.
    """
    if missing := [path.name for path in stage.makes if not path.exists()]:
        return f"{', '.join(missing)} not there"
    if not stage.makes:
        return "it makes no file"
    if _older(stage.makes, inputs):
        return f"made before {max((p for p in inputs if p.exists()), key=_made_at)}"
    kept = _kept(stage, folder)
    by_hand = not kept.is_file() or max(map(_made_at, stage.makes)) > _made_at(kept)
    if by_hand and (stage.goes_on is not None or not kept.is_file()):
        return "asked for more or less than it has" if stage.goes_on is not None and stage.goes_on() else ""
    if not stage.asks:
        return ""
    if changed := differences(kept.read_text(encoding="utf-8"), stage.asked):
        return f"asked for otherwise: {changed}"
    return "made since by another command" if by_hand else ""


def inputs_of(stage: Stage, stages: Sequence[Stage]) -> tuple[Path, ...]:
    """What the stages that it needs make, and it reads."""
    return tuple(path for other in stages if other.name in stage.needs for path in _as_read_by(stage, other).makes)


def check_writable(folder: Path) -> None:
    """UserError when nothing can be written into ``folder``, which is made: said at once, not hours later."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"the study's folder {folder} cannot be written ({error.strerror}); give a --workspace on a disk that "
            "you may write"
        ) from error


def complete(stage: Stage, inputs: Sequence[Path], folder: Path) -> None:
    """Keep in ``folder`` what a stage was asked for, now that it has made all. UserError when it has not."""
    if missing := [str(path) for path in stage.makes if not path.exists()]:
        raise UserError(f"{stage.name} ended without making {', '.join(missing)}")
    if _older(stage.makes, inputs):  # it found everything up to date and wrote nothing
        for path in stage.makes:
            path.touch()
    if stage.asks:
        write_text(kept := _kept(stage, folder), stage.asked + "\n")
        if (newest := max(map(_made_at, stage.makes), default=0)) > _made_at(kept):  # by another machine's clock
            os.utime(kept, ns=(newest, newest))


@dataclass(frozen=True)
class Recorded(Task):
    """A stage's work on a cluster, completed there as it is here."""

    task: Task
    stage: Stage
    inputs: tuple[Path, ...]
    folder: Path

    def __call__(self) -> None:
        self.task()  # which may end here, to go back to the queue
        self._complete()

    def work(self) -> None:
        self.task.work()
        self._complete()

    def _complete(self) -> None:
        if os.environ.get("RANK", "0") == "0":
            complete(self.stage, self.inputs, self.folder)


def _kept(stage: Stage, folder: Path) -> Path:
    return folder / f"{stage.name}.command"


def tree(stages: Sequence[Stage], state: Callable[[Stage], str]) -> str:
    """One line a stage, further right the longer the way to it."""
    depth: dict[str, int] = {}
    lines = []
    for stage in stages:
        depth[stage.name] = max((depth[need] + 1 for need in stage.needs), default=0)
        lines.append(("  " * depth[stage.name] + stage.name, state(stage)))
    width = max((len(name) for name, _ in lines), default=0)
    return "\n".join(f"{name:<{width}}  {told}" for name, told in lines)


def plan_state(stage: Stage, stages: Sequence[Stage], done: set[str], folder: Path) -> str:
    """'done', 'to run' or 'waits for ...', and why."""
    if stage.name in done:
        return "done"
    missing = [need for need in stage.needs if need not in done]
    state = f"waits for {', '.join(missing)}" if missing else "to run"
    why = why_again(stage, inputs_of(stage, stages), folder)
    return f"{state}: {why}" if why else state


def _older(made: Sequence[Path], inputs: Sequence[Path]) -> bool:
    """Whether something made is older than one of its inputs; what is missing makes nothing older."""
    times = [_made_at(path) for path in inputs if path.exists()]
    return bool(times) and min((_made_at(path) for path in made if path.exists()), default=0) < max(times)


def _made_at(path: Path) -> int:
    return path.stat().st_mtime_ns
