from migration_sidecar.environment import run
from services.client_service.models import Base

run(Base.metadata)
