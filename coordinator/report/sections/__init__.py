"""The sections of a report, each made from the facts of one run. What the page looks like is not decided here."""
