"""Values as text for people, for the command and for the report.

No tables and no pages: those are in `cli` and `report`.
"""
