"""Decide which images the five sessions show, by the study's rules; what a small cohort cannot fill is scaled.

Sessions 1 and 2 show original training mammograms, session 4 training mammograms beside their adversarial images.
Sessions 3 and 5 show validation and test mammograms, half of them as their adversarial images. Only keys, patients and
labels are read here, no pixels.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mammogan.errors import UserError
from mammogan.workspace import LABELS

OBSERVED = 100
"""Images of each of sessions 1, 2 and 4 of the paper."""
HALF = {3: 218, 5: 220}
"""Originals, and as many adversarial images, of the blind sessions of the paper."""
PRACTICE = 3
LEAST = 2
"""Fewest originals, and fewest adversarial images, of a blind session."""
As = Literal["real", "fake", "triplet"]
"""How a mammogram is shown: as it is, as its adversarial image (the paper's fake), or both beside their difference."""


@dataclass(frozen=True, order=True)
class Candidate:
    """A mammogram that may be drawn."""

    key: str
    patient: str
    label: str
    split: str
    has_fake: bool
    """Whether its adversarial image is there."""


@dataclass(frozen=True)
class Shown:
    """A mammogram that was drawn, and how it is shown."""

    key: str
    patient: str
    label: str
    """Label of the original."""
    shown: As


@dataclass(frozen=True)
class Rules:
    """What the options change in the draw."""

    scale: float = 1.0
    session_4_overlap: bool = False
    session_4_feedback: bool = False
    """Session 4 shows single images, half of them adversarial, in place of triplets."""


@dataclass
class Drawing:
    """Images by session number, without an order, and sentences about what is not as in the paper."""

    sessions: dict[int, list[Shown]] = field(default_factory=dict)
    practice: list[Shown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def draw(candidates: Iterable[Candidate], rules: Rules, seed: int) -> Drawing:
    """Draw all sessions; the same candidates, in any order, rules and seed give the same. Raise UserError when there
    are too few."""
    rng = np.random.default_rng([seed, 7])
    pool = sorted(candidates)
    drawing = Drawing()
    _draw_blind([one for one in pool if one.split != "train" and one.has_fake], rules, rng, drawing)
    _draw_training([one for one in pool if one.split == "train"], rules, rng, drawing)
    drawing.sessions = dict(sorted(drawing.sessions.items()))
    return drawing


def _draw_blind(pool: list[Candidate], rules: Rules, rng: np.random.Generator, drawing: Drawing) -> None:
    """Draw sessions 3 and 5: each image in one of them, once; each patient's images in one of them."""
    wanted = {session: 2 * half for session, half in HALF.items()}
    scale = min(rules.scale, len(pool) / sum(wanted.values()))
    scaled = {session: 2 * int(half * scale) for session, half in HALF.items()}
    halves = dict(zip(HALF, divide_patients(pool, scaled[3], scaled[5], rng), strict=True))
    counts = {session: min(scaled[session], len(halves[session]) // 2 * 2) for session in HALF}
    if min(counts.values()) < 2 * LEAST:
        raise UserError(
            f"sessions 3 and 5 need at least {LEAST} originals and {LEAST} adversarial images each; {len(pool)} "
            f"mammograms of {len({one.patient for one in pool})} patients in validation and test can be shown, which "
            f"gives {counts[3]} and {counts[5]} images: use a larger cohort, or a larger --scale"
        )
    if counts != wanted:
        drawing.notes.append(
            f"Sessions 3 and 5 have {counts[3]} and {counts[5]} images, not {wanted[3]} and {wanted[5]}: "
            f"{_why_scaled(len(pool), sum(wanted.values()), rules, 'validation and test mammograms')}."
        )
    for session, count in counts.items():
        drawing.sessions[session] = _half_of_each(halves[session], count, rng)
        _note_empty(session, drawing)


def _draw_training(pool: list[Candidate], rules: Rules, rng: np.random.Generator, drawing: Drawing) -> None:
    """Draw sessions 4, 1 and 2 and the practice images. Session 4 comes first: not all have an adversarial image."""
    sessions = 2 if rules.session_4_overlap else 3
    scale = min(rules.scale, len(pool) / (sessions * OBSERVED))
    count = int(OBSERVED * scale)
    if count < 1:
        raise UserError(f"sessions 1, 2 and 4 need at least 3 training mammograms, found {len(pool)}")
    if count < OBSERVED:
        why = _why_scaled(len(pool), sessions * OBSERVED, rules, "training mammograms")
        drawing.notes.append(f"Sessions 1, 2 and 4 have {count} places each, not {OBSERVED}: {why}.")
    with_fakes = [one for one in pool if one.has_fake]
    fourth = min(count, len(with_fakes))
    if fourth < (least := 2 if rules.session_4_feedback else 1):
        raise UserError(
            f"session 4 needs at least {least} training mammograms with an adversarial image, found {len(with_fakes)}"
        )
    if fourth < count:
        drawing.notes.append(
            f"Session 4 has {fourth} places, not {count}: so many training mammograms have an adversarial image."
        )
    if rules.session_4_feedback:
        drawing.sessions[4] = _half_of_each(with_fakes, fourth // 2 * 2, rng)
    else:
        chosen = stratified(with_fakes, fourth, _labels(pool), rng)
        drawing.sessions[4] = [_shown(one, "triplet") for one in chosen]
    taken = set() if rules.session_4_overlap else {one.key for one in drawing.sessions[4]}
    for session in (1, 2):
        left = [one for one in pool if one.key not in taken]
        chosen = stratified(left, min(count, len(left)), _labels(pool), rng)
        drawing.sessions[session] = [_shown(one, "real") for one in chosen]
        taken |= {one.key for one in chosen}
    taken |= {one.key for one in drawing.sessions[4]}
    left = [one for one in pool if one.key not in taken]
    drawing.practice = [_shown(left[i], "real") for i in rng.permutation(len(left))[:PRACTICE]]


def divide_patients(
    pool: Sequence[Candidate], third: int, fifth: int, rng: np.random.Generator
) -> tuple[list[Candidate], list[Candidate]]:
    """Divide the patients between sessions 3 and 5, in proportion to the images wanted there, in each label too.

    Patients are taken in random order, those with many images first, and go where more images are still missing.
    Where that leaves one session short, patients are moved or exchanged if that fills both.
    """
    images: dict[str, list[Candidate]] = defaultdict(list)
    for one in pool:
        images[one.patient].append(one)
    share = third / max(third + fifth, 1)
    halves: tuple[list[Candidate], list[Candidate]] = ([], [])
    goal = 0.0
    for positive in (True, False):
        own = [p for p, of_one in images.items() if positive == any(one.label == "positive" for one in of_one)]
        own = [own[i] for i in rng.permutation(len(own))]
        goal += share * sum(len(images[patient]) for patient in own)
        total = sum(map(len, halves)) + sum(len(images[patient]) for patient in own)
        for patient in sorted(own, key=lambda patient: -len(images[patient])):
            missing = goal - len(halves[0]), total - goal - len(halves[1])
            to_fifth = missing[1] > missing[0] if missing[0] != missing[1] else bool(rng.integers(2))
            halves[to_fifth].extend(images[patient])
    _fill(halves, (third, fifth))
    return halves


def _fill(halves: tuple[list[Candidate], list[Candidate]], wanted: tuple[int, int]) -> None:
    """Move one patient, or exchange two, so that neither half is short; change nothing where that does not help."""
    for short, full in ((0, 1), (1, 0)):
        lacking, spare = wanted[short] - len(halves[short]), len(halves[full]) - wanted[full]
        if not 0 < lacking <= spare:
            continue
        counts = [Counter(one.patient for one in half) for half in halves]
        exchanges = [("", there) for there in counts[full]]
        exchanges += [(here, there) for here in counts[short] for there in counts[full]]
        for here, there in exchanges:
            if lacking <= counts[full][there] - counts[short][here] <= spare:
                moved = [one for half in halves for one in half if one.patient in (here, there)]
                for half in (halves[short], halves[full]):
                    half[:] = [one for one in half if one.patient not in (here, there)]
                halves[short].extend(one for one in moved if one.patient == there)
                halves[full].extend(one for one in moved if one.patient == here)
                break


def stratified(
    pool: Sequence[Candidate], count: int, labels: dict[str, int], rng: np.random.Generator
) -> list[Candidate]:
    """Return ``count`` of ``pool``, with labels in the proportion of ``labels`` by largest remainder.

    Where a label has too few, the other fills the rest.
    """
    total = sum(labels.values())
    shares = {label: count * number / total for label, number in labels.items()}
    take = {label: math.floor(share) for label, share in shares.items()}
    by_remainder = sorted(shares, key=lambda label: take[label] - shares[label])
    for label in by_remainder[: count - sum(take.values())]:
        take[label] += 1
    there = _labels(pool)
    take = {label: min(number, there[label]) for label, number in take.items()}
    for label in take:
        take[label] += min(count - sum(take.values()), there[label] - take[label])
    chosen = []
    for label, number in take.items():
        own = [one for one in pool if one.label == label]
        chosen += [own[i] for i in rng.permutation(len(own))[:number]]
    return chosen


def _half_of_each(pool: Sequence[Candidate], count: int, rng: np.random.Generator) -> list[Shown]:
    """Return ``count`` images, half as originals and half as adversarial images, with the same labels in both."""
    chosen = stratified(pool, count, _labels(pool), rng)
    real = {one.key for one in stratified(chosen, count // 2, _labels(chosen), rng)}
    return [_shown(one, "real" if one.key in real else "fake") for one in chosen]


def _labels(pool: Iterable[Candidate]) -> dict[str, int]:
    """Count the labels."""
    labels = [one.label for one in pool]
    return {label: labels.count(label) for label in LABELS}


def _shown(one: Candidate, shown: As) -> Shown:
    return Shown(one.key, one.patient, one.label, shown)


def _why_scaled(found: int, needed: int, rules: Rules, what: str) -> str:
    if rules.scale < found / needed:
        return f"--scale {rules.scale:g} was given"
    return f"{found} {what} can be shown, {needed} are needed"


def _note_empty(session: int, drawing: Drawing) -> None:
    cells = {(one.shown, one.label) for one in drawing.sessions[session]}
    for shown, name in (("real", "original"), ("fake", "adversarial")):
        for label in LABELS:
            if (shown, label) not in cells:
                made = "" if shown == "real" else "made from "
                drawing.notes.append(f"Session {session} has no {name} image {made}with label {label}: n/a in tables.")
