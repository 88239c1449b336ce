"""Audit the images of a reader study: can one trivial number tell adversarial images from originals?

A reader who learns such a cue reads the cue and not the breast. Cues that can be seen (a bright corner, a frame, air
that is not black) must not tell; the others only concern somebody who opens the developer tools of the browser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from mammogan.data.shards.codec import encode
from mammogan.errors import UserError
from mammogan.reader.plan import Window

Pixels = NDArray[np.uint16]
MOST_AUC = 0.65
CHANCE = 0.01
"""A cue tells if its AUC is above MOST_AUC and chance alone gives such an AUC more rarely than this."""
SIDE = 4
"""Width in pixels of the corners and of the frame."""


@dataclass(frozen=True)
class Cue:
    """One number of an image."""

    name: str
    visible: bool
    """Whether a reader can see it on the screen."""
    measure: Callable[[Pixels], float]
    at_window: bool = False
    """Whether the number is a grey value, to be compared as the screen's 256 greys at the default window."""


@dataclass(frozen=True)
class CueResult:
    """How well one number tells adversarial images from originals."""

    name: str
    visible: bool
    auc: float
    """At least 0.5: the better of the two directions."""
    chance: float
    """Probability of such an AUC if the number had nothing to do with it (two-sided Mann-Whitney)."""
    real: float
    """Median of the originals."""
    fake: float

    @property
    def tells(self) -> bool:
        return self.auc > MOST_AUC and self.chance < CHANCE


def darkest_corner(pixels: Pixels) -> float:
    """Median grey of the darkest corner; a breast may reach the others."""
    rows, columns = (slice(None, SIDE), slice(-SIDE, None)), (slice(None, SIDE), slice(-SIDE, None))
    return min(float(np.median(pixels[row, column])) for row in rows for column in columns)


def _frame(pixels: Pixels) -> float:
    """Mean grey of the two darkest edges: the chest wall, and an edge that the breast reaches, do not count."""
    edges = (pixels[:SIDE], pixels[-SIDE:], pixels[:, :SIDE], pixels[:, -SIDE:])
    return float(np.mean(sorted(float(edge.mean()) for edge in edges)[:2]))


def _at_darkest(pixels: Pixels) -> float:
    """Number of pixels that have the darkest grey above the air: a generator that is cut off there leaves a heap."""
    lit = pixels[pixels > 0]
    return float((lit == lit.min()).sum()) if lit.size else 0.0


CUES: tuple[Cue, ...] = (
    Cue("share of zeros", True, lambda pixels: float((pixels == 0).mean())),
    Cue("corner grey at the default window", True, darkest_corner, at_window=True),
    Cue("frame grey at the default window", True, _frame, at_window=True),
    Cue("minimum", False, lambda pixels: float(pixels.min())),
    Cue("5% quantile", False, lambda pixels: float(np.quantile(pixels, 0.05))),
    Cue("99.5% quantile", False, lambda pixels: float(np.quantile(pixels, 0.995))),
    Cue("mean", False, lambda pixels: float(pixels.mean())),
    Cue("noise (s.d. of horizontal differences)", False, lambda pixels: float(np.diff(pixels.astype(np.int32)).std())),
    Cue("distinct values", False, lambda pixels: float(len(np.unique(pixels)))),
    Cue("bytes as zstd", False, lambda pixels: float(len(encode(pixels, "zstd")))),
    Cue("pixels at the darkest grey of the breast", False, _at_darkest),
)


def measure(pixels: Pixels) -> list[float]:
    """Return the numbers of one image as it is shown, in the order of CUES."""
    return [cue.measure(pixels) for cue in CUES]


def audit(real: Sequence[Sequence[float]], fake: Sequence[Sequence[float]], window: Window) -> list[CueResult]:
    """Compare the numbers of ``measure`` of all originals and all adversarial images of the blind sessions."""
    return [
        _compare(cue, *(_on_screen(cue, [row[at] for row in rows], window) for rows in (real, fake)))
        for at, cue in enumerate(CUES)
    ]


def refuse_visible(results: Sequence[CueResult]) -> None:
    """Raise UserError if a visible cue tells."""
    if visible := [f"  {r.name}: AUC {r.auc:.3f}" for r in results if r.visible and r.tells]:
        raise UserError(
            "adversarial images could be told from originals without looking at the breast (AUC 0.5 is chance, at most "
            f"{MOST_AUC} is allowed):\n" + "\n".join(visible) + "\n"
            "Draw with --background original, the default, or add --allow-cues if the study is about exactly this"
        )


def _on_screen(cue: Cue, numbers: list[float], window: Window) -> NDArray[np.float64]:
    values = np.asarray(numbers, float)
    if not cue.at_window:
        return values
    return np.rint(np.clip((values - window.low) / (window.high - window.low), 0, 1) * 255)


def _compare(cue: Cue, real: NDArray[np.float64], fake: NDArray[np.float64]) -> CueResult:
    medians = float(np.median(real)), float(np.median(fake))
    if len(np.unique(np.concatenate([real, fake]))) == 1:
        return CueResult(cue.name, cue.visible, 0.5, 1.0, *medians)
    found = mannwhitneyu(fake, real, alternative="two-sided", method="asymptotic")
    auc = float(found.statistic) / (len(real) * len(fake))
    return CueResult(cue.name, cue.visible, max(auc, 1 - auc), float(found.pvalue), *medians)
