"""Collects the figures of one seed: those of the report, and some that no report has.

The report's figures come from its table1.json. The others are: how a second CAD responds that had no part in any
training of a generator, insertions with a single try, newly trained detectors that distinguish adversarial from real
images, and whether the critics were alive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from objective_detection import Detection, adversarial_of, attack_of, detect, first_of
from sklearn.metrics import roc_auc_score

from mammogan.attack.config import column_name
from mammogan.attack.folder import AdversarialFolder
from mammogan.data.shards.reader import Sample, read_shard
from mammogan.evaluation.forensics.giveaways import ARTEFACTS
from mammogan.evaluation.scores import probabilities
from mammogan.io.atomic import read_json
from mammogan.io.terminal import say, track
from mammogan.models.networks import Cad
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.metrics_log import read_events
from mammogan.training.run.run_folder import Run
from mammogan.training.run.trained_networks import load_cad
from mammogan.workspace import LABELS, Direction, Objective, Resolution, Workspace

if TYPE_CHECKING:
    from objectives import Options

MEASURING = 1
"""Version of the measures; increase it when the same networks give other rows."""
Measured = tuple[str, str, float | None]
"""What was measured (an objective, a CAD, a control), the name of the measure, and its value; None: no value."""
Scores = Mapping[str, float]
"""Probability of cancer by the key of the real mammogram."""
THRESHOLD = 0.5
BATCH = 8
CAD, SECOND_CAD, DATA = "cad", "second cad", "data"


def measure_cads(
    trained: Workspace, second: Workspace, unseen: Workspace, size: Resolution, options: Options
) -> list[Measured]:
    """Measure how well both CADs classify the unseen cohort."""
    reals = _reals(unseen, size)
    return [row for name, of in ((CAD, trained), (SECOND_CAD, second)) for row in _reading(name, of, size, reals)[0]]


def measure_all(
    trained: Workspace, second: Workspace, unseen: Workspace, size: Resolution, options: Options
) -> list[Measured]:
    """Return every row of one seed. All trainings and the report of the unseen cohort must exist."""
    told = read_json(unseen.report / "table1.json")["resolutions"]
    reals, rows = _reals(unseen, size), []
    scores: dict[str, Scores] = {}
    for name, of in ((CAD, trained), (SECOND_CAD, second)):
        own, scores[name] = _reading(name, of, size, reals)
        rows += own
    rows += _of_controls(told[column_name(size, options.objective[0])])
    for objective in options.objective:
        view = trained.of(objective)
        rows += [(objective, *row) for row in _of_report(told[column_name(size, objective)])]
        rows += [(objective, *row) for row in _of_critics(view, size)]
        cad = load_cad(second.cad_run(size), str(choose_device("auto")))
        rows += [(objective, *row) for row in _black_box(unseen.of(objective), size, cad, scores[SECOND_CAD])]
    if "lesion" in options.objective:
        rows += _single_tries(trained.of("lesion"), size, reals["negative"], scores[CAD])
    return [*rows, *_told_apart(trained, unseen, size, options)]


def _reals(unseen: Workspace, size: Resolution) -> dict[str, list[Sample]]:
    """Return the unseen mammograms by label."""
    return {label: first_of(unseen, size, "test", label) for label in LABELS}


def _reading(
    name: str, workspace: Workspace, size: Resolution, reals: Mapping[str, Sequence[Sample]]
) -> tuple[list[Measured], Scores]:
    """Measure how a CAD classifies real mammograms; return the rows and its scores."""
    cad = load_cad(workspace.cad_run(size), str(choose_device("auto")))
    by_label = {label: scores_of(cad, reals[label], f"{name}: {label}") for label in LABELS}
    found = {label: np.array(list(scores.values())) for label, scores in by_label.items()}
    labels = np.repeat([0, 1], [len(found[label]) for label in LABELS])
    rows: list[Measured] = [
        (name, "auc", float(roc_auc_score(labels, np.concatenate([found[label] for label in LABELS])))),
        (name, "sensitivity", float((found["positive"] > THRESHOLD).mean())),
        (name, "specificity", float((found["negative"] <= THRESHOLD).mean())),
    ]
    if name == CAD:
        rows += [(DATA, f"{label}s", float(len(found[label]))) for label in LABELS]
    return rows, {**by_label["negative"], **by_label["positive"]}


def scores_of(cad: Cad, samples: Sequence[Sample], doing: str) -> dict[str, float]:
    """Return the CAD's probability of cancer for each sample, by the key of its real mammogram."""
    batches = [list(samples[at : at + BATCH]) for at in range(0, len(samples), BATCH)]
    found = [p for batch in track(batches, len(batches), doing) for p in probabilities(cad, batch)]
    return {s.facts.get("source_key", s.key): p for s, p in zip(samples, found, strict=True)}


def _of_report(told: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Yield the rows of one column of table1.json."""
    table, truth, inserted = told["table1"], told["lesion_truth"] or {}, told["insertion"] or {}
    for name in ("auc_adversarial", "fooled_remove", "fooled_insert"):
        yield name, table[name]["value"]
    for name in ("fooled_remove", "fooled_insert"):
        yield f"{name}_of", table[name]["denominator"]
    for name in ("energy_near", "way", "closer_db"):
        yield from ((f"{name}_{which}", truth.get(name, {}).get(which)) for which in ("median", "mean"))
    yield "three_db", truth.get("three_db", {}).get("value")
    for name in ("found", "found_and_fooled"):
        yield name, inserted.get(name, {}).get("value")
    for name in ("in_disc", "blobs", "peak"):
        yield name, inserted.get(name, {}).get("median")
    for direction in Direction:
        yield f"identity_{direction}", told["secondary"]["identity"][str(direction)]["median"]
        auc = told["forensics"][str(direction)]["auc"]
        known = [value for name in ARTEFACTS if (value := auc[name]["of_pretended"]) is not None]
        yield f"artefact_{direction}", max(known, default=None)


def _of_controls(told: Mapping[str, Any]) -> Iterator[Measured]:
    """Yield the rows of the controls, which change images without a trained attack, and of the data."""
    for name, row in (told["controls"] or {}).items():
        if name != "generator":
            yield name, "fooled_remove", row["fooled"]["value"]
            yield name, "energy_near_median", row["energy_near"]["median"]
            yield name, "closer_db_median", row["closer_db"]["median"]
            yield name, "three_db", row["three_db"]["value"]
    yield DATA, "area_near", (told["lesion_truth"] or {}).get("area_near", {}).get("median")
    yield DATA, "real_lesions_found", (told["insertion"] or {}).get("real_lesions_found", {}).get("value")


def _of_critics(view: Workspace, size: Resolution) -> Iterator[tuple[str, float | None]]:
    """Yield whether the critic of each training was alive; a bank of lesions has no critic."""
    for direction in Direction:
        run = Run(view.gan_run(size, direction))
        life = read_json(run.done).get("critic")
        if life and life["adversarial_epochs"]:
            yield f"critic_lived_{direction}", life["alive_epochs"] / life["adversarial_epochs"]
            yield f"critic_alive_{direction}", float(life["died_in_epoch"] is None)
            yield from ((f"{name}_{direction}", value) for name, value in _last_watched(run.metrics).items())


def _last_watched(metrics: Path) -> dict[str, float]:
    """Return the critic's figures in the last epoch that has them."""
    watched = [event for event in read_events(metrics) if "critic_sd" in event]
    return {name: watched[-1][name] for name in ("critic_sd", "critic_gradient")} if watched else {}


def _black_box(view: Workspace, size: Resolution, cad: Cad, before: Scores) -> Iterator[tuple[str, float | None]]:
    """Yield how often a second CAD, which had no part in the training of the generators, is fooled."""
    for direction in Direction:
        after = scores_of(cad, adversarial(view, size, direction), f"{view.objective}, {direction}: second CAD")
        yield f"black_box_{direction}", fooled(before, after, direction)


def adversarial(view: Workspace, size: Resolution, direction: Direction) -> list[Sample]:
    """Return the adversarial mammograms of the test split."""
    folder = AdversarialFolder(view, size)
    shards = [entry["name"] for entry in folder.of_split("test") if entry["direction"] == direction]
    return [sample for name in shards for sample in read_shard(folder.path / name)]


def fooled(before: Scores, after: Scores, direction: Direction) -> float | None:
    """Return the fooled rate: of the correctly classified mammograms, the share that are wrong after the attack.

    None if no mammogram was classified correctly.
    """
    was_positive = direction is Direction.REMOVE
    right = [key for key in after if (before[key] > THRESHOLD) == was_positive]
    turned = sum((after[key] > THRESHOLD) != was_positive for key in right)
    return turned / len(right) if right else None


def _single_tries(view: Workspace, size: Resolution, negatives: Sequence[Sample], before: Scores) -> Iterator[Measured]:
    """Measure insertions without a CAD that chooses: one lesion is drawn for each mammogram."""
    attack = attack_of(view, size, Direction.INSERT, tries=1)
    altered = adversarial_of(attack, track(negatives, len(negatives), "single tries"))
    cad = load_cad(view.cad_run(size), str(choose_device("auto")))
    after = scores_of(cad, altered, "single tries: CAD")
    yield "lesion", "single_try_fooled", fooled(before, after, Direction.INSERT)
    yield "lesion", "single_try_called_positive", float(np.mean([p > THRESHOLD for p in after.values()]))


def _told_apart(trained: Workspace, unseen: Workspace, size: Resolution, options: Options) -> Iterator[Measured]:
    """Measure how well newly trained detectors distinguish each attack's images, and the twins, from real ones."""
    kinds: list[tuple[Objective | None, Direction]] = [(o, d) for o in options.objective for d in Direction]
    tasks = [
        Detection(trained.root, unseen.root, size, *kind, options.detector_steps, options.detector_seeds)
        for kind in [*kinds, (None, Direction.REMOVE)]
    ]
    if options.parallel == 1:
        found = [detect(task) for task in tasks]
    else:
        with ProcessPoolExecutor(options.parallel, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(detect, tasks))
    for task, figures in zip(tasks, found, strict=True):
        say(f"{task.name}: told apart with AUC {figures.get('fresh_network', float('nan')):.3f}")
        yield from ((task.objective or "twin", f"{name}_{task.direction}", v) for name, v in figures.items())
