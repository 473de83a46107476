"""The service's own short sessions, with asyncpg: pool, stored operations, journal, facts about the database.

Migrations run in `worker`, never here.
"""
