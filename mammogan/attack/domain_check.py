"""Check that the models were trained on these mammograms, and that the generators were trained against this CAD.

If not, results are still possible, but must be labelled as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mammogan.data.shards.index import ShardIndex
from mammogan.errors import UserError
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say
from mammogan.training.run.run_folder import Run

ASKED = ("attacked_cad_sha256", "choosing_cad_sha256")
"""Names, in what an adversarial shard was made from, of the CAD that was asked while it was made."""


def check_domain(
    models: Iterable[tuple[str, str | None]],
    shards: ShardIndex,
    out_of_domain: str,
    origin_unknown: Sequence[str] = (),
) -> None:
    """Raise UserError if a model was trained on other shards than these and ``out_of_domain`` is empty, or if it is not
    known what it was trained on and it is not among ``origin_unknown``.

    ``models`` gives each model's name and the fingerprint of the shards it was trained on; None: not known. A model of
    before the cohort grew is accepted: it has seen none of the validation and test mammograms, whoever was added.
    """
    found = shards.fingerprint
    for model, trained_on in models:
        if trained_on is None:
            if model not in origin_unknown:
                raise _unknown(model)
            continue
        added = shards.added_since(trained_on)
        if added:
            say(f"note: {model} was trained before {sum(a.mammograms for a in added)} mammograms were added")
        if not out_of_domain and added is None:
            raise UserError(
                f"{model} was trained on other mammograms than those in {shards.folder}: its shards have "
                f"the fingerprint {str(trained_on)[:12]}, these {found[:12]}. Remove its run folder and train it "
                "again, or give --models the workspace whose runs/ were trained on these. To use it anyway, say how "
                'the mammograms differ, as in --out-of-domain "film, models from phantoms"'
            )


def _unknown(model: str) -> UserError:
    if ":" in model:
        return UserError(
            f"{model} is of unknown origin: nothing says what it, or the CAD that it attacks, was trained on, which "
            "may have been these very mammograms. To use it all the same, name it: --origin-unknown "
            f"{shell_word(model)}"
        )
    return UserError(
        f"{model} is of unknown origin: neither its weights nor a config.yaml in its run folder say what it was "
        "trained on, which may have been these very mammograms. Bring config.yaml back, or train it again; to use it "
        f"all the same, name it: --origin-unknown {shell_word(model)}"
    )


def notice_of_another_cad(generators: Iterable[Path], cad_sha256: str) -> str:
    """Return a notice if any of the generators (given by their run folders) was trained against another CAD; otherwise
    "".

    A run that does not record its CAD is accepted.
    """
    other = sorted(run.name for run in generators if _trained_against(run) not in (cad_sha256, None))
    if not other:
        return ""
    return (
        f"The generators were trained against another state of this CAD ({', '.join(other)}), which happens when it is "
        "trained further afterwards: the figures show how well they fool a CAD that they did not learn from. Remove "
        "their run folders and train them again for figures of an attack on this one."
    )


def notice_of_another_asked_cad(entries: Iterable[Mapping[str, Any]], cad_sha256: str) -> str:
    """Return a notice if adversarial shards, given by their entries, were made by asking another CAD: an attack of
    one's own attacked it, or it chose among the tries of an insertion; otherwise ""."""
    asked = {str(entry["made_from"].get(name, "")) for entry in entries for name in ASKED}
    if not (other := sorted(asked - {"", cad_sha256})):
        return ""
    return (
        f"The adversarial mammograms were made by asking another CAD (sha256 {', '.join(one[:12] for one in other)}) "
        f"than this one ({cad_sha256[:12]}): the figures show how well an attack on that one carries over. Repeat "
        "mammogan generate with this CAD for figures of an attack on it."
    )


def _trained_against(run: Path) -> str | None:
    return Run(run).cad_sha256
