"""Trainings on two ranks and the altering of mammograms, killed at random instants, end as undisturbed ones do.

MAMMOGAN_KILLS is the number of instants, MAMMOGAN_KILLS_SEED draws the same ones again; -rP shows what was met.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import runpy
import secrets
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import trainings
from conftest import ROOT, SMALL
from generators import save_all
from training_states import assert_same, result_of

from mammogan.attack.signature import SigningKey
from mammogan.cluster.local import SETTLE
from mammogan.training.run.checkpoint import load, load_newest
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

KILLS = int(os.environ.get("MAMMOGAN_KILLS", "6"))
SEED = int(os.environ.get("MAMMOGAN_KILLS_SEED", secrets.randbits(32)))
RANKS = 2
pytestmark = pytest.mark.timeout(300 + 60 * KILLS)
PATIENCE = 120.0
"""Seconds in which all processes end once one was killed."""
NURSERY = multiprocessing.get_context("forkserver")
"""Where processes come from that have imported all, so that they are killed at work and not while they import."""
NURSERY.set_forkserver_preload(
    [
        *(__name__, "torch._dynamo", "mammogan.training.cad", "mammogan.training.gan"),
        *("mammogan.attack.generate", "mammogan.attack.dicom.export", "mammogan.cluster.launch", "tyro"),
    ]
)


@dataclass(frozen=True)
class Work:
    """Something that is done in processes, and that the same processes go on with when they are started again."""

    begun: Workspace
    """What it starts from."""
    finished: Workspace
    """What an undisturbed one ends with."""
    preparing: float
    """Seconds until that showed the first file."""
    working: float
    """Seconds from then on."""
    start: Callable[[Workspace], list[BaseProcess]]
    shows: Callable[[Workspace], bool]
    """Whether a file is there, or being written."""
    whole: Callable[[Workspace, Workspace], str]
    """Fails when a file that is there is not whole, or holds what it does not in the finished one; how far it came."""
    same: Callable[[Workspace, Workspace], None]


def as_rank(kind: str, root: str, place: dict[str, str], log: str) -> None:
    speak_into(log)
    os.environ |= place
    trainings.train(kind, root, exact=False)


def as_generate(root: str, log: str) -> None:
    speak_into(log)
    sys.argv = ["generate.py", "--workspace", root, "--cluster", "none", "--device", "cpu"]
    runpy.run_path(str(ROOT / "launch" / "generate.py"), run_name="__main__")


def speak_into(log: str) -> None:
    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def begin(function: Callable[..., None], *arguments: object) -> BaseProcess:
    process = NURSERY.Process(target=function, args=arguments)
    process.start()
    return process


def start_training(kind: str, workspace: Workspace) -> list[BaseProcess]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        joining = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(RANKS)}
    places = [joining | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(RANKS)]
    return [begin(as_rank, kind, str(workspace.root), p, f"{workspace.root}/log-{p['RANK']}") for p in places]


def run_of(kind: str, workspace: Workspace) -> Run:
    return Run(workspace.cad_run(SMALL) if kind == "cad" else workspace.gan_run(SMALL, Direction(kind)))


def wait(processes: list[BaseProcess], workspace: Workspace) -> list[int | None]:
    """Exit codes; a process that does not end is a failure."""
    deadline = time.monotonic() + PATIENCE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    hanging = [process for process in processes if process.is_alive()]
    for process in hanging:
        process.kill()
    assert not hanging, f"hung for {PATIENCE} s\n{said(workspace)}"
    return [process.exitcode for process in processes]


def kill(victims: list[BaseProcess], processes: list[BaseProcess], workspace: Workspace) -> None:
    """Kill some; the others lose their peer or, if they still wait to meet it, are ended as by any launcher."""
    for victim in victims:
        victim.kill()
    for process in processes:
        process.join(SETTLE)
        process.terminate()
    wait(processes, workspace)


def said(workspace: Workspace) -> str:
    return "\n".join(f"{log}:\n{log.read_text()[-3000:]}" for log in sorted(workspace.root.glob("log*")))


def training(kind: str, begun: Workspace, finished: Workspace) -> Work:
    def readable(cut: Workspace, _: Workspace) -> str:
        run = run_of(kind, cut)
        told = load_newest(run)[1] if run.has_state else ""
        assert not told, f"newest.pt cannot be read: {told}"
        if run.done.exists():
            return "after its end"
        if list(run.newest.parent.glob(".newest.pt.*.tmp")):
            return "while a checkpoint was written"
        return "between checkpoints" if run.has_state else "before the first checkpoint"

    def same(cut: Workspace, whole: Workspace) -> None:
        assert result_of(run_of(kind, cut)) == result_of(run_of(kind, whole))
        for name in ("newest.pt", "best.pt"):
            found, expected = (run_of(kind, w).newest.with_name(name) for w in (cut, whole))
            assert found.exists() == expected.exists()
            if expected.exists():
                assert_same(load(found), load(expected))

    def shows(workspace: Workspace) -> bool:
        return any(run_of(kind, workspace).newest.parent.glob("*newest*"))

    return timed(begun, finished, lambda workspace: start_training(kind, workspace), shows, readable, same)


def generation(begun: Workspace, finished: Workspace) -> Work:
    def files(workspace: Workspace) -> dict[str, bytes]:
        folder = workspace.adversarial(SMALL)
        every = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".tmp")]
        found = {str(path.relative_to(folder)): path.read_bytes() for path in every}
        if "index.json" in found:  # it names the commit, which may be another one by now
            found["index.json"] = json.dumps(json.loads(found["index.json"]) | {"made_by": {}}).encode()
        return found

    def whole(cut: Workspace, finished: Workspace) -> str:
        found, expected = files(cut), files(finished)
        assert found.items() <= expected.items(), f"{sorted(found)} of {sorted(expected)}"
        return f"with {sum(name.endswith('.tar') for name in found)} shards altered"

    def same(cut: Workspace, finished: Workspace) -> None:
        assert files(cut) == files(finished) and "index.json" in files(cut)

    def start(workspace: Workspace) -> list[BaseProcess]:
        return [begin(as_generate, str(workspace.root), f"{workspace.root}/log")]

    def shows(workspace: Workspace) -> bool:
        return any(workspace.adversarial(SMALL).glob("*.tar*"))

    return timed(begun, finished, start, shows, whole, same)


def timed(
    begun: Workspace,
    finished: Workspace,
    start: Callable[[Workspace], list[BaseProcess]],
    shows: Callable[[Workspace], bool],
    *judged: Callable[[Workspace, Workspace], Any],
) -> Work:
    """Do it once, undisturbed."""
    shutil.copytree(begun.root, finished.root)
    began = time.monotonic()
    processes = start(finished)
    await_first_file(shows, finished)
    shown = time.monotonic()
    assert set(wait(processes, finished)) == {0}, said(finished)
    return Work(begun, finished, shown - began, time.monotonic() - shown, start, shows, *judged)


def await_first_file(shows: Callable[[Workspace], bool], workspace: Workspace) -> None:
    deadline = time.monotonic() + PATIENCE
    while not shows(workspace) and time.monotonic() < deadline:
        time.sleep(0.001)


@pytest.fixture(scope="module")
def works(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Work]:
    root = tmp_path_factory.mktemp("works")
    wait([begin(print)], Workspace(root))  # which takes until the nursery has imported all
    cad = training("cad", converted, Workspace(root / "cad"))
    gan = training("remove", cad.finished, Workspace(root / "remove"))
    untrained = Workspace(root / "untrained")
    shutil.copytree(converted.root, untrained.root)
    save_all(untrained, SMALL)
    SigningKey.of(untrained)  # both sign with one workspace's key, or no two files could be alike
    return {"cad": cad, "gan": gan, "generation": generation(untrained, Workspace(root / "altered"))}


def test_killed_at_any_instant_no_file_is_torn_and_the_resumed_work_ends_bit_identical(
    works: dict[str, Work], tmp_path: Path
) -> None:
    drawn, met = random.Random(SEED), Counter[str]()
    print(f"MAMMOGAN_KILLS={KILLS} MAMMOGAN_KILLS_SEED={SEED}")
    for number, (name, aim) in zip(range(KILLS), aims(), strict=False):
        work, cut = works[name], Workspace(tmp_path / str(number))
        shutil.copytree(work.begun.root, cut.root)
        processes = work.start(cut)
        aim(work, cut, drawn)
        kill(drawn.choice([processes[:1], processes[-1:], processes]), processes, cut)
        met[f"{name}, {work.whole(cut, work.finished)}"] += 1
        assert set(wait(work.start(cut), cut)) == {0}, said(cut)
        work.same(cut, work.finished)
        shutil.rmtree(cut.root)
    print(*(f"{count:4d} {what}" for what, count in sorted(met.items())), sep="\n")


Aim = Callable[[Work, Workspace, random.Random], None]


def aims() -> Iterator[tuple[str, Aim]]:
    """What to kill, and what waits for the instant; in turn for ever."""
    while True:
        yield from (("cad", at_work), ("gan", anywhen), ("generation", at_work), ("gan", while_writing))
        yield from (("cad", anywhen), ("gan", at_work), ("generation", anywhen), ("gan", while_writing))


def anywhen(work: Work, cut: Workspace, drawn: random.Random) -> None:
    time.sleep(drawn.uniform(0, work.preparing + work.working))


def at_work(work: Work, cut: Workspace, drawn: random.Random) -> None:
    await_first_file(work.shows, cut)
    time.sleep(drawn.uniform(0, work.working))


def while_writing(work: Work, cut: Workspace, drawn: random.Random) -> None:
    """Until a checkpoint is being written, one of many."""
    folder, deadline = run_of("remove", cut).newest.parent, time.monotonic() + PATIENCE
    for _ in range(drawn.randint(1, 10)):
        while not any(folder.glob(".newest.pt.*.tmp")) and time.monotonic() < deadline:
            pass
        time.sleep(drawn.uniform(0, 0.01))
