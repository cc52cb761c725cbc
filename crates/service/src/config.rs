//! Configuration: what is compiled in, a file, the environment; later layers win.
//!
//! Each crate owns the struct of its section (`#[serde(default, deny_unknown_fields)]`, so that the defaults live beside
//! the code that needs them), each binary composes a struct of the sections that it uses, and several binaries share one
//! file. Hence the two kinds of unknown key: a section that nobody knows is refused here, whoever reads the file; a key
//! that a section does not know is refused by that section's own struct. The composed struct itself must let other
//! binaries' sections pass: no `deny_unknown_fields` there.
//!
//! An error names the key and where it was set, and never the value: it may be a secret.

use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

use config::{File, FileFormat, Map, Value, ValueKind};
use serde::de::DeserializeOwned;

/// Every section there is, over all binaries.
pub const SECTIONS: [&str; 11] = [
    "database",
    "broker",
    "sealing",
    "log",
    "listen",
    "shutdown",
    "api",
    "internal",
    "worker",
    "scheduler",
    "providers",
];

/// Names the file; without it `pillarbox.toml` in the working directory is read if it is there.
pub const FILE_VARIABLE: &str = "PILLARBOX_CONFIG";
const DEFAULT_FILE: &str = "pillarbox.toml";
/// `PILLARBOX__BROKER__URL` is `broker.url`.
const PREFIX: &str = "PILLARBOX__";
const SEPARATOR: &str = "__";
/// The names that platforms give to the two things every deployment has. Weaker than the long names.
const PLAIN: [(&str, &str); 2] = [("DATABASE_URL", "database.url"), ("AMQP_URL", "broker.url")];
/// `password_file = "/run/secrets/x"` stands for `password = "<what is in that file>"`, for every key.
const FROM_FILE: &str = "_file";

/// The configuration cannot be used. Says which key, and where it was set; never its value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {path} cannot be read: {source}")]
    UnreadableFile { path: PathBuf, source: io::Error },
    #[error("the configuration file {path} is not TOML: {reason}")]
    NotToml { path: PathBuf, reason: String },
    #[error("the environment variable {name} is not Unicode")]
    NotUnicode { name: String },
    #[error("the environment variable {name} does not name a key: PILLARBOX__SECTION__KEY is expected")]
    NotAKey { name: String },
    #[error("unknown section `{section}`{}; the sections are {}", set_at(.origin), SECTIONS.join(", "))]
    UnknownSection { section: String, origin: Option<String> },
    #[error("`{key}`{} and `{key}_file`{} are both set: one of them is enough", set_at(.plain), set_at(.file))]
    SetTwice { key: String, plain: Option<String>, file: Option<String> },
    #[error("`{key}_file`{} cannot be read: {source}", set_at(.origin))]
    UnreadableSecret { key: String, origin: Option<String>, source: io::Error },
    #[error("`{key}`{}: {reason}", set_at(.origin))]
    Invalid { key: String, origin: Option<String>, reason: String },
}

fn set_at(origin: &Option<String>) -> String {
    origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default()
}

/// Reads the layers and hands out the sections that `T` is composed of.
///
/// # Errors
/// When a layer cannot be read, a key is unknown or a value does not fit its key.
pub fn load<T: DeserializeOwned>() -> Result<T, ConfigError> {
    Layers::read()?.compose()
}

/// All layers on top of each other, not yet matched with any struct.
pub struct Layers(Map<String, Value>);

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layers").field(&self.0.keys()).finish()
    }
}

impl Layers {
    /// The file and the environment of this process.
    ///
    /// # Errors
    /// When one of them cannot be read or names a section that does not exist.
    pub fn read() -> Result<Self, ConfigError> {
        let file = match env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => Some(PathBuf::from(path)),
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
        };
        let mut variables = Vec::new();
        for (name, value) in env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            if key_of(&name).is_some() {
                let value =
                    value.into_string().map_err(|_| ConfigError::NotUnicode { name: name.clone() })?;
                variables.push((name, value));
            }
        }
        Self::merge(file.as_deref(), variables)
    }

    fn merge(file: Option<&Path>, variables: Vec<(String, String)>) -> Result<Self, ConfigError> {
        let mut builder = config::Config::builder();
        if let Some(path) = file {
            builder = builder.add_source(parsed(path)?);
        }
        let mut variables: Vec<_> = variables
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, value)| Some((key_of(&name)?, name, value)))
            .collect();
        // The plain names first: what is set later wins.
        variables.sort_by_key(|(_, name, _)| name.starts_with(PREFIX));
        for (key, name, value) in variables {
            let value = Value::new(Some(&format!("environment variable {name}")), value);
            builder = builder.set_override(key, value).map_err(|_| ConfigError::NotAKey { name })?;
        }
        let mut merged = builder
            .build()
            .map_err(|error| explain(&Map::new(), error))?
            .cache
            .into_table()
            .map_err(|error| explain(&Map::new(), error))?;
        if let Some((section, value)) =
            merged.iter().find(|(section, _)| !SECTIONS.contains(&section.as_str()))
        {
            return Err(ConfigError::UnknownSection {
                section: section.clone(),
                origin: first_origin(value),
            });
        }
        for (section, value) in &mut merged {
            read_secrets(section, value)?;
        }
        Ok(Self(merged))
    }

    /// The sections that `T` has fields for; the others belong to other binaries.
    ///
    /// # Errors
    /// When a section has a key that its struct does not know, or a value that does not fit.
    pub fn compose<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        Value::from(self.0.clone()).try_deserialize().map_err(|error| explain(&self.0, error))
    }
}

/// The key that an environment variable sets, if it is one of ours.
fn key_of(variable: &str) -> Option<String> {
    if let Some(key) = variable.strip_prefix(PREFIX) {
        return Some(key.to_lowercase().replace(SEPARATOR, "."));
    }
    PLAIN.iter().find(|(name, _)| *name == variable).map(|(_, key)| (*key).to_owned())
}

/// The file as a source. Read by ourselves, so that a missing file and a broken one are told apart, and with its own path
/// as the origin of its values.
fn parsed(path: &Path) -> Result<OneFile, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::UnreadableFile { path: path.to_owned(), source })?;
    let table = config::Source::collect(&File::from_str(&text, FileFormat::Toml)).map_err(|error| {
        // The parser shows the line that it cannot read; there may be a secret on it.
        let reason: Vec<_> = match error {
            config::ConfigError::FileParse { cause, .. } => cause.to_string(),
            other => other.to_string(),
        }
        .lines()
        .filter(|line| !line.contains('|'))
        .map(str::to_owned)
        .collect();
        ConfigError::NotToml { path: path.to_owned(), reason: reason.join(": ") }
    })?;
    let origin = path.display().to_string();
    Ok(OneFile(table.into_iter().map(|(key, value)| (key, from(&origin, value))).collect()))
}

fn from(origin: &String, value: Value) -> Value {
    let kind = match value.kind {
        ValueKind::Table(table) => {
            ValueKind::Table(table.into_iter().map(|(key, value)| (key, from(origin, value))).collect())
        }
        ValueKind::Array(values) => {
            ValueKind::Array(values.into_iter().map(|value| from(origin, value)).collect())
        }
        scalar => scalar,
    };
    Value::new(Some(origin), kind)
}

#[derive(Clone, Debug)]
struct OneFile(Map<String, Value>);

impl config::Source for OneFile {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// Puts the trimmed content of the file that `x_file` names in the place of `x`.
fn read_secrets(path: &str, value: &mut Value) -> Result<(), ConfigError> {
    let ValueKind::Table(table) = &mut value.kind else { return Ok(()) };
    for (key, value) in table.iter_mut() {
        read_secrets(&format!("{path}.{key}"), value)?;
    }
    let named: Vec<_> =
        table.keys().filter_map(|key| Some(key.strip_suffix(FROM_FILE)?.to_owned())).collect();
    for key in named {
        let Some(file) = table.remove(&format!("{key}{FROM_FILE}")) else { continue };
        let from = file.origin().map(str::to_owned);
        let full_key = format!("{path}.{key}");
        if let Some(plain) = table.get(&key) {
            return Err(ConfigError::SetTwice { key: full_key, plain: first_origin(plain), file: from });
        }
        let name = file.into_string().map_err(|_| ConfigError::Invalid {
            key: format!("{full_key}{FROM_FILE}"),
            origin: from.clone(),
            reason: "expected the path of a file".to_owned(),
        })?;
        let content = fs::read_to_string(&name).map_err(|source| ConfigError::UnreadableSecret {
            key: full_key,
            origin: from,
            source,
        })?;
        table.insert(key, Value::new(Some(&name), content.trim()));
    }
    Ok(())
}

/// Where a value was set; for a table, where the first of its values was.
fn first_origin(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Table(table) => {
            let mut keys: Vec<_> = table.keys().collect();
            keys.sort();
            keys.into_iter().find_map(|key| first_origin(&table[key]))
        }
        _ => value.origin().map(str::to_owned),
    }
}

/// Turns the config crate's error, which quotes values, into ours, which does not.
fn explain(layers: &Map<String, Value>, error: config::ConfigError) -> ConfigError {
    let (mut key, mut reason) = split(error);
    if let Some(unknown) = reason.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
        key = if key.is_empty() { unknown.to_owned() } else { format!("{key}.{unknown}") };
        reason = reason.replacen("unknown field", "unknown key", 1);
    }
    for quoting in ["invalid type: ", "invalid value: "] {
        if let Some((_, expected)) =
            reason.strip_prefix(quoting).and_then(|rest| rest.split_once(", expected "))
        {
            reason = format!("expected {expected}");
        }
    }
    let value = lookup(layers, &key);
    if let Some(ValueKind::String(text)) = value.map(|value| &value.kind)
        // Shorter ones are no secrets, and would tear words apart.
        && text.len() >= 3
    {
        reason = reason.replace(text.as_str(), "…");
    }
    ConfigError::Invalid { origin: value.and_then(first_origin), key, reason }
}

/// The key and what is wrong with it.
fn split(error: config::ConfigError) -> (String, String) {
    use config::ConfigError as E;
    match error {
        E::Type { expected, key, .. } => (key.unwrap_or_default(), format!("expected {expected}")),
        E::NotFound(key) => (key, "is missing".to_owned()),
        E::At { error, key, .. } => (key.unwrap_or_default(), split(*error).1),
        other => (String::new(), other.to_string()),
    }
}

fn lookup<'a>(layers: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let mut segments = key.split('.');
    let first = layers.get(segments.next()?)?;
    segments.try_fold(first, |value, segment| match &value.kind {
        ValueKind::Table(table) => table.get(segment),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Composed {
        broker: Broker,
        providers: BTreeMap<String, Provider>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Broker {
        url: String,
        prefetch: u16,
        tls: bool,
        #[serde(with = "humantime_serde")]
        connect_timeout: Duration,
        password: Option<String>,
        mode: Mode,
    }

    impl Default for Broker {
        fn default() -> Self {
            Self {
                url: "amqp://default".into(),
                prefetch: 10,
                tls: false,
                connect_timeout: Duration::from_secs(5),
                password: None,
                mode: Mode::Quick,
            }
        }
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Mode {
        Quick,
        Slow,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Provider {
        url: String,
        weight: u32,
    }

    fn file(name: &str, text: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("pillarbox-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        path
    }

    fn read(file: Option<&Path>, variables: &[(&str, &str)]) -> Result<Composed, ConfigError> {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Layers::merge(file, variables)?.compose()
    }

    fn error(file: Option<&Path>, variables: &[(&str, &str)]) -> String {
        read(file, variables).unwrap_err().to_string()
    }

    #[test]
    fn without_layers_the_defaults_stand() {
        assert_eq!(read(None, &[]).unwrap(), Composed::default());
    }

    #[test]
    fn later_layers_win_and_the_rest_stays() {
        let path = file(
            "layers.toml",
            "[broker]\nurl = 'amqp://file'\nprefetch = 20\nconnect_timeout = '2m'\n[api]\nanything = 1\n[providers.mmg]\nweight = 3",
        );
        let config = read(
            Some(&path),
            &[
                ("PILLARBOX__BROKER__URL", "amqp://long"),
                ("AMQP_URL", "amqp://plain"),
                ("PILLARBOX__BROKER__TLS", "true"),
                ("PILLARBOX__PROVIDERS__MMG__URL", "http://mmg"),
                ("PILLARBOX__BROKER__PASSWORD", "0123"),
                ("PILLARBOX__BROKER__MODE", ""),
            ],
        )
        .unwrap();
        assert_eq!(
            config.broker,
            Broker {
                url: "amqp://long".into(),
                prefetch: 20,
                tls: true,
                connect_timeout: Duration::from_secs(120),
                password: Some("0123".into()),
                mode: Mode::Quick,
            }
        );
        assert_eq!(config.providers["mmg"], Provider { url: "http://mmg".into(), weight: 3 });
        assert_eq!(read(Some(&path), &[("AMQP_URL", "amqp://plain")]).unwrap().broker.url, "amqp://plain");
    }

    #[test]
    fn unknown_sections_and_keys_are_named_with_their_origin() {
        let path = file("unknown.toml", "[borker]\nurl = 'x'");
        let message = error(Some(&path), &[]);
        assert!(
            message.contains("unknown section `borker`") && message.contains("unknown.toml"),
            "{message}"
        );
        assert!(message.contains("broker"), "the sections are listed: {message}");

        let message = error(None, &[("PILLARBOX__BROKER__PREFETSH", "1")]);
        assert!(
            message.starts_with("`broker.prefetsh` (environment variable PILLARBOX__BROKER__PREFETSH)"),
            "{message}"
        );
        assert!(message.contains("`prefetch`"), "the keys are listed: {message}");

        let path = file("unknown-nested.toml", "[providers.mmg]\nkey = 'x'");
        let message = error(Some(&path), &[]);
        assert!(
            message.starts_with("`providers.mmg.key` (") && message.contains("unknown-nested.toml"),
            "{message}"
        );

        let message = error(None, &[("PILLARBOX__BROKER__A B", "1")]);
        assert!(message.contains("PILLARBOX__BROKER__A B"), "{message}");
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_and_not_shown() {
        for (name, value, expected) in [
            (
                "PILLARBOX__BROKER__PREFETCH",
                "hunter2",
                "`broker.prefetch` (environment variable PILLARBOX__BROKER__PREFETCH): expected an integer",
            ),
            ("PILLARBOX__BROKER__PREFETCH", "70000", "`broker.prefetch`"),
            ("PILLARBOX__BROKER__TLS", "hunter2", "expected a boolean"),
            ("PILLARBOX__BROKER__CONNECT_TIMEOUT", "hunter2", "`broker.connect_timeout`"),
            ("PILLARBOX__BROKER__MODE", "hunter2", "`broker.mode`"),
            ("PILLARBOX__BROKER__URL__DEEPER", "hunter2", "`broker.url`"),
            ("PILLARBOX__BROKER", "hunter2", "`broker` (environment variable PILLARBOX__BROKER)"),
        ] {
            let message = error(None, &[(name, value)]);
            assert!(message.contains(expected), "{name}: {message}");
            assert!(!message.contains(value), "{name}: {message}");
        }
    }

    #[test]
    fn a_broken_or_missing_file_is_told_without_its_lines() {
        let path = file("broken.toml", "[broker]\npassword = \"hunter2\nprefetch = 1");
        let message = error(Some(&path), &[]);
        assert!(message.contains("broken.toml") && message.contains("line 2"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        let message = error(Some(Path::new("/nowhere/pillarbox.toml")), &[]);
        assert!(message.contains("/nowhere/pillarbox.toml cannot be read"), "{message}");
    }

    #[test]
    fn a_secret_may_come_from_a_file_but_only_once() {
        let secret = file("secret", "  hunter2\n");
        let name = secret.to_str().unwrap();
        let config = read(None, &[("PILLARBOX__BROKER__PASSWORD_FILE", name)]).unwrap();
        assert_eq!(config.broker.password.as_deref(), Some("hunter2"));

        let message = error(
            None,
            &[("PILLARBOX__BROKER__PASSWORD_FILE", name), ("PILLARBOX__BROKER__PASSWORD", "other")],
        );
        assert!(message.contains("`broker.password`") && message.contains("both set"), "{message}");
        assert!(!message.contains("hunter2") && !message.contains("other"), "{message}");

        let message = error(None, &[("PILLARBOX__BROKER__PASSWORD_FILE", "/nowhere/secret")]);
        assert!(message.starts_with("`broker.password_file`"), "{message}");

        let message = error(None, &[("PILLARBOX__BROKER__PREFETCH_FILE", name)]);
        assert!(message.contains("`broker.prefetch`") && !message.contains("hunter2"), "{message}");
    }
}
