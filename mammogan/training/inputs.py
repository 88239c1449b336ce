"""Is everything there that a training needs? Asked before a job is submitted, so it imports nothing heavy."""

from __future__ import annotations

from mammogan.config import CadConfig, GanConfig, MissingInput, Resolution, Workspace


def check_cad_inputs(config: CadConfig, workspace: Workspace) -> None:
    """MissingInput naming the command to run when the shards are not there."""
    check_shards(Resolution.parse(config.resolution), workspace)


def check_gan_inputs(config: GanConfig, workspace: Workspace) -> None:
    """MissingInput naming the command to run when the shards or a finished CAD are not there."""
    resolution = Resolution.parse(config.resolution)
    check_shards(resolution, workspace)
    run = workspace.cad_run(resolution)
    if not (run / "done.json").is_file():
        state = "has not finished" if (run / "config.yaml").is_file() else "is not there"
        raise MissingInput(
            f"the classifier for {resolution} {state} ({run}); run\n"
            f"  python launch/train_cad.py --workspace {workspace.root} --resolution {resolution}"
        )


def check_shards(resolution: Resolution, workspace: Workspace) -> None:
    """MissingInput naming the command to run when shards of this resolution are not finished."""
    folder = workspace.shards(resolution)
    if not (folder / "index.json").is_file():
        others = ", ".join(map(str, workspace.resolutions())) or "none"
        raise MissingInput(
            f"no shards at {resolution} in {folder} (there: {others}); run\n"
            f"  python shards/make_shards.py --cohort labels.csv --workspace {workspace.root} --resolution {resolution}"
        )
