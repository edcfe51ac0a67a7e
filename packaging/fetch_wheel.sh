#!/usr/bin/env bash
# Fetches one file of PyPI into a folder and checks its SHA-256. A damaged or interrupted download is fetched again.
#   fetch_wheel.sh FOLDER FILE_NAME SHA256 REQUIREMENT [pip download options...]
set -euo pipefail
folder=$1 file=$2 sum=$3 requirement=$4
shift 4

matches() { [ -f "$folder/$file" ] && echo "$sum  $folder/$file" | sha256sum --check --status; }

mkdir -p "$folder"
for attempt in 1 2 3; do
    if matches; then
        exit 0
    fi
    rm -f "$folder/$file"
    echo "  fetching $requirement (attempt $attempt)"
    partial=$(mktemp -d "$folder/.partial-XXXXXX")
    if python3 -m pip download --quiet --disable-pip-version-check --only-binary=:all: --no-deps \
        --dest "$partial" "$@" "$requirement" && [ -f "$partial/$file" ]; then
        mv "$partial/$file" "$folder/$file"
    fi
    rm -rf "$partial"
done
matches || {
    echo "$requirement could not be fetched whole: $file is missing or its SHA-256 is not $sum. Check the network and run this again." >&2
    exit 1
}
