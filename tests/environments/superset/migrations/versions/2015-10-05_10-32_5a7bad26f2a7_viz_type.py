"""viz_type, filled in batches through the ORM

Revision ID: 5a7bad26f2a7
Revises: 4e6a06bad7a8
"""

import json
import logging

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column, Integer, String, Text
from sqlalchemy.orm import Session, declarative_base

revision = '5a7bad26f2a7'
down_revision = '4e6a06bad7a8'
branch_labels = None
depends_on = None

Base = declarative_base()
logger = logging.getLogger("alembic.env")


class Slice(Base):
    __tablename__ = "slices"
    id = Column(Integer, primary_key=True)
    params = Column(Text)
    viz_type = Column(String(250))


def paginated_update(session, batch_size=500):
    last = 0
    while True:
        batch = session.query(Slice).filter(Slice.id > last).order_by(Slice.id).limit(batch_size).all()
        if not batch:
            return
        yield from batch
        last = batch[-1].id
        session.commit()
        print("%d slices done" % last)


def upgrade():
    op.add_column("slices", sa.Column("viz_type", sa.String(250)))
    session = Session(bind=op.get_bind())
    for slc in paginated_update(session):
        slc.viz_type = "table" if json.loads(slc.params)["n"] % 2 else "bar"
    session.commit()
    session.close()


def downgrade():
    op.drop_column("slices", "viz_type")
