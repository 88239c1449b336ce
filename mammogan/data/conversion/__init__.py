"""Convert the cohort to shards on all cores; an interrupted conversion can be resumed."""
