"""Imports run one way through the rooms of the house, and the light ones stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ["", "data", "models", "training", "attack", "cluster"]
"""Lowest first; '' is the modules directly in mammogan."""


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


def test_no_room_imports_a_higher_one() -> None:
    wrong = []
    for path in sorted((ROOT / "mammogan").rglob("*.py")):
        own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
        wrong += [
            f"{path.relative_to(ROOT)} imports {name}"
            for name in imported(path)
            if ROOMS.index(room(name)) > ROOMS.index(own)
        ]
    assert not wrong, wrong


def test_submitit_is_known_to_the_cluster_room_alone() -> None:
    users = [
        p.relative_to(ROOT)
        for folder in ("mammogan", "launch", "shards")
        for p in (ROOT / folder).rglob("*.py")
        if "import submitit" in p.read_text(encoding="utf-8")
    ]
    assert users and all(u.parts[:2] == ("mammogan", "cluster") for u in users), users


def test_settings_and_input_checks_import_nothing_heavy() -> None:
    program = (
        "import mammogan.config, mammogan.files, mammogan.terminal, mammogan.provenance, mammogan.training.inputs, sys;"
        "print(sorted({'torch', 'numpy', 'scipy', 'pydicom', 'rich', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
