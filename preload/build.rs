//! Links the library without any other, so that one file loads into glibc and musl programs alike.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    for argument in [
        // No start files, no libc, no libgcc: what is undefined is found in the program when it starts.
        "-nostdlib",
        "-Wl,-soname,libtracerun_preload.so",
        // All names are looked up while the program loads, where a lookup is safe, and never inside a signal handler.
        "-Wl,-z,now",
        // Calls among our own functions stay inside, whatever the program defines.
        "-Wl,-Bsymbolic",
        "-Wl,--hash-style=gnu",
        "-Wl,--build-id=none",
        // As few mappings as the linker can do with: each costs every program that starts.
        "-Wl,-z,norelro",
        "-Wl,-z,noseparate-code",
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
