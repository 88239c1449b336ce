"""One rank of the training that launch/train_gan.py starts, which tells its own weights: rank.py FOLDER OPTIONS.

The first rank alone writes checkpoints, so they cannot show that all ranks end with the same weights.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from mammogan.io.options import parse
from mammogan.study.commands import StudyCommand
from mammogan.training import gan

ROOT = Path(__file__).resolve().parents[2]
trainings: list[gan.GanTraining] = []


class Kept(gan.GanTraining):
    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        trainings.append(self)


def main(folder: Path, words: list[str]) -> None:
    gan.GanTraining = Kept  # type: ignore[misc]
    door = StudyCommand.load("train-gan")
    assert door.jobs
    [job] = door.jobs(parse(door.options, words))
    job.task.work()
    digest = hashlib.sha256()
    for network in (trainings[0].gnet, trainings[0].critic):
        for value in network.state_dict().values():
            digest.update(value.numpy().tobytes())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / os.environ["RANK"]).write_text(digest.hexdigest())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
