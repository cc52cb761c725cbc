fn main() {
    service::main("delivery-worker", delivery_worker::run)
}
