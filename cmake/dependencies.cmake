# SPDX-License-Identifier: GPL-2.0-or-later
# Debian's libraries. The codecs are static: they go into the worker, which links statically.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(pugixml 1.12 REQUIRED)
foreach(name libarchive libcurl libdebuginfod libdw libelf)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${name})
endforeach()

function(static_library target name header)
  find_library(${target}_ARCHIVE lib${name}.a REQUIRED)
  find_path(${target}_INCLUDE ${header} REQUIRED)
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION ${${target}_ARCHIVE}
    INTERFACE_INCLUDE_DIRECTORIES ${${target}_INCLUDE})
endfunction()

static_library(lzma_static lzma lzma.h)
static_library(zstd_static zstd zstd.h)
static_library(deflate_static deflate libdeflate.h)
static_library(lzo2_static lzo2 lzo/lzo1x.h)
static_library(snappy_static snappy snappy-c.h)
static_library(sodium_static sodium sodium.h)
static_library(seccomp_static seccomp seccomp.h)
static_library(z_static z zlib.h)
# It uncompresses sections: with zlib, and since 0.189 with zstd.
static_library(elf_static elf libelf.h)
set_target_properties(elf_static PROPERTIES INTERFACE_LINK_LIBRARIES "z_static;zstd_static")
