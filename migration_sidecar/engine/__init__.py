"""The engine: plans and executes operations on one database.

Other packages import `engine.engine`, `engine.startup` and `engine.journal_events`.
"""
