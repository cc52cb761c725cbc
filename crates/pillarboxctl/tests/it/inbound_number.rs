//! `inbound-number`.

use db::service::Permission;
use domain::clock::Clock;
use serde_json::json;
use testkit::TestDatabase;

use crate::ctl::Ctl;

#[test]
fn a_number_is_added_assigned_and_listed() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    let mut conn = database.connect();
    let service = testkit::sample(&mut conn, Clock::System.now()).service.id;
    let id = service.to_string();
    assert_eq!(ctl.ok(&["inbound-number", "list"]), "no numbers\n");
    for number in ["07700900861", "60060"] {
        ctl.ok(&["inbound-number", "add", number, "--provider", "firetext"]);
    }
    let again = ["inbound-number", "add", "60060", "--provider", "mmg"];
    assert!(ctl.fails(1, &again).contains("there already"));
    let assign = ["inbound-number", "assign", "07700900861", "--service", &id];
    ctl.ok(&assign);
    ctl.ok(&assign);
    let permissions = db::service::find(&mut conn, service).unwrap().unwrap().permissions;
    assert!(permissions.contains(&Permission::InboundSms));
    let list = ctl.ok(&["inbound-number", "list"]);
    assert!(list.contains("free") && list.contains(&id), "{list}");
    let listed = ctl.json(&["inbound-number", "list", "--json"]);
    assert_eq!((&listed[0]["number"], &listed[0]["service"]), (&json!("07700900861"), &json!(id)));
    assert_eq!((&listed[1]["provider"], &listed[1]["service"]), (&json!("firetext"), &json!(null)));
}

#[test]
fn what_cannot_be_is_said() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    let mut conn = database.connect();
    let mut service = || testkit::sample(&mut conn, Clock::System.now()).service.id.to_string();
    let (one, other, unknown) = (service(), service(), uuid::Uuid::new_v4().to_string());
    for number in ["60060", "60061"] {
        ctl.ok(&["inbound-number", "add", number, "--provider", "mmg"]);
    }
    ctl.ok(&["inbound-number", "assign", "60060", "--service", &one]);
    for (number, service, complaint) in [
        ("60060", &other, "no free number"),
        ("60062", &other, "no free number"),
        ("60061", &one, "has the number 60060 already"),
        ("60061", &unknown, "no service has the id"),
    ] {
        let said = ctl.fails(1, &["inbound-number", "assign", number, "--service", service]);
        assert!(said.contains(complaint), "{said}");
    }
    for wrong in [["add", "+447700900861", "--provider", "mmg"], ["add", "60063", "--provider", "smtp"]] {
        let said = ctl.run(&[&["inbound-number"][..], &wrong].concat());
        assert_eq!(said.code, 2, "{}", said.err);
    }
}
