"""Measures once per epoch, on the same few mammograms, whether a GAN's critic still distinguishes them.

A critic that gives every mammogram the same logit teaches its generator nothing, even if the losses look good: the
generator then only learns from its identity term. ``critic_life`` judges these figures. Any networks can be measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from mammogan.data.loading.to_device import onto
from mammogan.models.losses import identity_parts
from mammogan.models.networks import unit_pixels
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.validation import Pause, auc, no_pause

WATCHED = 32
"""Number of mammograms of each label that are measured."""
Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Watched:
    """Figures of critic and generator on the fixed mammograms; the same on every rank."""

    critic_sd: float
    """Standard deviation (of the population) of the logits of targets, sources and adversarial mammograms together.

    A critic that its generator has beaten still recognises sources; a dead one recognises nothing.
    """
    critic_sd_sources: float
    """Standard deviation of the logits of the unchanged sources."""
    critic_gradient: float
    """Mean norm of the gradient of a logit with respect to the critic's input; targets and adversarial mammograms."""
    auc_source: float | None
    """AUC of the logits, targets against sources: .5 if the critic cannot distinguish them, None for NaN logits."""
    auc_adversarial: float | None
    """AUC of the logits, targets against adversarial mammograms."""
    change: float
    """Eq. 7 of the adversarial mammograms, over all sources together."""


def own_pictures(images: Dataset[Tensor], count: int, ranks: Ranks) -> Tensor:
    """Return this rank's share of the first ``count`` images (or of all, if there are fewer).

    The share is every ``size``-th image starting at ``rank``: uint16 (n,1,H,W) in host memory, never augmented.
    """
    size = min(count, len(images))  # type: ignore[arg-type]
    own = [images[index] for index in range(ranks.rank, size, ranks.size)]
    return torch.stack(own) if own else torch.zeros(0, 1, 1, 1, dtype=torch.uint16)


def watch(
    critic: Network,
    generator: Network,
    targets: Tensor,
    sources: Tensor,
    ranks: Ranks,
    prepare: Network = lambda pixels: pixels,
    dtype: torch.dtype = torch.float32,
    pause: Pause = no_pause,
) -> Watched:
    """Measure critic and generator on targets, sources and the adversarial mammograms made from the sources.

    ``critic`` maps its input to logits (N,1). ``prepare`` maps pixels (N,1,H,W) in [0,1] to that input, with respect to
    which the logit is differentiated; a critic that takes pixels needs no ``prepare``. ``generator`` maps pixels to
    pixels. Both networks must be in eval mode, without dropout and with fixed statistics (``as_judged``).

    ``targets`` and ``sources`` are this rank's ``own_pictures``; the figures are over all ranks. Mammograms are
    processed one by one, so their division over ranks changes at most the last bits, on some devices. All ranks call
    ``pause`` equally often.
    """
    rows = []
    for target, source in _on_device(targets, sources, ranks, dtype, pause):
        row: dict[str, tuple[float, ...]] = {}
        if target is not None:
            row["target"] = _logit_and_gradient(critic, prepare(target))
        if source is not None:
            with torch.no_grad():
                adversarial = generator(source)
                row["source"] = (float(critic(prepare(source))),)
                row["change"] = tuple(float(part) for part in identity_parts(adversarial, source))
            row["adversarial"] = _logit_and_gradient(critic, prepare(adversarial))
        rows.append(row)
    return _figures([row for turn in zip_longest(*ranks.gather(rows)) for row in turn if row])


def change(
    generator: Network,
    sources: Tensor,
    ranks: Ranks,
    dtype: torch.dtype = torch.float32,
    pause: Pause = no_pause,
) -> float:
    """Compute ``Watched.change`` alone; for a generator that only reproduces, this is its reproduction error."""
    rows = []
    for _, source in _on_device(sources[:0], sources, ranks, dtype, pause):
        if source is not None:
            with torch.no_grad():
                rows.append(tuple(float(part) for part in identity_parts(generator(source), source)))
    return _ratio([row for turn in zip_longest(*ranks.gather(rows)) for row in turn if row])


@contextmanager
def as_judged(*networks: nn.Module) -> Iterator[None]:
    """Put the networks in eval mode inside this block."""
    before = [network.training for network in networks]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for network, was_training in zip(networks, before, strict=True):
            network.train(was_training)


def _on_device(
    targets: Tensor, sources: Tensor, ranks: Ranks, dtype: torch.dtype, pause: Pause
) -> Iterator[tuple[Tensor | None, Tensor | None]]:
    """Yield one target and one source at a time, as pixels (1,1,H,W); None when this rank has no more of them."""
    for index in range(ranks.highest(max(len(targets), len(sources)))):
        pause()
        yield tuple(  # type: ignore[misc]
            unit_pixels(onto(pictures[index : index + 1], ranks.device)).to(dtype) if index < len(pictures) else None
            for pictures in (targets, sources)
        )


def _logit_and_gradient(critic: Network, given: Tensor) -> tuple[float, float]:
    """Return the logit of one mammogram, and the norm of its gradient over all values of the critic's input."""
    given = given.detach().requires_grad_(True)
    with torch.enable_grad():
        logit = critic(given)
        (gradient,) = torch.autograd.grad(logit.sum(), given)
    return float(logit.detach()), float(gradient.double().square().sum().sqrt())


def _figures(rows: Sequence[dict[str, Any]]) -> Watched:
    """Compute the figures from the rows of all ranks, in the order of the fixed mammograms."""
    of = {name: [row[name] for row in rows if name in row] for name in ("target", "source", "adversarial", "change")}
    target, source, adversarial = ([part[0] for part in of[name]] for name in ("target", "source", "adversarial"))
    gradients = [part[1] for part in (*of["target"], *of["adversarial"])]
    return Watched(
        critic_sd=_sd(target + source + adversarial),
        critic_sd_sources=_sd(source),
        critic_gradient=sum(gradients) / len(gradients),
        auc_source=auc(target, source),
        auc_adversarial=auc(target, adversarial),
        change=_ratio(of["change"]),
    )


def _sd(values: Sequence[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).std(correction=0))


def _ratio(parts: Sequence[tuple[float, float]]) -> float:
    above, below = (sum(column) for column in zip(*parts, strict=True))
    return above / below
