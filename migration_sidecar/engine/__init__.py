"""Plans and carries out operations on one database. Import `engine.engine` from outside; the rest is its inside."""
