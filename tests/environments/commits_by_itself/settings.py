DATABASE = "driver://user:pass@localhost/dbname"
