fn main() {
    service::main("scheduler", scheduler::run)
}
