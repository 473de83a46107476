"""Converts a URL that was written for another driver into one for asyncpg."""

from __future__ import annotations

from migration_sidecar.protocol.url import URL

# asyncpg sends every other parameter to the server as a setting, and the server refuses connect_timeout, for example.
UNDERSTOOD = {
    *("host", "port", "dbname", "database", "user", "password", "passfile", "service", "servicefile", "options"),
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib"),
}


def dsn(url: URL) -> str:
    """The URL for asyncpg, with password. Parameters that asyncpg does not understand are left out."""
    query = {
        key: value if isinstance(value, str) else ",".join(value)
        for key, value in url.query.items()
        if key in UNDERSTOOD
    }
    return url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)
