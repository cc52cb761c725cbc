//! The API process.

fn main() -> std::process::ExitCode {
    service::main("api", api::run)
}
