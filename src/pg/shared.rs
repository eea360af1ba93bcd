//! Numbers that all backends of a database share, in a small segment of dynamic shared memory, without
//! preloading the library.
//!
//! The handle of the segment is published in the sequence `invoice_sync.limiter_segment`, whose value other sessions
//! see at once, independent of transactions. The value also contains an identifier of the server's shared memory
//! ([`this_start`]), so that after a restart or a crash the old handle is not attached. The segment goes with the last
//! session that uses it: the server has few segments, and a dropped database must not keep one.

use std::mem::size_of;
use std::sync::atomic::{AtomicU64, Ordering};

use pgrx::pg_sys;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use serde_json::Value;

use super::ending::with_shared_memory;
use super::identity::as_definer;
use super::invalidation::Kept;
use super::lock::{Purpose, SessionLock};
use super::problem::Problem;
use super::sequence::is_read_only;
use super::sql;
use super::subtransaction::in_subtransaction;

/// The last digit is the version of the layout.
const MAGIC: u64 = u64::from_be_bytes(*b"invsync2");

/// One slot for each account and mode and each of its endpoints: for more accounts than most databases have.
const SLOTS: usize = 1024;

/// The content of the segment. All zero at first, except for the magic number.
#[repr(C)]
struct Segment {
    magic: u64,
    slots: [Slot; SLOTS],
    /// Shared by all keys that find no free slot.
    overflow: AtomicU64,
}

#[repr(C)]
struct Slot {
    /// 0 if the slot is free.
    key: AtomicU64,
    number: AtomicU64,
}

/// The start of the server's own shared memory: `PGShmemHeader` in storage/pg_shmem.h, which pgrx does not bind.
#[repr(C)]
struct ServersHeader {
    magic: i32,
    creator: libc::pid_t,
    total_size: usize,
    free_offset: usize,
    /// The handle of the segment that lists all dynamic segments: a random number, chosen whenever the server creates
    /// its shared memory.
    dsm_control: u32,
}

/// `PGShmemMagic`
const SERVERS_MAGIC: i32 = 679_834_894;

thread_local! {
    static SEGMENT: Kept<&'static Segment> = const { Kept::new() };
}

unsafe extern "C" {
    static UsedShmemSegAddr: *const ServersHeader;
}

/// A number that all backends of a database share. Threads may use it: when the backend ends, it becomes inaccessible
/// before its memory is detached.
#[derive(Clone, Copy)]
pub(crate) struct SharedNumber(&'static AtomicU64);

impl SharedNumber {
    #[cfg(test)]
    pub(crate) fn of(number: &'static AtomicU64) -> Self {
        Self(number)
    }

    /// Replaces the number by `change` of it and returns the former one. Returns `None` and does nothing if the
    /// backend is ending.
    pub(crate) fn replace(self, change: impl Fn(u64) -> u64) -> Option<u64> {
        with_shared_memory(|| {
            self.0
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |it| Some(change(it)))
                .unwrap_or_else(|unchanged| unchanged)
        })
    }
}

/// Returns the number that belongs to `key` in all backends of this database; 0 at first.
///
/// Returns `None` if no shared memory is available or nothing may be written (on a standby, in a read-only
/// transaction); the reason is logged at DEBUG1.
pub(crate) fn shared_number(key: u64) -> Option<SharedNumber> {
    shared_numbers(&[key]).pop().flatten()
}

/// As [`shared_number`], for several keys.
pub(crate) fn shared_numbers(keys: &[u64]) -> Vec<Option<SharedNumber>> {
    // While this session uses it, others find it as well.
    let segment = SEGMENT
        .with(|kept| kept.get_or_load(|| in_subtransaction(segment)))
        .inspect_err(|problem| {
            pgrx::debug1!(
                "the request rate limit of invoice_sync is not shared with other sessions: {}",
                problem.message()
            );
        })
        .ok();
    let number = |key: &u64| Some(SharedNumber(segment.as_deref()?.number(*key)));
    keys.iter().map(number).collect()
}

/// Returns nanoseconds of a clock that is the same for all processes of this machine and never goes back.
pub(crate) fn monotonic_nanoseconds() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to the variable it is given; every system has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

impl Segment {
    fn number(&'static self, key: u64) -> &'static AtomicU64 {
        let key = key.max(1);
        for slot in &self.slots {
            let taken = slot
                .key
                .compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire);
            if taken.is_ok() || taken == Err(key) {
                return &slot.number;
            }
        }
        &self.overflow
    }
}

/// Returns the database's segment; the first session that needs it creates it.
fn segment() -> Result<&'static Segment, Problem> {
    as_definer(owner()?, || {
        if let Some(segment) = published() {
            return Ok(segment);
        }
        // A lock of the session, since the transaction may last long; released on error, too.
        let _lock = SessionLock::take(lock_class()?, Purpose::SharedMemory);
        in_subtransaction(|| match published() {
            Some(segment) => Ok(segment),
            None => create(),
        })
    })
}

const OWNER: &str = "select pg_catalog.to_jsonb(extowner::pg_catalog.int8)
    from pg_catalog.pg_extension where extname = 'invoice_sync'";

const LOCK_CLASS: &str = "select pg_catalog.to_jsonb(
    'invoice_sync.limiter_segment'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int8)";

const READ: &str = "select pg_catalog.to_jsonb(last_value) from invoice_sync.limiter_segment";

const PUBLISH: &str = "select pg_catalog.setval(
    'invoice_sync.limiter_segment'::pg_catalog.regclass, $1::pg_catalog.int8)";

/// The class of the lock under which the segment is created.
fn lock_class() -> Result<pg_sys::Oid, Problem> {
    sql::fetch_one(LOCK_CLASS, &[])
        .and_then(|class| u32::try_from(class.as_u64()?).ok())
        .map(pg_sys::Oid::from)
        .ok_or_else(|| unavailable("the sequence does not exist"))
}

/// Returns the owner of the extension, since the caller has no rights on the sequence. Names are qualified, because
/// the search path is the caller's.
fn owner() -> Result<pg_sys::Oid, Problem> {
    sql::fetch_one(OWNER, &[])
        .and_then(|owner| u32::try_from(owner.as_u64()?).ok())
        .map(pg_sys::Oid::from)
        .ok_or_else(|| unavailable("the extension does not exist"))
}

/// Returns the segment that the sequence names, if it belongs to this start of the server.
fn published() -> Option<&'static Segment> {
    let value = sql::fetch_one(READ, &[]).as_ref().and_then(Value::as_i64)?;
    let (handle, start) = unpack(value);
    if start != this_start()? {
        return None;
    }
    attach(handle)
}

fn create() -> Result<&'static Segment, Problem> {
    if is_read_only() {
        return Err(unavailable("nothing may be written here"));
    }
    let start = this_start().ok_or_else(|| unavailable("there is no shared memory"))?;
    // SAFETY: on the backend's thread, in a transaction, so that there is a resource owner. The segment is new and no
    // other process uses it before it is published; it is mapped at the start of a page and has the requested size.
    let (dynamic, handle, segment) = unsafe {
        let dynamic = pg_sys::dsm_create(
            size_of::<Segment>(),
            pg_sys::DSM_CREATE_NULL_IF_MAXSEGMENTS as i32,
        );
        if dynamic.is_null() {
            return Err(unavailable("the server has no more segments"));
        }
        let segment = pg_sys::dsm_segment_address(dynamic).cast::<Segment>();
        segment.write_bytes(0, 1);
        (&raw mut (*segment).magic).write(MAGIC);
        (dynamic, pg_sys::dsm_segment_handle(dynamic), &*segment)
    };
    sql::execute(PUBLISH, &[Some(&pack(handle, start).to_string())]);
    // SAFETY: it is mapped. Pinned, it stays for the session's life; until then, an error removes it.
    unsafe { pg_sys::dsm_pin_mapping(dynamic) };
    Ok(segment)
}

fn attach(handle: u32) -> Option<&'static Segment> {
    // SAFETY: on the backend's thread, in a transaction. An unknown handle returns null. Size and magic number are
    // checked before anything else is read; the mapping is pinned, so it stays.
    unsafe {
        let mut dynamic = pg_sys::dsm_find_mapping(handle);
        if dynamic.is_null() {
            dynamic = pg_sys::dsm_attach(handle);
            if dynamic.is_null() {
                return None;
            }
            pg_sys::dsm_pin_mapping(dynamic);
        }
        if pg_sys::dsm_segment_map_length(dynamic) < size_of::<Segment>() {
            return None;
        }
        let segment = pg_sys::dsm_segment_address(dynamic).cast::<Segment>();
        ((*segment).magic == MAGIC).then(|| &*segment)
    }
}

/// Returns an identifier of the server's shared memory. It also changes after the crash of one of the server's
/// processes, when all dynamic segments are removed (`dsm_postmaster_startup` in dsm.c).
fn this_start() -> Option<u32> {
    // SAFETY: set before any backend starts, and mapped for the backend's life.
    let header = unsafe { UsedShmemSegAddr.as_ref() }?;
    (header.magic == SERVERS_MAGIC).then_some(header.dsm_control)
}

/// Packs handle and identifier into one value of a sequence.
fn pack(handle: u32, start: u32) -> i64 {
    (u64::from(handle) << 32 | u64::from(start)).cast_signed()
}

fn unpack(value: i64) -> (u32, u32) {
    let value = value.cast_unsigned();
    ((value >> 32) as u32, (value & u64::from(u32::MAX)) as u32)
}

fn unavailable(why: &str) -> Problem {
    Problem::new(PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES, why)
}
