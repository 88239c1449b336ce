"""Commands that are printed can be copied into a shell, whatever the folder is called."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from conftest import SMALL

from mammogan.attack.folder import AdversarialFolder
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.data.shards.index import ShardIndex
from mammogan.errors import MissingInput, UserError
from mammogan.training.run.preflight import check_shards
from mammogan.workspace import Workspace

STRANGE = Workspace(Path("/tmp/my work; touch $HOME/x"))


def test_the_commands_of_error_messages_quote_their_paths() -> None:
    printed = [AdversarialFolder(STRANGE, SMALL).command("validation")]
    for ask in (lambda: check_shards(SMALL, STRANGE), lambda: ShardIndex.load(STRANGE.shards(SMALL))):
        with pytest.raises(MissingInput) as met:
            ask()
        printed.append(str(met.value)[str(met.value).index("mammogan make-shards") :])
    for line in printed:
        words = shlex.split(line)
        assert words[words.index("--workspace") + 1] == str(STRANGE.root)


@pytest.mark.parametrize("name", ["account", "partition", "comment", "mail_user", "gres", "dependency", "nodelist"])
def test_a_value_with_a_line_break_adds_no_line_to_a_jobs_script(name: str) -> None:
    with pytest.raises(UserError, match=rf"--{name.replace('_', '-')} .*expected one line"):
        ClusterConfig(**{name: "x\n#SBATCH --uid=root"})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"--sbatch .*expected one line"):
        ClusterConfig(sbatch=("licenses=disk\nrm -rf",))
    assert ClusterConfig(setup=("module load cuda\nmodule list",)).setup
