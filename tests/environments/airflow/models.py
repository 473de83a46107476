from sqlalchemy import Boolean, Column, MetaData, String
from sqlalchemy.orm import declarative_base

NAMING_CONVENTION = {
    "ix": "idx_%(column_0_N_label)s",
    "uq": "%(table_name)s_%(column_0_N_name)s_uq",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}
Base = declarative_base(metadata=MetaData(naming_convention=NAMING_CONVENTION))


class Dag(Base):
    __tablename__ = "dag"
    dag_id = Column(String(250), primary_key=True)
    is_paused = Column(Boolean)
