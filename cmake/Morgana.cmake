# The three kinds of code in this tree and how each is compiled.
#
#   morgana_host_library(NAME SOURCES... LINK...)    driver and plugins: libstdc++
#   morgana_guest_library(NAME SOURCES... LINK...)   runtime and targets, for unit tests: libc++, as in a guest
#   morgana_test(NAME KIND host|guest SOURCES... LINK...)
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
  target_compile_options(${name} PRIVATE ${MORGANA_WARNINGS})
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
