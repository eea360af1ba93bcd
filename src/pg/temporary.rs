//! Temporary objects that somebody else's code makes.
//!
//! PostgreSQL keeps security-restricted code from making temporary tables, not from making temporary functions and types;
//! and a temporary type is what its name means in the session from then on, before all others.

use std::collections::BTreeSet;

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;

use super::problem::Problem;
use super::sql;

/// What there is in the session's temporary schema at one moment.
pub(super) struct Temporary(BTreeSet<Option<String>>);

impl Temporary {
    pub(super) fn now() -> Self {
        let schema = schema();
        // Most sessions have none.
        if schema == pg_sys::InvalidOid {
            return Self(BTreeSet::new());
        }
        let objects = sql::fetch_texts::<1>(
            "select pg_catalog.format('%s %s', d.classid, d.objid)
            from pg_catalog.pg_depend as d
            where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass
                and d.refobjid operator(pg_catalog.=) $1::pg_catalog.oid",
            &[Some(&schema.to_u32().to_string())],
        );
        Self(objects.into_iter().flatten().collect())
    }

    /// Fails with 42501 where something has come since: the end of the (sub)transaction removes it.
    pub(super) fn refuse_others(&self) {
        if !Self::now().0.is_subset(&self.0) {
            Problem::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                "cannot create temporary objects within security-restricted operation",
            )
            .raise();
        }
    }
}

fn schema() -> pg_sys::Oid {
    let (mut schema, mut of_toast) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
    // SAFETY: writes to the two places it is given.
    unsafe { pg_sys::GetTempNamespaceState(&raw mut schema, &raw mut of_toast) };
    schema
}
