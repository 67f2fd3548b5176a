# The three kinds of code in this tree and how each is compiled.
#
#   morgana_host_library(NAME SOURCES... LINK...)    driver and plugins: libstdc++
#   morgana_guest_library(NAME SOURCES... LINK...)   runtime and targets, for unit tests: libc++, as in a guest
#   morgana_test(NAME KIND host|guest SOURCES... LINK...)
#   morgana_python_module(NAME host|guest SOURCES... LINK...)    an extension module of bindings/python
#
# Two standard libraries never meet in one library (docs/internals.md).

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

# Line tables are all that a stack trace needs; full debug information would double the build.
foreach(language C CXX)
  set(CMAKE_${language}_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
  set(CMAKE_${language}_FLAGS_DEBUG "-O1 -g1")
endforeach()

set(MORGANA_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
  -Wnon-virtual-dtor -Wimplicit-fallthrough -Werror=return-type -Werror=unused-result)

set(MORGANA_SANITIZE "" CACHE STRING "Comma-separated sanitizers, as in -fsanitize=")
if(MORGANA_SANITIZE)
  add_compile_options(-fsanitize=${MORGANA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MORGANA_SANITIZE})
  # What waits for files and processes is not optimised then: it compiles in half the time, and its tests take no longer.
  # The runtime is, for its tests move gigabytes.
  set(MORGANA_WAITING_FLAGS -O0)
endif()
add_link_options(-fuse-ld=lld)

option(MORGANA_WERROR "Treat warnings as errors" ON)
if(MORGANA_WERROR)
  list(APPEND MORGANA_WARNINGS -Werror)
endif()

# What every translation unit that contains runtime code is compiled with, here and in a guest:
# libc++ in its hardened mode, no exceptions, no RTTI.
set(MORGANA_GUEST_FLAGS -stdlib=libc++ -fno-exceptions -fno-rtti
  -D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_FAST)

function(morgana_host_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;INCLUDE" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/driver/include
    ${PROJECT_SOURCE_DIR}/plugins/api/include ${arg_INCLUDE})
  target_compile_options(${name} PRIVATE ${MORGANA_WARNINGS} ${MORGANA_WAITING_FLAGS})
  target_link_libraries(${name} PUBLIC ${arg_LINK})
endfunction()

function(morgana_guest_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;INCLUDE" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/runtime/include ${arg_INCLUDE})
  target_compile_options(${name} PRIVATE ${MORGANA_WARNINGS} ${MORGANA_GUEST_FLAGS})
  target_link_libraries(${name} PUBLIC ${arg_LINK})
endfunction()

add_custom_target(morgana_tests COMMENT "Every unit test")

# A Catch2 executable; Catch's main is compiled once per standard library. What is tested is optimised, the
# tests themselves are not: Catch's macros cost the optimiser more than everything else together.
function(morgana_test name)
  cmake_parse_arguments(arg "" "KIND" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  add_dependencies(morgana_tests ${name})
  # Catch2's macros use __COUNTER__, which clang 22 calls a C2y extension.
  target_compile_options(${name} PRIVATE ${MORGANA_WARNINGS} -Wno-c2y-extensions -O0)
  target_precompile_headers(${name} PRIVATE <catch2/catch.hpp>)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  if(arg_KIND STREQUAL "guest")
    # Catch2 itself needs exceptions; the code under test is compiled without them in its library. Without
    # RTTI like that, because a class of it that a test derives from has no type information.
    # Catch2 uses std::nothrow without including <new>, which libc++ holds it to.
    target_compile_options(${name} PRIVATE -stdlib=libc++ "SHELL:-include new" -fno-rtti
      -D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_FAST)
    target_link_options(${name} PRIVATE -stdlib=libc++)
    target_link_libraries(${name} PRIVATE ${arg_LINK} morgana_test_main_guest)
  else()
    target_link_libraries(${name} PRIVATE ${arg_LINK} morgana_test_main_host)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300)
endfunction()

if(EXISTS /usr/bin/python3)
  # Debian's, for whose packages the tests are written; -DPython3_EXECUTABLE=... names another.
  set(Python3_EXECUTABLE /usr/bin/python3 CACHE FILEPATH "The Python that the package is built for")
endif()

# An extension module of the Python package, build/python/morgana/NAME: `host` for what holds driver code
# (libstdc++), `guest` for what holds runtime code: libc++ in it, static and hidden, so that both kinds live in
# one process without meeting. pybind11 needs exceptions and type information, which the runtime is compiled
# without: no class of a module derives from one of the runtime that has virtual functions.
function(morgana_python_module name kind)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(NOT kind MATCHES "^(host|guest)$")
    message(FATAL_ERROR "morgana_python_module(${name}): `${kind}` is neither host nor guest")
  endif()
  add_library(morgana_python_${name} MODULE ${arg_SOURCES})
  target_compile_options(morgana_python_${name} PRIVATE ${MORGANA_WARNINGS} ${MORGANA_WAITING_FLAGS})
  target_include_directories(morgana_python_${name} SYSTEM PRIVATE
    ${Python3_INCLUDE_DIRS} ${MORGANA_PYBIND11_INCLUDE})
  target_include_directories(morgana_python_${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(morgana_python_${name} PRIVATE ${arg_LINK})
  # Static libraries end in a module beside others of their kind in the same process: nothing of them is seen.
  target_link_options(morgana_python_${name} PRIVATE -Wl,--exclude-libs,ALL -Wl,--gc-sections)
  if(kind STREQUAL "guest")
    target_compile_options(morgana_python_${name} PRIVATE -stdlib=libc++
      -D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_FAST)
    target_link_options(morgana_python_${name} PRIVATE -stdlib=libc++ -nostdlib++)
    target_link_libraries(morgana_python_${name} PRIVATE
      -Wl,--push-state,-Bstatic -lc++ -lc++abi -Wl,--pop-state)
  endif()
  set_target_properties(morgana_python_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    SUFFIX ".${Python3_SOABI}.so" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LIBRARY_OUTPUT_DIRECTORY "${MORGANA_PYTHON_FOLDER}/morgana")
  add_dependencies(morgana_python morgana_python_${name})
  install(TARGETS morgana_python_${name} DESTINATION ${MORGANA_PYTHON_DESTINATION}/morgana)
endfunction()
