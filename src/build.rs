//! Gives the shared library its name: SONAME on ELF, install name on macOS. While 0.x each minor version is its own ABI. Touches nothing.

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    // cargo-c sets its own.
    if std::env::var_os("CARGO_FEATURE_CAPI").is_some() {
        return;
    }
    let version = |part: &str| std::env::var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default();
    let number = match version("MAJOR").as_str() {
        "0" => format!("0.{}", version("MINOR")),
        major => major.to_owned(),
    };
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos" | "ios") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libatls.{number}.dylib");
        }
        Ok("windows") => {}
        _ => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libatls.so.{number}");
            // Worker threads may outlive a dlclose; the code they run must stay mapped.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
    }
}
