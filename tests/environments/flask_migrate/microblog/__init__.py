import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()
migrate = Migrate()

from microblog import models  # noqa: E402, F401


def create_app(kind="development"):
    if kind != "production":
        raise ValueError(f"there is no settings file for {kind}")
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["MICROBLOG_DATABASE"]
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = False
    db.init_app(app)
    migrate.init_app(app, db, compare_type=True, render_as_batch=True)
    return app
