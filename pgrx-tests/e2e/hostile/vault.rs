//! A vault that is not of the extension supabase_vault is never read.

use std::process::Command;

use crate::harness::sender::{SECRET, deliver_signed, now, signature};
use crate::harness::server::{Server, attempt};
use crate::harness::{KEY, Shop};

/// Puts an extension of Supabase Vault's name and shape where the server looks for
/// extensions, of which this cluster has a copy of its own.
fn offer_vault() {
    let directory = Server::main().extensions();
    let write = |name: &str, text: &str| {
        // Some of the tree are links: what is written is a file of its own, put there at once.
        let path = directory.join(name);
        let draft = directory.join(format!("{name}.{:?}", std::thread::current().id()));
        std::fs::write(&draft, text).expect("the tree is the cluster's own");
        std::fs::rename(&draft, &path).expect("in one directory");
        let readable = Command::new("chmod").arg("644").arg(&path).status();
        assert!(readable.is_ok_and(|status| status.success()));
    };
    write(
        "supabase_vault.control",
        "default_version = '0.1'\nschema = 'vault'\nrelocatable = false\nsuperuser = true\n",
    );
    write(
        "supabase_vault--0.1.sql",
        "create table secrets (name text, secret text);
        revoke all on secrets from public;
        create table readers (name text, is_superuser boolean, may_become_others boolean);
        grant insert on readers to public;
        create function note_reader(text) returns text language plpgsql as $$
        declare
            escaped boolean := true;
        begin
            begin
                execute 'set role postgres';
                reset role;
            exception when others then escaped := false;
            end;
            insert into vault.readers select current_user, rolsuper, escaped from pg_catalog.pg_roles where rolname = current_user;
            perform pg_catalog.set_config('search_path', 'evil', false);
            return $1;
        end $$;
        create view decrypted_secrets as
            select name, vault.note_reader(secret) as decrypted_secret from secrets;",
    );
}

/// A schema of the vault's name and shape; `by` may create schemas.
fn forge_vault(shop: &mut Shop, by: &str, secret: &str) {
    shop.execute(&format!(
        "create role {by} login; grant create on database {name} to {by}",
        name = shop.name()
    ));
    let mut session = shop.connect_as(by);
    attempt(
        &mut session,
        &format!(
            "create schema vault;
            create table vault.caught (by_whom text);
            grant all on schema vault to public; grant all on vault.caught to public;
            create function vault.evil() returns text language plpgsql as
                $$ begin insert into vault.caught values (current_user); return '{secret}'; end $$;
            create view vault.decrypted_secrets as
                select n as name, vault.evil() as decrypted_secret
                from unnest(array['stripe_key', 'stripe_webhook']) n;
            grant select on vault.decrypted_secrets to public"
        ),
    )
    .expect("they may create schemas");
}

#[test]
fn a_vault_that_is_no_extensions_is_not_read_and_forges_no_webhook() {
    let mut shop = Shop::open();
    shop.not_at_rest("the vault with the key is gone");
    let attacker = format!("attacker_of_{}", shop.name());
    forge_vault(&mut shop, &attacker, SECRET);
    shop.configure("stripe_webhook_secret", "vault:stripe_webhook");
    shop.configure("stripe_api_key", "vault:stripe_key");

    let error = deliver_signed(&mut shop.db, "{}", &signature(SECRET, now(), "{}"))
        .expect_err("nobody but the attacker knows that secret");
    assert_eq!(error.sqlstate, "55000", "{error:?}");
    let report = shop.sweep();
    assert_eq!(report["error"]["sqlstate"], "42704", "{report:#}");
    shop.execute("select from invoice_sync.doctor()");
    assert_eq!(
        shop.texts("select by_whom from vault.caught"),
        Vec::<Option<String>>::new(),
        "none of their code ran"
    );
    assert!(shop.stripe.requests().is_empty());
    shop.execute(&format!(
        "drop owned by {attacker} cascade; drop role {attacker}"
    ));
}

#[test]
fn the_extensions_vault_is_read_as_its_views_owner_whoever_calls() {
    offer_vault();
    let mut shop = Shop::open();
    shop.not_at_rest("the vault with the key is gone");
    let (owner, operator) = (
        format!("vault_owner_of_{}", shop.name()),
        format!("operator_of_{}", shop.name()),
    );
    shop.execute(&format!(
        "create role {owner}; create role {operator} login;
        select invoice_sync.grant_access('{operator}');
        create schema vault; create extension supabase_vault;
        insert into vault.secrets values ('stripe_key', '{KEY}'), ('stripe_webhook', '{SECRET}');
        grant usage on schema vault to {owner};
        alter table vault.secrets owner to {owner};
        alter view vault.decrypted_secrets owner to {owner}"
    ));
    shop.configure("stripe_webhook_secret", "vault:stripe_webhook");
    shop.configure("stripe_api_key", "vault:stripe_key");
    let mut session = shop.connect_as(&operator);
    let report = crate::harness::server::attempt_json(&mut session, "invoice_sync.sweep()")
        .expect("an operator sweeps");
    assert_eq!(report["error"], serde_json::Value::Null, "{report:#}");
    assert!(!shop.stripe.requests().is_empty(), "with the vault's key");
    // Whoever calls, by whatever entry point.
    shop.sweep();
    shop.execute("call invoice_sync.run_sweep()");
    shop.execute("select from invoice_sync.doctor()");
    let error = deliver_signed(&mut shop.db, "{}", &signature(SECRET, now(), "{}"))
        .expect_err("it is not an event");
    assert_eq!(
        error.message, "the body is not an event",
        "with the vault's secret"
    );
    let readers = "select format('%s, superuser %s, may become others %s', name, is_superuser, may_become_others)
        from vault.readers";
    let all = shop.texts(readers);
    let expected = format!("{owner}, superuser f, may become others f");
    assert!(all.len() >= 5, "{all:?}");
    assert!(
        all.iter()
            .all(|reader| reader.as_deref() == Some(expected.as_str())),
        "the code of the vault runs as the owner of its view and nobody else: {all:?}"
    );
    assert_eq!(
        shop.text("select current_setting('search_path')")
            .as_deref(),
        Some("\"$user\", public"),
        "what it sets ends with it"
    );

    // What its owner may not do is not done, though the extension's owner might.
    shop.execute(&format!(
        "revoke usage on schema vault from {owner}; truncate vault.readers"
    ));
    let report = shop.sweep();
    assert_eq!(report["error"]["sqlstate"], "42501", "{report:#}");
    assert_eq!(shop.texts(readers), Vec::<Option<String>>::new());
    drop(session);
    shop.execute(&format!(
        "drop extension supabase_vault cascade; drop owned by {owner}, {operator} cascade;
        drop role {owner}, {operator}"
    ));
}

#[test]
fn a_vault_view_beside_the_extension_is_not_taken_for_its_own() {
    offer_vault();
    let mut shop = Shop::open();
    shop.not_at_rest("the vault with the key is gone");
    shop.execute(&format!(
        "create schema vault; create extension supabase_vault;
        insert into vault.secrets values ('stripe_key', '{KEY}');
        alter extension supabase_vault drop view vault.decrypted_secrets"
    ));
    shop.configure("stripe_api_key", "vault:stripe_key");
    let report = shop.sweep();
    assert_eq!(report["error"]["sqlstate"], "42704", "{report:#}");
}
