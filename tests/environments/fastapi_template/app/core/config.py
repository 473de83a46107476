import os
from urllib.parse import quote_plus


class Settings:
    """Stands for pydantic's BaseSettings: each field from an environment variable of its name."""

    def __init__(self) -> None:
        for field in ("SERVER", "PORT", "USER", "PASSWORD", "DB"):
            setattr(self, f"POSTGRES_{field}", os.environ[f"POSTGRES_{field}"])

    @property
    def SQLALCHEMY_DATABASE_URI(self) -> str:
        login = f"{quote_plus(self.POSTGRES_USER)}:{quote_plus(self.POSTGRES_PASSWORD)}"
        return f"postgresql://{login}@{self.POSTGRES_SERVER}:{self.POSTGRES_PORT}/{self.POSTGRES_DB}"


settings = Settings()
