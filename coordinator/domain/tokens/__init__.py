"""Tokens of operators: what fleet.toml says of their issuer, and why a token is refused."""
