"""The form of a request id, which is also the key of the run."""

from __future__ import annotations

import re

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
