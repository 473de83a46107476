from sqlalchemy import MetaData, text

metadata = MetaData()
PREFIX = "organization_"


def get_tenant_schemas(connection):
    """One schema per organisation; the list is kept in a table of the core schema."""
    rows = connection.execute(text("SELECT slug FROM core.organization ORDER BY slug"))
    return [f"{PREFIX}{slug}" for (slug,) in rows]
