"""How often each test between sessions rejects where nothing changed: by simulation, so these tests are slow."""

from __future__ import annotations

import numpy as np
import pytest

from mammogan.reader.statistics.mrmc import other_cases
from mammogan.reader.statistics.paper_p import paper_p
from mammogan.reader.statistics.proportions import Share, compare

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("n", "share"), [(218, 0.6), (182, 0.7)])
def test_the_paper_p_rejects_five_times_too_often_and_fisher_does_not(n: int, share: float) -> None:
    draws = np.random.default_rng(0)
    rejected = np.zeros(2)
    runs = 2000
    for _ in range(runs):
        first, second = draws.random(n) < share, draws.random(n) < share
        paper = paper_p([first.tolist(), second.tolist()], 0, 1)
        found = compare(Share(int(first.sum()), n), Share(int(second.sum()), n))
        assert found
        rejected += (paper is not None and paper < 0.05, found.p < 0.05)
    of_paper, of_fisher = rejected / runs
    assert 0.20 <= of_paper <= 0.30, "the paper's p at a nominal .05"
    assert of_fisher <= 0.06


def test_readers_as_a_sample_reject_as_often_as_they_say() -> None:
    draws = np.random.default_rng(0)
    runs, readers, n = 300, 5, 40
    rejected = 0
    truth = np.arange(2 * n) < n
    for _ in range(runs):
        skill = draws.normal(1.0, 0.2, readers)
        tests = []
        for _session in range(2):
            cases = draws.standard_normal(2 * n)
            own = skill + draws.normal(0, 0.1, readers)
            evidence = own[:, None] * truth + 0.5 * cases + np.sqrt(0.75) * draws.standard_normal((readers, 2 * n))
            tests.append(np.digitize(evidence, [0.3, 0.7]).astype(float))
        rejected += other_cases(tests, [truth, truth]).p < 0.05
    assert 0.015 <= rejected / runs <= 0.09
