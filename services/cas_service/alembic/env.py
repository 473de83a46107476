from migration_sidecar.environment import run
from services.cas_service.models import Base

run(Base.metadata)
