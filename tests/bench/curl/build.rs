//! Compiles the C client against the libcurl that curl-sys has built.

fn main() {
    let source = "../c/client_curl.c";
    println!("cargo:rerun-if-changed={source}");
    let include = std::env::var("DEP_CURL_INCLUDE").expect("curl-sys says where its headers are");
    let mut build = cc::Build::new();
    build.file(source).include(include).define("main", "client_main").define("CURL_STATICLIB", None);
    build.opt_level(2).warnings(false).compile("client");
}
