# SPDX-License-Identifier: GPL-2.0-or-later
# Language, warnings and hardening of every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

add_library(standard_settings INTERFACE)
target_include_directories(standard_settings INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(standard_settings INTERFACE
  _FILE_OFFSET_BITS=64 VMCORECTL_VERSION="${PROJECT_VERSION}")
target_compile_options(standard_settings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Wold-style-cast
  -Wimplicit-fallthrough -Werror -fstack-protector-strong
  -ffunction-sections -fdata-sections)  # what the capture kernel's init does not call is left out of it
if(VMCORECTL_SANITIZE)
  target_compile_definitions(standard_settings INTERFACE VMCORECTL_SANITIZED)
  target_compile_options(standard_settings INTERFACE
    -fsanitize=${VMCORECTL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(standard_settings INTERFACE -fsanitize=${VMCORECTL_SANITIZE})
  # gcc 12 loses track of what is initialised in instrumented code.
  target_compile_options(standard_settings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
else()
  target_compile_definitions(standard_settings INTERFACE
    $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2>)
endif()

# vmcore_library(NAME SOURCES... [LINKS targets...]): the static library of one folder. LINKS are
# the folders and foreign libraries it may include (tests/floors checks the same).
function(vmcore_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINKS")
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC standard_settings ${arg_LINKS})
endfunction()
