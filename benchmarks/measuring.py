"""Measures time and peak memory for the benchmarks, and lets them build networks without torchvision."""

from __future__ import annotations

import gc
import importlib.util
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

VGG11 = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]


def stand_in_for_torchvision() -> None:
    """If torchvision is not installed, provide the two names of it that the networks need."""
    if importlib.util.find_spec("torchvision"):
        return
    names = ("torchvision", "torchvision.models", "torchvision.models.vgg")
    whole, models, vgg = (types.ModuleType(name) for name in names)
    vgg.cfgs, vgg.make_layers = {"A": VGG11}, _make_layers  # type: ignore[attr-defined]
    whole.models, models.vgg = models, vgg  # type: ignore[attr-defined]
    whole.__spec__ = importlib.util.spec_from_loader(names[0], None, origin=__file__)
    sys.modules.update(zip(names, (whole, models, vgg), strict=True))


def _make_layers(layout: list[int | str]) -> nn.Sequential:
    layers: list[nn.Module] = []
    ins = 3
    for entry in layout:
        if isinstance(entry, int):
            layers += [nn.Conv2d(ins, entry, 3, padding=1), nn.ReLU(inplace=True)]
            ins = entry
        else:
            layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


def seconds(step: Callable[[], object], device: torch.device) -> float:
    """Return the time of one step, including all of its work on the device."""
    _wait(device)
    began = time.perf_counter()
    step()
    _wait(device)
    return time.perf_counter() - began


def peak_mebibytes(step: Callable[[], object], device: torch.device) -> float:
    """Return the peak memory of one step, in addition to the memory that was in use before.

    On the CPU this is the growth of this process, so it should be a new process.
    """
    gc.collect()
    if device.type == "cuda":
        _wait(device)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        _wait(device)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to the present memory
    before = _peak_resident_kibibytes()
    step()
    return (_peak_resident_kibibytes() - before) / 2**10


def machine(device: torch.device) -> str:
    """Describe the device and the version of torch."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    return f"{name}, torch {torch.__version__}"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _peak_resident_kibibytes() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
