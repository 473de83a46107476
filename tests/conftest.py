"""What every test may rely on."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

SETTINGS = ("POSTGRES_", "REDIS_", "PG", "DAPR_", "RMBRAIN_", "DATABASE_URL", "MIGRATE_ON_STARTUP", "CALL_")

# A developer's own settings must not decide what a test sees.
for name in [name for name in os.environ if name.startswith(SETTINGS)]:
    del os.environ[name]

# Who calls is what the tests of signed calls are about; everywhere else anybody may.
os.environ["CALL_SIGNATURES"] = "off"

# How long an example takes is told by the machine, and says nothing about what is tested.
settings.register_profile("on any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("on any machine")

# In the background of a shell Ctrl-C is ignored, by everything that is started there too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
