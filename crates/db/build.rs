//! A migration that is added, or changed, is compiled in, and with it what it says of itself in its first line.

use std::{env, fs, path::Path};

const FOLDER: &str = "../../migrations";

fn main() {
    println!("cargo:rerun-if-changed={FOLDER}");
    let mut kinds: Vec<String> = fs::read_dir(FOLDER)
        .expect("the workspace has migrations")
        .map(|entry| entry.expect("a readable folder").path())
        .filter_map(|migration| {
            Some(format!("{:?}, {}", migration.file_name()?.to_str()?, kind(&migration)?))
        })
        .map(|kind| format!("({kind}),\n"))
        .collect();
    kinds.sort();
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("migration_kinds.rs");
    fs::write(out, format!("&[\n{}]", kinds.concat())).expect("cargo's folder can be written to");
}

/// None for what is no migration.
fn kind(migration: &Path) -> Option<&'static str> {
    let up = fs::read_to_string(migration.join("up.sql")).ok()?;
    let first = up.lines().next().unwrap_or_default();
    Some(match first.split([':', '.']).next().unwrap_or_default().trim_end() {
        "-- expanding" => "Some(Kind::Expanding)",
        "-- breaking" => "Some(Kind::Breaking)",
        _ => "None",
    })
}
