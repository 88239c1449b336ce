"""Lets two detectors that see only pixels read a drawn study: what could be found in these very images?

They learn from training mammograms of the workspace and their adversarial images, shown as the study shows them, and
then score the files of sessions 3 and 5, which are of other patients. Of the study they see nothing but those files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from mammogan.errors import UserError
from mammogan.evaluation.detector import STEPS, Floats, Images, Pixels, check_disjoint, train_detector
from mammogan.evaluation.forensics.fresh_detector import train_spectrum_detector
from mammogan.io.terminal import say, track
from mammogan.reader.detector_scores import FILE, DetectorScore, images_to_score, read_scores, write_scores
from mammogan.reader.drawing.pool import Pool, find_pool
from mammogan.reader.drawing.presentation import present
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.key import MIXED_SESSIONS, ReadingKey
from mammogan.reader.plan import ReadingPlan
from mammogan.training.parallel.ranks import choose_device
from mammogan.workspace import Resolution, Workspace

MOST = 276
"""Most training mammograms that a detector learns from, each as original and as adversarial image."""
LEAST = 2
AT_ONCE = 16
Scores = Callable[[Iterable[Pixels]], Floats]


def read_by_detectors(
    workspace: Workspace, name: str, device: str = "auto", seed: int = 0, steps: int = STEPS
) -> tuple[DetectorScore, ...]:
    """Train the detectors, score all images of sessions 3 and 5, and write the scores beside the key. Scores that are
    there already are kept."""
    folder, key_file = ReadingFolder(workspace.reading(name)), workspace.reading_key(name)
    plan = folder.load()
    key = ReadingKey.load_of(plan, key_file)
    images = images_to_score(plan, key)
    if found := read_scores(key_file.parent, images):
        say(f"{key_file.parent / FILE}: detectors have read this study already")
        return found
    train = _training_images(workspace, key, np.random.default_rng(seed))
    check_disjoint(train.patients, {image.patient for image in key.images if image.session in MIXED_SESSIONS})
    say(f"detectors learn from {len(train.real)} training mammograms and their adversarial images")
    detectors = {
        "network": train_detector(train, seed, steps, str(choose_device(device))).scores,
        "spectrum": train_spectrum_detector(train),
    }
    scores = tuple(
        score for one, trained in detectors.items() for score in _read(one, trained, folder, plan, sorted(images))
    )
    write_scores(key_file.parent, scores, images)
    return scores


def _training_images(workspace: Workspace, key: ReadingKey, random: np.random.Generator) -> Images:
    """Return at most MOST training mammograms and their adversarial images, as the study shows them."""
    drawn_from = key.made_from
    background, resolution = drawn_from["background"], Resolution.parse(drawn_from["resolution"])
    objective = workspace.of(drawn_from["objective"])
    pool: Pool = find_pool(objective, resolution, background, drawn_from["allow_out_of_domain"], training=1)
    sources = [source for source in pool.sources.values() if source.candidate.split == "train" and source.fake]
    if len(sources) < LEAST:
        raise UserError(f"{len(sources)} training mammograms have adversarial images, at least {LEAST} are needed")
    chosen = [sources[at] for at in sorted(random.permutation(len(sources))[:MOST])]
    real, fake = [], []
    for source in track(chosen, len(chosen), "training mammograms read"):
        real.append(source.pixels())
        fake.append(present(source.fake_pixels(), real[-1], background))
    return Images(np.stack(real), np.stack(fake), frozenset(source.candidate.patient for source in chosen))


def _read(
    name: str, scores: Scores, folder: ReadingFolder, plan: ReadingPlan, images: Sequence[str]
) -> Iterator[DetectorScore]:
    shape, files = (plan.height, plan.width), {image.name: image for image in plan.images}
    for at in range(0, len(images), AT_ONCE):
        names = images[at : at + AT_ONCE]
        pixels = np.stack([_pixels(folder.read_image(files[name]), shape) for name in names])
        for image, log_odds in zip(names, scores(pixels), strict=True):
            yield DetectorScore(name, image, float(log_odds))


def _pixels(content: bytes, shape: tuple[int, int]) -> Pixels:
    return np.frombuffer(content, "<u2").reshape(shape).astype(np.uint16)
