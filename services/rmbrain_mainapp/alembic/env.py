from migration_sidecar.environment import run
from services.rmbrain_mainapp.models import Base

target_metadata = Base.metadata

run(target_metadata)
