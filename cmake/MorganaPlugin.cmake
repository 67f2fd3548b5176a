# morgana_add_plugin(NAME
#   DATA     files and folders of the source folder that the driver reads: NAME.toml, devices.toml, guest code
#   RUNNER   sources of the program NAME-runner                  (left out: the plugin names another runner)
#   LIBRARY  sources of the shared library libNAME.so            (left out: the plugin is all data)
#   LINK     what runner and library are linked with, besides the plugin API)
#
# Makes build/plugins/NAME, a plugin folder that holds links to DATA and the programs that were built: put
# build/plugins on MORGANA_PLUGIN_PATH. `cmake --install` copies it to share/morgana/plugins/NAME.
include(GNUInstallDirs)

function(morgana_add_plugin name)
  cmake_parse_arguments(arg "" "" "DATA;RUNNER;LIBRARY;LINK" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "morgana_add_plugin(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT "${name}.toml" IN_LIST arg_DATA)
    message(FATAL_ERROR "morgana_add_plugin(${name}): DATA has no ${name}.toml")
  endif()
  set(folder "${CMAKE_BINARY_DIR}/plugins/${name}")
  set(destination "${CMAKE_INSTALL_DATADIR}/morgana/plugins/${name}")
  file(MAKE_DIRECTORY "${folder}")
  foreach(entry ${arg_DATA})
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${entry}")
      message(FATAL_ERROR "morgana_add_plugin(${name}): there is no ${entry}")
    endif()
    # Links, so that an edit needs no new configuration.
    file(CREATE_LINK "${CMAKE_CURRENT_SOURCE_DIR}/${entry}" "${folder}/${entry}" SYMBOLIC)
    if(IS_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}/${entry}")
      install(DIRECTORY "${entry}" DESTINATION "${destination}")
    else()
      install(FILES "${entry}" DESTINATION "${destination}")
    endif()
  endforeach()

  if(arg_RUNNER)
    add_executable(${name}-runner ${arg_RUNNER})
    target_link_libraries(${name}-runner PRIVATE Morgana::plugin_api ${arg_LINK})
    set_target_properties(${name}-runner PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY "${folder}" CXX_STANDARD 23 CXX_STANDARD_REQUIRED ON)
    install(TARGETS ${name}-runner DESTINATION "${destination}")
  endif()
  if(arg_LIBRARY)
    add_library(${name} MODULE ${arg_LIBRARY})
    target_link_libraries(${name} PRIVATE Morgana::plugin_api ${arg_LINK})
    set_target_properties(${name} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY "${folder}" CXX_STANDARD 23 CXX_STANDARD_REQUIRED ON
      CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
    install(TARGETS ${name} DESTINATION "${destination}")
  endif()
endfunction()
