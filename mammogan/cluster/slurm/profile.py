"""Where work runs and what it requests from a cluster: command-line options, and the sbatch script made from them.

A YAML profile may replace the options' defaults.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mammogan.cluster.slurm.gres import gpus_of, with_one_gpu
from mammogan.cluster.slurm.setup import setup_lines
from mammogan.errors import UserError
from mammogan.io.own_python import is_isolated
from mammogan.setting_limits import options_at_least

SIGNAL_SECONDS = 180
"""Time before the limit at which a job gets its signal: to finish the batch, save, and go back to the queue."""
JOB_NAME = "mammogan-{name}"
GB_PER_CORE = 4
"""Memory for each core when --mem-gb is left out: the default of a site is often too small for a training."""
OTHER_OPTIONS = {"mem": "--mem-gb", "signal": "--signal-seconds", "array": "--tasks", "ntasks-per-node": "--cpu-ranks"}
"""Options of sbatch that are asked for with options of other names."""
FIXED_OPTIONS = ("job-name", "output", "error", "open-mode", "wrap", "parsable", "wait", "test-only")
"""Options of sbatch that a job cannot do without, or that change how it is submitted."""


@dataclass(frozen=True)
class ClusterConfig:
    """Where a stage runs; most options are sbatch's own."""

    cluster: Literal["auto", "none", "local", "slurm"] = "auto"
    """none: this process (it joins torchrun's ranks). local: a process per rank on this machine. slurm: a submitted
    job. auto: slurm where it answers, else this machine."""
    profile: Path | None = None
    """YAML file with values for the options from --cluster on, such as slurm/example.yaml."""
    nodes: int = 1
    """Number of nodes; more than one needs SLURM or torchrun."""
    gpus_per_node: int | None = None
    """GPUs per node, each with one rank. When left out: 1 on SLURM; on this machine, as many visible ones as can share
    the batch."""
    cpu_ranks: int | None = None
    """Ranks per node, computing on CPU cores instead of GPUs."""
    cpus_per_task: int = 4
    """CPU cores for each rank, including its loader workers (SLURM)."""
    mem_gb: float | None = None
    """Memory per node in GB; 4 for each core when left out, 0 for all of the node's."""
    time: str = "1-00:00:00"
    """Time limit as sbatch writes it: minutes, H:MM:SS or D-HH:MM:SS. A training continues after it, see
    --max-requeues."""
    partition: str | None = None
    """Partition (queue) of the jobs; the cluster's default when left out."""
    account: str | None = None
    """Account to charge; your default one when left out."""
    qos: str | None = None
    """Quality of service, one that your account may use."""
    constraint: str | None = None
    """Feature that the nodes must have, such as a100."""
    reservation: str | None = None
    """Reservation to use."""
    nodelist: str | None = None
    """Nodes that the job must use."""
    exclude: str | None = None
    """Nodes that the job must not use."""
    gres: str | None = None
    """For sites that want GPUs as gpu:TYPE:N; replaces --gpus-per-node."""
    comment: str | None = None
    """Comment that SLURM keeps with the job."""
    mail_user: str | None = None
    """Address for SLURM's mails about the job."""
    mail_type: str | None = None
    """Events that SLURM mails about, such as FAIL,END."""
    dependency: str | None = None
    """Jobs that must end first, such as afterok:1234."""
    sbatch: tuple[str, ...] = ()
    """Further sbatch options as KEY=VALUE or KEY, such as licenses=disk exclusive."""
    setup: tuple[str, ...] = ()
    """Shell lines that run before the work, such as "module load cuda"; one that fails ends the job. In a profile, a
    list or a block."""
    tasks: int | None = None
    """Most tasks of an array, each with its share of the shards; for sites that limit how many jobs may be submitted.
    One task per shard when left out."""
    max_requeues: int = 30
    """How often a training that reaches its time limit goes back to the queue."""
    signal_seconds: int | None = None
    """How long before the time limit a training saves, at the end of its batch, and goes back to the queue; when left
    out 180, or a sixth of a short limit. At a pre-emption, SLURM's GraceTime decides how long it has."""
    dry_run: bool = False
    """Print the sbatch scripts; run and submit nothing."""
    wait: bool = False
    """Return only when the submitted jobs have ended, with an exit code that says how."""

    def __post_init__(self) -> None:
        options_at_least(self, nodes=1, cpus_per_task=1, cpu_ranks=1, tasks=1)
        options_at_least(self, gpus_per_node=0, mem_gb=0, max_requeues=0)
        if self.signal_seconds is not None and self.signal_seconds < 1:
            raise UserError(
                f"--signal-seconds {self.signal_seconds}: expected 1 or more; leave it out for {SIGNAL_SECONDS}, or a "
                "sixth of a short limit"
            )
        if self.cpu_ranks and (self.gpus_per_node or self.gres):
            raise UserError("--cpu-ranks computes on CPU cores: leave out --gpus-per-node and --gres")
        if (self.signal_seconds or 0) >= 60 * minutes(self.time):
            raise UserError(
                f"--signal-seconds {self.signal_seconds}: expected less than the time limit, --time {self.time}; "
                "the job would be asked to stop when it begins"
            )
        self._refuse_line_breaks()
        if self.gres:
            gpus_of(self.gres)
        self._refuse_double_requests()

    def _refuse_line_breaks(self) -> None:
        """Raise UserError for a value that would add lines to the sbatch script."""
        for name, value in vars(self).items():
            texts = value if isinstance(value, tuple) and name != "setup" else (value,)
            if any(isinstance(text, str) and ("\n" in text or "\r" in text) for text in texts):
                raise UserError(
                    f"--{name.replace('_', '-')} {value!r}: expected one line; shell lines of a job belong into --setup"
                )

    def _refuse_double_requests(self) -> None:
        """Raise UserError for an option of sbatch that another option here decides: one of both would be ignored."""
        for item in self.sbatch:
            key = item.removeprefix("--").partition("=")[0]
            ours = f"--{key}" if key.replace("-", "_") in vars(self) else OTHER_OPTIONS.get(key)
            if ours or key in FIXED_OPTIONS:
                instead = f"give {ours} instead" if ours else "leave it out, mammogan needs it for itself"
                raise UserError(f"--sbatch {item}: expected an option that mammogan does not have; {instead}")

    @property
    def on_cpu(self) -> bool:
        """Whether the ranks compute on CPU cores."""
        return self.cpu_ranks is not None or self.gpus_per_node == 0

    @property
    def ranks_per_node(self) -> int:
        """Ranks on each node of a SLURM job."""
        if self.gres and self.gpus_per_node is None:
            return gpus_of(self.gres)
        return self.cpu_ranks or self.gpus_per_node or 1

    def after_success(self, ids: Sequence[str]) -> ClusterConfig:
        """Return the same requests, to begin after these jobs have succeeded."""
        return replace(self, dependency="afterok:" + ":".join(ids)) if ids else self


def for_one_process(config: ClusterConfig, gpus: int) -> ClusterConfig:
    """Return the same requests for work of one process with ``gpus`` GPUs, 0 or 1."""
    if gpus == 0 or config.on_cpu:
        return replace(config, nodes=1, cpu_ranks=1, gpus_per_node=None, gres=None)
    return replace(config, nodes=1, gpus_per_node=1, gres=with_one_gpu(config.gres) if config.gres else None)


def minutes(text: str) -> int:
    """Return a time limit in one of sbatch's notations as minutes, rounded up."""
    match = re.fullmatch(r"(?:(\d+)-(\d+)(?::(\d+))?(?::(\d+))?)|(?:(\d+):)?(\d+):(\d+)|(\d+)", text.strip())
    if not match:
        raise UserError(f"--time {text}: expected minutes, MM:SS, H:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS")
    numbers = [int(group or 0) for group in match.groups()]
    days, hours, past, seconds, short_hours, short_past, short_seconds, only = numbers
    total = ((days * 24 + hours + short_hours) * 60 + past + short_past + only) * 60 + seconds + short_seconds
    if total == 0:
        raise UserError(f"--time {text}: a job needs some time")
    return -(-total // 60)


def sbatch_parameters(config: ClusterConfig, name: str) -> dict[str, Any]:
    """Return the arguments of submitit's SLURM executor.

    srun gets --cpus-per-task because since SLURM 22.05 it no longer inherits it, and --export because a site may have
    jobs begin without the user's environment (SBATCH_EXPORT=NONE): srun would then hide the script's own from the work.
    There is no teardown: the work is the script's last command, so that its failure is the job's failure and no job
    that depends on it starts.
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
        **_memory(config),
        **{key: getattr(config, key) for key in (*plain, "dependency") if getattr(config, key)},
        "signal_delay_s": _signal_seconds(config),
        "stderr_to_stdout": True,
        "wckey": None,
        "setup": setup_lines(config.setup),
        "srun_args": ["--export=ALL", f"--cpus-per-task={config.cpus_per_task}", "--kill-on-bad-exit=1"],
        "additional_parameters": _additional(config),
    }


def _signal_seconds(config: ClusterConfig) -> int:
    short_limit = minutes(config.time) * 10  # a sixth of it
    return min(SIGNAL_SECONDS, short_limit) if config.signal_seconds is None else config.signal_seconds


def _memory(config: ClusterConfig) -> dict[str, str]:
    """Return the request for memory; none if --sbatch has one of another kind, such as mem-per-gpu."""
    if any(item.removeprefix("--").startswith("mem-per-") for item in config.sbatch):
        return {}
    gigabytes = config.ranks_per_node * config.cpus_per_task * GB_PER_CORE if config.mem_gb is None else config.mem_gb
    return {"mem": f"{gigabytes * 1024:.0f}M"}


def _additional(config: ClusterConfig) -> dict[str, Any]:
    """Return options that submitit has no name for, in one mapping: submitit keeps only the last mapping it is
    given."""
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
    """Return the command that starts Python in a job, ignoring SIGUSR2 at first.

    SIGUSR2 would kill a process, and its job would be FAILED, until submitit is imported and handles it. While the
    signal is ignored, SLURM itself requeues a job that it pre-empts.
    """
    return f"""sh -c 'trap "" USR2; exec "$0" "$@"' {shlex.quote(sys.executable)}{" -P" if is_isolated() else ""}"""


def sbatch_text(config: ClusterConfig, name: str, folder: Path, tasks: int | None = None, at_once: int = 256) -> str:
    """Return the script that would be submitted; ``tasks`` makes it an array. SLURM need not be installed."""
    from submitit.slurm.slurm import _make_sbatch_string

    command = f"{python()} -u -m submitit.core._submit {shlex.quote(str(folder.absolute()))}"
    parameters = sbatch_parameters(config, name)
    if tasks:
        parameters |= {"map_count": tasks, "array_parallelism": at_once}
    return _make_sbatch_string(command=command, folder=folder, **parameters)
