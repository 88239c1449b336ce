"""Where work runs and what it asks a cluster for: options, YAML profiles over their defaults, the text SLURM gets."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mammogan.config import UserError

SIGNAL_SECONDS = 180
"""Before the time limit, for the end of the batch, saving, and the way back to the queue."""
JOB_NAME = "mammogan-{name}"


@dataclass(frozen=True)
class ClusterConfig:
    """Where a stage runs; most options are sbatch's own."""

    cluster: Literal["auto", "none", "local", "slurm"] = "auto"
    """none: this process (joins torchrun's ranks). local: a process per rank on this machine. slurm: a submitted job.
    auto: slurm where it answers, else this machine."""
    profile: Path | None = None
    """YAML file with values for the options from --cluster on, such as slurm/example.yaml."""
    nodes: int = 1
    gpus_per_node: int | None = None
    """GPUs, each with one rank. Left out: 1 on SLURM; here, as many of those visible as can share the batch."""
    cpu_ranks: int | None = None
    """Ranks per node that compute on CPU cores instead of GPUs."""
    cpus_per_task: int = 4
    """CPU cores for each rank, its loader workers included (SLURM)."""
    mem_gb: float | None = None
    """Memory of a node; the cluster's default when left out."""
    time: str = "1-00:00:00"
    """Limit as sbatch writes it: minutes, H:MM:SS or D-HH:MM:SS. A training goes on after it, see --max-requeues."""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    nodelist: str | None = None
    exclude: str | None = None
    gres: str | None = None
    """For sites that want GPUs as gpu:TYPE:N; takes the place of --gpus-per-node."""
    comment: str | None = None
    mail_user: str | None = None
    mail_type: str | None = None
    dependency: str | None = None
    """Such as afterok:1234."""
    sbatch: tuple[str, ...] = ()
    """Further sbatch options as KEY=VALUE or KEY, such as licenses=disk exclusive."""
    setup: tuple[str, ...] = ()
    """Shell lines before the work, such as "module load cuda"; one that fails ends the job."""
    max_requeues: int = 30
    """How often a training that met its time limit goes back to the queue."""
    signal_seconds: int | None = None
    """How long before the time limit a training saves, at the end of its batch, and goes back to the queue; 180, or a
    sixth of a short limit. What pre-empts it says itself how long it waits (GraceTime)."""
    dry_run: bool = False
    """Print what sbatch would get and submit nothing."""
    wait: bool = False
    """Return when the submitted jobs have ended, with an exit code that tells how."""

    def __post_init__(self) -> None:
        for name in ("nodes", "cpus_per_task", "cpu_ranks"):
            if (getattr(self, name) or 1) < 1 or getattr(self, name) == 0:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected 1 or more")
        if self.cpu_ranks and (self.gpus_per_node or self.gres):
            raise UserError("--cpu-ranks computes on CPU cores: leave out --gpus-per-node and --gres")
        minutes(self.time)

    @property
    def on_cpu(self) -> bool:
        return self.cpu_ranks is not None or self.gpus_per_node == 0

    @property
    def ranks_per_node(self) -> int:
        """Ranks on each node of a SLURM job."""
        if self.gres and self.gpus_per_node is None:
            return gpus_of(self.gres)
        return self.cpu_ranks or self.gpus_per_node or 1


def minutes(text: str) -> int:
    """A time limit in sbatch's notations, as whole minutes, rounded up."""
    match = re.fullmatch(r"(?:(\d+)-(\d+)(?::(\d+))?(?::(\d+))?)|(?:(\d+):)?(\d+):(\d+)|(\d+)", text.strip())
    if not match:
        raise UserError(f"--time {text}: expected minutes, MM:SS, H:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS")
    numbers = [int(group or 0) for group in match.groups()]
    days, hours, past, seconds, short_hours, short_past, short_seconds, only = numbers
    total = ((days * 24 + hours + short_hours) * 60 + past + short_past + only) * 60 + seconds + short_seconds
    if total == 0:
        raise UserError(f"--time {text}: a job needs some time")
    return -(-total // 60)


def gpus_of(gres: str) -> int:
    """GPUs in a gres such as gpu:a100:4 or gpu:2,nvme:1."""
    for item in gres.split(","):
        kind, *rest = item.split(":")
        if kind == "gpu":
            return int(rest[-1]) if rest and rest[-1].isdigit() else 1
    raise UserError(f"--gres {gres}: expected gpu:N or gpu:TYPE:N in it, since each rank takes one GPU")


def sbatch_parameters(config: ClusterConfig, name: str) -> dict[str, Any]:
    """Arguments of submitit's SLURM executor.

    srun is told --cpus-per-task since SLURM 22.05 no longer inherits it. There is no teardown: the work is the script's
    last command, so that its failure is the job's and nothing that depends on it starts.
    """
    gpus = {} if config.on_cpu else {"gres": config.gres} if config.gres else {"gpus_per_node": config.ranks_per_node}
    plain = ("partition", "account", "qos", "constraint", "nodelist", "exclude", "comment", "mail_user", "mail_type")
    return {
        "job_name": JOB_NAME.format(name=name),
        "time": minutes(config.time),
        "nodes": config.nodes,
        "ntasks_per_node": config.ranks_per_node,
        "cpus_per_task": config.cpus_per_task,
        **gpus,
        **({"mem": f"{config.mem_gb * 1024:.0f}M"} if config.mem_gb else {}),
        **{key: getattr(config, key) for key in (*plain, "dependency") if getattr(config, key)},
        "signal_delay_s": config.signal_seconds or min(SIGNAL_SECONDS, minutes(config.time) * 10),
        "stderr_to_stdout": True,
        "wckey": None,
        "setup": [f"{line} || exit 1" for line in config.setup] or None,
        "srun_args": [f"--cpus-per-task={config.cpus_per_task}", "--kill-on-bad-exit=1"],
        "additional_parameters": _additional(config),
    }


def _additional(config: ClusterConfig) -> dict[str, Any]:
    """Options submitit has no name for, in one mapping, because it keeps only the last one it is given."""
    given: dict[str, Any] = {"requeue": True}
    if config.reservation:
        given["reservation"] = config.reservation
    if config.dependency:
        given["kill-on-invalid-dep"] = "yes"
    for item in config.sbatch:
        key, equals, value = item.removeprefix("--").partition("=")
        given[key] = value if equals else True
    return given


def python() -> str:
    """The command that starts Python in a job. A process dies of SIGUSR2, and its job has FAILED, unless it says
    otherwise; submitit says so only once it is imported. Until then the signal is ignored: SLURM then puts back what it
    pre-empts by itself."""
    return f"""sh -c 'trap "" USR2; exec "$0" "$@"' {shlex.quote(sys.executable)}"""


def sbatch_text(config: ClusterConfig, name: str, folder: Path, tasks: int | None = None, at_once: int = 256) -> str:
    """The script that would be submitted; ``tasks`` makes it an array. SLURM need not be installed."""
    from submitit.slurm.slurm import _make_sbatch_string

    command = f"{python()} -u -m submitit.core._submit {shlex.quote(str(folder.absolute()))}"
    parameters = sbatch_parameters(config, name)
    if tasks:
        parameters |= {"map_count": tasks, "array_parallelism": at_once}
    return _make_sbatch_string(command=command, folder=folder, **parameters)
