//! A shop behind an RPC gateway that speaks PostgREST's protocol, and a client that calls it over HTTP.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Shop, connect, wait_until};

/// The secret with which the gateway verifies tokens.
const JWT_SECRET: &str = "only-for-tests-0123456789abcdef0123456789abcdef";

/// Fields are dropped in order: the gateway first, then the shop, then the roles, on which nothing depends by then.
pub struct WebShop {
    gateway: Gateway,
    pub shop: Shop,
    pub roles: Roles,
}

impl WebShop {
    /// Opens the shop to callers without a token, who may deliver webhooks, and to admins.
    pub fn open(shop: Shop) -> Self {
        Self::exposing(shop, "invoice_sync")
    }

    /// As [`Self::open`], with a gateway that exposes this schema.
    pub fn exposing(mut shop: Shop, schema: &str) -> Self {
        let roles = Roles::create(&mut shop);
        let gateway = Gateway::start(&shop, &roles, schema);
        Self {
            gateway,
            shop,
            roles,
        }
    }

    /// Posts an event as Stripe does, with this signature.
    pub fn post_event(&self, body: &str, signature: &str) -> Answer {
        self.gateway.post(
            "handle_webhook",
            &[
                ("Content-Type", "application/json; charset=utf-8"),
                ("Stripe-Signature", signature),
            ],
            body,
        )
    }

    /// Calls a function with named arguments.
    pub fn call(&self, caller: Caller, function: &str, arguments: &Value) -> Answer {
        let bearer = self.bearer(caller);
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(bearer.as_deref().map(|token| ("Authorization", token)));
        self.gateway
            .post(function, &headers, &arguments.to_string())
    }

    /// Returns all rows of a table or view.
    pub fn read(&self, caller: Caller, view: &str) -> Answer {
        let bearer = self.bearer(caller);
        let header = bearer.as_deref().map(|token| ("Authorization", token));
        self.gateway.get(view, header.as_slice())
    }

    fn bearer(&self, caller: Caller) -> Option<String> {
        let claims = caller.claims(&self.roles)?;
        Some(format!("Bearer {}", token(&claims)))
    }
}

/// The callers, as Supabase distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Without a token.
    Stranger,
    /// Signed in and not an admin, also not by the metadata that users may change themselves.
    Customer,
    /// Signed in and an admin, according to `app_metadata`.
    Admin,
    /// The application's own server.
    Service,
}

impl Caller {
    pub const ALL: [Self; 4] = [Self::Stranger, Self::Customer, Self::Admin, Self::Service];

    pub fn is_admin(self) -> bool {
        matches!(self, Self::Admin | Self::Service)
    }

    /// Returns the claims of the caller's token.
    pub fn claims(self, roles: &Roles) -> Option<Value> {
        let user = roles.user.as_str();
        match self {
            Self::Stranger => None,
            Self::Customer => Some(json!({ "role": user, "user_metadata": { "role": "admin" } })),
            Self::Admin => Some(json!({ "role": user, "app_metadata": { "role": "admin" } })),
            Self::Service => Some(json!({ "role": SERVICE_ROLE })),
        }
    }

    /// Returns the role that the gateway uses for the caller.
    pub fn role(self, roles: &Roles) -> &str {
        match self {
            Self::Stranger => &roles.stranger,
            Self::Customer | Self::Admin => &roles.user,
            Self::Service => SERVICE_ROLE,
        }
    }
}

/// The default check requires this role name. The role belongs to the whole server and is not dropped.
const SERVICE_ROLE: &str = "service_role";

/// An answer of the gateway.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Returns the SQLSTATE if the answer is an error of the database.
    pub fn code(&self) -> String {
        // A function without a result has an empty body.
        if self.text.is_empty() {
            return String::new();
        }
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// The roles of one shop's gateway.
pub struct Roles {
    /// The role that logs in. It has no rights, but may switch to the other roles.
    login: String,
    /// Callers without a token (Supabase's `anon`). They may deliver webhooks.
    pub stranger: String,
    /// Signed-in callers (Supabase's `authenticated`), customers and admins. They may operate.
    pub user: String,
}

impl Roles {
    fn create(shop: &mut Shop) -> Self {
        let named = |what: &str| format!("{what}_of_{}", shop.name());
        let roles = Self {
            login: named("authenticator"),
            stranger: named("anon"),
            user: named("authenticated"),
        };
        let Self {
            login,
            stranger,
            user,
        } = &roles;
        shop.execute(&format!(
            "do $$ begin create role {SERVICE_ROLE} bypassrls;
            exception when duplicate_object or unique_violation then null; end $$;
            create role {login} login noinherit password '{login}';
            create role {stranger};
            create role {user};
            grant {stranger}, {user}, {SERVICE_ROLE} to {login};
            select invoice_sync.grant_access('{stranger}', 'webhook');
            select invoice_sync.grant_access('{user}');
            select invoice_sync.grant_access('{SERVICE_ROLE}')"
        ));
        roles
    }
}

impl Drop for Roles {
    fn drop(&mut self) {
        let Self {
            login,
            stranger,
            user,
        } = self;
        let _ = connect("postgres")
            .batch_execute(&format!("drop role if exists {login}, {stranger}, {user}"));
    }
}

struct Gateway {
    process: Child,
    url: String,
    agent: ureq::Agent,
    log: PathBuf,
}

impl Gateway {
    fn start(shop: &Shop, roles: &Roles, schema: &str) -> Self {
        let program = std::env::var("INVOICE_SYNC_GATEWAY")
            .expect("INVOICE_SYNC_GATEWAY is not set: run this with make test-rpc");
        let port = free_port();
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("gateway_of_{}.log", shop.name()));
        let output = File::create(&log).expect("the log is created");
        let database = format!(
            "postgres://{login}:{login}@127.0.0.1:{port}/{name}",
            login = roles.login,
            port = std::env::var("PGPORT").expect("the shop was there already"),
            name = shop.name(),
        );
        let process = Command::new(program)
            .env_clear()
            .env("PGRST_COMPAT_MODE", "true")
            .env("DATABASE_URL", database)
            .env("PGRST_DB_SCHEMAS", schema)
            .env("PGRST_DB_ANON_ROLE", &roles.stranger)
            .env("PGRST_JWT_SECRET", JWT_SECRET)
            .env("PGRST_SERVER_HOST", "127.0.0.1")
            .env("PGRST_SERVER_PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the log is opened twice"))
            .stderr(output)
            .spawn()
            .expect("the gateway starts");
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .new_agent();
        let mut gateway = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            agent,
            log,
        };
        gateway.wait_until_ready();
        gateway
    }

    fn wait_until_ready(&mut self) {
        wait_until("the gateway is ready", || {
            if let Ok(Some(status)) = self.process.try_wait() {
                panic!("the gateway ended, {status}: {}", self.log_text());
            }
            let ready = self.agent.get(format!("{}/_/ready", self.url)).call();
            ready.is_ok_and(|answer| answer.status() == 200)
        });
    }

    fn post(&self, function: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = self.agent.post(format!("{}/rpc/{function}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request
            .send(body)
            .unwrap_or_else(|error| panic!("{function}: {error}: {}", self.log_text()));
        Answer {
            status: response.status().as_u16(),
            text: response.body_mut().read_to_string().expect("is text"),
        }
    }

    fn get(&self, view: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(format!("{}/{view}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request
            .call()
            .unwrap_or_else(|error| panic!("{view}: {error}: {}", self.log_text()));
        Answer {
            status: response.status().as_u16(),
            text: response.body_mut().read_to_string().expect("is text"),
        }
    }

    fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Returns a port that was free a moment ago, because the gateway does not accept port 0.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("there are free ports")
        .port()
}

/// Returns a JSON Web Token (RFC 7519, HS256) with these claims.
fn token(claims: &Value) -> String {
    let part = |value: Value| base64url(value.to_string().as_bytes());
    let signed = format!(
        "{}.{}",
        part(json!({ "alg": "HS256", "typ": "JWT" })),
        part(claims.clone())
    );
    let mut mac =
        Hmac::<Sha256>::new_from_slice(JWT_SECRET.as_bytes()).expect("any length will do");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", base64url(&mac.finalize().into_bytes()))
}

/// Encodes without padding (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().enumerate().fold(0_u32, |bits, (place, byte)| {
            bits | u32::from(*byte) << (16 - 8 * place)
        });
        for place in 0..=chunk.len() {
            let index = bits >> (18 - 6 * place) & 0x3f;
            text.push(char::from(LETTERS[index as usize]));
        }
    }
    text
}
