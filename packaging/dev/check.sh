#!/usr/bin/env bash
# Reads the sources before a commit: format and clang-tidy on changed files, spelling, the rules of tests/arch.
#   packaging/dev/check.sh [BASE]   files changed since BASE (default: HEAD~1)
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
base=${1:-HEAD~1}
failed=0

mapfile -t changed < <({ git diff --name-only --diff-filter=d "$base"; git ls-files --others --exclude-standard; } | grep -E '\.(h|cpp)$' | sort -u)

if [ ${#changed[@]} -gt 0 ]; then
    clang-format-14 --dry-run --Werror "${changed[@]}" || failed=1
    mapfile -t units < <(printf '%s\n' "${changed[@]}" | grep -E '\.cpp$')
    if [ ${#units[@]} -gt 0 ] && [ -f build/compile_commands.json ]; then
        clang-tidy-14 --quiet -p build "${units[@]}" || failed=1
    fi
fi
if command -v codespell >/dev/null; then
    git ls-files -- README.md CONTRIBUTING.md app widgets backend packaging ':!:*.svg' | xargs codespell --quiet-level=2 || failed=1
fi
cmake -DSOURCE_DIR="$root" -P tests/arch/check_sources.cmake || failed=1
if [ -f build/build.ninja ]; then
    cmake -DBUILD_DIR="$root/build" -P tests/arch/check_layering.cmake || failed=1
fi
exit $failed
