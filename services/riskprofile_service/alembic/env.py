from migration_sidecar.environment import run
from services.riskprofile_service.models import Base

run(Base.metadata)
