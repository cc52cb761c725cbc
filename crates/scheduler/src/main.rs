fn main() -> std::process::ExitCode {
    service::main("scheduler", scheduler::run)
}
