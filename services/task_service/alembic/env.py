from migration_sidecar.environment import run
from services.task_service.models import Base

run(Base.metadata)
