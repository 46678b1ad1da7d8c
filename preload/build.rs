//! Links the library without any other, so that one file loads into glibc and musl programs alike; on macOS gives it a name.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => {}
        Ok("macos") => return name_for_macos(),
        _ => return,
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

/// The library goes by its file's name, not by where it was built; nobody links with it. It is linked with libSystem, which every
/// program has.
fn name_for_macos() {
    const NAME: &str = "libtracerun_preload.dylib";
    let linker = std::env::var("RUSTC_LINKER").unwrap_or_default();
    if linker.contains("ld64") {
        println!("cargo::rustc-cdylib-link-arg=-install_name");
        println!("cargo::rustc-cdylib-link-arg={NAME}");
    } else {
        // By way of a C compiler.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,{NAME}");
    }
}
