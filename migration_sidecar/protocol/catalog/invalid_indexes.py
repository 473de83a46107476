"""SQL that lists the INVALID indexes that no session is building now."""

from __future__ import annotations

# relkind 'I' is left out: the index of a partitioned table is invalid until its parts are attached. Another role's
# progress shows only its pid, not the index. There a lock on the table counts as a sign that an index is being built.
INVALID_INDEXES = """
    SELECT k.relname AS name, (SELECT t.relname FROM pg_class t WHERE t.oid = i.indrelid) AS on_table,
           quote_ident(n.nspname) || '.' || quote_ident(k.relname) AS quoted
    FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid JOIN pg_namespace n ON n.oid = k.relnamespace
    WHERE NOT i.indisvalid AND k.relkind = 'i' AND NOT EXISTS (
      SELECT FROM pg_stat_progress_create_index g
      WHERE g.datname = current_database() AND (g.index_relid = i.indexrelid OR (
        coalesce(g.index_relid, 0) = 0
        AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = g.pid AND l.relation = i.indrelid))))"""
