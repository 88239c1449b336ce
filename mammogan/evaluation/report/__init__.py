"""Write the report: tables, plots and the HTML page."""
