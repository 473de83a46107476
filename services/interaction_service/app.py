from migration_sidecar.service import create_app

app = create_app(__file__)
