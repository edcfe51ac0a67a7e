#pragma once

#include "backend/engine/detail/tensor.h"

#include <cstdint>
#include <vector>

namespace secateur {

/// Hidden states of a whole calibration set between two blocks: in memory, or in a temporary file without a name, which
/// is gone with the store even when the program dies. A slot holds one state of every batch.
class StateStore {
public:
    /// \a batchTokens: rows of each batch; \a width: columns. Throws Error(Io) when there is no room for the file.
    StateStore(std::int64_t slots, std::vector<std::int64_t> batchTokens, std::int64_t width, at::ScalarType dtype,
               bool inFile);
    ~StateStore();
    StateStore(const StateStore &) = delete;
    StateStore &operator=(const StateStore &) = delete;

    /// \a hidden (T, D) of the store's dtype; it may not be changed later.
    void write(std::int64_t slot, std::size_t batch, const Tensor &hidden);
    /// The last one written, on \a device.
    Tensor read(std::int64_t slot, std::size_t batch, const at::Device &device) const;

private:
    std::int64_t offset(std::int64_t slot, std::size_t batch) const;

    std::vector<std::int64_t> m_batchTokens;
    std::vector<std::int64_t> m_firstRows; ///< of each batch, and the rows of all
    std::int64_t m_width = 0;
    at::ScalarType m_dtype;
    std::vector<std::vector<Tensor>> m_kept; ///< [slot][batch], empty with a file
    int m_file = -1;
};

/// The folder for large temporary files: $TMPDIR, else /var/tmp, which is on disk where /tmp may be memory.
std::string temporaryFolder();

} // namespace secateur
