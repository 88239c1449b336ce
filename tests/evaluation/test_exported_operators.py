"""What torch.export writes for public functions of torch is known in a .pt2 file, and what trusts its input is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_exported_victims import exported, load, refused
from torch import Tensor, nn


class Computing(nn.Module):
    """A network that computes something public in the middle, for which torch.export writes operators of its own."""

    def __init__(self, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.compute = nn.Conv2d(1, 4, 3, padding=1), compute

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(self.inner(x)).flatten(1)[:, :2]


RESIZE = nn.functional.interpolate
COMPUTED: dict[str, Callable[[Tensor], Tensor]] = {
    "antialiased to a size": lambda x: RESIZE(x, (9, 7), mode="bilinear", antialias=True),
    "antialiased bicubic": lambda x: RESIZE(x, (9, 7), mode="bicubic", antialias=True),
    "nearest exact": lambda x: RESIZE(x, (9, 7), mode="nearest-exact"),
    "Fourier": lambda x: torch.fft.irfft2(torch.fft.fft2(torch.fft.rfft2(x, norm="ortho"))),
    "distances": lambda x: torch.cdist(x, x + 1, compute_mode="use_mm_for_euclid_dist"),
    "bilinear": lambda x: nn.functional.bilinear(x, x, torch.ones(2, 32, 32)),
    "prelu": lambda x: nn.functional.prelu(x, torch.full((4,), 0.1)),
    "root mean square": lambda x: nn.functional.rms_norm(x, (32,)),
    "determinant": lambda x: torch.linalg.det(x),
    "singular values": lambda x: torch.linalg.svdvals(x),
    "circular": lambda x: nn.functional.pad(x, (1, 1, 1, 1), mode="circular"),
    "attention": lambda x: nn.functional.scaled_dot_product_attention(x, x, x),
}


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("computed", COMPUTED)
def test_what_torch_writes_for_public_functions_is_known(tmp_path: Path, computed: str, decomposed: bool) -> None:
    torch.manual_seed(1)
    network, pixels, content = Computing(COMPUTED[computed]).eval(), torch.rand(1, 1, 32, 32), io.BytesIO()
    program = torch.export.export(network, (pixels,))
    torch.export.save(program.run_decompositions() if decomposed else program, content)
    found = load(tmp_path / "network.pt2", content.getvalue()).network(pixels)
    torch.testing.assert_close(found, network(pixels))


def test_a_scale_may_not_contradict_the_size_of_an_antialiased_image(tmp_path: Path) -> None:
    network = Computing(lambda x: RESIZE(x, scale_factor=0.5, mode="bilinear", antialias=True)).eval()
    content, pixels = io.BytesIO(), torch.rand(1, 1, 32, 32)
    program = torch.export.export(network, (pixels,))
    torch.export.save(program, content)
    assert torch.equal(load(tmp_path / "network.pt2", content.getvalue()).network(pixels), network(pixels))
    torch.export.save(program.run_decompositions(), content := io.BytesIO())
    refused(tmp_path / "network.pt2", content.getvalue(), "a size or scales .*without run_decompositions.*_aa.default")


def test_an_operator_that_is_to_trust_its_input_is_refused(tmp_path: Path) -> None:
    def halves(x: Tensor, unsafe: bool) -> Tensor:
        lengths = torch.ones(2, dtype=torch.long) * (x.numel() // 2)
        return torch.segment_reduce(x.flatten(), "sum", lengths=lengths, unsafe=unsafe)[None]

    for unsafe in (False, True):
        content = exported(Computing(lambda x, unsafe=unsafe: halves(x, unsafe)), "none")  # type: ignore[misc]
        if unsafe:
            refused(tmp_path / "network.pt2", content, "functions that check what they compute with, found .*unsafe")
        else:
            load(tmp_path / "network.pt2", content).logits(torch.rand(1, 1, 32, 32))


@pytest.mark.parametrize("name", ["__scale", "größe", "scale 1"])
def test_an_odd_name_of_a_weight_is_refused_with_what_to_rename(tmp_path: Path, name: str) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    network[0].weights = nn.ParameterDict()
    network[0].weights._parameters[name] = nn.Parameter(torch.ones(1))
    network.register_forward_hook(lambda self, given, found: found[:, :2] * self[0].weights[name])
    why = r"the dotted name of a weight.*rename the parameter or buffer in its class, and export it again\), found"
    refused(tmp_path / "network.pt2", exported(network, "none"), why)
