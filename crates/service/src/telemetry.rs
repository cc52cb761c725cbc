//! Logs: one line per event on standard output, for people on a terminal, as JSON everywhere else.
//!
//! A JSON line carries `timestamp`, `level`, `service`, `target`, `message`, the event's own fields and the fields of the
//! spans around it (`spans`, outermost first).

use std::{fmt, io, io::IsTerminal, panic};

use serde::Deserialize;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, JsonFields, Writer},
    },
    registry::LookupSpan,
};

/// Section `log`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Without it: `pretty` on a terminal, else `json`.
    pub format: Option<LogFormat>,
    /// What is logged: a level, or directives such as `info,broker=debug`.
    pub filter: String,
}

impl Default for Config {
    fn default() -> Self {
        // Whoever sends actix what is not HTTP, or hangs up on lapin, would fill the log with errors that are not ours.
        Self { format: None, filter: "info,actix_http=off,lapin=off".to_owned() }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Pretty,
    Json,
}

/// Logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("`log.filter`: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging was started before: {0}")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Starts logging for the whole process, panics included.
///
/// # Errors
/// When the filter cannot be read, or logging was already started.
pub fn start(service: &'static str, config: &Config) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let terminal = io::stdout().is_terminal();
    match config.format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json }) {
        LogFormat::Pretty => {
            let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal);
            tracing::subscriber::set_global_default(lines.finish())?;
        }
        LogFormat::Json => {
            let lines = json(service, io::stdout).with_env_filter(filter);
            tracing::subscriber::set_global_default(lines.finish())?;
        }
    }
    // Where, but not what: the message of a panic may quote what a caller sent.
    panic::set_hook(Box::new(|panic| match panic.location() {
        Some(at) => tracing::error!(%at, "panicked"),
        None => tracing::error!("panicked"),
    }));
    Ok(())
}

type JsonSubscriber<W> = tracing_subscriber::fmt::SubscriberBuilder<
    JsonFields,
    JsonLine,
    tracing_subscriber::filter::LevelFilter,
    W,
>;

fn json<W>(service: &'static str, writer: W) -> JsonSubscriber<W>
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + 'static,
{
    let format = Format::default().json().flatten_event(true).with_current_span(false).with_span_list(true);
    tracing_subscriber::fmt()
        .fmt_fields(JsonFields::new())
        .event_format(JsonLine { service, format })
        .with_writer(writer)
}

/// The stock JSON line with the service's name in front, so that lines of several processes can share one store.
struct JsonLine {
    service: &'static str,
    format: Format<Json>,
}

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    JsonFields: for<'a> FormatFields<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(256);
        self.format.format_event(context, Writer::new(&mut line), event)?;
        // The names of services are literals of ours: letters and hyphens, nothing that JSON would escape.
        write!(writer, "{{\"service\":\"{}\",", self.service)?;
        writer.write_str(line.strip_prefix('{').unwrap_or(&line))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_carries_everything_that_a_log_store_needs() {
        let lines = Lines::default();
        let sink = lines.clone();
        let subscriber = json("delivery-worker", move || sink.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let _outer = tracing::info_span!("handful", size = 3).entered();
            let _inner = tracing::info_span!("send", provider = "mmg").entered();
            tracing::warn!(attempt = 2, "no \"answer\"");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["service"], "delivery-worker");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["target"], "service::telemetry::tests");
        assert_eq!(line["message"], "no \"answer\"");
        assert_eq!(line["attempt"].to_string(), "2");
        assert_eq!(line["spans"][0]["name"], "handful");
        assert_eq!(line["spans"][0]["size"].to_string(), "3");
        assert_eq!(line["spans"][1]["provider"], "mmg");
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{text}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_an_error() {
        let config = Config { filter: "info,broker=loud".into(), ..Config::default() };
        assert!(start("test", &config).unwrap_err().to_string().starts_with("`log.filter`"));
    }
}
