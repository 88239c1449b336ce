"""The job of submitit in which this process runs."""

from __future__ import annotations

import os
from typing import Any


def this_job() -> Any:
    """Return submitit's JobEnvironment of this process; None outside submitit's jobs."""
    if not os.environ.get("SUBMITIT_EXECUTOR"):
        return None
    import submitit

    return submitit.JobEnvironment()
