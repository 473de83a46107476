"""Stands for oslo.config: options of the service's own file, which is none of Alembic's."""

from configparser import RawConfigParser
from pathlib import Path


def database_connection():
    options = RawConfigParser()
    options.read(Path(__file__).resolve().parent.parent / "networking.conf")
    return options["database"]["connection"]
