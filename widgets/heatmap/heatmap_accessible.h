#pragma once

namespace secateur {

/// Teaches Qt to expose every HeatmapView as a table whose cells are made on demand. Idempotent.
void installHeatmapAccessibility();

} // namespace secateur
