//! On wasm32 the stack is 64 KiB: nothing recurses on a peer's word, and a client's memory is small.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|arch| arch == "wasm32") {
        println!("cargo:rustc-link-arg=-zstack-size=65536");
    }
}
