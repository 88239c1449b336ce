"""Explains why sbatch refused a job: its own words, and what to request instead at this site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mammogan.cluster.slurm.commands import accounts, limits, partitions
from mammogan.cluster.slurm.profile import ClusterConfig


@dataclass(frozen=True)
class Advice:
    """What to do about a refusal that contains one of ``words``, in lower case; the first match is given."""

    words: tuple[str, ...]
    text: str
    shows: Callable[[], str]
    """Returns what the site offers, one item per line; empty where SLURM does not answer."""


ADVICE = (
    Advice(
        ("accounting/qos policy", "maxsubmit", "maxwall", "maxgres", "maxtres", "maxcpu", "maxnode", "maxmem", "grp"),
        "a limit of your account or QOS is reached: jobs submitted at once (--tasks N makes arrays shorter), time "
        "(--time), or size (--nodes, --gpus-per-node, --cpus-per-task, --mem-gb); the limits are",
        limits,
    ),
    Advice(("partition name", "invalid partition"), "--partition must be one of these", partitions),
    Advice(
        ("account",),
        "--account and --partition must go together, and without --account SLURM takes your default one; yours are",
        accounts,
    ),
    Advice(
        ("node count", "node configuration", "processors", "memory", "cpu count"), "the partitions have", partitions
    ),
    Advice(("time limit",), "--time is more than the partition allows; the partitions are", partitions),
    Advice(("qos",), "--qos must be one that your account may use; yours are", accounts),
    Advice(("feature",), "--constraint must be a feature that nodes have; the partitions are", partitions),
)


def refusal(name: str, said: str, config: ClusterConfig) -> str:
    """Return a message for a job that sbatch refused: its words, what was requested, what there is."""
    lines = [f"sbatch refused {name}: {in_one_line(said)}", f"requested: {_requests(config)}"]
    advice = next((advice for advice in ADVICE if any(word in said.lower() for word in advice.words)), None)
    if advice and (found := advice.shows()):
        lines += [f"{advice.text}:", *(f"  {line}" for line in found.splitlines())]
    return "\n".join(lines)


def in_one_line(said: str) -> str:
    """Return what sbatch has said, without its own name before each line."""
    return "; ".join(line for text in said.splitlines() if (line := text.removeprefix("sbatch: error: ").strip()))


def _requests(config: ClusterConfig) -> str:
    """Return the job's requests in words."""
    each = f"{config.ranks_per_node} {'CPU rank' if config.on_cpu else 'GPU'}(s) and"
    size = f"{config.nodes} node(s) with {each} {config.cpus_per_task} core(s) for each"
    memory = [f"{config.mem_gb:g} GB a node"] if config.mem_gb else []
    named = [(key, getattr(config, key)) for key in ("partition", "account", "qos", "constraint", "gres")]
    return ", ".join([size, *memory, config.time, *(f"{key} {value}" for key, value in named if value)])
