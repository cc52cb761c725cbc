//! The API process.

fn main() {
    service::main("api", api::run)
}
