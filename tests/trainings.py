"""Tiny trainings for the tests: settings, and a program that can be killed or run on several ranks."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mammogan.config import CadConfig, ComputeConfig, GanConfig, LesionConfig, PenaltyConfig
from mammogan.io.atomic import replaced_atomically
from mammogan.workspace import Direction, Workspace

COMPUTE = ComputeConfig(device="cpu", loader_workers=0, save_minutes=0.0, tensorboard=False)
"""Saves after every batch."""
EXACT = ComputeConfig(device="cpu", precision="fp64", loader_workers=0, tensorboard=False)
CAD = CadConfig(
    resolution="96x96",
    width=0.05,
    vgg_weights="none",
    pairs=2,
    epoch_batches=3,
    epochs=2,
    fnet_epochs=0,
    lr_fnet=1e-3,
    lr_vnet=1e-3,
    penalty=PenaltyConfig(of="margin"),
    compute=COMPUTE,
)
AVERAGED = replace(CAD, average=0.5, lr_decay="cosine", warm_up=2, keep="loss")
GAN = GanConfig(
    resolution="96x96",
    width=0.05,
    pairs=2,
    epoch_batches=3,
    gnet_every=2,
    lr_gnet=1e-4,
    epochs=(1, 1, 1, 1, 1),
    stop_rules=False,
    allow_weak_cad=True,
    compute=COMPUTE,
)
LESION = GanConfig(
    resolution="96x96",
    objective="lesion",
    width=0.05,
    lesion=LesionConfig(
        cells=24, pairs=2, epochs=2, epoch_batches=3, critic_first=1, bank_share=0.0, bank_least=1, lr=1e-3, r1_every=2
    ),
    allow_weak_cad=True,
    compute=COMPUTE,
)
SUFFIX = "-lesion"
"""Of the lesion objective's kinds of trainings: remove-lesion, insert-lesion."""


SIGNAL = "TEST_SIGNAL"
"""Variable of a training's process: 12@3 has it send itself signal 12 when its fourth batch is read."""


@contextmanager
def signalled(number: int, batches: Collection[int]) -> Iterator[None]:
    """In this block this process sends itself a signal when it reads these batches, counted from 0."""
    from mammogan.data.loading.pairs import PairedStream

    real, count = PairedStream.epoch, itertools.count()

    def epoch(self: PairedStream, *place: int) -> Iterator[Any]:
        for batch in real(self, *place):
            if next(count) in batches:
                os.kill(os.getpid(), number)
            yield batch

    PairedStream.epoch = epoch  # type: ignore[method-assign]
    try:
        yield
    finally:
        PairedStream.epoch = real  # type: ignore[method-assign]


def main(kind: str, root: str, exact: bool) -> None:
    """Train in this process: kind is cad, cad-averaged, remove, insert, remove-lesion or insert-lesion."""
    from mammogan.training.run import shared_folder

    shared_folder.LAG_SECONDS = 1.0  # a disk of this machine is never late
    number, _, batch = os.environ.get(SIGNAL, "0@-1").partition("@")
    with signalled(int(number), [int(batch)]):
        train(kind, root, exact)


def train(kind: str, root: str, exact: bool) -> None:
    from mammogan.training import cad, gan

    workspace = Workspace(Path(root))
    if kind in ("cad", "cad-averaged"):
        config = CAD if kind == "cad" else AVERAGED
        config = replace(config, compute=EXACT) if exact else config
        if exact:  # Vnet is frozen in the first epoch, so that the second needs a new wrapping
            weights = write_vgg_weights(workspace.root.parent / "vgg.pth")
            config = replace(config, fnet_epochs=1, vgg_weights=str(weights))
        cad.train_cad(config, workspace)
    else:
        config = LESION if kind.endswith(SUFFIX) else GAN
        config = replace(config, compute=EXACT) if exact else config
        gan.train_gan(config, Direction(kind.removesuffix(SUFFIX)), workspace.of(config.objective))


def write_vgg_weights(path: Path, width: float = CAD.width) -> Path:
    """A weight file as torchvision's, of a random Vnet; the same file at every call."""
    import torch

    from mammogan.models.networks import build_vnet

    with torch.random.fork_rng():
        torch.manual_seed(5)
        weights = build_vnet(width).state_dict()
    with (
        replaced_atomically(path) as temporary,
        open(temporary, "wb") as file,
    ):  # given a path, torch writes its name too
        torch.save({f"features.{name}": value for name, value in weights.items()}, file)
    return path


def command(kind: str, workspace: Workspace, exact: bool = False) -> list[str]:
    return [sys.executable, str(Path(__file__)), kind, str(workspace.root), "exact" if exact else "fast"]


def run_on_ranks(kind: str, workspace: Workspace, ranks: int) -> None:
    """The exact training on real gloo processes."""
    assert codes(start_ranks([command(kind, workspace, exact=True)] * ranks)) == [0] * ranks


def start_ranks(
    commands: Sequence[list[str]], signals: Sequence[str] = (), **others: Any
) -> list[subprocess.Popen[str]]:
    """A rank for each command; ``signals`` says which one sends itself which, see SIGNAL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for rank, words in enumerate(commands):
        places = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(len(commands))}
        joining = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        shared = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        joining["PYTHONPATH"] = os.pathsep.join(shared)  # a test that runs itself finds there what tests share
        own = {SIGNAL: signals[rank]} if signals else {}
        environment = os.environ | places | joining | own
        processes.append(subprocess.Popen(words, env=environment, text=True, **others))
    return processes


def codes(processes: Sequence[subprocess.Popen[str]]) -> list[int]:
    return [process.wait(timeout=240) for process in processes]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] == "exact")
