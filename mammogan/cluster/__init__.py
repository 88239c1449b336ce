"""Runs jobs: in this process, in several processes on this machine, or on SLURM."""
