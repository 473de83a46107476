"""The sections of a report. Each function makes one section from the facts of one run, without layout."""
