"""Shows the status of every stage of a study, as a table or as JSON."""
