"""The settings: COORDINATOR_… variables, and variables that `dapr run` sets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from migration_sidecar.contract.host_names import allowed_hosts


class Settings(BaseSettings):
    """Read once, when the application starts."""

    model_config = SettingsConfigDict(env_prefix="COORDINATOR_", frozen=True)

    catalog: Path = Path(__file__).resolve().parent.parent / "fleet.toml"
    state_store: str = "statestore"
    pubsub: str = "pubsub"
    events_topic: str = "migrate.events"
    sweep_every: timedelta = timedelta(seconds=10)
    planning_patience: timedelta = timedelta(seconds=10)
    operation_deadline: timedelta = timedelta(hours=1)
    allowed_hosts: str = ""  # by which callers may call, separated by commas, besides this machine's own
    # Whether open runs are carried out whose records are not signed: for the first start after an earlier release.
    unsigned_runs: Literal["refuse", "accept"] = "refuse"
    serve_openapi: bool = False  # GET /openapi.json, for development
    dapr_http_port: int = Field(default=3500, validation_alias="DAPR_HTTP_PORT")
    dapr_grpc_port: int = Field(default=15100, validation_alias="DAPR_GRPC_PORT")
    app_id: str = Field(default="migration-coordinator", validation_alias="APP_ID")
    dapr_api_token: str = Field(default="", validation_alias="DAPR_API_TOKEN", repr=False)

    @field_validator("allowed_hosts")
    @classmethod
    def _validate_hosts(cls, text: str) -> str:
        allowed_hosts(text)
        return text

    @property
    def hosts(self) -> frozenset[str]:
        """The host names that requests may be sent to, besides those of this machine."""
        return allowed_hosts(self.allowed_hosts)
