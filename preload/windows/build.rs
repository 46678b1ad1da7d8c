//! Links the guest without any library: it is put into processes before they have loaded one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("windows") {
        for argument in
            ["-nostdlib", "-nostartfiles", "-Wl,--entry=tracerun_guest_entry", "-Wl,--dynamicbase"]
        {
            println!("cargo::rustc-cdylib-link-arg={argument}");
        }
    }
}
