"""Cross-validation: one study for every fold and seed, run on this machine or submitted to SLURM, and then pooled."""
