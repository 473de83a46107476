"""Column types of the application's own, in the way of SQLAlchemy-Utils."""

import json

from sqlalchemy import types


class EmailType(types.TypeDecorator):
    impl = types.Unicode
    cache_ok = True

    def __init__(self, length=255):
        super().__init__(length=length)

    def process_bind_param(self, value, dialect):
        return value.lower() if value is not None else None


class JSONText(types.TypeDecorator):
    impl = types.Text
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return json.dumps(value)


class IPAddressType(types.UserDefinedType):
    cache_ok = True

    def get_col_spec(self, **_):
        return "INET"
