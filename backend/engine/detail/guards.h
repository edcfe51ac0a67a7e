#pragma once

#include "backend/core/error.h"

#include <utility>

namespace secateur {

/// Rethrows what LibTorch threw as secateur::Error: short sentence, out-of-memory recognised, long text in `details`.
/// Call inside a catch block.
[[noreturn]] void rethrowAsError();

/// Runs \a work without gradients and translates LibTorch's exceptions; the first line of each public entry point.
/// No inference mode: tensors born in it could never be trained.
class NoGradScope {
public:
    NoGradScope();
    ~NoGradScope();
    NoGradScope(const NoGradScope &) = delete;
    NoGradScope &operator=(const NoGradScope &) = delete;

private:
    bool m_previous;
};

template <typename Work>
auto translated(Work &&work) -> decltype(work())
{
    try {
        return std::forward<Work>(work)();
    } catch (const Error &) {
        throw;
    } catch (const Cancelled &) {
        throw;
    } catch (...) {
        rethrowAsError();
    }
}

template <typename Work>
auto withoutGradients(Work &&work) -> decltype(work())
{
    return translated([&]() -> decltype(work()) {
        const NoGradScope scope;
        return work();
    });
}

} // namespace secateur
