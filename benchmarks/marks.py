"""Measure which marks of adversarial mammograms survive what happens to pictures, on ten phantoms.

python benchmarks/marks.py             print the table of docs/responsible_use.md
python benchmarks/marks.py --write     replace it there

Ten phantoms get the words that a DICOM export burns in, and the text and signature of a PNG. Each is then resized,
encoded again, photographed from the screen (8 bits, 1080 rows), cropped or brightened, as any picture program does it,
and looked at: is the text there, what does mammogan verify say, and are the words still legible? Legible means that
they correlate with the words as drawn by at least .7, in letters of at least 7 pixels.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np
import tyro
from marked_figures import begins, show
from numpy.typing import NDArray
from phantom_numbers import pictures
from PIL import Image

from mammogan.attack.dicom.watermark import Mark, find_mark
from mammogan.attack.signature import CHUNK, SigningKey, signed_texts
from mammogan.attack.verify import verify
from mammogan.data.phantom.settings import PhantomConfig
from mammogan.data.shards.codec import encode
from mammogan.io.png_text import png_text
from mammogan.workspace import Workspace

PAGE, BEGIN = ROOT / "docs" / "responsible_use.md", begins("python benchmarks/marks.py --write")
IMAGES, SIZE = 10, (1024, 832)
SCREEN_ROWS = 1080
LEGIBLE, LETTERS = 0.7, 7.0
Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class Marked:
    """One picture with all its marks: the PNG file, its pixels, and where the words are."""

    png: bytes
    pixels: NDArray[np.uint16]
    mark: Mark

    @property
    def letter_rows(self) -> float:
        """Mean height of a line of the words, in pixels."""
        written = self.mark.letters.any(axis=1)
        lines = int(np.diff(written.astype(int), prepend=0).clip(0).sum())
        return float(written.sum()) / lines


def marked(key: SigningKey) -> Iterator[Marked]:
    """Yield phantoms with the burnt words, as PNGs with text and signature."""
    config = PhantomConfig(4 * IMAGES, 0, *SIZE, "demo")
    for number, picture in enumerate(islice(pictures(config, "positive"), IMAGES)):
        pixels = (picture.pixels.astype(np.float64) * (65535 / max(picture.pixels.max(), 1))).astype(np.uint16)
        mark = find_mark(pixels, False)
        burnt = mark.burn(pixels)
        facts = {"key": f"phantom-{number}", "direction": "remove", "generator": {"checkpoint_sha256": "0" * 64}}
        yield Marked(encode(burnt, "png", signed_texts(facts, burnt, key)), burnt, mark)


def eight(one: Marked) -> Image.Image:
    return Image.fromarray((one.pixels >> 8).astype(np.uint8))


def saved(image: Image.Image, **options: object) -> bytes:
    held = io.BytesIO()
    image.save(held, **options)  # type: ignore[arg-type]
    return held.getvalue()


def resized(one: Marked, share: float) -> bytes:
    height, width = (round(side * share) for side in one.pixels.shape)
    return saved(eight(one).resize((width, height), Image.Resampling.BICUBIC), format="PNG")


def cropped(one: Marked) -> bytes:
    """Return the middle of the picture, without the corners in which the words are."""
    height, width = one.pixels.shape
    return saved(eight(one).crop((0, height // 5, width * 4 // 5, height * 4 // 5)), format="PNG")


def copied(one: Marked) -> bytes:
    return one.png


def again(one: Marked) -> bytes:
    return saved(Image.fromarray(one.pixels), format="PNG", compress_level=9)


def with_text(one: Marked) -> bytes:
    """Encode it again as a program that keeps text chunks does."""
    held = Image.open(io.BytesIO(one.png)).text  # type: ignore[attr-defined]
    return saved(Image.fromarray(one.pixels), format="PNG", compress_level=9, pnginfo=png_text(held))


CHANGES: dict[str, tuple[Callable[[Marked], bytes], float | None]] = {
    "copied": (copied, 1),
    "encoded again, text kept": (with_text, 1),
    "encoded again as PNG": (again, 1),
    "8 bits": (lambda one: saved(eight(one), format="PNG"), 1),
    "JPEG, quality 75": (lambda one: saved(eight(one), format="JPEG", quality=75), 1),
    "JPEG, quality 20": (lambda one: saved(eight(one), format="JPEG", quality=20), 1),
    "twice as bright": (lambda one: saved(eight(one).point(lambda grey: min(255, 2 * grey)), format="PNG"), 1),
    "screenshot": (lambda one: resized(one, SCREEN_ROWS / one.pixels.shape[0]), SCREEN_ROWS / SIZE[0]),
    "resized to 1/2": (lambda one: resized(one, 1 / 2), 1 / 2),
    "resized to 1/4": (lambda one: resized(one, 1 / 4), 1 / 4),
    "cropped to the breast": (cropped, None),
}
"""What happens to a picture, and by what its rows are scaled; None: the words are cut off."""


def legible(one: Marked, content: bytes, scale: float | None) -> bool:
    """Whether the burnt words can still be read where they were."""
    if scale is None or one.letter_rows * scale < LETTERS:
        return False
    shown = np.array(Image.open(io.BytesIO(content)).convert("F"))
    rows, columns = (slice(round(part.start * scale), round(part.stop * scale)) for part in one.mark.box)
    found = shown[rows, columns]
    drawn = Image.fromarray(one.mark.letters.astype(np.uint8) * 255).resize(found.shape[::-1], Image.Resampling.BICUBIC)
    return bool(np.corrcoef(found.ravel(), np.array(drawn, float).ravel())[0, 1] >= LEGIBLE)


def table() -> str:
    """Return the table as Markdown."""
    lines = ["| what happens to the file | text in the file | `mammogan verify` | words in the picture |"]
    lines.append("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        ones, path = list(marked(SigningKey.of(workspace))), Path(folder) / "found"
        for name, (change, scale) in CHANGES.items():
            texts, verdicts, read = 0, [], 0
            for one in ones:
                content = change(one)
                path.write_bytes(content)
                texts += CHUNK in getattr(Image.open(path), "text", {})
                verdicts.append(verify(path, workspace).verdict.name.lower())
                read += legible(one, content, scale)
            said = ", ".join(f"{word} {verdicts.count(word)}" for word in dict.fromkeys(verdicts))
            lines.append(f"| {name} | {texts} of {len(ones)} | {said} | legible in {read} of {len(ones)} |")
    return "\n".join(lines)


def report(write: bool = False) -> None:
    """Print the table, or write it into the page."""
    if write:
        show(PAGE, BEGIN, table())
    else:
        print(table())


if __name__ == "__main__":
    tyro.cli(report, description=__doc__)
