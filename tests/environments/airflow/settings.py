"""As the application does, the engine is made when this module is imported, with a pool of its own."""

import os

from sqlalchemy import create_engine

SQL_ALCHEMY_CONN = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
engine = create_engine(SQL_ALCHEMY_CONN, pool_size=5, pool_recycle=1800, pool_pre_ping=True, future=True)
