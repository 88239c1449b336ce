"""Options from a mapping of text, and back to words: as the command line reads them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from mammogan.cli import evaluate, generate, make_shards, study, train_cad, train_gan
from mammogan.config import CadConfig, GanConfig
from mammogan.errors import UserError
from mammogan.io.options import Flat, parse
from mammogan.io.structure import merged, structured, unchecked_defaults, words_of
from mammogan.workspace import Direction


@dataclass(frozen=True)
class Inner:
    depth: int = 1
    half: bool = True


@dataclass(frozen=True)
class Shape:
    sides: tuple[int, int] = (3, 4)
    kind: Literal["round", "square"] = "round"
    factor: float = 0.5

    def __post_init__(self) -> None:
        if self.kind == "square" and self.sides[0] != self.sides[1]:
            raise UserError("--kind square: both sides must be the same")


@dataclass(frozen=True)
class Options:
    config: Path | None = None
    names: tuple[str, ...] = ()
    way: Direction = Direction.REMOVE
    limit: int | None = None
    shape: Flat[Shape] = field(default=Shape())
    inner: Inner = Inner()


def test_values_of_a_mapping_lie_over_what_was_there() -> None:
    values = {
        "names": "a",
        "way": "insert",
        "limit": "7",
        "factor": "1e-3",
        "inner.depth": "2",
        "inner": {"half": "no"},
    }
    read = structured(Options(names=("x", "y"), limit=3), values, "here")
    assert read == Options(None, ("a",), Direction.INSERT, 7, Shape(factor=1e-3), Inner(2, False))
    assert structured(read, {"limit": "null", "names": ""}, "here") == read, "left out"
    assert structured(Options(), {"sides": ["5", "6"]}, "here").shape.sides == (5, 6)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"nams": "a"}, "here: unknown key nams; valid keys are config, factor, inner, kind, limit, names, sides, way"),
        ({"inner": {"dept": "1"}}, "here: inner: unknown key dept; valid keys are depth, half"),
        ({"inner": "1"}, "here: inner: expected a mapping of depth, half, found '1'"),
        ({"limit": "seven"}, "here: limit: expected int .* None, found 'seven'"),
        ({"limit": ["1", "2"]}, "here: limit: expected int .*, found '1 2'"),
        ({"sides": "5"}, r"here: sides: expected tuple\[int, int\], found '5'"),
        ({"kind": "oval"}, "here: kind: expected one of round, square, found 'oval'"),
        ({"way": "up"}, "here: way: expected one of remove, insert, found 'up'"),
        ({"inner": {"half": "perhaps"}}, "here: inner: half: expected true or false, found 'perhaps'"),
        ({"kind": "square"}, "--kind square: both sides must be the same"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_valid(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        structured(Options(), values, "here")


def test_the_command_line_completes_what_a_settings_file_begins(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("kind: square\nlimit: 7\n")
    read = parse(Options, ["--config", str(file), "--sides", "5", "5"])
    assert read == Options(file, limit=7, shape=Shape((5, 5), "square"))
    with pytest.raises(UserError, match="both sides must be the same"):
        parse(Options, [f"--config={file}"])


def test_a_mapping_lies_over_another_key_by_key() -> None:
    assert merged({"lr-gnet": "1", "compute": {"device": "cpu"}}, {"compute.precision": "fp32"}) == {
        "lr_gnet": "1", "compute": {"device": "cpu", "precision": "fp32"},
    }  # fmt: skip


CAD = CadConfig(resolution="96x96", width=0.05, vgg_weights="none", lr_fnet=1.2345678901e-5, scale=(0.75, 1.0))
GAN = replace(GanConfig(), epochs=(1, 2, 3, 4, 5), stop_rules=False, lr_gnet=1e-7)


@pytest.mark.parametrize(
    "options",
    [
        train_cad.Options(training=replace(CAD, compute=replace(CAD.compute, kernels=False, device="cpu"))),
        train_gan.Options(Path("a folder"), "insert", training=GAN),
        train_gan.Options(training=structured(GanConfig(), {"objective": "lesion", "lesion": {"epochs": "3"}}, "")),
        structured(generate.Options(), {"direction": "insert", "split": ["train", "test"], "allow-train": "yes"}, ""),
        structured(evaluate.Options(), {"controls": "no", "threshold": "0.1", "objective": ["study", "lesion"]}, ""),
        make_shards.Options(Path("x.csv"), resolution=("96x96", "high"), clean_background=True, codec="png"),
        make_shards.Options(Path("x.csv"), fold="2/5", fold_seed=7),
        study.Options(Path("x.csv"), objective=("study", "lesion"), parallel=2),
    ],
    ids=lambda options: type(options).__module__.rpartition(".")[2],
)
def test_the_words_of_options_parse_into_the_same_options(options: Any) -> None:
    words = words_of(options, ("workspace", "split"))
    assert parse(type(options), words) == options
    base = unchecked_defaults(type(options), None)
    assert words_of(base, ()) == [] and any(word.startswith("--") for word in words)
