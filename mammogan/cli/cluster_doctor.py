"""Check a cluster with a job of two minutes that is as large as your trainings, and say what to write into the profile.

    mammogan cluster-doctor --profile slurm/mine.yaml --nodes 2
    mammogan cluster-doctor --cluster local

Its ranks check, on their nodes: the shared folder, names and loopback addresses, cores, /dev/shm, the length of TMPDIR,
the right to requeue, GPU and driver, and that they meet through gloo and NCCL. The exit code is 1 if one is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from mammogan.cluster.doctor import CHECKS, Examination, Finding, findings
from mammogan.cluster.job import Job
from mammogan.cluster.launch import launch
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.errors import UserError
from mammogan.io.options import Grouped, run
from mammogan.io.terminal import say
from mammogan.left_by_others import ours_in
from mammogan.watch.log_errors import last_error
from mammogan.workspace import Workspace

MINUTES = "2"


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder of the study; the findings are written to its study/cluster-doctor/."""
    cluster: Grouped[ClusterConfig] = field(default=ClusterConfig())


def execute(options: Options) -> int:
    """Run the checks where trainings would run, and print what they found."""
    config = replace(options.cluster, time=MINUTES, signal_seconds=None, max_requeues=0, wait=True)
    folder = (Workspace(options.workspace).root / "study" / "cluster-doctor").absolute()
    ranks = config.nodes * config.ranks_per_node
    for file in ours_in(folder, "rank-*.json"):
        file.unlink()
    job = Job("doctor", Examination(folder, config), folder, folder / "rank-0.json", pairs=ranks)
    failed = launch([job], config)
    return failed if config.dry_run else tell(findings(folder), folder)


def tell(found: Mapping[int, Sequence[Finding]], folder: Path) -> int:
    """Print each check with what is wrong, or with what the first rank found; return 1 if something is wrong."""
    if not found:
        logs = sorted(folder.glob("submit/*/*_log.out"), key=lambda log: log.stat().st_mtime)[-1:]
        remedy = REMEDIES.get(next((sign for sign in REMEDIES if sign in _text(logs)), ""), "")
        raise UserError(
            f"no rank began its work: {last_error(logs) or 'there is no error in its log'}. {remedy}\n  log  "
            f"{logs[0] if logs else 'none: does the node see the workspace, under the same path?'}"
        )
    width, wrong = max(map(len, CHECKS)), False
    for name in CHECKS:
        of_check = {rank: finding for rank, all_of in found.items() for finding in all_of if finding.check == name}
        unsound = [finding for finding in of_check.values() if not finding.is_sound]
        wrong = wrong or bool(unsound)
        for finding in dict.fromkeys(unsound or [*of_check.values()][:1]):
            say(f"{name:<{width}}  {'ok   ' if finding.is_sound else 'WRONG'}  {finding.found}")
            if not finding.is_sound:
                ranks = [str(rank) for rank, same in of_check.items() if same == finding]
                say(f"{'':<{width}}         on rank {', '.join(ranks)}; in the profile: {finding.remedy}")
    return int(wrong)


REMEDIES = {
    "execve()": "If jobs begin without your environment here, add to the profile: setup: [unset SLURM_EXPORT_ENV]",
    "No module named": "Use a Python environment on a folder that all nodes share; a PYTHONPATH belongs into setup.",
    "not on this node": "Use a folder that all nodes share.",
}
"""By a part of the log of a job that never began its work."""


def _text(logs: Sequence[Path]) -> str:
    return "".join(log.read_text(errors="replace") for log in logs)


def main() -> NoReturn:
    run(Options, execute, __doc__)
