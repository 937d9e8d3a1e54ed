//! Tests on wasm32 get a stack of 64 KiB: what recurses on a peer's word must fail there.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|arch| arch == "wasm32") {
        println!("cargo:rustc-link-arg-tests=-zstack-size=65536");
    }
}
