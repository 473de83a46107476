from migration_sidecar.environment import run
from services.interaction_service.models import Base

target_metadata = Base.metadata

run(target_metadata)
