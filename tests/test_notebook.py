"""The notebook for newcomers runs from its first cell to its last, and fits what make demo leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from conftest import ROOT, SMALL
from generators import save_cad, save_gnet

from mammogan.cli.demo import Options
from mammogan.data.phantom.plan import plan_cohort
from mammogan.data.phantom.settings import PhantomConfig
from mammogan.workspace import Direction, Resolution, Workspace

NOTEBOOK = ROOT / "notebooks" / "attack_one_mammogram.ipynb"
PATHS = "parameters"
"""Tag of the cell that a user changes."""


def code_cells() -> list[dict[str, Any]]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def execute(own_paths: str) -> dict[str, Any]:
    """Run all code cells in one namespace, the cell of paths replaced; return the namespace."""
    namespace: dict[str, Any] = {}
    for cell in code_cells():
        source = own_paths if PATHS in cell["metadata"].get("tags", ()) else "".join(cell["source"])
        exec(compile(source, NOTEBOOK.name, "exec"), namespace)
    return namespace


def paths_of_the_demo() -> dict[str, Any]:
    """The values that the cell of paths sets."""
    (cell,) = (cell for cell in code_cells() if PATHS in cell["metadata"].get("tags", ()))
    namespace: dict[str, Any] = {}
    exec("".join(cell["source"]), namespace)
    return namespace


def an_untrained_study(root: Path, phantom: Path) -> str:
    """Save small untrained networks as a study would; return a cell of paths for them and for one phantom."""
    workspace = Workspace(root, "lesion")
    save_cad(workspace, SMALL)
    save_gnet(workspace, SMALL, Direction.REMOVE)
    file = min((phantom / "masks").glob("*.png")).stem
    return (
        f"from pathlib import Path\nWORKSPACE = Path({str(root)!r})\n"
        f"RESOLUTION, OBJECTIVE = {str(SMALL)!r}, '-lesion'\n"
        f"DICOM = Path({str(phantom / 'dicom' / file)!r} + '.dcm')\n"
    )


def test_it_reads_attacks_and_draws_a_phantom(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plt.close("all")
    found = execute(an_untrained_study(tmp_path, phantom))
    said = capsys.readouterr().out
    assert f"probability of cancer: {found['before']:.1%} before, {found['after']:.1%} after" in said
    titles = [axes.get_title().splitlines()[0] for axes in plt.gcf().axes[:3]]
    assert titles == ["original", "adversarial (synthetic)", "difference"]
    original, adversarial, difference = (axes.images[0] for axes in plt.gcf().axes[:3])
    assert original.get_array().shape == (SMALL.height, SMALL.width)
    expected = 100 * (np.asarray(adversarial.get_array()) - np.asarray(original.get_array()))
    assert np.allclose(difference.get_array(), expected) and np.ptp(expected) > 0
    assert difference.norm.vmin == -difference.norm.vmax == pytest.approx(-abs(expected).max())
    plt.close("all")


def test_its_paths_are_those_that_the_demo_leaves() -> None:
    paths, demo = paths_of_the_demo(), Options()
    workspace = Workspace(demo.workspace, "lesion")
    size = Resolution.parse(paths["RESOLUTION"])
    assert paths["RESOLUTION"] == demo.size and paths["WORKSPACE"] == Path("..") / demo.workspace
    assert f"gan-{size}-remove{paths['OBJECTIVE']}" == workspace.gan_run(size, Direction.REMOVE).name
    config = PhantomConfig(demo.patients, demo.seed, size.height, size.width, "demo", twins=True)
    positives = {
        image.name for patient in plan_cohort(config) if patient.label == "positive" for image in patient.images
    }
    assert paths["DICOM"].stem in positives and paths["DICOM"].parent == paths["WORKSPACE"] / "phantoms" / "dicom"


def test_it_is_committed_without_outputs_and_says_what_its_images_are() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells())
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    text = " ".join("".join(cell["source"]) for cell in cells).replace("\n", " ")
    assert "Phantoms are no patients" in text and "The adversarial mammogram is synthetic" in text
