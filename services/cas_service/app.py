from migration_sidecar.service import create_app
from services.cas_service.api.events import router
from services.cas_service.api.evidence import router as evidence

app = create_app(__file__, routers=[router, evidence])
