"""Damage one file of a tiny workspace at random, run a command, and see that it says so or gives the right result.

    python tests/corruption/corrupt.py --instants 200 --seed 1

A command on a damaged workspace must end with an error message and a code other than 0, without a traceback, or with
the very result that it has on the undamaged one. Everything is drawn from the seed. Damaged is what a file holds, or
what stands in its place: a folder, a broken link, a file that may not be read. Root may read all; to try that too:

    setpriv --bounding-set=-dac_override,-dac_read_search python tests/corruption/corrupt.py
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("MPLBACKEND", "agg")

import torch
from evaluated_folds import folds
from generators import save_all
from in_place_of_a_file import IN_PLACE, UNREADABLE, put_in_place, reads_all

from mammogan.cli import main as front_door
from mammogan.io.atomic import sha256
from mammogan.io.records import FORMAT, SEAL
from mammogan.training.run.checkpoint import load
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)
TINY = ("--width", "0.05", "--compute.device", "cpu", "--compute.loader-workers", "0", "--compute.no-tensorboard")
CAD = (*TINY, "--vgg-weights", "none", "--pairs", "2", "--epoch-batches", "2", "--fnet-epochs", "0")
GAN = (*TINY, "--pairs", "2", "--epoch-batches", "2", "--no-stop-rules", "--allow-weak-cad", "--direction", "remove")
PHANTOM = ("--patients", "16", "--seed", "1", "--size", "96x96", "--preset", "demo", "--twins", "--jobs", "1")
CHECK, CHECKED = "check-shards", ("shards", "adversarial", "scores")
FOOLED = (4, 2)
"""How many cancers are hidden in each fold that is pooled; these folds have reports and no networks."""
ANOTHER_TYPE, OF_EVERY_TYPE = "another type of", ("text", 7, 7.5, True, None, [], [7], {}, {"a": 7})
OF_THIS_MACHINE = ("--cluster", "none")


@dataclass(frozen=True)
class Step:
    """One command, what is deleted before it so that it has something to do, and what of its result counts."""

    name: str
    words: Sequence[str]
    afresh: Sequence[str] = ()
    result: Callable[[Path, str], Any] = lambda root, said: None


def steps(root: Path, trained: bool) -> list[Step]:
    """All commands that read a finished workspace."""
    cohort, work = str(root / "phantom/labels.csv"), str(root / "work")
    at = ("--workspace", work)
    score = ("evaluate", *at, *OF_THIS_MACHINE, "--device", "cpu", "--bootstrap", "100", "--examples", "1")
    alter = ("generate", *at, *OF_THIS_MACHINE, "--device", "cpu")
    folds = [str(root / f"folds/fold-{number + 1}") for number in range(len(FOOLED))]
    shards = ("make-shards", "--cohort", cohort, *at, "--resolution", "96x96", "--jobs", "1")
    found = [
        Step("make-shards", shards, (), shards_of),
        Step(CHECK, ("check-shards", *at, "--no-contact")),
        Step("preview", ("preview", *at, "--shard", "test-positive-000000"), ()),
        Step("generate", alter, (), altered_of),
        Step("generate afresh", (*alter, "--dicom"), ("work/adversarial",), altered_of),
        Step("evaluate", score, (), table_of),
        Step("evaluate afresh", score, ("work/scores",), table_of),
        Step("watch", ("watch", *at)),
        Step("make-phantom", ("make-phantom", "--out", str(root / "phantom"), *PHANTOM)),
        Step("pool-folds", ("pool-folds", *folds, "--out", str(root / "pooled")), (), pooled_of),
    ]
    if trained:
        found += [
            Step("train-cad", ("train-cad", *at, *OF_THIS_MACHINE, "--resolution", "96x96", *CAD, "--epochs", "2"),
                 ("work/runs/cad-96x96/done.json",), lambda root, said: weights_of(root, "cad-96x96")),
            Step("train-gan", ("train-gan", *at, *OF_THIS_MACHINE, "--resolution", "96x96", *GAN,
                               "--epochs", "2", "1", "0", "0", "0"),
                 ("work/runs/gan-96x96-remove/done.json",), lambda root, said: weights_of(root, "gan-96x96-remove")),
        ]  # fmt: skip
    return found


def build(root: Path, trained: bool) -> None:
    """Make phantoms, shards, networks (random, or trained for two batches), adversarial mammograms, and a report."""
    must(("make-phantom", "--out", str(root / "phantom"), *PHANTOM))
    commands = {step.name: step.words for step in steps(root, trained)}
    must(commands["make-shards"])
    save_all(Workspace(root / "work"), SIZE)
    if trained:
        shutil.rmtree(root / "work/runs/cad-96x96")
        shutil.rmtree(root / "work/runs/gan-96x96-remove")
        must([*commands["train-cad"][:-1], "1"])
        must([*commands["train-gan"][:-5], "1", "1", "0", "0", "0"])
    must(commands["generate afresh"])
    must(commands["evaluate"])
    folds(root / "folds", *FOOLED, sizes=(6, 4))


def must(words: Sequence[str]) -> None:
    code, said, trace = command(words)
    assert code == 0 and not trace, f"{' '.join(words)}: {code}\n{said}\n{trace}"


def command(words: Sequence[str]) -> tuple[int, str, str]:
    """Run a command in this process; its exit code, what it printed, and its traceback if it has one."""
    said, before = io.StringIO(), sys.argv
    sys.argv = ["mammogan", *words]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            front_door.main()
    except SystemExit as end:
        return int(end.code or 0), said.getvalue(), ""
    except BaseException:
        return -1, said.getvalue(), traceback.format_exc()
    finally:
        sys.argv = before


def shards_of(root: Path, said: str) -> Any:
    folder = root / "work/shards/96x96"
    listed = json.loads((folder / "index.json").read_text())
    return [{tar.name: sha256(tar) for tar in sorted(folder.glob("*.tar"))}, listed["shards"], listed["counts"]]


def altered_of(root: Path, said: str) -> Any:
    folder = root / "work/adversarial/96x96"
    listed = json.loads((folder / "index.json").read_text())["shards"]
    return [{tar.name: sha256(tar) for tar in sorted(folder.glob("*.tar"))}, listed]


def table_of(root: Path, said: str) -> Any:
    table = json.loads((root / "work/report/table1.json").read_text())
    columns = {
        name: {key: value for key, value in column.items() if key != "provenance"}
        for name, column in table["resolutions"].items()
    }
    return [columns, (root / "work/report/predictions.csv").read_text()]


def pooled_of(root: Path, said: str) -> Any:
    pooled = json.loads((root / "pooled/pooled.json").read_text())
    return [pooled["columns"], (root / "pooled/pooled.csv").read_text()]


def weights_of(root: Path, run: str) -> Any:
    state = torch.load(root / "work/runs" / run / "checkpoints/newest.pt", weights_only=True)
    network = state.get("cad") or state["gnet"]
    return {name: value.tolist() for name, value in network.items()}, state["epoch"]


READERS = {
    "shards": ("make-shards", CHECK, "preview", "generate afresh", "evaluate afresh", "train-cad", "train-gan"),
    "runs": ("train-cad", "train-gan", "generate", "generate afresh", "evaluate", "evaluate afresh", "watch"),
    "adversarial": (CHECK, "generate", "evaluate", "evaluate afresh", "watch"),
    "scores": (CHECK, "evaluate", "watch"),
    "report": ("evaluate", "watch"),
    "private": ("make-shards", "preview", "watch"),
    "cohort.csv": ("make-shards", "generate", "evaluate afresh", "watch"),
    "folds": ("pool-folds",),
    "phantom": ("make-phantom", "make-shards", "evaluate afresh"),
}
"""Commands that read something of each folder; any of them may meet the damage."""
OWN = (".json", ".yaml", ".jsonl", ".csv", ".tar", ".pt", ".dcm", "salt")
NOT_READ = ("table1.csv", "table1.json", "quarantine.csv", "status.json")
"""Results for people, which no command reads."""


def files(root: Path) -> list[Path]:
    """All files of a workspace that commands read: records, shards, checkpoints, tables; not the scanner's files, and
    not the tables of the folds, whose cells are believed."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and path.name.endswith(OWN) and path.name not in NOT_READ
        and not path.is_relative_to(root / "phantom/dicom") and not path.is_relative_to(root / "phantom/twins")
        and not path.match("folds/*/cohort.csv")
    )  # fmt: skip


def damages(
    path: Path, content: bytes, others: Sequence[bytes], draw: random.Random
) -> Iterator[tuple[str, bytes | None]]:
    """Yield every kind of damage once, at a place drawn at random, with what the file holds then; None: something else
    stands in its place."""
    yield from ((what, None) for what in IN_PLACE if what != UNREADABLE or not reads_all())
    place, size = draw.randrange(max(1, len(content))), len(content)
    flipped = bytearray(content)
    flipped[place] ^= 1 << draw.randrange(8)
    yield f"one bit at {place}", bytes(flipped)
    yield f"cut at {place}", content[:place]
    yield f"zeros at {place}", content[:place] + bytes(min(64, size - place)) + content[place + 64 :]
    yield f"8 bytes at {place}", content[:place] + draw.randbytes(min(8, size - place)) + content[place + 8 :]
    yield "emptied", b""
    yield "something appended", content + draw.randbytes(20)
    if others:
        yield "another file of the kind", draw.choice(list(others))
    if path.suffix in (".json", ".yaml", ".jsonl", ".csv"):
        for text in (b"null", b"[]", b"{}", b'"text"', b"7"):
            yield f"only {text.decode()}", text
        digits = [n for n, byte in enumerate(content) if 48 <= byte < 57]
        if digits:
            at = draw.choice(digits)
            yield f"another digit at {at}", content[:at] + bytes([content[at] + 1]) + content[at + 1 :]
        if path.suffix == ".json" and (changed := _field_of_another_type(content, draw)):
            yield changed
        lines = content.splitlines(keepends=True)
        gone = draw.randrange(len(lines)) if lines else 0
        yield f"without line {gone + 1}", b"".join(lines[:gone] + lines[gone + 1 :])


def _field_of_another_type(content: bytes, draw: random.Random) -> tuple[str, bytes] | None:
    """Give one field of a record, drawn at random, a value of another type; without a checksum, as earlier versions
    wrote it, so that the types alone can tell."""
    values = {name: value for name, value in json.loads(content).items() if name not in (SEAL, FORMAT)}
    places = list(_places(values))
    if not places:
        return None
    held, key = draw.choice(places)
    was = held[key]
    held[key] = draw.choice([other for other in OF_EVERY_TYPE if type(other) is not type(was)])
    return f"{ANOTHER_TYPE} {key}: {held[key]!r}", json.dumps(values, indent=1).encode()


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all fields within a value: what holds each, and its key there."""
    parts = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, _ in parts:
        yield values, key
        yield from _places(values[key])


def _may_be_exchanged(other: Path, path: Path) -> bool:
    """Whether one file in the other's place is damage, such as an earlier checkpoint of the same training."""
    return other.suffix == path.suffix and other.read_bytes() != path.read_bytes()


def _means_the_same(damaged: bytes, sound: Path) -> bool:
    return bool(json.loads(damaged) == json.loads(sound.read_bytes()))


def _is_the_same_network(damaged: Path, sound: Path) -> bool:
    """Whether only what reading does not use has changed, as padding: results are the same but for the file's hash."""
    before, now = load(sound), load(damaged)
    return before.keys() == now.keys() and all(
        all(torch.equal(weight, now[name][key]) for key, weight in part.items())
        if isinstance(part, dict) and all(isinstance(weight, torch.Tensor) for weight in part.values())
        else str(part) == str(now[name])
        for name, part in before.items()
    )


def _area(path: Path) -> str:
    """The part of a workspace that a file belongs to."""
    return path.parts[1] if path.parts[0] == "work" else path.parts[0]


@dataclass(frozen=True)
class Outcome:
    """What became of one damage."""

    verdict: str
    """right, refused, TRACEBACK or WRONG."""
    told: str
    said: str


class Corruptions:
    """Draws damages of a workspace from a seed, and judges what commands make of them."""

    def __init__(self, sound: Path, scratch: Path, trained: bool, seed: int) -> None:
        self.sound, self.root, self.trained, self.draw = sound, scratch / "damaged", trained, random.Random(seed)
        self.expected: dict[str, Any] = {}

    def outcomes(self, instants: int) -> Iterator[Outcome]:
        choices = files(self.sound)
        groups: dict[tuple[str, ...], list[Path]] = {}
        for path in choices:
            groups.setdefault((_area(path.relative_to(self.sound)), path.parent.name, path.suffix), []).append(path)
        for _ in range(instants):
            path = self.draw.choice(groups[self.draw.choice(sorted(groups))])
            readers = READERS[_area(path.relative_to(self.sound))]
            step = self.draw.choice([step for step in steps(self.root, self.trained) if step.name in readers])
            content = path.read_bytes()
            alike = [o.read_bytes() for o in choices if _may_be_exchanged(o, path)]
            changing = [
                one for one in damages(path, content, alike, self.draw) if one[1] != content
            ]  # zeros may be there
            what, damaged = self.draw.choice(changing)
            yield self.judge(step, path.relative_to(self.sound), what, damaged)

    def judge(self, step: Step, path: Path, what: str, damaged: bytes | None) -> Outcome:
        if step.name not in self.expected:
            self._fresh(step)
            must(step.words)
            self.expected[step.name] = step.result(self.root, "")
        self._fresh(step)
        if not (self.root / path).is_file():
            return Outcome("right", f"{step.name}: {path}: deleted before", "")
        self._damage(self.root / path, what, damaged)
        code, said, trace = command(step.words)
        told = f"{step.name}: {path}: {what}"
        if trace:
            return Outcome("TRACEBACK", told, said + trace)
        if code:
            return Outcome("refused" if "Traceback" not in said else "TRACEBACK", told, said)
        try:
            same = step.result(self.root, said) == self.expected[step.name]
            if step.name == CHECK and path.parts[1] in CHECKED:  # it exists to find this
                same = path.suffix == ".json" and damaged is not None and _means_the_same(damaged, self.sound / path)
            same = same or (path.suffix == ".pt" and _is_the_same_network(self.root / path, self.sound / path))
            same = same or what.startswith(ANOTHER_TYPE)  # nothing may read it; only a traceback is a fault
            same = same or (path.suffix == ".jsonl" and "cannot be read, so it is not known" in said)  # and says so
        except (OSError, ValueError, KeyError) as error:
            return Outcome("WRONG", told, f"{said}\nits result cannot be read: {error!r}")
        return Outcome("right" if same else "WRONG", told, said)

    def _damage(self, path: Path, what: str, damaged: bytes | None) -> None:
        if damaged is None:
            put_in_place(path, what)
            return
        mode = path.stat().st_mode
        path.unlink()
        path.write_bytes(damaged)
        path.chmod(mode)

    def _fresh(self, step: Step) -> None:
        if self.root.exists():
            shutil.rmtree(self.root)
        shutil.copytree(self.sound, self.root, symlinks=True)
        for name in step.afresh:
            path = self.root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def run(folder: Path, instants: int, seed: int, trained: bool, verbose: bool = False) -> list[Outcome]:
    """Build a workspace in ``folder``, damage copies of it, and return all outcomes."""
    # The paths in the workspace's table must hold in its copies, so it is built where the copies will be.
    sound, built = folder / "sound", folder / "damaged"
    build(built, trained)
    built.rename(sound)
    corruptions, found = Corruptions(sound, folder, trained, seed), []
    for outcome in corruptions.outcomes(instants):
        found.append(outcome)
        if verbose:
            print(f"{len(found):4d} {outcome.verdict:<10}{outcome.told}", flush=True)
            if outcome.verdict.isupper():
                print(outcome.said[-3000:], flush=True)
    return found


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--instants", type=int, default=200)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), given.instants, given.seed, trained=True, verbose=True)
    print(Counter(outcome.verdict for outcome in found), f"{time.monotonic() - began:.0f} s")
    return int(any(outcome.verdict.isupper() for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
