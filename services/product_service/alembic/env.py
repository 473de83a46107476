from migration_sidecar.environment import run
from services.product_service.models import Base

run(Base.metadata)
