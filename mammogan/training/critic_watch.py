"""Does the critic of a GAN still see anything? Measured once an epoch on the same few mammograms, with any networks.

A critic that gives every picture the same logit teaches its generator nothing, however well the losses look: what the
generator then does is its identity term's work alone. ``critic_life`` judges the figures.
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

from mammogan.data.transfer import onto
from mammogan.models.losses import identity_parts
from mammogan.models.networks import unit_pixels
from mammogan.training.distributed import Ranks
from mammogan.training.validation import Pause, auc, no_pause

WATCHED = 32
"""Mammograms of each label that are looked at."""
Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Watched:
    """How critic and generator fared on the fixed mammograms. The same on every rank."""

    critic_sd: float
    """Standard deviation (of the population) of the logits of targets, sources and adversarial pictures together: a
    critic that has been beaten still tells sources, a dead one nothing."""
    critic_sd_sources: float
    """Of the logits of the sources, untouched."""
    critic_gradient: float
    """Mean norm of the gradient of a logit by the critic's whole input, of targets and adversarial pictures."""
    auc_source: float | None
    """Of the logits, targets against sources: .5 when the critic cannot tell them. None for logits that are no
    numbers."""
    auc_adversarial: float | None
    """Of the logits, targets against adversarial pictures."""
    change: float
    """Eq. 7 of the adversarial pictures, all sources together."""


def own_pictures(images: Dataset[Tensor], count: int, ranks: Ranks) -> Tensor:
    """This rank's share of the first ``count`` of ``images`` or all if there are fewer: every ``size``-th from ``rank``
    on, uint16 (n,1,H,W) in the host's memory, never augmented."""
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
    """Show the critic targets, sources and what the generator makes of the sources.

    ``critic`` maps its input to logits (N,1), ``prepare`` pixels (N,1,H,W) in [0,1] to that input, by which the logit
    is differentiated (for a critic of pixels it stays out); ``generator`` maps pixels to pixels. Both as they are
    judged: without dropout, with fixed statistics (``as_judged``). ``targets`` and ``sources`` are this rank's
    ``own_pictures``; figures are of all ranks'. One picture at a time, so that how they are divided changes nothing
    but, on some devices, the last bits. All ranks ``pause`` equally often.
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
    """``Watched.change`` alone: of a generator that reproduces, its error."""
    rows = []
    for _, source in _on_device(sources[:0], sources, ranks, dtype, pause):
        if source is not None:
            with torch.no_grad():
                rows.append(tuple(float(part) for part in identity_parts(generator(source), source)))
    return _ratio([row for turn in zip_longest(*ranks.gather(rows)) for row in turn if row])


@contextmanager
def as_judged(*networks: nn.Module) -> Iterator[None]:
    """In this block the networks are in eval mode."""
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
    """A target and a source at a time, as pixels (1,1,H,W); None where a rank has no more of them."""
    for index in range(ranks.highest(max(len(targets), len(sources)))):
        pause()
        yield tuple(  # type: ignore[misc]
            unit_pixels(onto(pictures[index : index + 1], ranks.device)).to(dtype) if index < len(pictures) else None
            for pictures in (targets, sources)
        )


def _logit_and_gradient(critic: Network, given: Tensor) -> tuple[float, float]:
    """The logit of one picture, and the norm of its gradient over all values of the critic's input."""
    given = given.detach().requires_grad_(True)
    with torch.enable_grad():
        logit = critic(given)
        (gradient,) = torch.autograd.grad(logit.sum(), given)
    return float(logit.detach()), float(gradient.double().square().sum().sqrt())


def _figures(rows: Sequence[dict[str, Any]]) -> Watched:
    """Of the pictures of all ranks, in the order of the fixed mammograms."""
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
