//! Heavyweight locks of this extension that no SQL command can take.
//!
//! They are ordinary heavyweight locks: visible in `pg_locks` (locktype `object`), checked by the deadlock detector,
//! and subject to `lock_timeout`. Any role may take any advisory lock, but a lock on an object is only taken by
//! commands on that object. The objects locked here do not exist for any command: their class is a table of this
//! extension.

use pgrx::pg_sys;

/// What a lock protects: `objsubid` in `pg_locks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Purpose {
    /// One sweep at a time.
    Sweep = 1,
    /// One backfill at a time.
    Backfill = 2,
    /// One session creates the shared memory.
    SharedMemory = 3,
    /// One session at a time books a payment; `objid` identifies the payment.
    Payment = 4,
}

/// A lock of the session that is held until dropped, across commits. An error that ends the statement releases it,
/// and so does the end of the session.
pub(crate) struct SessionLock(pg_sys::LOCKTAG);

impl SessionLock {
    /// Waits for the lock.
    pub(crate) fn take(class: pg_sys::Oid, purpose: Purpose) -> Self {
        let tag = tag(class, 0, purpose);
        // If the wait is interrupted, the error unwinds before there is a lock to release.
        acquire(&tag, Until::Released, Wait::Blocking);
        Self(tag)
    }

    /// Returns `None` if another session has the lock, for its session or for its transaction.
    pub(crate) fn try_take(class: pg_sys::Oid, purpose: Purpose) -> Option<Self> {
        let tag = tag(class, 0, purpose);
        // `then`, not `then_some`: dropping a SessionLock that was not acquired would release it.
        acquire(&tag, Until::Released, Wait::NoWait).then(|| Self(tag))
    }
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        // SAFETY: releases the lock that was taken; touches shared memory only. An error that unwinds gets here
        // before the end of the transaction, which would release the lock, too.
        unsafe { pg_sys::LockRelease(&raw const self.0, pg_sys::ExclusiveLock as i32, true) };
    }
}

/// Takes a lock until the (sub)transaction ends. Returns false if another session has it.
pub(crate) fn try_lock_transaction(class: pg_sys::Oid, object: u32, purpose: Purpose) -> bool {
    let tag = tag(class, object, purpose);
    acquire(&tag, Until::EndOfTransaction, Wait::NoWait)
}

/// Takes a lock until the (sub)transaction ends; waits for it.
pub(crate) fn lock_transaction(class: pg_sys::Oid, object: u32, purpose: Purpose) {
    let tag = tag(class, object, purpose);
    acquire(&tag, Until::EndOfTransaction, Wait::Blocking);
}

/// Returns the size of the server's lock table for all sessions together (`NLOCKENTS` in lock.c without prepared
/// transactions). It is the same in every session.
pub(crate) fn room() -> u32 {
    // SAFETY: plain reads of parameters that are fixed at server start.
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
    NoWait,
    Blocking,
}

fn acquire(tag: &pg_sys::LOCKTAG, until: Until, wait: Wait) -> bool {
    // SAFETY: takes a valid tag; its errors unwind like any other.
    let result = unsafe {
        pg_sys::LockAcquire(
            tag,
            pg_sys::ExclusiveLock as i32,
            until == Until::Released,
            wait == Wait::NoWait,
        )
    };
    result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// As `SET_LOCKTAG_OBJECT` in lock.h.
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
