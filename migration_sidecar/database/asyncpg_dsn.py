"""Opens our own sessions by a URL that was written for another driver: what only that one understands is left out."""

from __future__ import annotations

from migration_sidecar.protocol.url import URL

# PostgreSQL refuses what asyncpg does not know and passes on: connect_timeout and keepalives, for example.
UNDERSTOOD = {
    *("host", "port", "dbname", "database", "user", "password", "passfile", "service", "servicefile", "options"),
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs", "krbsrvname", "gsslib"),
}


def dsn(url: URL) -> str:
    """For asyncpg, with several hosts as libpq writes them."""
    query = {
        key: value if isinstance(value, str) else ",".join(value)
        for key, value in url.query.items()
        if key in UNDERSTOOD
    }
    return url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)
