from migration_sidecar.environment import run
from services.rmbrain_mainapp.models import Base

run(Base.metadata)
