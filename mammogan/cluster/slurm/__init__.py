"""Everything that communicates with SLURM."""
