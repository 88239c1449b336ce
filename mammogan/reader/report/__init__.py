"""The report of a reader study: Tables 2 to 4, what they mean, and one page that shows them."""
