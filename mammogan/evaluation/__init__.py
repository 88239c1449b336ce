"""Measure how well the attack works: scores, Table 1 with intervals, controls and the report."""
