"""Attack other classifiers than the one that the attack was made for, and read the scores of systems elsewhere."""
