from migration_sidecar.environment import run
from services.client_service.models import Base

target_metadata = Base.metadata

run(target_metadata)
