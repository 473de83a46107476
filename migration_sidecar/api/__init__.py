"""The HTTP endpoint of a service: routes, problem documents, logging. Migrating is in `engine`."""
