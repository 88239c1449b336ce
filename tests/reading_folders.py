"""Tiny reading folders, drawn without a workspace: random pixels, five sessions, as draw-reading writes them."""

from __future__ import annotations

import secrets
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from mammogan.io.atomic import write_json
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.plan import ImageFile, Kind, Place, Questions, ReadingPlan, Session, Window

KINDS: tuple[Kind, ...] = ("known", "blind", "blind", "triplet", "blind")
HEIGHT, WIDTH = 96, 64


def image(height: int, width: int, seed: int) -> np.ndarray:
    """A disc on air, uint16 (height, width)."""
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - height / 2) ** 2 + columns**2 < (0.45 * height) ** 2
    noise = np.random.default_rng(seed).integers(2000, 60000, (height, width))
    return np.where(inside, noise, 0).astype("<u2")


def reading_folder(
    path: Path, counts: tuple[int, ...] = (2, 2, 3, 2, 3), kinds: tuple[Kind, ...] = KINDS, readers: int = 2,
    size: tuple[int, int] = (HEIGHT, WIDTH), practice: int = 1, **values: Any,
) -> ReadingFolder:  # fmt: skip
    """Draw a study of random images. ``counts``: places of each session. ``values``: other fields of the plan."""
    folder, random, files = ReadingFolder(path), Random(0), []

    def written() -> str:
        name = secrets.token_hex(16)
        pixels = image(*size, seed=len(files)).tobytes()
        folder.write_image(name, pixels)
        files.append(ImageFile(name, sha256(pixels).hexdigest()))
        return name

    def place(kind: Kind) -> Place:
        truth = random.choice(("real", "not real")) if kind == "feedback" else ""
        return Place(tuple(written() for _ in range(3 if kind == "triplet" else 1)), truth)

    sessions = tuple(
        Session(number, kind, f"Session {number}", "Look at the images.\n\nTake your time.", tuple(
            sorted((place(kind) for _ in range(count)), key=lambda place: place.images)
        ))
        for number, (kind, count) in enumerate(zip(kinds, counts, strict=True), 1)
    )  # fmt: skip
    names = tuple(f"R{number}" for number in range(1, readers + 1))
    orders = {
        name: {one.number: tuple(random.sample(range(len(one.places)), len(one.places))) for one in sessions}
        for name in names
    }
    practised = tuple(written() for _ in range(practice))
    plan = ReadingPlan(
        name="tiny", identity=secrets.token_hex(16), key_sha256="0" * 64, height=size[0], width=size[1],
        resolution="high", simulated=False, window=Window(0, 60000), difference_scale=9000, readers=names,
        sessions=sessions, orders=orders, practice=practised, consent="You take part in a test.", ending="Thank you.",
        questions=Questions(), notes=("Two readers only.",), images=tuple(sorted(files, key=lambda file: file.name)),
    )  # fmt: skip
    write_json(folder.plan_file, replace(plan, **values).to_json())
    return folder
