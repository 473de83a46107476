"""`python -m audit_verifier export.jsonl --keys audit-keys.json`"""

import sys

from audit_verifier.verify import main

sys.exit(main())
