"""Networks and losses of the study and of the lesion objective."""
