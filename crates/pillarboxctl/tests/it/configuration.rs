//! What is wrong around it is said in one line, with an exit code for scripts.

use testkit::TestDatabase;

use crate::ctl::Ctl;

#[test]
fn a_database_that_is_away() {
    let ctl = Ctl::new(&[
        ("DATABASE_URL", "postgres://someone:hunter2@127.0.0.1:1/nowhere"),
        ("PILLARBOX__DATABASE__ACQUIRE_TIMEOUT", "100ms"),
        ("PILLARBOX__SEALING__KEYS", testkit::KEYRING),
    ]);
    for command in [&["audit"][..], &["audit", "--wait-settled", "10ms"], &["migrate", "--wait", "10ms"]] {
        let complaint = ctl.fails(69, command);
        assert!(complaint.contains("database unavailable"), "{complaint}");
        assert!(!complaint.contains("hunter2"), "{complaint}");
    }
}

#[test]
fn a_configuration_that_cannot_be_used() {
    let ctl = Ctl::new(&[("PILLARBOX__DATABASE__URI", "x")]);
    assert!(ctl.fails(78, &["audit"]).contains("`database.uri`"));
    let database = TestDatabase::new();
    let ctl = Ctl::new(&[("DATABASE_URL", &database.url())]);
    assert!(ctl.fails(78, &["seed"]).contains("sealing.keys"));
}

#[test]
fn help_tells_the_exit_codes() {
    let help = Ctl::new(&[]).ok(&["--help"]);
    for word in ["migrate", "seed", "key", "inbound-number", "inspect", "audit", "demo", "69", "78"] {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
}
