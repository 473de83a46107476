from migration_sidecar.environment import run
from services.document_service.models import Base

run(Base.metadata)
