"""Stands for a Flask application: what env.py asks `current_app` for, and nothing else."""

import os

from sqlalchemy import MetaData, create_engine


class Database:
    def __init__(self, uri):
        self.engine = create_engine(uri, pool_pre_ping=True)
        self.metadata = MetaData()


class Migrate:
    def __init__(self, db, **configure_args):
        self.db = db
        self.configure_args = configure_args


class Application:
    def __init__(self):
        uri = os.environ["SQLALCHEMY_DATABASE_URI"]
        self.extensions = {"migrate": Migrate(Database(uri), compare_type=True, render_as_batch=True)}


current_app = Application()
