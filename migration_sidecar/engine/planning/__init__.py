"""Status and plan of one database, and what stands in the way. Nothing here changes the database."""
