#include "backend/core/error.h"

#include <filesystem>
#include <new>

namespace secateur {

Error::Error(ErrorKind kind, std::string message, std::string hint)
    : m_info{kind, std::move(message), std::move(hint), {}}
{
}

ErrorInfo describeCurrentException()
{
    try {
        throw;
    } catch (const Error &error) {
        return error.info();
    } catch (const std::bad_alloc &) {
        return {ErrorKind::OutOfMemory, "The machine has not enough free memory for this step.",
                "Close other programs, use a smaller batch, or choose bf16.", {}};
    } catch (const std::filesystem::filesystem_error &error) {
        return {ErrorKind::Io, error.what(), {}, {}};
    } catch (const std::exception &error) {
        return {ErrorKind::Internal, error.what(), {}, {}};
    } catch (...) {
        return {ErrorKind::Internal, "An unknown error occurred.", {}, {}};
    }
}

int exitCodeFor(ErrorKind kind)
{
    switch (kind) {
    case ErrorKind::OutOfMemory:
        return 4;
    case ErrorKind::CheckFailed:
        return 5;
    case ErrorKind::Internal:
        return 70;
    default:
        return 1;
    }
}

} // namespace secateur
