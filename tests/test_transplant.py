"""Lesions are taken from one mammogram and put into another: what is kept, what changes, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from generators import save_cad

from mammogan.attack.insertion import Bank, Transplant, drawn_for
from mammogan.config import Resolution, Workspace
from mammogan.models.transplant import Lesion, Scale, cut_out, put_in
from mammogan.training.checkpoint import load_cad

SCALE = Scale(radius=6.0, cell=2)


def breast(seed: int = 0, grey: float = 0.3) -> np.ndarray:
    """Float32 (96,96): tissue with noise to column 70, air beyond."""
    noise = np.random.default_rng(seed).normal(0, 0.01, (96, 96))
    picture = (grey + noise).astype(np.float32)
    picture[:, 70:] = 0
    return picture


def lesion_in(picture: np.ndarray, row: int = 40, column: int = 30, height: float = 0.2) -> np.ndarray:
    """The change of a perfect remover: a bell of 5 pixels."""
    rows, columns = np.mgrid[:96, :96]
    away = (rows - row) ** 2 + (columns - column) ** 2
    return (height * np.exp(-away / 50)).astype(np.float32) * (picture > 0)


def taken() -> Lesion:
    clean = breast(1)
    bump = lesion_in(clean)
    return cut_out(clean + bump, -bump, (40, 30), SCALE)


def test_a_lesion_is_its_loss_of_transparency_and_only_darkening_counts() -> None:
    clean = breast(1)
    bump = lesion_in(clean)
    lesion = cut_out(clean + bump, -bump, (40, 30), SCALE)
    middle = SCALE.half
    expected = np.log((1 - clean[40, 30]) / (1 - clean[40, 30] - bump[40, 30]))
    assert lesion.growth[middle, middle] == pytest.approx(expected, rel=1e-4)
    assert lesion.growth.min() >= 0
    brightened = cut_out(clean, bump, (40, 30), SCALE)
    assert brightened.growth.max() == 0


def test_it_appears_where_it_is_put_and_nowhere_else() -> None:
    picture = breast(2)
    made = put_in(picture, taken(), (50, 25))
    rows, columns = np.nonzero(made != picture)
    assert np.hypot(rows - 50, columns - 25).max() <= SCALE.half * 1.5
    assert made[50, 25] - picture[48:53, 23:28].mean() > 0.12
    assert np.array_equal(made[:, 70:], picture[:, 70:])


def test_on_white_tissue_it_does_not_become_whiter_than_white() -> None:
    made = put_in(breast(3, grey=0.93), taken(), (50, 25))
    assert made.max() < 1


def test_at_the_border_it_is_cut_off() -> None:
    assert put_in(breast(4), taken(), (2, 1)).shape == (96, 96)


def test_a_lesion_survives_its_checkpoint() -> None:
    lesion = taken()
    again = Lesion.of_state(lesion.state())
    assert np.allclose(again.growth, lesion.growth, atol=1e-3) and again.surroundings == lesion.surroundings


def bank(count: int = 4) -> Bank:
    return Bank([taken() for _ in range(count)], SCALE)


def images(n: int) -> torch.Tensor:
    return torch.from_numpy((np.stack([breast(50 + i) for i in range(n)]) * 65535).astype(np.uint16))[:, None]


def test_what_is_drawn_depends_on_key_and_seed_alone() -> None:
    one = Transplant(bank(), 1, 0, None)
    both = one.alter(images(2), ["a", "b"])
    assert torch.equal(both[1], one.alter(images(2)[1:], ["b"])[0])
    assert not torch.equal(one.alter(images(1), ["a"]), Transplant(bank(), 1, 1, None).alter(images(1), ["a"]))
    assert drawn_for("a", 0).integers(1 << 30) == drawn_for("a", 0).integers(1 << 30)


def test_of_several_tries_the_first_that_is_called_positive_is_taken_else_the_favourite(workspace: Workspace) -> None:
    save_cad(workspace, Resolution(96, 96))
    cad = load_cad(workspace.cad_run(Resolution(96, 96)))
    attack = Transplant(bank(), 4, 0, cad)
    [image] = images(1)
    picture = (image[0].numpy() / 65535).astype(np.float32)
    tries = np.stack(attack.candidates(picture, "k"))
    found = torch.tensor(
        [
            float(cad.positive_probability(torch.from_numpy(np.rint(t * 65535).astype(np.uint16))[None, None]))
            for t in tries
        ]
    )
    expected = int((found > 0.5).nonzero()[0]) if (found > 0.5).any() else int(found.argmax())
    made = attack.alter(image[None], ["k"])[0, 0].numpy()
    assert np.array_equal(made, np.rint(tries[expected] * 65535).astype(np.uint16))


def test_where_there_is_no_room_the_image_stays_as_it_is() -> None:
    empty = torch.zeros(1, 1, 96, 96, dtype=torch.uint16)
    assert torch.equal(Transplant(bank(), 3, 0, None).alter(empty, ["k"]), empty)
