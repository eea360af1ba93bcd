//! Which table's column a view shows in one of its columns, unchanged.

use pgrx::pg_sys;

/// Recursion ends here; PostgreSQL itself would not accept that many views upon each other.
const DEEPEST: u32 = 100;

/// Returns the OID of the table and the number of the column that this column of a view shows; `None` for an expression,
/// and for a view that combines queries. Locks the view until the end of the transaction.
pub(crate) fn base_column(view: u32, column: i16) -> Option<(u32, i16)> {
    // SAFETY: on the backend's thread, in a transaction. The view's query belongs to the relation, which stays open
    // until it has been read.
    unsafe { of_view(view.into(), column, DEEPEST) }
}

unsafe fn of_view(view: pg_sys::Oid, column: i16, deepest: u32) -> Option<(u32, i16)> {
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: the caller's; a view that does not exist is an error that unwinds.
    unsafe {
        let relation = pg_sys::relation_open(view, lock);
        let is_view = (*(*relation).rd_rel).relkind as u8 == pg_sys::RELKIND_VIEW;
        let found = is_view
            .then(|| of_query(pg_sys::get_view_query(relation), column, deepest))
            .flatten();
        pg_sys::relation_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        found
    }
}

unsafe fn of_query(query: *const pg_sys::Query, column: i16, deepest: u32) -> Option<(u32, i16)> {
    let deepest = deepest.checked_sub(1)?;
    // SAFETY: the caller's; a query's target list contains target entries.
    unsafe {
        if !(*query).setOperations.is_null() {
            return None;
        }
        let entry = elements((*query).targetList)
            .map(|entry| entry.cast::<pg_sys::TargetEntry>())
            .find(|entry| (**entry).resno == column && !(**entry).resjunk)?;
        of_expression(query, (*entry).expr.cast(), deepest)
    }
}

unsafe fn of_expression(
    query: *const pg_sys::Query,
    expression: *const pg_sys::Node,
    deepest: u32,
) -> Option<(u32, i16)> {
    let deepest = deepest.checked_sub(1)?;
    // SAFETY: the caller's; a node's type says what it is, and a variable of this query names an entry of its range
    // table.
    unsafe {
        if expression.is_null() || (*expression).type_ != pg_sys::NodeTag::T_Var {
            return None;
        }
        let variable = expression.cast::<pg_sys::Var>();
        let column = (*variable).varattno;
        if (*variable).varlevelsup != 0 || column < 1 {
            return None;
        }
        let from = elements((*query).rtable)
            .nth(usize::try_from((*variable).varno).ok()?.checked_sub(1)?)?
            .cast::<pg_sys::RangeTblEntry>();
        match (*from).rtekind {
            pg_sys::RTEKind::RTE_RELATION => match (*from).relkind as u8 {
                pg_sys::RELKIND_VIEW => of_view((*from).relid, column, deepest),
                pg_sys::RELKIND_RELATION | pg_sys::RELKIND_PARTITIONED_TABLE => {
                    Some(((*from).relid.to_u32(), column))
                }
                _ => None,
            },
            pg_sys::RTEKind::RTE_SUBQUERY => of_query((*from).subquery, column, deepest),
            pg_sys::RTEKind::RTE_JOIN => {
                let number = usize::try_from(column).ok()?.checked_sub(1)?;
                let joined = elements((*from).joinaliasvars).nth(number)?;
                of_expression(query, joined.cast(), deepest)
            }
            #[cfg(feature = "pg18")]
            pg_sys::RTEKind::RTE_GROUP => {
                let number = usize::try_from(column).ok()?.checked_sub(1)?;
                let grouped = elements((*from).groupexprs).nth(number)?;
                of_expression(query, grouped.cast(), deepest)
            }
            _ => None,
        }
    }
}

/// Returns the pointers of a list, which is null if it is empty.
unsafe fn elements(list: *const pg_sys::List) -> impl Iterator<Item = *mut core::ffi::c_void> {
    // SAFETY: the caller's; the list is one of pointers and has this length.
    let length = if list.is_null() {
        0
    } else {
        unsafe { (*list).length }
    };
    (0..length).map(move |place| unsafe { pg_sys::list_nth(list, place) })
}
