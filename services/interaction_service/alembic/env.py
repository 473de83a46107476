from migration_sidecar.environment import run
from services.interaction_service.models import Base

run(Base.metadata)
