//! The dependency table, and the shape of files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, MetadataCommand};

type Table = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Crate → the crates of ours that it is built with.
fn actual() -> Table {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let ours: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let used = |package: &cargo_metadata::Package| {
        let normal =
            package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        normal.map(|dependency| dependency.name.clone()).filter(|name| ours.contains(name)).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), used(package))).collect()
}

/// The words in backticks of one cell.
fn words(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn crates_use_each_other_as_the_architecture_says() {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let table = page.split("## Crates, and who may use whom").nth(1).unwrap().split("\n## ").next().unwrap();
    let allowed: Table = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            (words(cells[1]).pop_first().unwrap(), words(cells[3]))
        })
        .collect();
    let actual = actual();
    assert_eq!(
        allowed.keys().collect::<Vec<_>>(),
        actual.keys().collect::<Vec<_>>(),
        "the table names every crate"
    );
    for (name, used) in &actual {
        let forbidden: Vec<_> = used.difference(&allowed[name]).collect();
        assert!(forbidden.is_empty(), "{name} uses {forbidden:?}; docs/ARCHITECTURE.md does not allow it");
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_say_what_they_are_for_and_stay_readable() {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let src = entry.unwrap().path().join("src");
        // The fuzz targets are no crate of the workspace.
        if src.exists() {
            sources(&src, &mut files);
        }
    }
    assert!(files.len() > 50);
    let mut complaints = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let is_main = file.file_name().is_some_and(|name| name == "main.rs");
        let before_tests = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
        if !text.starts_with("//!") && !is_main {
            complaints.push(format!("{} does not begin with what it is for (//!)", file.display()));
        }
        let limit = if is_main { 45 } else { 450 };
        if before_tests > limit {
            complaints.push(format!(
                "{}: {before_tests} lines before its tests, {limit} are enough",
                file.display()
            ));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Where each section's keys are declared.
const SECTIONS: [(&str, &str, &str); 16] = [
    ("database", "db/src/pool.rs", "Config"),
    ("broker", "broker/src/config.rs", "Config"),
    ("sealing", "db/src/sealing.rs", "Config"),
    ("internal", "api/src/config.rs", "InternalConfig"),
    ("listen", "service/src/listen.rs", "Config"),
    ("shutdown", "service/src/lifecycle.rs", "Config"),
    ("log", "service/src/telemetry.rs", "Config"),
    ("api", "api/src/config.rs", "ApiConfig"),
    ("api.reads", "api/src/reads.rs", "ReadsConfig"),
    ("worker", "delivery-worker/src/config.rs", "WorkerConfig"),
    ("scheduler", "scheduler/src/config.rs", "SchedulerConfig"),
    ("providers", "provider/src/config.rs", "Config"),
    ("providers.http", "provider/src/config.rs", "HttpConfig"),
    ("providers.mmg", "provider/src/config.rs", "SmsConfig"),
    ("providers.firetext", "provider/src/config.rs", "SmsConfig"),
    ("providers.smtp", "provider/src/smtp.rs", "Config"),
];

#[test]
fn the_readme_lists_every_configuration_key_and_no_other() {
    let mut declared = BTreeSet::new();
    for (section, file, name) in SECTIONS {
        let source = fs::read_to_string(root().join("crates").join(file)).unwrap();
        let body =
            source.split(&format!("pub struct {name} {{\n")).nth(1).unwrap().split("\n}").next().unwrap();
        for line in body.lines().map(str::trim).filter(|line| !line.starts_with(['/', '#'])) {
            let field = line.trim_start_matches("pub ").split(':').next().unwrap();
            declared.insert(format!("{section}.{field}"));
        }
    }
    declared.remove("api.reads");
    // The vendors are sections themselves; Firetext's keys are described beside MMG's, but for its own.
    for nested in ["http", "mmg", "firetext", "smtp"] {
        declared.remove(&format!("providers.{nested}"));
    }
    declared.remove("providers.mmg.international_key");
    declared.retain(|key| !key.starts_with("providers.firetext.") || key.ends_with("international_key"));
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let table = readme.split("## Configuration").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let listed: BTreeSet<String> = rows.flat_map(|row| words(row.split('|').nth(1).unwrap())).collect();
    assert_eq!(listed, declared);
}
