"""What every test may rely on."""

from __future__ import annotations

import os

# A developer's own settings must not decide what a test sees.
for name in [
    name
    for name in os.environ
    if name.startswith(("POSTGRES_", "REDIS_", "PG", "DAPR_", "RMBRAIN_")) or name == "DATABASE_URL"
]:
    del os.environ[name]
