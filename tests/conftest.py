"""What every test may rely on."""

from __future__ import annotations

import os
import signal

SETTINGS = ("POSTGRES_", "REDIS_", "PG", "DAPR_", "RMBRAIN_", "DATABASE_URL", "MIGRATE_ON_STARTUP")

# A developer's own settings must not decide what a test sees.
for name in [name for name in os.environ if name.startswith(SETTINGS)]:
    del os.environ[name]

# In the background of a shell Ctrl-C is ignored, by everything that is started there too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
