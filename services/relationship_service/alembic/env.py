from migration_sidecar.environment import run
from services.relationship_service.models import Base

run(Base.metadata)
