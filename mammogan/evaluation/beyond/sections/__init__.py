"""The sections of the page "Beyond Table 1": what each measures, and the words, tables and picture that show it."""
