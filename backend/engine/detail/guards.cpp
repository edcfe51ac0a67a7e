#include "backend/engine/detail/guards.h"

#include "backend/engine/detail/tensor.h"

#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <new>
#include <string>

namespace secateur {

namespace {

/// LibTorch's CPU allocator reports exhausted memory as a general c10::Error.
bool guardsMeansOutOfMemory(const std::string &text)
{
    return text.find("can't allocate memory") != std::string::npos || text.find("out of memory") != std::string::npos;
}

std::string guardsFirstLine(const std::string &text)
{
    return text.substr(0, text.find('\n'));
}

[[noreturn]] void guardsThrowOutOfMemory(const std::string &details)
{
    throw Error(ErrorInfo{ErrorKind::OutOfMemory, "There is not enough memory for this step.",
                          "Use a smaller batch, shorter sequences or the bf16 dtype, or close other programs.",
                          details});
}

} // namespace

void rethrowAsError()
{
    try {
        throw;
    } catch (const c10::OutOfMemoryError &error) {
        guardsThrowOutOfMemory(error.what());
    } catch (const c10::Error &error) {
        const std::string text = error.what_without_backtrace();
        if (guardsMeansOutOfMemory(text))
            guardsThrowOutOfMemory(error.what());
        throw Error(
            ErrorInfo{ErrorKind::Internal, "The tensor library reported: " + guardsFirstLine(text), {}, error.what()});
    } catch (const std::bad_alloc &error) {
        guardsThrowOutOfMemory(error.what());
    }
    // anything else keeps its type: the job runner describes it
}

NoGradScope::NoGradScope() : m_previous(c10::GradMode::is_enabled())
{
    c10::GradMode::set_enabled(false);
}

NoGradScope::~NoGradScope()
{
    c10::GradMode::set_enabled(m_previous);
}

} // namespace secateur
