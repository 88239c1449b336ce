"""ImageNet weights: loaded strictly, or explicitly none; never silently random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from trainings import write_vgg_weights

from mammogan.errors import UserError
from mammogan.models.networks import build_vnet
from mammogan.models.vgg_weights import FILE_NAME, load_vgg_weights


def test_a_file_as_torchvisions_is_loaded_exactly(tmp_path: Path) -> None:
    path = write_vgg_weights(tmp_path / FILE_NAME)
    vnet = build_vnet(0.05)
    load_vgg_weights(vnet, str(path), 0.05)
    saved = torch.load(path)
    assert all(torch.equal(value, saved[f"features.{name}"]) for name, value in vnet.state_dict().items())


def test_a_file_of_another_network_is_refused_naming_what_differs(tmp_path: Path) -> None:
    path = write_vgg_weights(tmp_path / FILE_NAME, width=0.1)
    with pytest.raises(UserError, match=r"has shape .* expected"):
        load_vgg_weights(build_vnet(1.0), str(path), 1.0)
    torch.save({"features.0.weight": torch.zeros(16, 3, 3, 3)}, path)
    with pytest.raises(UserError, match=r"0.bias is missing"):
        load_vgg_weights(build_vnet(0.05), str(path), 0.05)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda weight: [1, 2], "is a list, expected a tensor"),
        (lambda weight: weight * float("nan"), r"has values that are no numbers \(NaN or infinite\)"),
        (lambda weight: weight.to(torch.int8), r"holds torch\.int8, expected floating point"),
        (lambda weight: weight.to(torch.complex64), r"holds torch\.complex64, expected floating point"),
    ],
)
def test_a_weight_that_cannot_be_one_is_refused_by_name(
    tmp_path: Path, change: Callable[[Tensor], object], told: str
) -> None:
    path = write_vgg_weights(tmp_path / FILE_NAME)
    sound, vnet = torch.load(path), build_vnet(0.05)
    torch.save(sound | {"features.0.weight": change(sound["features.0.weight"])}, path)
    with pytest.raises(UserError, match=rf"not VGG11's weights: 0\.weight {told}.*Expected torchvision's {FILE_NAME}"):
        load_vgg_weights(vnet, str(path), 0.05)
    torch.save(sound | {1: torch.zeros(1)}, path)  # torchvision's has others beside the features, the classifier's
    load_vgg_weights(vnet, str(path), 0.05)
    torch.save({number: torch.zeros(1) for number in range(3)}, path)
    with pytest.raises(UserError, match=r"0\.weight is missing"):
        load_vgg_weights(vnet, str(path), 0.05)
    torch.save({name: value.half() for name, value in sound.items()}, path)
    load_vgg_weights(vnet, str(path), 0.05)
    assert vnet[0].weight.dtype == torch.float32


def test_a_missing_or_foreign_file_is_an_error_that_names_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=FILE_NAME):
        load_vgg_weights(build_vnet(0.05), str(tmp_path / "absent.pth"), 0.05)
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(UserError, match=FILE_NAME):
        load_vgg_weights(build_vnet(0.05), str(tmp_path / "text.pth"), 0.05)


def test_imagenet_weights_do_not_fit_other_widths() -> None:
    with pytest.raises(UserError, match=r"--vgg-weights none"):
        load_vgg_weights(build_vnet(0.05), "auto", 0.05)


def test_offline_the_error_names_file_place_and_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")  # the discard port: nobody listens
    with torch.device("meta"), pytest.raises(UserError, match=rf"{FILE_NAME}.*--vgg-weights PATH.*none"):
        load_vgg_weights(build_vnet(1.0), "auto", 1.0)
