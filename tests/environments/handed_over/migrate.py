"""As an application migrates itself when it starts: `python migrate.py upgrade heads`."""

import os
import sys

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

config = Config("alembic.ini")
with create_engine(os.environ["APPLICATION_DATABASE_URL"]).begin() as connection:
    config.attributes["connection"] = connection
    getattr(command, sys.argv[1])(config, sys.argv[2])
