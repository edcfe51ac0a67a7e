# secateur_add_test(<name> LABEL <label> [TIMEOUT <s>] [GUI] SOURCES ... LIBRARIES ... [ENVIRONMENT K=V ...])
#
# One Qt Test program, one CTest entry. Labels: unit, engine, golden, gui, e2e, arch.
function(secateur_add_test name)
    cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "SOURCES;LIBRARIES;ENVIRONMENT" ${ARGN})
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 120)
    endif()
    add_executable(${name} ${arg_SOURCES})
    set_target_properties(${name} PROPERTIES AUTOMOC ON UNITY_BUILD OFF)
    target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} Qt6::Test)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABEL}" TIMEOUT "${arg_TIMEOUT}"
        ENVIRONMENT "QT_QPA_PLATFORM=offscreen;OMP_NUM_THREADS=2;OMP_WAIT_POLICY=passive;LC_ALL=C.UTF-8;SECATEUR_RESOURCES=${PROJECT_SOURCE_DIR}/resources;${arg_ENVIRONMENT}")
endfunction()
