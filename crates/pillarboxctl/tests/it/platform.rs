//! `user`, `service`, `template`, `guest-list`, `providers`, `stats`: what an operator does without a front end.

use serde_json::{Value, json};
use testkit::TestDatabase;

use crate::ctl::Ctl;

/// A person and a service of theirs, made by commands.
struct Made {
    database: TestDatabase,
    ctl: Ctl,
    user: String,
    service: String,
}

impl Made {
    fn new() -> Self {
        let database = TestDatabase::new();
        let ctl = Ctl::on(&database);
        let person = ["user", "create", "--name", "Ada Okafor", "--email-address", "ada@example.com"];
        let user = ctl.ok(&person).trim_end().to_owned();
        let create = ["service", "create", "--name", "Library loans", "--user", &user];
        let service = ctl.ok(&create).trim_end().to_owned();
        Self { database, ctl, user, service }
    }

    fn template(&self, more: &[&str]) -> String {
        let about = ["template", "create", "--service", &self.service, "--user", &self.user];
        self.ctl.ok(&[&about, more].concat()).trim_end().to_owned()
    }
}

const UNKNOWN: &str = "b5d8c5a2-6a0f-4e41-9b07-5f53a1f2c0de";

#[test]
fn a_person_is_created_once() {
    let Made { database: _database, ctl, user, .. } = Made::new();
    assert!(user.parse::<uuid::Uuid>().is_ok(), "{user}");
    let again = ["user", "create", "--name", "Ada", "--email-address", "ADA@example.com"];
    assert_eq!(ctl.fails(1, &again), "somebody has this e-mail address already");
    let wrong = ["user", "create", "--name", " ", "--email-address", "ada", "--mobile-number", "0"];
    let complaint = ctl.fails(1, &wrong);
    for field in ["name: ", "email_address: ", "mobile_number: "] {
        assert!(complaint.contains(field), "{complaint}");
    }
    let other = ["user", "create", "--name", "Rosa", "--email-address", "rosa@example.com", "--json"];
    let rosa = ctl.json(&other);
    assert_eq!((&rosa["name"], &rosa["platform_admin"]), (&json!("Rosa"), &json!(false)));
}

#[test]
fn a_service_is_made_in_trial_mode_shown_and_listed() {
    let Made { database: _database, ctl, user, service, .. } = Made::new();
    let shown = ctl.ok(&["service", "show", &service]);
    for part in ["Library loans", "trial", "50 texts", "sms, email", "Ada Okafor", &user] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let told = ctl.json(&["service", "show", &service, "--json"]);
    assert_eq!(told["restricted"], true);
    assert_eq!(told["users"][0]["id"], user);
    assert_eq!(told["created_by"], user);
    assert!(ctl.ok(&["service", "list"]).contains(&format!("{service}  trial")));
    let listed = ctl.json(&["service", "list", "--json"]);
    assert_eq!(
        (&listed[0]["name"], &listed[1]["name"]),
        (&json!("Pillarbox"), &json!("Library loans")),
        "the platform's first"
    );
}

#[test]
fn a_service_goes_live_and_has_its_limits() {
    let Made { database: _database, ctl, service, .. } = Made::new();
    let set = |more: &[&str]| ctl.json(&[&["service", "set", &service, "--json"], more].concat());
    let live = set(&["--live", "--email-message-limit", "7", "--permissions", "email,sms"]);
    let limits = (&live["restricted"], &live["sms_message_limit"], &live["email_message_limit"]);
    assert_eq!(limits, (&json!(false), &json!(250_000), &json!(7)));
    assert_eq!(live["permissions"], json!(["sms", "email"]));
    assert!(live["go_live_at"].is_string());
    let linked = set(&["--contact-link", "https://library.example", "--rate-limit", "12"]);
    assert_eq!(
        (&linked["contact_link"], &linked["rate_limit"]),
        (&json!("https://library.example"), &json!(12))
    );
    assert_eq!(linked["email_message_limit"], 7);
    let trial = ctl.ok(&["service", "set", &service, "--trial", "--contact-link", ""]);
    assert!(trial.contains("trial") && trial.contains("50 texts") && trial.contains("none"), "{trial}");
}

#[test]
fn what_a_service_cannot_be_is_said() {
    let Made { database: _database, ctl, service, .. } = Made::new();
    let twice = ctl.fails(1, &["service", "create", "--name", "LIBRARY, loans!"]);
    assert_eq!(twice, "Duplicate service name 'LIBRARY, loans!'");
    assert_eq!(ctl.fails(1, &["service", "create", "--name", "?"]), "Must include a letter or a digit");
    let nobodys = ["service", "create", "--name", "Nobody's", "--user", UNKNOWN];
    assert_eq!(ctl.fails(1, &nobodys), format!("nobody has the id {UNKNOWN}"));
    for words in [&["show", UNKNOWN][..], &["set", UNKNOWN, "--live"], &["archive", UNKNOWN]] {
        let said = ctl.fails(1, &[&["service"][..], words].concat());
        assert_eq!(said, format!("no service has the id {UNKNOWN}"));
    }
    for wrong in [
        &[&*service][..],
        &[&service, "--live", "--trial"],
        &[&service, "--rate-limit", "-1"],
        &[&service, "--permissions", "sms,fax"],
    ] {
        assert_eq!(ctl.run(&[&["service", "set"][..], wrong].concat()).code, 2, "{wrong:?}");
    }
}

#[test]
fn an_archived_service_frees_its_name_and_its_keys_end() {
    let Made { database: _database, ctl, service, .. } = Made::new();
    ctl.ok(&["key", "create", "--service", &service, "--name", "x", "--type", "test"]);
    ctl.ok(&["service", "archive", &service]);
    assert!(!ctl.ok(&["service", "list"]).contains(&service));
    assert!(ctl.ok(&["service", "list", "--all"]).contains("archived"));
    let keys = ctl.json(&["key", "list", "--json", "--service", &service]);
    assert!(keys[0]["expiry_date"].is_string());
    ctl.ok(&["service", "create", "--name", "Library loans"]);
    let other = ctl.ok(&["service", "create", "--name", "Parking"]);
    assert_eq!(ctl.json(&["service", "archive", other.trim_end(), "--json"])["active"], false);
}

#[test]
fn a_person_joins_a_service_once() {
    let Made { database: _database, ctl, service, user, .. } = Made::new();
    let rosa = ctl.ok(&["user", "create", "--name", "Rosa", "--email-address", "rosa@example.com"]);
    let add = ["service", "add-user", &service, rosa.trim_end()];
    assert!(ctl.ok(&add).contains("works with"));
    assert!(ctl.fails(1, &add).contains("already"));
    assert!(ctl.fails(1, &["service", "add-user", UNKNOWN, &user]).contains("no service"));
    assert!(ctl.fails(1, &["service", "add-user", &service, UNKNOWN]).contains("nobody"));
    let other = ctl.ok(&["service", "create", "--name", "Parking"]);
    let added = ctl.json(&["service", "add-user", other.trim_end(), &user, "--json"]);
    assert_eq!(added["user"], user);
}

#[test]
fn a_template_is_made_changed_and_archived() {
    let made = Made::new();
    let (ctl, service) = (&made.ctl, &*made.service);
    let id = made.template(&["--type", "sms", "--name", "Due", "--content", "Dear ((name)), it is due."]);
    let about = |verb: &'static str, more: &[&str]| {
        [&["template", verb, &id, "--service", service][..], more].concat().join("\n")
    };
    let run = |line: String| ctl.ok(&line.split('\n').collect::<Vec<_>>());
    let json = |line: String| -> Value { serde_json::from_str(&run(line)).unwrap() };
    assert!(run(about("show", &[])).ends_with("\n\nDear ((name)), it is due.\n"));
    assert!(run(about("update", &["--content", "Due!"])).contains("version 2"));
    let shown = json(about("show", &["--json"]));
    assert_eq!((&shown["content"], &shown["version"]), (&json!("Due!"), &json!(2)));
    assert_eq!((&shown["created_by"], &shown["template_type"]), (&json!(made.user), &json!("sms")));
    assert!(run(about("show", &["--version", "1"])).contains("Dear ((name))"));
    assert!(ctl.ok(&["template", "list", "--service", service]).contains("version 2    Due"));
    assert_eq!(ctl.json(&["template", "list", "--service", service, "--json"])[0]["id"], id);
    assert_eq!(json(about("archive", &["--json"]))["archived"], true);
    assert!(run(about("archive", &[])).contains("version 3  archived"));
    assert_eq!(ctl.ok(&["template", "list", "--service", service]), "no templates\n");
}

#[test]
fn the_content_of_a_template_comes_from_a_file_or_standard_input() {
    let made = Made::new();
    let path = std::env::temp_dir().join(format!("{}.md", uuid::Uuid::new_v4()));
    std::fs::write(&path, "# Hello ((name))\n\nIt is here.\n").unwrap();
    let mail =
        ["--type", "email", "--name", "Here", "--subject", "Here", "--unsubscribe-link", "--json", "--file"];
    let file = made.template(&[&mail[..], &[path.to_str().unwrap()]].concat());
    std::fs::remove_file(path).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["content"], "# Hello ((name))\n\nIt is here.");
    assert_eq!((&file["subject"], &file["has_unsubscribe_link"]), (&json!("Here"), &json!(true)));
    // The tests' standard input is empty.
    let nothing: Value = serde_json::from_str(&made.template(&[&mail[..], &["-"]].concat())).unwrap();
    assert_eq!(nothing["content"], "");
}

#[test]
fn what_a_template_cannot_be_is_said() {
    let made = Made::new();
    let ctl = &made.ctl;
    let create = |more: &[&str]| {
        let about = ["template", "create", "--name", "x", "--service", &made.service, "--user", &made.user];
        ctl.run(&[&about, more].concat())
    };
    let refused = |more: &[&str]| {
        let said = create(more);
        assert_eq!(said.code, 1, "{more:?}: {}", said.err);
        said.err
    };
    let long = "x".repeat(919);
    assert!(refused(&["--type", "sms", "--content", &long]).contains("greater than the limit of 918"));
    assert!(refused(&["--type", "email", "--subject", " ", "--content", "x"]).contains("subject"));
    assert!(refused(&["--type", "sms", "--subject", "x", "--content", "x"]).contains("no subject"));
    assert!(refused(&["--type", "sms", "--file", "/does/not/exist"]).contains("/does/not/exist"));
    ctl.ok(&["service", "set", &made.service, "--permissions", "email"]);
    assert!(refused(&["--type", "sms", "--content", "x"]).contains("no permission `sms`"));
    for wrong in [
        &["--type", "sms"][..],
        &["--type", "letter", "--content", "x"],
        &["--type", "email", "--content", "x"],
        &["--type", "sms", "--content", "x", "--file", "-"],
    ] {
        assert_eq!(create(wrong).code, 2, "{wrong:?}");
    }
    let show = ["template", "show", UNKNOWN, "--service", &made.service];
    assert!(ctl.fails(1, &show).contains("no such template"));
    assert!(ctl.fails(1, &["template", "list", "--service", UNKNOWN]).contains("no service"));
    let nobody = ["template", "create", "--service", &made.service, "--user", UNKNOWN, "--type", "email"];
    let nobody = [&nobody[..], &["--name", "x", "--subject", "x", "--content", "x"]].concat();
    assert!(ctl.fails(1, &nobody).contains("nobody"));
}

#[test]
fn a_guest_list_is_replaced_as_a_whole() {
    let Made { database: _database, ctl, service, .. } = Made::new();
    assert_eq!(ctl.ok(&["guest-list", "show", "--service", &service]), "nobody\n");
    let set = ["guest-list", "set", "--service", &service];
    let put = |recipients: &[&str]| ctl.ok(&[&set, recipients].concat());
    assert_eq!(put(&["07700 900855", "rosa@example.com"]), "2 on the list\n");
    let shown = ctl.ok(&["guest-list", "show", "--service", &service]);
    assert!(shown.contains("sms    07700 900855") && shown.contains("email  rosa@example.com"), "{shown}");
    assert!(ctl.fails(1, &[&set[..], &["nonsense"]].concat()).contains("neither"));
    let told = ctl.json(&["guest-list", "show", "--service", &service, "--json"]);
    assert_eq!(told, json!({"email_addresses": ["rosa@example.com"], "phone_numbers": ["07700 900855"]}));
    assert_eq!(ctl.json(&[&set[..], &["--nobody", "--json"]].concat())["phone_numbers"], json!([]));
    assert_eq!(ctl.run(&set).code, 2);
    assert!(ctl.fails(1, &["guest-list", "show", "--service", UNKNOWN]).contains("no service"));
}

#[test]
fn a_provider_is_switched_off_and_on() {
    let Made { database: _database, ctl, user, .. } = Made::new();
    let off = ["providers", "set", "mmg", "--off", "--reason", "outage", "--user", &user];
    assert!(ctl.ok(&off).starts_with("mmg       sms    off"));
    let listed = ctl.json(&["providers", "list", "--json"]);
    let mmg = listed.as_array().unwrap().iter().find(|row| row["identifier"] == "mmg").unwrap();
    assert_eq!((&mmg["active"], &mmg["reason"]), (&json!(false), &json!("outage")));
    assert_eq!(mmg["created_by_name"], "Ada Okafor");
    assert!(ctl.ok(&["providers", "list"]).contains("(outage)"));
    let on = ctl.json(&["providers", "set", "mmg", "--on", "--priority", "30", "--json"]);
    assert_eq!((&on["active"], &on["priority"]), (&json!(true), &json!(30)));
    assert!(ctl.fails(1, &["providers", "set", "mmg", "--on", "--user", UNKNOWN]).contains("nobody"));
    for wrong in [&["mmg"][..], &["mmg", "--priority", "101"], &["fax", "--on"], &["mmg", "--on", "--off"]] {
        assert_eq!(ctl.run(&[&["providers", "set"][..], wrong].concat()).code, 2, "{wrong:?}");
    }
}
