"""The whole table, by code."""

from __future__ import annotations

from migration_sidecar.contract.problem_catalogue.databases import DATABASE
from migration_sidecar.contract.problem_catalogue.fleet import CONFIGURATION, OTHERS, OURS
from migration_sidecar.contract.problem_catalogue.migrations import MIGRATION, REVISION_FILES
from migration_sidecar.contract.problem_catalogue.requests import ADDRESS, MESSAGE, REQUEST

SECTIONS = {
    "The message (CM-1xx)": MESSAGE,
    "What is asked for (CM-2xx)": REQUEST,
    "The revision files (CM-3xx)": REVISION_FILES,
    "While it migrates (CM-4xx)": MIGRATION,
    "The service's database (CM-5xx)": DATABASE,
    "Repeats, fields, addresses (CM-6xx)": ADDRESS,
    "Configuration (CM-7xx)": CONFIGURATION,
    "Others that are needed (CM-8xx)": OTHERS,
    "Our own mistakes (CM-9xx)": OURS,
}
PROBLEM_KINDS = {kind.code: kind for kinds in SECTIONS.values() for kind in kinds}
