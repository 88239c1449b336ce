"""Compare the states of tiny trainings, and kill one after so many checkpoints."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Any

import torch
from conftest import SMALL
from trainings import SUFFIX, command

from mammogan.training.run.run_folder import CHECKPOINTS, Run
from mammogan.workspace import Direction, Workspace


def run_of(kind: str, workspace: Workspace) -> Run:
    path = (
        workspace.cad_run(SMALL)
        if kind.startswith("cad")
        else workspace.gan_run(SMALL, Direction(kind.removesuffix(SUFFIX)))
    )
    return Run(path)


def result_of(run: Run) -> dict[str, Any]:
    """What done.json says of the result, without hashes of files, which hold how many lines the log has."""
    return {name: value for name, value in run.facts.items() if name != CHECKPOINTS}


def killed_after(kind: str, workspace: Workspace, batches: int) -> None:
    """Start a training and kill -9 it once ``batches`` more checkpoints were written."""
    run = run_of(kind, workspace)
    process = subprocess.Popen(command(kind, workspace))
    seen, last = 0, run.newest.stat().st_mtime_ns if run.newest.exists() else 0
    deadline = time.monotonic() + 120
    while seen < batches and time.monotonic() < deadline and process.poll() is None:
        now = run.newest.stat().st_mtime_ns if run.newest.exists() else 0
        seen, last = seen + (now != last), now
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the training ended before it was killed"


def assert_same(first: Any, second: Any, where: str = "") -> None:
    """Equal to the last bit, through nested containers."""
    assert type(first) is type(second), where
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list):
        assert len(first) == len(second), where
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            assert_same(a, b, f"{where}[{i}]")
    else:
        assert first == second, where


def assert_close(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """Equal weights. The bias of a convolution before a batch norm has no effect and a gradient of pure rounding, which
    Adam makes visible; it shifts that norm's running mean alike."""
    for name, value in first.items():
        without_effect = name.startswith(("encoder", "decoder")) and name.endswith(
            (".0.bias", ".3.bias", "running_mean")
        )
        atol = 1e-7 if without_effect else 1e-10
        torch.testing.assert_close(second[name], value, rtol=1e-8, atol=atol, msg=name)
