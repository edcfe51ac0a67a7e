# Imported target secateur::torch: the CPU half of LibTorch, linked without find_package(Torch), which would ask for a
# CUDA toolkit. The CUDA half is loaded at run time by backend/engine/compute_device.cpp when it is present.
if(DEFINED ENV{XDG_CACHE_HOME})
    set(_secateur_cache "$ENV{XDG_CACHE_HOME}")
else()
    set(_secateur_cache "$ENV{HOME}/.cache")
endif()
set(SECATEUR_LIBTORCH "${_secateur_cache}/secateur/libtorch-2.15.0/torch" CACHE PATH
    "folder with lib/libtorch_cpu.so and include/ATen (LibTorch 2.6 or newer)")

if(NOT EXISTS "${SECATEUR_LIBTORCH}/include/ATen/core/Tensor.h" OR NOT EXISTS "${SECATEUR_LIBTORCH}/lib/libtorch_cpu.so")
    message(FATAL_ERROR "LibTorch was not found in '${SECATEUR_LIBTORCH}'. Run packaging/start once, which fetches it, "
                        "or pass -DSECATEUR_LIBTORCH=<folder with include/ and lib/>.")
endif()

add_library(secateur_torch INTERFACE)
add_library(secateur::torch ALIAS secateur_torch)
target_include_directories(secateur_torch SYSTEM INTERFACE
    "${SECATEUR_LIBTORCH}/include" "${SECATEUR_LIBTORCH}/include/torch/csrc/api/include")
target_link_libraries(secateur_torch INTERFACE "${SECATEUR_LIBTORCH}/lib/libtorch_cpu.so" "${SECATEUR_LIBTORCH}/lib/libc10.so")
target_link_options(secateur_torch INTERFACE "LINKER:--allow-shlib-undefined" "LINKER:-rpath,${SECATEUR_LIBTORCH}/lib")

# at::parallel_for is a template: without OpenMP in our own files it runs on one thread and says nothing. The runtime must
# be LibTorch's own copy, or the two would not agree on the number of threads.
target_compile_options(secateur_torch INTERFACE -fopenmp)
file(GLOB _secateur_openmp "${SECATEUR_LIBTORCH}/lib/libgomp*.so*")
if(_secateur_openmp)
    list(GET _secateur_openmp 0 _secateur_openmp)
    target_link_libraries(secateur_torch INTERFACE "${_secateur_openmp}")
else()
    target_link_options(secateur_torch INTERFACE -fopenmp)
endif()
