#include "app/cli/shell.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <system_error>
#include <utility>

#include <pthread.h>
#include <unistd.h>

namespace secateur::cli {

namespace {

constexpr auto kTerminalInterval = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(2);

sigset_t stopSignals()
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return signals;
}

void writeError(const std::string &text)
{
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
}

/// Several sentences joined to a clause that fits into brackets.
std::string asClause(std::string text)
{
    while (!text.empty() && (text.back() == '.' || text.back() == ' '))
        text.pop_back();
    for (auto at = text.find(". "); at != std::string::npos; at = text.find(". ", at))
        text.replace(at, 1, ";");
    for (char &c : text)
        if (c == '\n' || c == '\r')
            c = ' ';
    return text;
}

} // namespace

StopOnSignal::StopOnSignal()
{
    const sigset_t signals = stopSignals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    m_watcher = std::jthread([this](const std::stop_token &ended) {
        const sigset_t watched = stopSignals();
        const timespec interval{0, 50'000'000};
        while (!ended.stop_requested()) {
            if (sigtimedwait(&watched, nullptr, &interval) < 0)
                continue;
            if (m_stop.stop_requested())
                ::_exit(3); // asked twice: at once
            m_stop.request_stop();
        }
    });
}

StopOnSignal::~StopOnSignal() = default;

Shell::Shell(std::stop_token stop)
    : m_context(
        std::move(stop), [this](const Progress &progress) { showProgress(progress); },
        [this](const std::string &sentence) { notice(sentence); }),
      m_isTerminal(::isatty(STDERR_FILENO) == 1),
      m_start(std::chrono::steady_clock::now()),
      m_shown(m_start)
{ }

void Shell::showProgress(const Progress &progress)
{
    if (isQuiet || (options.json && !m_isTerminal))
        return;
    const auto now = std::chrono::steady_clock::now();
    if (now - m_shown < (m_isTerminal ? std::chrono::steady_clock::duration(kTerminalInterval)
                                      : std::chrono::steady_clock::duration(kLineInterval)))
        return;
    m_shown = now;
    std::string line = progress.stage;
    if (progress.total > 0)
        line += " " + std::to_string(progress.done) + "/" + std::to_string(progress.total);
    if (progress.tokensPerSecond > 0)
        line += ", " + fixed(progress.tokensPerSecond, 0) + " tokens/s";
    writeError(m_isTerminal ? "\r\033[K" + line : line + "\n");
    m_isLineOpen = m_isTerminal;
}

void Shell::clearProgress()
{
    if (std::exchange(m_isLineOpen, false))
        writeError("\r\033[K");
}

void Shell::result(const Json &json, const std::string &text)
{
    if (isQuiet)
        return;
    clearProgress();
    std::string output = options.json ? json.dump(-1, ' ', false, Json::error_handler_t::replace) : text;
    if (!output.empty() && output.back() != '\n')
        output += '\n';
    const bool written = std::fwrite(output.data(), 1, output.size(), stdout) == output.size();
    if (!written || std::fflush(stdout) != 0)
        throw Error(ErrorKind::Io,
                    "The result could not be written to standard output: " + std::generic_category().message(errno)
                        + ".");
}

void Shell::note(const std::string &text)
{
    if (isQuiet || (options.json && !m_isTerminal))
        return;
    clearProgress();
    writeError(text + "\n");
}

void Shell::notice(const std::string &sentence)
{
    if (isQuiet)
        return;
    clearProgress();
    writeError(sentence + "\n");
}

void Shell::piece(const std::string &text)
{
    clearProgress();
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

void Shell::error(const ErrorInfo &info)
{
    clearProgress();
    std::string sentence = asClause(info.message);
    if (!info.hint.empty())
        sentence += " (" + asClause(info.hint) + ")";
    writeError(sentence + ".\n");
}

workflow::LoadedModel Shell::openModel(const std::string &model)
{
    return workflow::openModel(model, options.compute, options.adapter, m_context);
}

workflow::LoadedModel Shell::openBase(const std::string &model)
{
    return workflow::openModel(model, options.compute, {}, m_context);
}

workflow::LoadedModel Shell::openMerged(const std::string &model)
{
    auto opened = openBase(model);
    if (!options.adapter.empty())
        opened.model
            = std::make_shared<const Model>(mergeAdapter(*opened.model, loadAdapter(options.adapter, *opened.model)));
    return opened;
}

ErrorInfo describeFailure()
{
    try {
        throw;
    } catch (const std::filesystem::filesystem_error &) {
        return describeCurrentException();
    } catch (const std::system_error &error) {
        // Threads cannot be started under a memory limit.
        if (error.code() == std::errc::not_enough_memory || error.code() == std::errc::resource_unavailable_try_again)
            return {ErrorKind::OutOfMemory, "The machine has not enough free memory for this step.",
                    "Close other programs, use fewer threads, or choose bf16.", error.what()};
        return describeCurrentException();
    } catch (...) {
        return describeCurrentException();
    }
}

std::string grouped(std::int64_t value)
{
    std::string digits = std::to_string(value);
    const std::size_t first = digits.front() == '-' ? 1 : 0;
    for (std::size_t at = digits.size(); at > first + 3;) {
        at -= 3;
        digits.insert(at, " ");
    }
    return digits;
}

std::string fixed(double value, int digits)
{
    char text[512];
    const auto [end, error] = std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed, digits);
    return error == std::errc() ? std::string(text, end) : std::string("?");
}

std::string bytesText(std::uint64_t bytes)
{
    static constexpr std::array<const char *, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit)
        value /= 1024;
    return fixed(value, unit == 0 ? 0 : 1) + " " + kUnits[unit];
}

} // namespace secateur::cli
