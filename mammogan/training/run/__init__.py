"""Everything around a training's steps: checkpoints, resuming, logging, optimisers."""
