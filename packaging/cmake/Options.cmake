# Compile and link options shared by every target.
add_compile_options(-Wall -Wextra -Wpedantic)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 sees uninitialised and overlapping strings inside libstdc++'s own variant and operator+ (GCC bugs 105562, 105651)
    add_compile_options(-Wno-maybe-uninitialized -Wno-restrict)
endif()
add_compile_definitions(QT_NO_KEYWORDS QT_NO_CAST_TO_ASCII QT_NO_FOREACH QT_USE_QSTRINGBUILDER)
include_directories(${PROJECT_SOURCE_DIR}) # includes are written from the root of the tree

set(SECATEUR_LINKER "lld" CACHE STRING "linker for -fuse-ld=, empty for the default one")
if(SECATEUR_LINKER)
    add_link_options(-fuse-ld=${SECATEUR_LINKER})
endif()

find_program(SECATEUR_CCACHE ccache)
if(SECATEUR_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${SECATEUR_CCACHE})
    set(CMAKE_C_COMPILER_LAUNCHER ${SECATEUR_CCACHE})
endif()

option(SECATEUR_ASAN "address and undefined behaviour sanitizers" OFF)
if(SECATEUR_ASAN)
    add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer)
    add_link_options(-fsanitize=address,undefined)
endif()
