"""Lesions are taken from one mammogram and put into another: what is kept, what changes, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from generators import save_cad

from mammogan.attack.insertion import Bank, Transplant, random_for
from mammogan.models.transplant import Lesion, Scale, cut_out, put_in
from mammogan.training.run.trained_networks import load_cad
from mammogan.workspace import Resolution, Workspace

CELL = 2
SCALE = Scale(cell=CELL, radius=3.0)


def breast(seed: int = 0, grey: float = 0.3) -> np.ndarray:
    """Float32 (96,96): tissue with noise to column 70, air beyond."""
    noise = np.random.default_rng(seed).normal(0, 0.01, (96, 96))
    picture = (grey + noise).astype(np.float32)
    picture[:, 70:] = 0
    return picture


def cells(picture: np.ndarray) -> np.ndarray:
    return F.avg_pool2d(torch.from_numpy(picture)[None, None], CELL)[0, 0].numpy()


def bump(row: int = 20, column: int = 15, height: float = 0.2) -> np.ndarray:
    """A bell on the cells: what a perfect remover would take away, but for its sign."""
    rows, columns = np.mgrid[:48, :48]
    return (height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 12.5)).astype(np.float32)


def taken(seed: int = 1) -> Lesion:
    return cut_out(cells(breast(seed)) + bump(), -bump(), (20, 15), SCALE)


def test_a_lesion_is_its_loss_of_transparency_and_only_darkening_counts() -> None:
    clean = cells(breast(1))
    lesion = taken(1)
    middle = lesion.growth.shape[0] // 2
    expected = np.log((1 - clean[20, 15]) / (1 - clean[20, 15] - bump()[20, 15]))
    assert lesion.growth[middle, middle] == pytest.approx(expected, rel=1e-4)
    assert lesion.growth.min() >= 0
    assert cut_out(clean, bump(), (20, 15), SCALE).growth.max() == 0


def test_nothing_finer_than_a_cell_is_taken_from_the_source() -> None:
    """Sources with the same means of cells give the same lesion, whatever their pixels are."""
    source = breast(1)
    shuffled = source.reshape(48, CELL, 48, CELL)[:, ::-1, :, ::-1].reshape(96, 96).copy()
    assert not np.array_equal(source, shuffled)
    lesions = [cut_out(cells(picture) + bump(), -bump(), (20, 15), SCALE) for picture in (source, shuffled)]
    assert np.allclose(lesions[0].growth, lesions[1].growth, atol=1e-6)


def test_it_appears_where_it_is_put_and_nowhere_else() -> None:
    picture = breast(2)
    made = put_in(picture, taken(), (25, 12), CELL)
    rows, columns = np.nonzero(made != picture)
    assert np.hypot(rows - 50.5, columns - 24.5).max() <= CELL * (2 * SCALE.radius + 2)
    assert made[50, 24] - picture[48:53, 22:27].mean() > 0.12
    assert np.array_equal(made[:, 70:], picture[:, 70:])


def test_on_white_tissue_it_does_not_become_whiter_than_white() -> None:
    assert put_in(breast(3, grey=0.93), taken(), (25, 12), CELL).max() < 1


@pytest.mark.parametrize("place", [(0, 0), (47, 47), (1, 34)])
def test_at_the_borders_it_is_cut_off(place: tuple[int, int]) -> None:
    assert put_in(breast(4), taken(), place, CELL).shape == (96, 96)
    assert cut_out(cells(breast(4)), -bump(*place), place, SCALE).growth.shape == taken().growth.shape


def test_a_lesion_survives_its_checkpoint() -> None:
    lesion = taken()
    again = Lesion.of_state(lesion.state())
    assert np.allclose(again.growth, lesion.growth, atol=1e-3) and again.surroundings == lesion.surroundings


def bank(count: int = 4) -> Bank:
    return Bank([taken(seed) for seed in range(count)], SCALE)


def images(n: int) -> torch.Tensor:
    return torch.from_numpy((np.stack([breast(50 + i) for i in range(n)]) * 65535).astype(np.uint16))[:, None]


def test_what_is_drawn_depends_on_key_and_seed_alone() -> None:
    one = Transplant(bank(), 1, 0, None)
    both = one.alter(images(2), [{"key": "a"}, {"key": "b"}])
    assert torch.equal(both[1], one.alter(images(2)[1:], [{"key": "b"}])[0])
    assert not torch.equal(
        one.alter(images(1), [{"key": "a"}]), Transplant(bank(), 1, 1, None).alter(images(1), [{"key": "a"}])
    )
    assert random_for("a", 0).integers(1 << 30) == random_for("a", 0).integers(1 << 30)


def test_the_first_try_that_is_called_positive_is_taken_else_the_most_probable_one(workspace: Workspace) -> None:
    save_cad(workspace, Resolution(96, 96))
    cad = load_cad(workspace.cad_run(Resolution(96, 96)))
    attack = Transplant(bank(), 4, 0, cad, "as-generated")
    [image] = images(1)
    tries = [
        np.rint(t * 65535).astype(np.uint16)
        for t in attack.candidates((image[0].numpy() / 65535).astype(np.float32), "k")
    ]
    found = [float(cad.positive_probability(torch.from_numpy(one)[None, None])) for one in tries]
    expected = next((place for place, p in enumerate(found) if p > 0.5), int(np.argmax(found)))
    assert np.array_equal(attack.alter(image[None], [{"key": "k"}])[0, 0].numpy(), tries[expected])


def test_where_there_is_no_room_the_image_stays_as_it_is() -> None:
    empty = torch.zeros(1, 1, 96, 96, dtype=torch.uint16)
    assert torch.equal(Transplant(bank(), 3, 0, None).alter(empty, [{"key": "k"}]), empty)


def test_no_lesion_is_cut_off_by_the_skin_or_a_border_of_the_image() -> None:
    """The chest wall, column 0, is such a border."""
    picture, attack = breast(5), Transplant(bank(), 4, 0, None)
    for key in map(str, range(60)):
        for made in attack.candidates(picture, key):
            row, column = np.unravel_index(cells(made - picture).argmax(), (48, 48))
            nearest = min(row + 1, 48 - row, column + 1, 35 - column)
            assert nearest >= SCALE.radius, f"inserted at cell {row}, {column}"
