//! Running `pillarboxctl`, with nothing but what a test gives it.

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use testkit::TestDatabase;

/// The binary with an environment.
pub(crate) struct Ctl {
    variables: Vec<(String, String)>,
}

/// What came of it.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ctl {
    pub(crate) fn new(variables: &[(&str, &str)]) -> Self {
        Self { variables: variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect() }
    }

    /// On a test's database, with the key that seals tests' values.
    pub(crate) fn on(database: &TestDatabase) -> Self {
        Self::new(&[("DATABASE_URL", &database.url()), ("PILLARBOX__SEALING__KEYS", testkit::KEYRING)])
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        Command::new(env!("CARGO_BIN_EXE_pillarboxctl"))
            .args(arguments)
            .env_clear()
            .envs(variables)
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::by(self.start(arguments))
    }

    /// Standard output of a command that succeeds.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.out, said.err);
        said.out
    }

    /// The one line of complaint of a command that fails.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}{}", said.out, said.err);
        let complaints: Vec<_> =
            said.err.lines().filter_map(|line| line.strip_prefix("pillarboxctl: ")).collect();
        assert_eq!(complaints.len(), 1, "{arguments:?}: {}", said.err);
        complaints[0].to_owned()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }
}

impl Said {
    pub(crate) fn by(child: Child) -> Self {
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        Self {
            code: status.code().expect("it exits, no signal kills it"),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }
}
