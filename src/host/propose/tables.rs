//! Proposes the tables of invoices and payments.

use std::cmp::Reverse;

use pgrx::prelude::PgSqlErrorCode;

use super::columns::{INVOICE, PAYMENT, WantedColumn};
use super::table_names::{INVOICES, PAYMENTS};
use crate::domain::words::squash;
use crate::host::catalog::Table;
use crate::host::own_payments;
use crate::host::propose::relations::Relations;
use crate::pg::Problem;

/// Both tables, each with the reason for choosing it.
pub(super) struct Pair {
    pub(super) invoices: (Table, String),
    pub(super) payments: (Table, String),
}

const HOW_TO_NAME_THEM: &str = "Specify them: select * from invoice_sync.propose_mapping('your.invoices', 'your.payments'), and likewise for adopt_mapping.";

impl Relations {
    /// Searches for the tables that were not given.
    pub(super) fn pair(
        &self,
        invoices: Option<u32>,
        payments: Option<u32>,
    ) -> Result<Pair, Problem> {
        let given = |oid: Option<u32>| oid.and_then(|oid| self.given(oid));
        let payments = given(payments);
        if invoices.is_none()
            && payments.is_none()
            && let Some(pair) = self.best_pair()?
        {
            return Ok(pair);
        }
        let invoices = match given(invoices) {
            Some(table) => (table, "as given".to_owned()),
            None => self.best(
                "invoices",
                |table| self.as_invoices(table, payments.as_ref()),
                payments.as_ref(),
            )?,
        };
        let payments = match payments {
            Some(table) => (table, "as given".to_owned()),
            None => self
                .best(
                    "payments",
                    |table| self.as_payments(table, &invoices.0),
                    Some(&invoices.0),
                )
                .or_else(|problem| self.own_payments(problem, &invoices.0))?,
        };
        Ok(Pair { invoices, payments })
    }

    /// Returns how well a table fits as the invoices table; `None` if it does not fit.
    fn as_invoices(&self, table: &Table, payments: Option<&Table>) -> Option<Score> {
        let name = INVOICES.rate(table);
        let is_referred_to = match payments {
            Some(payments) => self.foreign_keys(payments, table.oid).next().is_some(),
            None => self.tables.iter().any(|other| {
                squash(&other.bare_name).contains("payment")
                    && self.foreign_keys(other, table.oid).next().is_some()
            }),
        };
        let fits = self.key_of(table).is_some()
            && name >= 0
            && (name > 0 || (has_stripe_id(table, &INVOICE) && fitting(table, &INVOICE) > 3));
        fits.then(|| Score {
            link: i32::from(is_referred_to) * 30,
            ..Score::of(table, name, &INVOICE)
        })
    }

    /// Returns how well a table fits as the payments table of `invoices`; `None` if it does not fit.
    fn as_payments(&self, table: &Table, invoices: &Table) -> Option<Score> {
        let name = PAYMENTS.rate(table);
        // What has the name of invoices, bills or orders is none of payments, whatever ids it stores.
        let is_of_invoices = name == 0 && INVOICES.rate(table) > 0;
        let fits = table.oid != invoices.oid
            && name >= 0
            && !is_of_invoices
            && (name > 0 || has_stripe_id(table, &PAYMENT))
            && self.link_between(table, invoices).is_some();
        let is_foreign_key = self.foreign_keys(table, invoices.oid).next().is_some();
        fits.then(|| Score {
            link: i32::from(is_foreign_key) * 50,
            ..Score::of(table, name, &PAYMENT)
        })
    }

    /// Returns the tables that fit best together, if there are two: one pair may have the usual names and another
    /// Stripe's ids.
    fn best_pair(&self) -> Result<Option<Pair>, Problem> {
        let mut rated: Vec<(i32, Rated, Rated)> = Vec::new();
        for invoices in &self.tables {
            let Some(fits) = self.as_invoices(invoices, None) else {
                continue;
            };
            for payments in &self.tables {
                if let Some(linked) = self.as_payments(payments, invoices) {
                    let sum = fits.sum() + linked.sum() + fits.of_stripe(linked);
                    rated.push((sum, (fits, invoices), (linked, payments)));
                }
            }
        }
        rated.sort_by_key(|(sum, (_, one), (_, other))| {
            (Reverse(*sum), one.name.clone(), other.name.clone())
        });
        match rated.as_slice() {
            [
                (best, (_, one), (_, of_one)),
                (next, (_, other), (_, of_other)),
                ..,
            ] if best == next => Err(if one.oid == other.oid {
                several_fit("payments", of_one, of_other)
            } else {
                several_fit("invoices", one, other)
            }),
            [(_, (fits, invoices), (linked, payments)), ..] => Ok(Some(Pair {
                invoices: ((*invoices).clone(), fits.reason()),
                payments: ((*payments).clone(), linked.reason()),
            })),
            [] => Ok(None),
        }
    }

    /// Returns the extension's own table if the application appears to have none, although its invoices store Stripe's
    /// ids. Otherwise adds to the error what may contain the payments.
    fn own_payments(&self, problem: Problem, invoices: &Table) -> Result<(Table, String), Problem> {
        if !problem.is(PgSqlErrorCode::ERRCODE_NO_DATA_FOUND) {
            return Err(problem);
        }
        let others = self.tables.iter().filter(|it| it.oid != invoices.oid);
        let others = others.filter(|it| may_hold_payments(it));
        let others: Vec<&str> = others.map(|it| it.name.as_str()).collect();
        if others.is_empty() && has_stripe_id(invoices, &INVOICE) {
            let reason = "no table appears to contain payments, so the extension's own is used";
            return Ok((self.own.clone(), reason.to_owned()));
        }
        let problem = if others.is_empty() {
            problem
        } else {
            problem.detail(format!(
                "What may contain payments has no column that is recognized as the id of an invoice in {}: {}.",
                invoices.name,
                others.join(", ")
            ))
        };
        Err(problem.hint(format!(
            "{HOW_TO_NAME_THEM} If your application has none, use the extension's own: select invoice_sync.adopt_mapping({}, '{}');",
            pgrx::spi::quote_literal(&invoices.name),
            own_payments::NAME,
        )))
    }

    fn none_found(&self, what: &str, beside: Option<&Table>) -> Problem {
        let mut detail = match beside {
            Some(beside) => format!(
                "Besides {}, no table appears to contain {what}.",
                beside.name
            ),
            None => format!("No table appears to contain {what}, by its name or by its columns."),
        };
        let payments = self.tables.iter().filter(|table| may_hold_payments(table));
        let mut referring = payments.filter_map(|table| {
            let targets = self.tables.iter().filter(|target| {
                target.oid != table.oid && self.foreign_keys(table, target.oid).next().is_some()
            });
            let targets: Vec<&str> = targets.map(|target| target.name.as_str()).collect();
            (!targets.is_empty())
                .then(|| format!("{} refers to {}", table.name, targets.join(", ")))
        });
        if beside.is_none()
            && let Some(first) = referring.next()
        {
            let all: Vec<String> = std::iter::once(first).chain(referring).collect();
            detail = format!("{detail} What may contain payments: {}.", all.join("; "));
        }
        Problem::new(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("no table of {what} was found"),
        )
        .detail(detail)
        .hint(HOW_TO_NAME_THEM)
    }

    fn best(
        &self,
        what: &str,
        rate: impl Fn(&Table) -> Option<Score>,
        beside: Option<&Table>,
    ) -> Result<(Table, String), Problem> {
        let mut rated: Vec<(Score, &Table)> = self
            .tables
            .iter()
            .filter(|table| beside.is_none_or(|beside| beside.oid != table.oid))
            .filter_map(|table| Some((rate(table)?, table)))
            .collect();
        rated.sort_by_key(|(score, table)| (Reverse(score.sum()), table.name.clone()));
        match rated.as_slice() {
            [] => Err(self.none_found(what, beside)),
            [(best, one), (next, other), ..] if best.sum() == next.sum() => {
                Err(several_fit(what, one, other))
            }
            [(score, table), ..] => Ok(((*table).clone(), score.reason())),
        }
    }
}

/// A table and how well it fits.
type Rated<'a> = (Score, &'a Table);

/// The score of a table, with its reasons.
#[derive(Clone, Copy)]
struct Score {
    name: i32,
    columns: i32,
    stripe: i32,
    schema: i32,
    link: i32,
}

impl Score {
    fn of(table: &Table, name: i32, wanted_columns: &[WantedColumn]) -> Self {
        Self {
            name,
            columns: fitting(table, wanted_columns) * 3,
            stripe: i32::from(has_stripe_id(table, wanted_columns)) * 25,
            schema: match table.schema.as_str() {
                "public" => 20,
                // Schemas of this name usually contain copies of Stripe's own objects.
                "stripe" => -50,
                _ => 0,
            },
            link: 0,
        }
    }

    /// Returns what it adds to a pair that one of the tables has Stripe's ids: more than any name.
    fn of_stripe(self, other: Self) -> i32 {
        let has = |score: Self| score.stripe > 0 && score.schema >= 0;
        i32::from(has(self) || has(other)) * 150
    }

    fn sum(self) -> i32 {
        self.name + self.columns + self.stripe + self.schema + self.link
    }

    fn reason(self) -> String {
        let reasons: Vec<&str> = [
            (self.name, "its name"),
            (self.link, "its foreign key"),
            (self.stripe, "its columns for Stripe's ids"),
        ]
        .into_iter()
        .filter_map(|(points, reason)| (points > 0).then_some(reason))
        .collect();
        if reasons.is_empty() {
            return "by its columns".to_owned();
        }
        format!("by {}", reasons.join(" and "))
    }
}

/// Returns whether a table that no column links to the invoices has the name and an amount of payments, or their ids.
fn may_hold_payments(table: &Table) -> bool {
    let name = PAYMENTS.rate(table);
    let found = |wanted: &WantedColumn| wanted.find(table, &[].into(), None);
    let mut amounts = PAYMENT.iter().filter(|wanted| wanted.is_whole_amount());
    let has_amount = amounts.any(|wanted| found(wanted).is_some());
    let ids = PAYMENT.iter().filter(|wanted| wanted.is_for_stripe_id());
    let mut ids = ids.filter_map(found).map(|(name, _)| squash(&name));
    // An application's own browser session has an id, too.
    let has_id = ids.any(|name| name.contains("stripe") || name.contains("intent"));
    name > 0 && has_amount || name >= 0 && has_id
}

/// Returns how many of the wanted columns the table has.
fn fitting(table: &Table, wanted_columns: &[WantedColumn]) -> i32 {
    wanted_columns
        .iter()
        .map(|wanted| i32::from(wanted.find(table, &[].into(), None).is_some()))
        .sum()
}

fn has_stripe_id(table: &Table, wanted_columns: &[WantedColumn]) -> bool {
    wanted_columns
        .iter()
        .filter(|wanted| wanted.is_for_stripe_id())
        .any(|wanted| wanted.find(table, &[].into(), None).is_some())
}

fn several_fit(what: &str, one: &Table, other: &Table) -> Problem {
    Problem::new(
        PgSqlErrorCode::ERRCODE_TOO_MANY_ROWS,
        format!("could not determine which table contains the {what}"),
    )
    .detail(format!("{} and {} fit equally.", one.name, other.name))
    .hint(HOW_TO_NAME_THEM)
}
