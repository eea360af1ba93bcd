//! Cursors that somebody else's code leaves open.
//!
//! A cursor that is not WITH HOLD may be opened in a security-restricted operation, and stays until the transaction
//! ends; but whoever fetches from it runs its query, with their own rights.

use std::ffi::CStr;

use pgrx::pg_sys;

/// The portals of the session at one moment, which nothing closes as long as this is there.
pub(super) struct Portals {
    all: Vec<pg_sys::Portal>,
    /// Those of them that were not pinned: they are again when this is dropped.
    pinned: Vec<pg_sys::Portal>,
}

impl Portals {
    pub(super) fn keep() -> Self {
        let all: Vec<pg_sys::Portal> = portals().collect();
        let is_free = |portal: &pg_sys::Portal| {
            // SAFETY: a portal of this moment.
            unsafe { !(**portal).portalPinned }
        };
        let pinned: Vec<pg_sys::Portal> = all.iter().copied().filter(is_free).collect();
        for portal in &pinned {
            // SAFETY: as above; it was not pinned.
            unsafe { pg_sys::PinPortal(*portal) };
        }
        Self { all, pinned }
    }

    /// Closes all others, as CLOSE does: to be called with the rights of whoever opened them.
    pub(super) fn close_others(&self) {
        let others: Vec<pg_sys::Portal> = portals()
            .filter(|portal| !self.all.contains(portal))
            .collect();
        for portal in others {
            const IS_TOP_COMMIT: bool = false;
            // SAFETY: a portal of this moment, opened by code that has ended since: none of them is running. A language
            // that pinned it knows it by its name and finds it gone, as after a rollback.
            unsafe {
                if (*portal).portalPinned {
                    pg_sys::UnpinPortal(portal);
                }
                pg_sys::PortalDrop(portal, IS_TOP_COMMIT);
            }
        }
    }
}

impl Drop for Portals {
    fn drop(&mut self) {
        for portal in &self.pinned {
            // SAFETY: pinned by `keep`, so it is still there; the end of a subtransaction may have unpinned it.
            unsafe {
                if (**portal).portalPinned {
                    pg_sys::UnpinPortal(*portal);
                }
            }
        }
    }
}

/// All there are. Their table is private to portalmem.c, but each has a memory context that is named after it.
fn portals() -> impl Iterator<Item = pg_sys::Portal> {
    // SAFETY: contexts on the backend's own thread, and none is made or deleted during the walk.
    let contexts = unsafe { children(pg_sys::TopMemoryContext) };
    let of_portals = contexts.filter(|context| {
        // SAFETY: every context has a name, a C string that stays.
        unsafe { CStr::from_ptr((**context).name) == c"TopPortalContext" }
    });
    // SAFETY: as above.
    let each = of_portals.flat_map(|context| unsafe { children(context) });
    each.filter_map(|context| {
        // SAFETY: the identifier is null or the portal's name, and looking it up changes nothing.
        unsafe {
            let name = (*context).ident;
            let portal = (!name.is_null()).then(|| pg_sys::GetPortalByName(name))?;
            (!portal.is_null()).then_some(portal)
        }
    })
}

/// # Safety
/// `context` is valid, and its children stay the same until the iterator is dropped.
unsafe fn children(context: pg_sys::MemoryContext) -> impl Iterator<Item = pg_sys::MemoryContext> {
    // SAFETY: as promised by the caller.
    let first = unsafe { (*context).firstchild };
    std::iter::successors(Some(first), |child| {
        // SAFETY: `take_while` below stops at the last one.
        (!child.is_null()).then(|| unsafe { (**child).nextchild })
    })
    .take_while(|child| !child.is_null())
}
