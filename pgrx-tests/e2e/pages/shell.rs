//! The shell blocks of the README and of docs/: each is run by a test, or calls a target of the Makefile.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{page, root};
use crate::harness::server::Server;

/// The blocks that are run elsewhere, by their pages and a part of each.
const RUN_ELSEWHERE: [(&str, &str, &str); 3] = [
    ("../README.md", "apt install", "packaging/test"),
    ("getting-started.md", "pg_cron.conf", "packaging/test"),
    ("how-to.md", "SLACK_URL", "pages::slack"),
];

/// The block that calls Stripe itself, which no test may.
const OF_STRIPE: (&str, &str) = ("tutorial.md", "api.stripe.com");

/// Returns all shell blocks, with the names of their pages.
fn blocks() -> Vec<(String, String)> {
    let directory = std::fs::read_dir(root().join("docs")).expect("is a directory");
    let names = directory.map(|entry| entry.expect("is readable").file_name());
    let mut pages: Vec<String> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".md"))
        .collect();
    pages.push("../README.md".into());
    let mut found = Vec::new();
    for name in pages {
        let text = page(&name);
        for kind in ["sh", "bash", "shell", "console"] {
            let begin = format!("\n```{kind}\n");
            let of_kind = text.split(begin.as_str()).skip(1);
            let blocks = of_kind.filter_map(|rest| rest.split("\n```").next());
            found.extend(blocks.map(|block| (name.clone(), block.to_owned())));
        }
    }
    found
}

/// Runs a block without a terminal, on a server, with this input. Fails with what it says.
fn run(block: &str, server: &Server, input: &str) -> Result<(), String> {
    // A program that asks for a password reads it from the terminal, if there is one.
    let mut running = Command::new("setsid")
        .args(["--wait", "bash", "-ec", block])
        .envs(server.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut to_block = running.stdin.take().expect("it was piped");
    to_block
        .write_all(input.as_bytes())
        .expect("the block reads it");
    drop(to_block);
    let ended = running.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ended.status.success().then_some(()).ok_or(said)
}

#[test]
fn every_shell_block_is_run_by_a_test_or_calls_make() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("it is text");
    let is_target = |name: &str| {
        makefile
            .lines()
            .any(|it| it.starts_with(&format!("{name}:")))
    };
    let (mut elsewhere, mut here) = (0, 0);
    for (page, block) in blocks() {
        let is = |(of, part): (&str, &str)| page == of && block.contains(part);
        for line in block.lines().filter(|line| line.starts_with("make ")) {
            let target = line.split_whitespace().nth(1).unwrap_or_default();
            assert!(is_target(target), "{page}: {line}");
        }
        if RUN_ELSEWHERE
            .into_iter()
            .any(|(of, part, _)| is((of, part)))
        {
            elsewhere += 1;
        } else if block.starts_with("createuser ") {
            here += 1;
        } else {
            let calls_make = block.lines().all(|line| line.starts_with("make "));
            assert!(calls_make || is(OF_STRIPE), "{page} is not run:\n{block}");
        }
    }
    assert_eq!((elsewhere, here), (RUN_ELSEWHERE.len(), 2));
}

#[test]
fn the_roles_of_a_gateway_are_made_as_the_pages_say() {
    let server = Server::start("shell", &[]);
    let mut db = server.connect("postgres", "postgres");
    let blocks = blocks().into_iter();
    for (page, block) in blocks.filter(|(_, block)| block.starts_with("createuser ")) {
        run(&block, &server, "secret\nsecret\n").unwrap_or_else(|said| panic!("{page}: {said}"));
        let made =
            "select string_agg(concat_ws(' ', rolname, case when rolcanlogin then 'logs in' end,
                case when not rolinherit then 'as others' end,
                (select string_agg(m.roleid::regrole::text, ' ' order by m.roleid::regrole::text)
                 from pg_auth_members m where m.member = r.oid)), ', ' order by rolname)
            from pg_roles r where rolname <> 'postgres' and rolname !~ '^pg_'";
        let made: String = db.query_one(made, &[]).expect("they are there").get(0);
        let expected = match page.as_str() {
            "webhooks.md" => "anon, authenticator logs in as others anon",
            _ => "anon, authenticated, authenticator logs in as others anon authenticated",
        };
        assert_eq!(made, expected, "{page}");
        db.batch_execute("drop role if exists authenticator, anon, authenticated")
            .expect("they own nothing");
    }
}
