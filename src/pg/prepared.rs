//! Statements that are prepared once in a session and kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_int;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pgrx::PgOid;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiResult};

use super::local_settings::set_local;
use super::relation;

/// More would be statements with values in their text.
const MOST: usize = 200;

struct Kept {
    /// The types of the parameters that it was prepared for.
    types: Vec<PgOid>,
    prepared_at: PreparedAt,
    statement: Prepared,
    /// How often it was used, and after how many uses it is planned again.
    uses: u32,
    expires_after: u32,
}

/// A plan is made for tables of the size that they had, and PostgreSQL makes a new one only when statistics change.
/// It may be that of an empty table, or one that grows with the uses: a statement is planned again after 64 uses, 512 …
const FIRST_USES: u32 = 64;

/// No more than so many uses later.
const MOST_USES: u32 = 1_000;

/// Kept by whoever runs it, too, so that a nested call may drop it from here.
pub(super) type Prepared = Rc<OwnedPreparedStatement>;

/// Whose names a statement's are.
#[derive(Clone, Copy, PartialEq)]
enum PreparedAt {
    /// This extension's: PostgreSQL may resolve them again whenever something that the statement uses has changed.
    AnyTime,
    /// The application's: they mean what was checked at this count of changes of the catalogs
    /// ([`relation::prepared`]).
    Count(u64),
}

thread_local! {
    /// By their texts. Never dropped as a whole: at the end of the process PostgreSQL has freed the plans before.
    static KEPT: RefCell<ManuallyDrop<HashMap<String, Kept, TextHashes>>> = RefCell::default();
}

type TextHashes = BuildHasherDefault<TextHasher>;

/// For texts of one or two thousand bytes, for each statement that is run: eight bytes at a time, as rustc's own tables do.
#[derive(Default)]
struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            let mixed = self.0.rotate_left(5) ^ u64::from_le_bytes(word);
            self.0 = mixed.wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// Returns a statement on the extension's own tables, which is prepared where it was not yet.
pub(super) fn kept(client: &SpiClient<'_>, text: &str, types: &[PgOid]) -> SpiResult<Prepared> {
    find_or_prepare(client, text, types, PreparedAt::AnyTime)
}

/// Returns a statement on the tables in use, which is prepared again where the catalogs have changed since.
pub(super) fn checked(client: &SpiClient<'_>, text: &str, types: &[PgOid]) -> SpiResult<Prepared> {
    relation::prepared(|count| {
        let at = PreparedAt::Count(count);
        find_or_prepare(client, text, types, at)
    })
}

/// As [`checked`], for a statement that is planned for its parameters.
pub(super) fn checked_once(
    client: &SpiClient<'_>,
    text: &str,
    types: &[PgOid],
) -> SpiResult<Prepared> {
    relation::prepared(|_| prepare(client, text, types))
}

pub(super) fn types_of(params: &[DatumWithOid<'_>]) -> Vec<PgOid> {
    params
        .iter()
        .map(|param| PgOid::from(param.oid()))
        .collect()
}

/// While this exists, a prepared statement is planned once for any parameters, and reads a table as a whole only where no
/// index serves. Not while the application's code runs.
pub(super) fn by_indexes() -> ByIndexes {
    const GENERIC: c_int = pg_sys::PlanCacheMode::PLAN_CACHE_MODE_FORCE_GENERIC_PLAN as c_int;
    // SAFETY: reads and writes the variables of settings, on the backend's thread; they are restored on drop.
    unsafe {
        let former = ByIndexes {
            mode: pg_sys::plan_cache_mode,
            scans: pg_sys::enable_seqscan,
            jit: pg_sys::jit_enabled,
        };
        pg_sys::plan_cache_mode = GENERIC;
        // Where a table has to be read as a whole all the same, the plan counts as very expensive.
        (pg_sys::enable_seqscan, pg_sys::jit_enabled) = (false, false);
        former
    }
}

/// The settings as they were.
pub(super) struct ByIndexes {
    mode: c_int,
    scans: bool,
    jit: bool,
}

impl Drop for ByIndexes {
    fn drop(&mut self) {
        // SAFETY: as in `by_indexes`.
        unsafe {
            pg_sys::plan_cache_mode = self.mode;
            (pg_sys::enable_seqscan, pg_sys::jit_enabled) = (self.scans, self.jit);
        }
    }
}

/// As [`by_indexes`], until the level of settings ends, for a statement that may call the
/// application's code: that may change them, too.
pub(super) fn look_up_by_indexes() {
    set_local(c"plan_cache_mode", c"force_generic_plan");
    set_local(c"enable_seqscan", c"off");
    set_local(c"jit", c"off");
}

fn find_or_prepare(
    client: &SpiClient<'_>,
    text: &str,
    types: &[PgOid],
    prepared_at: PreparedAt,
) -> SpiResult<Prepared> {
    let mut expires_after = FIRST_USES;
    let found = KEPT.with_borrow_mut(|all| {
        let kept = all.get_mut(text)?;
        let is_it = kept.types == types && kept.prepared_at == prepared_at;
        if is_it && kept.uses >= kept.expires_after {
            expires_after = (8 * kept.expires_after).min(MOST_USES);
            return None;
        }
        kept.uses = kept.uses.saturating_add(1);
        is_it.then(|| Rc::clone(&kept.statement))
    });
    if let Some(statement) = found {
        return Ok(statement);
    }
    let statement = prepare(client, text, types)?;
    let kept = Kept {
        types: types.to_vec(),
        prepared_at,
        statement: Rc::clone(&statement),
        uses: 1,
        expires_after,
    };
    KEPT.with_borrow_mut(|all| {
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(text.to_owned(), kept);
    });
    Ok(statement)
}

fn prepare(client: &SpiClient<'_>, text: &str, types: &[PgOid]) -> SpiResult<Prepared> {
    Ok(Rc::new(client.prepare_mut(text, types)?.keep()))
}
