#!/bin/sh
# Writes what must be said about the work of others inside the library: third-party.txt, and debian/copyright in Debian's machine-readable form.
# Needs cargo-about (cargo install cargo-about --features cli). `cargo xtask test packages` fails if a dependency has changed since.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp)
trap 'rm -f "$work"' EXIT
cargo about generate --offline --fail --locked -c src/packaging/about.toml src/packaging/notices.hbs > "$work"

{
  printf 'libatls contains the packages below, and the standard library of Rust (https://github.com/rust-lang/rust), which is licensed\n'
  printf 'under MIT or Apache-2.0. libatls itself is licensed under MIT or Apache-2.0: see LICENSE.\n'
  awk '
    BEGIN         { bar = sprintf("%100s", ""); gsub(/ /, "-", bar) }
    /^@@LICENSE / { print "\n" bar "\n\nLicence " $2 " of:\n"; next }
    /^@@CRATE /   { print "  " $2 " " $3 ($4 == "" ? "" : " <" $4 ">"); next }
    /^@@TEXT$/    { print ""; next }
    /^@@END$/     { next }
    { sub(/\r$/, ""); sub(/[ \t]+$/, ""); print }' "$work" | cat -s
} > src/packaging/third-party.txt

{
  cat src/packaging/debian/copyright.in
  awk '
    function flush_stanza(    i, line) {
      print ""
      print "Files:" files
      print "Copyright:" (holders == "" ? " the authors of" names : holders)
      print "License: " id
      if (id == "Apache-2.0") { print " On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0."; return }
      while (count > 0 && text[count] == "") count--
      for (i = 1; i <= count; i++) print (text[i] == "" ? " ." : " " text[i])
    }
    /^@@LICENSE / { id = $2; files = ""; names = ""; holders = ""; count = 0; next }
    /^@@CRATE /   { files = files "\n " $2 "-" $3 "/*"; names = names " " $2; next }
    /^@@TEXT$/    { next }
    /^@@END$/     { flush_stanza(); next }
    { sub(/\r$/, ""); sub(/[ \t]+$/, ""); if (count > 0 || $0 != "") text[++count] = $0 }
    /^[ \t]*(Copyright|©).*[0-9(©]/ && id != "Apache-2.0" { line = $0; sub(/^[ \t]+/, "", line); holders = holders "\n " line }' "$work"
} > src/packaging/debian/copyright
