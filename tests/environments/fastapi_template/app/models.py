from sqlalchemy import Column, MetaData, Table, types


class AutoString(types.TypeDecorator):
    """As in SQLModel: text whose length may be left open."""

    impl = types.String
    cache_ok = True


metadata = MetaData()
user = Table("user", metadata, Column("id", types.Integer, primary_key=True), Column("email", AutoString(255)))
