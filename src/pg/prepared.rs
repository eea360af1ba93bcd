//! Statements that are prepared once in a session and kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pgrx::PgOid;
use pgrx::datum::DatumWithOid;
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiResult};

/// More would be statements with values in their text.
const MOST: usize = 200;

struct Kept {
    /// The types of the parameters that it was prepared for.
    types: Vec<PgOid>,
    statement: Rc<OwnedPreparedStatement>,
}

thread_local! {
    /// By their texts. Never dropped as a whole: at the end of the process PostgreSQL has freed the plans before.
    static KEPT: RefCell<ManuallyDrop<HashMap<String, Kept>>> = RefCell::default();
}

/// Returns the statement, which is prepared where it was not yet. PostgreSQL plans it anew when something that it uses
/// has changed, and resolves its names again then: not for statements on the application's tables
/// ([`super::relation::prepared`]).
///
/// The plan is kept by whoever runs it, so that a nested call may drop it from here.
pub(super) fn kept(
    client: &SpiClient<'_>,
    text: &str,
    params: &[DatumWithOid<'_>],
) -> SpiResult<Rc<OwnedPreparedStatement>> {
    let types = types_of(params);
    let found = KEPT.with_borrow(|kept| {
        let kept = kept.get(text).filter(|kept| kept.types == types)?;
        Some(Rc::clone(&kept.statement))
    });
    if let Some(statement) = found {
        return Ok(statement);
    }
    let statement = Rc::new(client.prepare_mut(text, &types)?.keep());
    let kept = Kept {
        types,
        statement: Rc::clone(&statement),
    };
    KEPT.with_borrow_mut(|all| {
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(text.to_owned(), kept);
    });
    Ok(statement)
}

pub(super) fn types_of(params: &[DatumWithOid<'_>]) -> Vec<PgOid> {
    params
        .iter()
        .map(|param| PgOid::from(param.oid()))
        .collect()
}
