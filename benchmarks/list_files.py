"""Write the list at the end of docs/structure.md: every file of the package, by the first sentence of its docstring.

python benchmarks/list_files.py             print it
python benchmarks/list_files.py --write     replace that in docs/structure.md
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from marked_figures import begins, show

from mammogan.errors import UserError
from mammogan.io.options import run
from mammogan.io.terminal import say

BEGIN = begins("python benchmarks/list_files.py --write")
PACKAGE = ROOT / "mammogan"
ROOM = re.compile(r"^\| `([\w/]+/)` \|", re.MULTILINE)
"""A row of the page's table of rooms."""
SENTENCE = re.compile(r".*?(?<!\bEq)[.?!](?=\s+[A-Z]|$)")
"""A sentence, which ends where another one begins: not at 0.5, nor at "et al. 2020" or "Eq. L3"."""


@dataclass(frozen=True)
class Options:
    page: Path = ROOT / "docs" / "structure.md"
    write: bool = False
    """Replace the list on the page."""


def main(options: Options) -> None:
    text = list_of_files(options.page)
    say(text)
    if options.write:
        show(options.page, BEGIN, text)


def list_of_files(page: Path) -> str:
    """Return the list as Markdown, in the order of the page's table of rooms.

    Raise UserError for a file in no room of that table.
    """
    rooms = ["", *ROOM.findall(page.read_text(encoding="utf-8"))]
    files: dict[str, list[str]] = {room: [] for room in rooms}
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js")]):
        if not _is_heading(path):
            name = path.relative_to(PACKAGE).as_posix()
            room = max((room for room in rooms if name.startswith(room)), key=len)
            files[room].append(f"- `{name}`: {first_sentence(path)}")
    if stray := [line for line in files[""] if "/" in line.partition("`:")[0]]:
        raise UserError(f"{page}: expected a row of the table of rooms for every folder, found none for {stray}")
    return "\n\n".join(_room(room, lines) for room, lines in files.items())


def first_sentence(path: Path) -> str:
    """Return the first sentence that a file says of itself, as Markdown; raise UserError if there is none."""
    paragraph = " ".join(_opening(path).partition("\n\n")[0].split())
    if not paragraph:
        raise UserError(f"{path}: expected to begin with a sentence that says what is in this file, found none")
    sentence = found[0] if (found := SENTENCE.match(paragraph)) else paragraph
    return sentence.replace("``", "`").replace("<", "&lt;")


def _room(room: str, lines: Sequence[str]) -> str:
    heading, body = first_sentence(PACKAGE / room / "__init__.py"), "\n".join(lines)
    return f"<details><summary><b>{room or 'mammogan/'}</b> {heading}</summary>\n\n{body}\n\n</details>"


def _is_heading(path: Path) -> bool:
    """Return whether a file only opens a package, whose docstring stands beside the name of its room."""
    return path.name == "__init__.py" and len(ast.parse(path.read_text(encoding="utf-8")).body) == 1


def _opening(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return ast.get_docstring(ast.parse(text)) or ""
    comment = takewhile(lambda line: line.startswith("//"), text.splitlines())
    return "\n".join(line.removeprefix("//").strip() for line in comment)


if __name__ == "__main__":
    run(Options, main, __doc__, files=())
