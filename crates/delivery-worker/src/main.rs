fn main() -> std::process::ExitCode {
    service::main("delivery-worker", delivery_worker::run)
}
