"""Short sessions with asyncpg: the pool, stored operations, the journal, facts about the database.

Migrations never run here.
"""
