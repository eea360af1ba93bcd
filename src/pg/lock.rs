//! Heavyweight locks of this extension that no SQL command can take.
//!
//! Heavyweight locks of PostgreSQL like any other: seen in `pg_locks` (with the locktype
//! `object`), known to the deadlock detector, bound by `lock_timeout`. Any role may take
//! any advisory lock; one on an object is taken by commands on that object alone, and
//! these are on objects that no command knows: their class is a table of ours.

use pgrx::pg_sys;

/// What a lock is for: `objsubid` in `pg_locks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Purpose {
    /// One sweep at a time.
    Sweep = 1,
    /// One backfill at a time.
    Backfill = 2,
    /// Shared memory is made by one session.
    SharedMemory = 3,
    /// A payment is booked by one session at a time; `objid` says which.
    Payment = 4,
}

/// A lock of the session, held until dropped, whatever is committed meanwhile. An error
/// that ends the statement drops it, and so does the end of the session.
pub(crate) struct SessionLock(pg_sys::LOCKTAG);

impl SessionLock {
    /// Waits for it.
    pub(crate) fn take(class: pg_sys::Oid, purpose: Purpose) -> Self {
        let tag = tag(class, 0, purpose);
        // Where the wait is ended, the error unwinds before there is anything to release.
        acquire(&tag, Until::Released, Wait::AsLongAsItTakes);
        Self(tag)
    }

    /// `None` where another session has it, for itself or for its transaction.
    pub(crate) fn try_take(class: pg_sys::Oid, purpose: Purpose) -> Option<Self> {
        let tag = tag(class, 0, purpose);
        // Lazily: what was not taken must not be released.
        acquire(&tag, Until::Released, Wait::Not).then(|| Self(tag))
    }
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        // SAFETY: releases what was taken, before an error on its way out reaches the end
        // of the transaction (which would release it, too); it touches shared memory only.
        unsafe { pg_sys::LockRelease(&raw const self.0, pg_sys::ExclusiveLock as i32, true) };
    }
}

/// Takes a lock until the (sub)transaction ends, if nobody else has it.
pub(crate) fn try_lock_transaction(class: pg_sys::Oid, object: u32, purpose: Purpose) -> bool {
    let tag = tag(class, object, purpose);
    acquire(&tag, Until::EndOfTransaction, Wait::Not)
}

/// The same, and waits for it.
pub(crate) fn lock_transaction(class: pg_sys::Oid, object: u32, purpose: Purpose) {
    let tag = tag(class, object, purpose);
    acquire(&tag, Until::EndOfTransaction, Wait::AsLongAsItTakes);
}

/// How many locks the server has room for, all sessions together (`NLOCKENTS` in lock.c
/// without prepared transactions): the same in every session.
pub(crate) fn room() -> u32 {
    // SAFETY: plain reads of what the server was started with.
    let (each, backends) = unsafe { (pg_sys::max_locks_per_xact, pg_sys::MaxBackends) };
    u32::try_from(each.saturating_mul(backends)).unwrap_or(0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    EndOfTransaction,
    Released,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Not,
    AsLongAsItTakes,
}

fn acquire(tag: &pg_sys::LOCKTAG, until: Until, wait: Wait) -> bool {
    // SAFETY: takes a valid tag; an error of it unwinds like any other.
    let result = unsafe {
        pg_sys::LockAcquire(
            tag,
            pg_sys::ExclusiveLock as i32,
            until == Until::Released,
            wait == Wait::Not,
        )
    };
    result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// As `SET_LOCKTAG_OBJECT` in lock.h has it.
fn tag(class: pg_sys::Oid, object: u32, purpose: Purpose) -> pg_sys::LOCKTAG {
    // SAFETY: a plain read of the backend's state.
    let database = unsafe { pg_sys::MyDatabaseId };
    pg_sys::LOCKTAG {
        locktag_field1: database.to_u32(),
        locktag_field2: class.to_u32(),
        locktag_field3: object,
        locktag_field4: purpose as u16,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    }
}
