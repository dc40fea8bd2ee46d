# An overlay port, in a checkout: vcpkg install atls --overlay-ports=src/packaging/vcpkg. Builds with the cargo of the machine.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        -DATLS_BUILD_TESTS=OFF
        -DATLS_BUILD_TOOL=OFF
        "-DATLS_CARGO_TARGET_DIR=${CURRENT_BUILDTREES_DIR}/cargo"
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(PACKAGE_NAME atls CONFIG_PATH lib/cmake/atls)
# The file finds the prefix by its own place, which is now one folder nearer to it.
vcpkg_replace_string("${CURRENT_PACKAGES_DIR}/share/atls/atls-config.cmake" "/../../../" "/../../")
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share" "${CURRENT_PACKAGES_DIR}/share/doc")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE" "${SOURCE_PATH}/src/packaging/third-party.txt")
