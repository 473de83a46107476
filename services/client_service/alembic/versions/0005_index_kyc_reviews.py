"""Index KYC reviews that fall due

Built while clients stays readable and writable.
"""

import sqlalchemy as sa
from alembic import op

revision = "client_0005"
down_revision = "client_0004"
branch_labels = None
depends_on = None


# Alone in its revision: it commits on its own, so nothing else could be rolled back with it.
def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_clients_kyc_review_due",
            "clients",
            ["kyc_review_due"],
            postgresql_where=sa.text("status IN ('onboarding', 'active', 'dormant')"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_clients_kyc_review_due", "clients", postgresql_concurrently=True)
