#!/bin/sh
# Makes the files of a release: Debian packages, an archive, the bill of materials (CycloneDX) and checksums, in target/dist.
#
#   src/packaging/release.sh [CMAKE OPTIONS]         for example --toolchain aarch64.cmake
#
# The same commit gives the same bytes, in whichever folder it is built, with the same Rust, C compiler, packages of the system and folder of cargo's registry:
# paths are cut out, one that stays in the library is an error, and all times are the commit's. Needs cargo-cyclonedx (cargo install cargo-cyclonedx --version 0.5.9), dpkg-dev and CMake 3.21.
# ATLS_MAINTAINER="Name <address>" goes into the Debian packages.
set -eu
cd "$(dirname "$0")/../.."
here=$(pwd -P)
home=${CARGO_HOME:-$HOME/.cargo}
dist=$here/target/dist
export LC_ALL=C TZ=UTC
umask 022
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
if [ -n "${RUSTFLAGS:-}${CARGO_ENCODED_RUSTFLAGS:-}${CFLAGS:-}" ]; then
  echo "release.sh: RUSTFLAGS and CFLAGS must not be set: they would be in the result" >&2
  exit 2
fi
command -v cargo-cyclonedx > /dev/null || { echo "release.sh: cargo-cyclonedx is missing: cargo install cargo-cyclonedx --version 0.5.9" >&2; exit 2; }
[ -z "$(git status --porcelain)" ] || echo "release.sh: there are changes that are not committed" >&2

# aws-lc and zstd are C. Cargo's flags apply to the target only, as do these.
export CFLAGS="-ffile-prefix-map=$here=/libatls -ffile-prefix-map=$home=/cargo"
rust="--remap-path-prefix=$here=/libatls --remap-path-prefix=$home=/cargo"
rm -rf "$dist"
mkdir -p "$dist/work"

# One library for both forms of package.
package() { # NAME OPTIONS
  tree=$dist/work/$1
  shift
  cmake -S . -B "$tree" -DATLS_CARGO_TARGET_DIR="$dist/work/cargo" -DATLS_RUSTFLAGS="$rust" -DATLS_BUILD_TESTS=OFF -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_BUILD_RPATH_USE_ORIGIN=ON \
    ${ATLS_MAINTAINER:+-DATLS_MAINTAINER="$ATLS_MAINTAINER"} "$@" > /dev/null
  cmake --build "$tree" > /dev/null
  (cd "$tree" && cpack > cpack.log) || { cat "$tree/cpack.log" >&2; exit 1; }
  find "$tree" -maxdepth 1 \( -name '*.deb' -o -name '*.tar.gz' \) -exec cp {} "$dist" \;
}
package archive -DCMAKE_INSTALL_LIBDIR=lib "$@"
triple=$(sed -n 's/^set(CPACK_ATLS_TRIPLE "\(.*\)")$/\1/p' "$dist/work/archive/CPackConfig.cmake")
if command -v dpkg-deb > /dev/null; then
  cpu=$(dpkg-architecture -t "$(echo "$triple" | sed 's/-unknown//')" -q DEB_TARGET_MULTIARCH)
  package debian -DATLS_DEBIAN=ON -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_INSTALL_LIBDIR="lib/$cpu" "$@"
fi

find "$dist/work" -type f \( -name 'libatls.so*' -o -name libatls.a \) | while read -r library; do
  if grep -qaF -e "$here/" -e "$home/" "$library"; then
    echo "release.sh: $library has paths of this machine in it" >&2
    exit 1
  fi
done

# The tool writes one beside each manifest of the workspace.
name=$(basename "$dist"/libatls-*.tar.gz .tar.gz).cdx
cargo cyclonedx --quiet --manifest-path Cargo.toml --format json --spec-version 1.5 --target "$triple" --no-build-deps --override-filename "$name"
sed "s|file://$here|file:///libatls|g" "$name.json" > "$dist/$name.json"
rm -f "$name.json" tests/*/"$name.json"
cp src/packaging/third-party.txt "$dist"
rm -rf "$dist/work"
cd "$dist"
sha256sum -- * > SHA256SUMS
cat SHA256SUMS
