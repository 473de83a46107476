"""What a database is made of, as PostgreSQL itself prints it: one query, everything that `pg_dump -s` would show."""
