#include "backend/engine/analysis/state_store.h"

#include "backend/core/error.h"

#include <ATen/ops/empty.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace secateur {

namespace {

[[noreturn]] void storeFailed(const char *what, int reason)
{
    throw Error(ErrorKind::Io,
                std::string("The temporary file for hidden states in ") + temporaryFolder() + " cannot be " + what
                    + ": " + std::generic_category().message(reason) + ".",
                "Set TMPDIR to a folder with more space, or allow more memory.");
}

/// An open file that no folder lists.
int openUnnamed(std::uint64_t bytes)
{
    const std::string folder = temporaryFolder();
    std::error_code error;
    const std::filesystem::space_info space = std::filesystem::space(folder, error);
    if (!error && space.available < bytes)
        storeFailed("made", ENOSPC);
    std::string path = folder + "/secateur-states-XXXXXX";
    const int file = ::mkostemp(path.data(), O_CLOEXEC);
    if (file < 0)
        storeFailed("made", errno);
    ::unlink(path.c_str());
    return file;
}

} // namespace

std::string temporaryFolder()
{
    const char *folder = std::getenv("TMPDIR");
    return folder && *folder ? folder : "/var/tmp";
}

StateStore::StateStore(std::int64_t slots, std::vector<std::int64_t> batchTokens, std::int64_t width,
                       at::ScalarType dtype, bool inFile)
    : m_batchTokens(std::move(batchTokens)), m_firstRows{0}, m_width(width), m_dtype(dtype)
{
    for (const std::int64_t tokens : m_batchTokens)
        m_firstRows.push_back(m_firstRows.back() + tokens);
    if (inFile)
        m_file = openUnnamed(static_cast<std::uint64_t>(offset(slots, 0)));
    else
        m_kept.assign(static_cast<std::size_t>(slots), std::vector<Tensor>(m_batchTokens.size()));
}

StateStore::~StateStore()
{
    if (m_file >= 0)
        ::close(m_file);
}

std::int64_t StateStore::offset(std::int64_t slot, std::size_t batch) const
{
    const std::int64_t rows = slot * m_firstRows.back() + m_firstRows[batch];
    return rows * m_width * static_cast<std::int64_t>(c10::elementSize(m_dtype));
}

void StateStore::write(std::int64_t slot, std::size_t batch, const Tensor &hidden)
{
    const Tensor host = hidden.cpu().contiguous();
    if (m_file < 0) {
        m_kept[static_cast<std::size_t>(slot)][batch] = host;
        return;
    }
    const auto *data = static_cast<const char *>(host.const_data_ptr());
    std::int64_t position = offset(slot, batch);
    for (std::size_t left = host.nbytes(); left > 0;) {
        const ssize_t written = ::pwrite(m_file, data, left, position);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            storeFailed("written", written < 0 ? errno : ENOSPC);
        data += written;
        position += written;
        left -= static_cast<std::size_t>(written);
    }
}

Tensor StateStore::read(std::int64_t slot, std::size_t batch, const at::Device &device) const
{
    if (m_file < 0)
        return m_kept[static_cast<std::size_t>(slot)][batch].to(device);
    Tensor host = at::empty({m_batchTokens[batch], m_width}, m_dtype);
    auto *data = static_cast<char *>(host.mutable_data_ptr());
    std::int64_t position = offset(slot, batch);
    for (std::size_t left = host.nbytes(); left > 0;) {
        const ssize_t got = ::pread(m_file, data, left, position);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            storeFailed("read", got < 0 ? errno : EIO);
        data += got;
        position += got;
        left -= static_cast<std::size_t>(got);
    }
    return host.to(device);
}

} // namespace secateur
