"""Imports run one way through the rooms of the house, in no circle, and the light ones stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = [
    *("", "io", "statistics", "data", "models", "training", "attack", "evaluation", "reader", "cluster", "study"),
    *("watch", "crossvalidation", "cli"),
]
"""Lowest first; '' is the modules directly in mammogan."""
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "mammogan").rglob("*.py"))
}


def imported(path: Path) -> set[str]:
    """Names of our modules that ``path`` imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] == "mammogan"}


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else ""


def folder(module: str) -> str:
    """The package that a module is in, or is."""
    return module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]


def edges() -> set[tuple[str, str]]:
    """Every import of one of our modules by another. The package itself offers all public names, and is left out."""
    return {
        (module, name)
        for module, path in FILES.items()
        for name in imported(path) & set(FILES)
        if module not in ("mammogan", "mammogan.__main__") and name not in (module, "mammogan")
    }


def test_no_package_imports_a_higher_one() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, name in sorted(edges())
        if ROOMS.index(room(name)) > ROOMS.index(room(module))
    ]
    assert not wrong, wrong


def test_every_package_has_its_place_in_the_list() -> None:
    assert {path.name for path in (ROOT / "mammogan").iterdir() if (path / "__init__.py").is_file()} == set(ROOMS[1:])


def test_no_modules_import_each_other_in_a_circle() -> None:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for module, name in edges():
        if not (FILES[name].name == "__init__.py" and module.startswith(f"{name}.")):
            sorter.add(module, name)
    sorter.prepare()  # raises CycleError, which names the circle


def test_subpackages_of_one_package_import_each_other_one_way() -> None:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for module, name in edges():
        own, other = folder(module), folder(name)
        if own != other and own.rpartition(".")[0] == other.rpartition(".")[0] != "mammogan":
            sorter.add(own, other)
    sorter.prepare()


def test_only_the_cluster_package_imports_submitit() -> None:
    users = [
        p.relative_to(ROOT)
        for folder in ("mammogan", "launch", "shards")
        for p in (ROOT / folder).rglob("*.py")
        if "import submitit" in p.read_text(encoding="utf-8")
    ]
    assert users and all(u.parts[:2] == ("mammogan", "cluster") for u in users), users


def heavy_after(program: str) -> str:
    """Which of the heavy packages are imported once ``program`` has run."""
    heavy = "{'torch', 'numpy', 'scipy', 'statsmodels', 'pydicom', 'rich', 'matplotlib'}"
    program = f"{program}\nimport sys\nprint(sorted({heavy} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_settings_and_input_checks_import_nothing_heavy() -> None:
    light = "mammogan.config, mammogan.workspace, mammogan.io.atomic, mammogan.io.terminal, mammogan.io.provenance"
    assert heavy_after(f"import {light}, mammogan.training.run.preflight") == "[]"


def test_the_package_offers_its_public_names_and_imports_nothing_heavy_for_it() -> None:
    program = "import mammogan; assert {'load_cad', 'Workspace'} <= set(dir(mammogan)); mammogan.Workspace"
    assert heavy_after(program) == "[]"


def test_every_public_name_is_there() -> None:
    import mammogan

    assert all(getattr(mammogan, name) is not None for name in mammogan.__all__)


def test_an_unknown_name_is_answered_with_the_public_ones() -> None:
    import mammogan

    try:
        mammogan.no_such_name  # noqa: B018
    except AttributeError as error:
        assert "no attribute 'no_such_name'" in str(error) and "load_generator" in str(error)
    else:
        raise AssertionError("expected an AttributeError")
