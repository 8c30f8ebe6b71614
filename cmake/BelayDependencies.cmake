# Libraries from the system, and which folder of src/ uses them. A folder that is not listed uses only
# the common ones.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(sqlite REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(zlib REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(lzma REQUIRED IMPORTED_TARGET liblzma)
pkg_check_modules(nlopt REQUIRED IMPORTED_TARGET nlopt)
pkg_check_modules(crypto REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(toml REQUIRED IMPORTED_TARGET tomlplusplus)
pkg_check_modules(edit REQUIRED IMPORTED_TARGET libedit)

# On every compile line, so that one precompiled header serves all folders.
set(BELAY_COMMON_LIBRARIES Threads::Threads fmt::fmt spdlog::spdlog nlohmann_json::nlohmann_json)
set(BELAY_LIBRARIES_base PkgConfig::xxhash PkgConfig::zlib PkgConfig::lzma PkgConfig::zstd
    PkgConfig::crypto)
set(BELAY_LIBRARIES_stats PkgConfig::nlopt)
set(BELAY_LIBRARIES_store PkgConfig::xxhash PkgConfig::sqlite)
set(BELAY_LIBRARIES_text PkgConfig::utf8proc)
set(BELAY_LIBRARIES_data PkgConfig::zstd)
set(BELAY_LIBRARIES_report PkgConfig::zstd)
set(BELAY_LIBRARIES_cli CLI11::CLI11 PkgConfig::toml PkgConfig::edit)

# oneDNN is the yardstick of `belay bench`, which measures without it where it is absent.
find_library(BELAY_DNNL_LIBRARY dnnl)
find_path(BELAY_DNNL_INCLUDE dnnl.hpp)
if(BELAY_DNNL_LIBRARY AND BELAY_DNNL_INCLUDE)
  set(BELAY_LIBRARIES_bench ${BELAY_DNNL_LIBRARY})
  set(BELAY_DEFINITIONS_bench BELAY_HAVE_DNNL=1)
else()
  set(BELAY_DEFINITIONS_bench BELAY_HAVE_DNNL=0)
endif()
