"""The ledger's migrations, for Alembic."""
