"""The one line that tells why a job failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mammogan.watch.log_errors import last_error

CAUSE = "Traceback (most recent call last):\n  File x, line 1\nValueError: {}\nmore of it\n"


def of_rank(rank: int, cause: str) -> str:
    """The log of one of several ranks: torch begins each line of a traceback with the rank."""
    lines = "".join(f"[rank{rank}]: {line}\n" for line in CAUSE.format(cause).splitlines())
    return f"{lines}srun: Job step aborted\nsrun: Force Terminated StepId=4.0\n"


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        (["fine\n"], ""),
        ([CAUSE.format("first") + "\nDuring handling ...\n\n" + CAUSE.format("last")], "ValueError: last"),
        (["error: no shards\n" + CAUSE.replace("ValueError", "subprocess.CalledProcessError")], "error: no shards"),
        ([CAUSE.format("x") + "srun: error: node1: task 0: Exited with exit code 1\n"], "ValueError: x"),
        ([CAUSE.format("Connection closed by peer"), CAUSE.format("no memory")], "ValueError: no memory"),
        (["srun: error: node2: Killed\n", CAUSE.format("Connection reset by peer")], "srun: error: node2: Killed"),
        ([CAUSE.format("Connection closed by peer")], "ValueError: Connection closed by peer"),
        ([of_rank(0, "3 pairs"), of_rank(1, "Connection closed by peer")], "ValueError: 3 pairs"),
    ],
)
def test_the_error_of_a_job_is_the_cause_and_not_what_followed_from_it(
    tmp_path: Path, logs: list[str], expected: str
) -> None:
    files = [tmp_path / f"1_{rank}_log.out" for rank in range(len(logs))]
    for file, text in zip(files, logs, strict=True):
        file.write_text(text)
    assert last_error(files) == expected
    assert last_error([*reversed(files), tmp_path / "none"]) == expected
