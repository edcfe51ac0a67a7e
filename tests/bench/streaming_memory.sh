#!/usr/bin/env bash
# Peak of anonymous memory while a model of 3 GB (random BF16 shards) is analysed within 1 GiB. See README.md.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export OMP_NUM_THREADS=${THREADS:-2} OMP_WAIT_POLICY=passive QT_QPA_PLATFORM=offscreen
export SECATEUR_STREAM_LARGE=1 QTEST_FUNCTION_TIMEOUT=3600000
exec "${BUILD:-$root/build}/bin/tst_streaming_memory" memoryStaysBelowTheBudget
