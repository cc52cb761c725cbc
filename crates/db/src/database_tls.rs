//! Whether the way to the database needs TLS. libpq's own default takes it or leaves it, and so whoever stands in between
//! may have the password and all that follows.

use domain::this_machine::is_this_machine;

/// Whether the URL of a database on another machine leaves it to libpq: then TLS is required. Whoever names an `sslmode`
/// (in the URL, or as libpq's `PGSSLMODE`) has what it says.
pub(crate) fn is_left_open(url: &str) -> bool {
    std::env::var_os("PGSSLMODE").is_none() && names_none(url)
}

fn names_none(url: &str) -> bool {
    !url.contains("sslmode=") && !hosts(url).into_iter().all(is_this_machine)
}

/// Where the URL leads: to the hosts of its query, if there are any, or else to those before its path. None is a socket.
fn hosts(url: &str) -> Vec<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let named =
        query.split('&').find_map(|pair| pair.strip_prefix("host=").or(pair.strip_prefix("hostaddr=")));
    let authority = rest.split('/').next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
    let hosts = named.unwrap_or(authority).split(',').map(|host| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    });
    // A path is written with `%2F` before the URL's own.
    hosts.filter(|host| !host.is_empty() && !host.starts_with('%')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_asked_for_tls_unless_told_by_name() {
        for url in
            ["postgres://u:p@postgres/x", "postgres://u:p@10.0.0.1:5432/x", "postgres://localhost,db2/x"]
        {
            assert!(names_none(url), "{url}");
            assert!(!names_none(&format!("{url}?sslmode=disable")), "{url}");
        }
        for url in ["postgres://u:p@127.0.0.1/x", "postgres:///x", "postgres:///x?host=/run/postgresql"] {
            assert!(!names_none(url), "{url}");
        }
    }

    #[test]
    fn where_a_url_leads() {
        for (url, leads_to) in [
            ("postgres://pillarbox@127.0.0.1:5432/pillarbox", &["127.0.0.1"][..]),
            ("postgres://u:p%40@postgres/pillarbox?connect_timeout=1", &["postgres"]),
            ("postgres://u:p@x@db/pillarbox", &["db"]),
            ("postgres://db?application_name=a@b", &["db"]),
            ("postgresql://[::1]:5432/x", &["[::1]"]),
            ("postgres://localhost,db2:5433/x", &["localhost", "db2"]),
            ("postgres:///x?host=/run/postgresql", &["/run/postgresql"]),
            ("postgres://localhost/x?host=db", &["db"]),
            ("postgres://u@%2Frun%2Fpostgresql/x", &[]),
            ("postgres:///x", &[]),
        ] {
            assert_eq!(hosts(url), leads_to, "{url}");
        }
    }
}
