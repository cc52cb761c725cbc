//! TLS to providers, over HTTP and SMTP alike.

use hyper_rustls::ConfigBuilderExt;
use rustls::{ClientConfig, RootCertStore};

/// The system's roots. A machine without any (a bare container) can still reach providers without TLS, as the
/// simulator is; with TLS it fails call by call, and says why.
pub(crate) fn client() -> ClientConfig {
    let with_provider = || {
        ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs supports the default TLS versions")
    };
    match with_provider().with_native_roots() {
        Ok(builder) => builder.with_no_client_auth(),
        Err(error) => {
            tracing::warn!(%error, "no root certificates: providers cannot be reached over TLS");
            with_provider().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        }
    }
}
