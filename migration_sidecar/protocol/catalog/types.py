"""Types, functions and what is defined on them, as parts of the query in `snapshot`."""

from __future__ import annotations

TYPES = """
SELECT 'pg_type'::regclass::oid, t.oid, 0,
       CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, s.name || '.' || quote_ident(t.typname),
       CASE t.typtype
         WHEN 'e' THEN 'enum ' || (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                                   FROM pg_enum e WHERE e.enumtypid = t.oid)
         WHEN 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
                         (SELECT 'collate ' || t.typcollation::regcollation FROM pg_type b
                          WHERE b.oid = t.typbasetype AND b.typcollation <> t.typcollation),
                         'default ' || t.typdefault, CASE WHEN t.typnotnull THEN 'not null' END)
         WHEN 'r' THEN (SELECT concat_ws(' ', 'range of', g.rngsubtype::regtype,
                                  'collate ' || nullif(g.rngcollation, 0)::regcollation,
                                  (SELECT quote_ident(c.opcname) FROM pg_opclass c WHERE c.oid = g.rngsubopc),
                                  g.rngcanonical, g.rngsubdiff, g.rngmultitypid::regtype)
                        FROM pg_range g WHERE g.rngtypid = t.oid)
         ELSE concat_ws(' ', 'base', t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout,
                t.typlen, t.typalign, t.typstorage, t.typcategory, t.typispreferred, t.typdelim,
                nullif(t.typelem, 0)::regtype, 'default ' || t.typdefault)
       END,
       t.typowner, coalesce(t.typacl, acldefault('T', t.typowner))
FROM pg_type t JOIN space s ON s.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd', 'r', 'b', 'p') AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
  AND NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
"""

FUNCTIONS = """
SELECT 'pg_proc'::regclass::oid, p.oid, 0,
       CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
       s.name || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
       CASE p.prokind
         WHEN 'a' THEN (SELECT concat_ws(' ', pg_get_function_result(p.oid), p.proparallel,
                                 format_type(a.aggtranstype, NULL),
                                 format_type(nullif(a.aggmtranstype, 0), NULL), nullif(a.aggsortop, 0)::regoperator,
                                 (to_jsonb(a) - '{aggfnoid,aggtranstype,aggmtranstype,aggsortop}'::text[])::text)
                        FROM pg_aggregate a WHERE a.aggfnoid = p.oid)
         ELSE pg_get_functiondef(p.oid) END,
       p.proowner, coalesce(p.proacl, acldefault('f', p.proowner))
FROM pg_proc p JOIN space s ON s.oid = p.pronamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
"""

OPERATORS = """
SELECT 'pg_operator'::regclass::oid, o.oid, 0, 'operator', o.oid::regoperator::text,
       concat_ws(' ', o.oprcode, o.oprrest, o.oprjoin, nullif(o.oprcom, 0)::regoperator,
                 nullif(o.oprnegate, 0)::regoperator, o.oprcanmerge, o.oprcanhash), o.oprowner, NULL::aclitem[]
FROM pg_operator o JOIN space s ON s.oid = o.oprnamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_operator'::regclass AND m.objid = o.oid)
UNION ALL
SELECT 'pg_opclass'::regclass::oid, c.oid, 0, 'operator class',
       s.name || '.' || quote_ident(c.opcname) || ' using ' || a.amname,
       concat_ws(' ', 'for', c.opcintype::regtype, CASE WHEN c.opcdefault THEN 'default' END,
                 'family', quote_ident(f.opfname), nullif(c.opckeytype, 0)::regtype), c.opcowner, NULL::aclitem[]
FROM pg_opclass c JOIN space s ON s.oid = c.opcnamespace JOIN pg_am a ON a.oid = c.opcmethod
JOIN pg_opfamily f ON f.oid = c.opcfamily
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_opclass'::regclass AND m.objid = c.oid)
UNION ALL
SELECT 'pg_opfamily'::regclass::oid, f.oid, 0, 'operator family',
       s.name || '.' || quote_ident(f.opfname) || ' using ' || a.amname,
       concat_ws(' ',
         (SELECT string_agg(concat_ws(' ', o.amopstrategy, o.amopopr::regoperator, o.amoppurpose,
                                      (SELECT z.opfname FROM pg_opfamily z WHERE z.oid = o.amopsortfamily)), ', '
                            ORDER BY o.amopstrategy, o.amopopr::regoperator::text)
          FROM pg_amop o WHERE o.amopfamily = f.oid),
         (SELECT string_agg(concat_ws(' ', o.amprocnum, o.amproc::regprocedure, o.amproclefttype::regtype,
                                      o.amprocrighttype::regtype),
                            ', ' ORDER BY o.amprocnum, o.amproc::regprocedure::text)
          FROM pg_amproc o WHERE o.amprocfamily = f.oid)),
       f.opfowner, NULL::aclitem[]
FROM pg_opfamily f JOIN space s ON s.oid = f.opfnamespace JOIN pg_am a ON a.oid = f.opfmethod
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_opfamily'::regclass AND m.objid = f.oid)
"""

CASTS = """
SELECT 'pg_cast'::regclass::oid, c.oid, 0, 'cast', c.castsource::regtype || ' as ' || c.casttarget::regtype,
       concat_ws(' ', nullif(c.castfunc, 0)::regprocedure, c.castcontext, c.castmethod), NULL::oid, NULL::aclitem[]
FROM pg_cast c
WHERE c.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_cast'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'i'))
"""

COLLATIONS = """
SELECT 'pg_collation'::regclass::oid, c.oid, 0, 'collation', s.name || '.' || quote_ident(c.collname),
       (to_jsonb(c) - '{oid,collname,collnamespace,collowner,collversion}'::text[])::text, c.collowner, NULL::aclitem[]
FROM pg_collation c JOIN space s ON s.oid = c.collnamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_collation'::regclass AND m.objid = c.oid)
UNION ALL
SELECT 'pg_conversion'::regclass::oid, c.oid, 0, 'conversion', s.name || '.' || quote_ident(c.conname),
       (to_jsonb(c) - '{oid,conname,connamespace,conowner}'::text[])::text, c.conowner, NULL::aclitem[]
FROM pg_conversion c JOIN space s ON s.oid = c.connamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_conversion'::regclass AND m.objid = c.oid)
"""

TEXT_SEARCH = """
SELECT 'pg_ts_config'::regclass::oid, c.oid, 0, 'text search configuration', s.name || '.' || quote_ident(c.cfgname),
       concat_ws(' ', (SELECT quote_ident(p.prsname) FROM pg_ts_parser p WHERE p.oid = c.cfgparser),
         (SELECT string_agg(m.maptokentype || '.' || m.mapseqno || '=' || m.mapdict::regdictionary, ' '
                            ORDER BY m.maptokentype, m.mapseqno) FROM pg_ts_config_map m WHERE m.mapcfg = c.oid)),
       c.cfgowner, NULL::aclitem[]
FROM pg_ts_config c JOIN space s ON s.oid = c.cfgnamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_ts_config'::regclass AND m.objid = c.oid)
UNION ALL
SELECT 'pg_ts_dict'::regclass::oid, d.oid, 0, 'text search dictionary', s.name || '.' || quote_ident(d.dictname),
       concat_ws(' ', (SELECT quote_ident(t.tmplname) FROM pg_ts_template t WHERE t.oid = d.dicttemplate),
                 d.dictinitoption),
       d.dictowner, NULL::aclitem[]
FROM pg_ts_dict d JOIN space s ON s.oid = d.dictnamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_ts_dict'::regclass AND m.objid = d.oid)
UNION ALL
SELECT 'pg_ts_parser'::regclass::oid, p.oid, 0, 'text search parser', s.name || '.' || quote_ident(p.prsname),
       concat_ws(' ', p.prsstart, p.prstoken, p.prsend, p.prsheadline, p.prslextype), NULL::oid, NULL::aclitem[]
FROM pg_ts_parser p JOIN space s ON s.oid = p.prsnamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_ts_parser'::regclass AND m.objid = p.oid)
UNION ALL
SELECT 'pg_ts_template'::regclass::oid, t.oid, 0, 'text search template', s.name || '.' || quote_ident(t.tmplname),
       concat_ws(' ', t.tmplinit, t.tmpllexize), NULL::oid, NULL::aclitem[]
FROM pg_ts_template t JOIN space s ON s.oid = t.tmplnamespace
WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = 'pg_ts_template'::regclass AND m.objid = t.oid)
"""

PARTS = (TYPES, FUNCTIONS, OPERATORS, CASTS, COLLATIONS, TEXT_SEARCH)
