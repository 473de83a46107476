"""One query for all objects of a database, as PostgreSQL prints them: everything that `pg_dump -s` would show."""
