from migration_sidecar.service import create_app
from services.cas_service.audit import router
from services.cas_service.evidence import router as evidence

app = create_app(__file__, routers=[router, evidence])
