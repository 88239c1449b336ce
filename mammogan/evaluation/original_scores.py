"""Score the original mammograms alone, where nothing is attacked: how well the CAD reads a split."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from mammogan.attack.config import EvaluateConfig, report_folder
from mammogan.attack.domain_check import check_domain
from mammogan.attack.folder import real_shard
from mammogan.data.inspect.population import population_of
from mammogan.data.shards.index import ShardIndex
from mammogan.errors import MissingInput
from mammogan.evaluation.predictions import Prediction, write_predictions
from mammogan.evaluation.score_plan import find_cad
from mammogan.evaluation.scores import predict, probabilities
from mammogan.io.terminal import say, track
from mammogan.statistics.clustered import clustered_auc, clustered_share
from mammogan.statistics.figure import Figure
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.cad_source import CadSource, cad_source
from mammogan.training.run.trained_networks import load_source
from mammogan.workspace import Resolution, Workspace


def score_originals(workspace: Workspace, config: EvaluateConfig) -> list[Path]:
    """Score a split's originals at each requested resolution, or at all with a CAD; say the figures, with intervals.

    Writes originals-<resolution>.csv into the report's folder, and returns the files. Raises MissingInput without
    shards or a CAD, and UserError as ``Scoring.of`` does.
    """
    models = Workspace(config.models or workspace.root)
    sizes = [Resolution.parse(text) for text in config.resolution] or _with_cad(workspace, models, config.cad)
    return [_score(workspace, models, size, config) for size in sizes]


def _with_cad(workspace: Workspace, models: Workspace, named: str) -> list[Resolution]:
    there = workspace.resolutions()
    if not there:
        raise MissingInput(f"no shards in {workspace.root / 'shards'}; make them with mammogan make-shards")
    return [size for size in there if cad_source(models, size, named).is_there] or there


def _score(workspace: Workspace, models: Workspace, size: Resolution, config: EvaluateConfig) -> Path:
    cad, index = find_cad(models, size, config.cad), ShardIndex.load(workspace.shards(size))
    check_domain([(cad.name, cad.trained_on())], index, config.out_of_domain, config.origin_unknown)
    population = population_of(workspace, index, index.of_split(config.split))
    if not config.pool:
        population.refuse_mixed(config.split)
    rows = list(_predictions(workspace, index, cad, config))
    path = report_folder(workspace, config.split) / f"originals-{size}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(path, rows)
    say(f"{size}, {config.split}: {len(rows)} original mammograms of {len({row.patient for row in rows})} patients")
    for name, figure in _figures(rows, config).items():
        say(f"  {name}: {_in_words(figure)}")
    if cad.trained_on() is None:
        say(f"  Origin unknown: {cad.name} may have been trained on these mammograms")
    say(f"  the CAD's probabilities are in {path}")
    return path


def _predictions(
    workspace: Workspace, index: ShardIndex, source: CadSource, config: EvaluateConfig
) -> Iterator[Prediction]:
    cad, shards = load_source(source, choose_device(config.device)), index.of_split(config.split)
    for shard in track(shards, len(shards), f"shards scored, {index.resolution}"):
        samples = iter(real_shard(workspace, index.resolution, shard.name, shard.sha256))
        while several := list(islice(samples, config.batch)):
            for sample, probability in zip(several, probabilities(cad, several), strict=True):
                yield predict(sample, str(index.resolution), probability)


def _figures(rows: list[Prediction], config: EvaluateConfig) -> dict[str, Figure]:
    patients = [row.patient for row in rows]
    positive = np.array([row.label == "positive" for row in rows])
    probability = np.array([row.probability for row in rows])
    called = probability > config.threshold
    return {
        "AUC": clustered_auc(positive, probability, patients),
        "positives called positive": clustered_share(
            called, positive, patients, "no positive mammograms in this split"
        ),
        "negatives called negative": clustered_share(
            ~called, ~positive, patients, "no negative mammograms in this split"
        ),
    }


def _in_words(figure: Figure) -> str:
    """Say a figure as the report does: counts alone where there are few patients."""
    if figure.value is None:
        return f"n/a ({figure.reason})"
    counts = "" if figure.denominator is None else f"{figure.numerator} of {figure.denominator}"
    if figure.of_few_patients:
        return counts
    value = f"{figure.value:.3f}" if not counts else f"{counts}, {100 * figure.value:.1f}%"
    if figure.low is None or figure.high is None:
        return f"{value} (no interval: {figure.interval_reason})"
    return f"{value} (95% interval {figure.low:.3f} to {figure.high:.3f})"
