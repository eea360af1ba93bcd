//! The files of examples/monitoring with postgres_exporter and Prometheus themselves (`make test-monitoring`).

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::{Shop, wait_until};
use crate::issues::stories::story;

/// A program that is ended when the test ends, and its files.
struct Program {
    child: Child,
    address: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/monitoring")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(files().join(name)).expect("the file is there")
}

impl Program {
    /// Starts `name` on a free port.
    fn start(name: &str, arguments: &[String], environment: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        drop(listener);
        let child = Command::new(name)
            .args(arguments)
            .arg(format!("--web.listen-address={address}"))
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}: run this with make test-monitoring"));
        Self { child, address }
    }

    /// Returns the answer to a request, or `None` if there is none.
    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Option<String> {
        let output =
            Command::new("curl")
                .args(["--silent", "--fail", "--get"])
                .args(parameters.iter().flat_map(|(name, value)| {
                    ["--data-urlencode".into(), format!("{name}={value}")]
                }))
                .arg(format!("http://{}{path}", self.address))
                .output()
                .expect("curl runs");
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Returns the result of a query of Prometheus.
    fn query(&self, expression: &str) -> Option<Vec<Value>> {
        let answer = self.get("/api/v1/query", &[("query", expression)])?;
        let answer: Value = serde_json::from_str(&answer).expect("Prometheus answers with JSON");
        answer["data"]["result"].as_array().cloned()
    }

    /// Returns the names of the alerts that fire.
    fn firing(&self) -> BTreeSet<String> {
        self.query("ALERTS{alertstate=\"firing\"}")
            .unwrap_or_default()
            .iter()
            .map(|alert| {
                alert["metric"]["alertname"]
                    .as_str()
                    .unwrap_or("")
                    .to_owned()
            })
            .collect()
    }
}

/// The exporter, connected to the shop as a role that may read, and Prometheus, which asks it every second.
fn watched(shop: &mut Shop) -> (Program, Program) {
    let role = format!("{}_exporter", shop.name());
    shop.execute(&format!(
        "create role {role} login; select invoice_sync.grant_access('{role}', 'read')"
    ));
    let variable = |name| std::env::var(name).expect("the tests have a server");
    let source = format!(
        "user={role} dbname={} host={} port={} sslmode=disable",
        shop.name(),
        variable("PGHOST"),
        variable("PGPORT")
    );
    let exporter = Program::start(
        "prometheus-postgres-exporter",
        &[
            format!("--extend.query-path={}/queries.yaml", files().display()),
            "--disable-default-metrics".into(),
            "--disable-settings-metrics".into(),
        ],
        &[("DATA_SOURCE_NAME", &source)],
    );

    let place = std::env::temp_dir().join(format!("prometheus-{role}"));
    std::fs::create_dir_all(&place).expect("it can be made");
    let configuration = read("prometheus.yaml")
        .replace("127.0.0.1:9187", &exporter.address)
        .replace("30s", "1s");
    std::fs::write(place.join("prometheus.yaml"), configuration).expect("it is written");
    std::fs::write(place.join("alerts.yaml"), read("alerts.yaml")).expect("it is written");
    let prometheus = Program::start(
        "prometheus",
        &[
            format!("--config.file={}/prometheus.yaml", place.display()),
            format!("--storage.tsdb.path={}/data", place.display()),
        ],
        &[],
    );
    wait_until("Prometheus has the exporter's samples", || {
        prometheus
            .query("invoice_sync_pending_events")
            .is_some_and(|found| !found.is_empty())
    });
    (exporter, prometheus)
}

/// Returns name and value of every sample of the view that does not change from one second to the next.
fn samples(shop: &mut Shop) -> Vec<(String, f64)> {
    shop.rows(
        "select name || case when labels = '{}' then '' else
                    (select '{' || string_agg(format('%s=\"%s\"', key, value), ',' order by key) || '}' from jsonb_each_text(labels))
                end, value::float8
        from invoice_sync.metrics where name !~ '(age|lag)_seconds$' order by 1",
    )
    .iter()
    .map(|row| (row.get(0), row.get(1)))
    .collect()
}

#[test]
fn the_exporter_delivers_every_sample_and_the_rules_fire() {
    let mut shop = Shop::open();
    shop.not_at_rest("a dispute is open and webhooks stay away");
    (story("webhooks_failing").begins)(&mut shop);
    let (_exporter, prometheus) = watched(&mut shop);
    assert_eq!(prometheus.firing(), BTreeSet::new());

    shop.sweep();
    wait_until("the rule for webhooks fires", || {
        !prometheus.firing().is_empty()
    });
    assert_eq!(
        prometheus.firing(),
        BTreeSet::from(["InvoiceSyncWebhooksStopped".to_owned()])
    );

    shop.execute("update invoices set invoice_number = 'W-' || invoice_number");
    (story("disputed").begins)(&mut shop);
    shop.sweep();
    wait_until("the rule for critical issues fires", || {
        prometheus.firing().len() > 1
    });
    assert_eq!(
        prometheus.firing(),
        BTreeSet::from(
            ["InvoiceSyncCriticalIssue", "InvoiceSyncWebhooksStopped"].map(str::to_owned)
        )
    );

    let samples = samples(&mut shop);
    assert!(samples.len() > 15, "{samples:#?}");
    for (name, value) in samples {
        wait_until(&format!("{name} is {value}"), || {
            let found = prometheus.query(&name).unwrap_or_default();
            found.first().is_some_and(|sample| {
                let seen: f64 = sample["value"][1]
                    .as_str()
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(f64::NAN);
                // The exporter rounds a time to what a float holds.
                (seen - value).abs() < 0.01
            })
        });
    }
    let named = shop.texts("select distinct name from invoice_sync.metrics");
    for name in named.into_iter().flatten() {
        let found = prometheus.query(&name).unwrap_or_default();
        assert!(!found.is_empty(), "{name}");
    }

    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    for target in panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array())
        .flatten()
    {
        let expression = target["expr"].as_str().expect("a query");
        assert!(prometheus.query(expression).is_some(), "{expression}");
    }
}
