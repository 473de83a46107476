"""Objects of the whole database that are in no schema, as parts of the query in `snapshot`."""

from __future__ import annotations

SCHEMAS = """
SELECT 'pg_namespace'::regclass::oid, n.oid, 0, 'schema', s.name, '', n.nspowner,
       coalesce(n.nspacl, acldefault('n', n.nspowner))
FROM pg_namespace n JOIN space s ON s.oid = n.oid
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_namespace'::regclass AND m.objid = n.oid)
"""

EXTENSIONS = """
SELECT 'pg_extension'::regclass::oid, e.oid, 0, 'extension', quote_ident(e.extname),
       'in schema ' || e.extnamespace::regnamespace, e.extowner, NULL::aclitem[]
FROM pg_extension e
"""

LANGUAGES = """
SELECT 'pg_language'::regclass::oid, l.oid, 0, 'language', quote_ident(l.lanname),
       concat_ws(' ', l.lanpltrusted, nullif(l.lanplcallfoid, 0)::regproc, nullif(l.laninline, 0)::regproc,
                 nullif(l.lanvalidator, 0)::regproc), l.lanowner, coalesce(l.lanacl, acldefault('l', l.lanowner))
FROM pg_language l
WHERE l.oid >= 16384 AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_language'::regclass AND m.objid = l.oid)
UNION ALL
SELECT 'pg_transform'::regclass::oid, t.oid, 0, 'transform',
       t.trftype::regtype || ' for ' || (SELECT quote_ident(l.lanname) FROM pg_language l WHERE l.oid = t.trflang),
       concat_ws(' ', t.trffromsql, t.trftosql), NULL::oid, NULL::aclitem[]
FROM pg_transform t
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_transform'::regclass AND m.objid = t.oid)
UNION ALL
SELECT 'pg_am'::regclass::oid, a.oid, 0, 'access method', quote_ident(a.amname), concat_ws(' ', a.amtype, a.amhandler),
       NULL::oid, NULL::aclitem[]
FROM pg_am a
WHERE a.oid >= 16384 AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_am'::regclass AND m.objid = a.oid)
"""

EVENT_TRIGGERS = """
SELECT 'pg_event_trigger'::regclass::oid, e.oid, 0, 'event trigger', quote_ident(e.evtname),
       concat_ws(' ', 'on', e.evtevent, e.evttags::text, e.evtfoid::regproc, e.evtenabled), e.evtowner, NULL::aclitem[]
FROM pg_event_trigger e
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid)
"""

PUBLICATIONS = """
SELECT 'pg_publication'::regclass::oid, p.oid, 0, 'publication', quote_ident(p.pubname),
       concat_ws(' ', (to_jsonb(p) - '{oid,pubname,pubowner}'::text[])::text,
         (SELECT string_agg(each.shown, ', ' ORDER BY each.shown) FROM (
            SELECT (to_jsonb(t) - 'pubname'
                    - CASE WHEN to_jsonb(x) ->> 'prattrs' IS NULL THEN 'attnames' ELSE '' END)::text AS shown
            FROM pg_publication_tables t LEFT JOIN pg_publication_rel x ON x.prpubid = p.oid
              AND x.prrelid = to_regclass(quote_ident(t.schemaname) || '.' || quote_ident(t.tablename))
            WHERE t.pubname = p.pubname AND NOT p.puballtables) AS each)), p.pubowner, NULL::aclitem[]
FROM pg_publication p
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_publication'::regclass AND m.objid = p.oid)
"""

# The options of a user mapping hold passwords; only their names are read.
FOREIGN = """
SELECT 'pg_foreign_data_wrapper'::regclass::oid, w.oid, 0, 'foreign data wrapper', quote_ident(w.fdwname),
       concat_ws(' ', nullif(w.fdwhandler, 0)::regproc, nullif(w.fdwvalidator, 0)::regproc, w.fdwoptions::text),
       w.fdwowner, coalesce(w.fdwacl, acldefault('F', w.fdwowner))
FROM pg_foreign_data_wrapper w
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_foreign_data_wrapper'::regclass AND m.objid = w.oid)
UNION ALL
SELECT 'pg_foreign_server'::regclass::oid, v.oid, 0, 'foreign server', quote_ident(v.srvname),
       concat_ws(' ', (SELECT quote_ident(w.fdwname) FROM pg_foreign_data_wrapper w WHERE w.oid = v.srvfdw),
                 v.srvtype, v.srvversion, v.srvoptions::text),
       v.srvowner, coalesce(v.srvacl, acldefault('S', v.srvowner))
FROM pg_foreign_server v
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_foreign_server'::regclass AND m.objid = v.oid)
UNION ALL
SELECT NULL::oid, NULL::oid, NULL::int, 'user mapping',
       coalesce(u.usename, 'public') || ' on ' || quote_ident(u.srvname),
       (SELECT string_agg(split_part(o, '=', 1), ', ' ORDER BY o) FROM unnest(u.umoptions) AS o),
       NULL::oid, NULL::aclitem[]
FROM pg_user_mappings u
"""

DEFAULT_GRANTS = """
SELECT NULL::oid, NULL::oid, NULL::int, 'grants',
       concat_ws(' ', 'default of', d.defaclrole::regrole, 'for', d.defaclobjtype,
                 'in ' || nullif(d.defaclnamespace, 0)::regnamespace),
       (SELECT string_agg(a::text, ', ' ORDER BY a::text) FROM unnest(d.defaclacl) AS a), NULL::oid, NULL::aclitem[]
FROM pg_default_acl d
WHERE d.defaclnamespace = 0 OR EXISTS (SELECT FROM space s WHERE s.oid = d.defaclnamespace)
"""

PARTS = (SCHEMAS, EXTENSIONS, LANGUAGES, EVENT_TRIGGERS, PUBLICATIONS, FOREIGN, DEFAULT_GRANTS)
