"""Which indexes are INVALID and stay so: nobody is building them now."""

from __future__ import annotations

# 'I' is the index of a partitioned table, rightly invalid until its parts are attached. Of another role's progress
# only the pid can be seen, so there the lock on the table tells; everybody may see locks.
INVALID_INDEXES = """
    SELECT k.relname AS name, (SELECT t.relname FROM pg_class t WHERE t.oid = i.indrelid) AS on_table,
           quote_ident(n.nspname) || '.' || quote_ident(k.relname) AS quoted
    FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid JOIN pg_namespace n ON n.oid = k.relnamespace
    WHERE NOT i.indisvalid AND k.relkind = 'i' AND NOT EXISTS (
      SELECT FROM pg_stat_progress_create_index g
      WHERE g.datname = current_database() AND (g.index_relid = i.indexrelid OR (
        coalesce(g.index_relid, 0) = 0
        AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = g.pid AND l.relation = i.indrelid))))"""
