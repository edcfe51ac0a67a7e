#pragma once

#include <exception>
#include <string>

namespace secateur {

/// What went wrong, coarse enough for a title and an exit code.
enum class ErrorKind {
    InvalidArgument,    ///< a request that cannot be carried out as asked
    NotFound,           ///< a file, tensor or record that is not there
    BadFormat,          ///< a file that is damaged or not what it says
    UnsupportedVersion, ///< written by a newer program
    Unsupported,        ///< well-formed, but this program does not do it
    Io,                 ///< the operating system said no
    OutOfMemory,
    Numeric,            ///< NaN or infinity where a number is needed
    CheckFailed,        ///< our own verification after a step did not hold
    Internal,
};

/// An error as a value: what crosses threads and what the window shows.
struct ErrorInfo {
    ErrorKind kind = ErrorKind::Internal;
    std::string message; ///< one English sentence with file, field and offending value
    std::string hint;    ///< what the user can do, may be empty
    std::string details; ///< long text for "Details…", may be empty
};

/// The one exception for what this program detects itself.
class Error : public std::exception {
public:
    Error(ErrorKind kind, std::string message, std::string hint = {});
    explicit Error(ErrorInfo info) : m_info(std::move(info)) {}

    const ErrorInfo &info() const noexcept { return m_info; }
    ErrorKind kind() const noexcept { return m_info.kind; }
    const char *what() const noexcept override { return m_info.message.c_str(); }

private:
    ErrorInfo m_info;
};

/// Thrown by JobContext::checkpoint() after a stop was requested. Not an error.
struct Cancelled {};

/// Call inside `catch (...)`: turns whatever is in flight into a value. Cancelled must be caught before.
ErrorInfo describeCurrentException();

/// Exit code of the command line: 1 input, 4 memory, 5 failed check, 70 internal (product rules; 2 = usage, 3 = cancelled).
int exitCodeFor(ErrorKind kind);

} // namespace secateur
