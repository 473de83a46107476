from migration_sidecar.service import create_app
from services.cas_service.audit import router

app = create_app(__file__, routers=[router])
