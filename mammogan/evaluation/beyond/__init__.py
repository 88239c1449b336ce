"""Measure what Table 1 leaves open: thresholds, other attacks, other victims, where, how visibly, who notices."""
