#include "backend/text/text_regex.h"

#include "backend/core/error.h"
#include "backend/text/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

namespace secateur {
namespace {

// Unicode White_Space. PCRE2's own \s also takes U+180E, so the class is written out.
constexpr std::string_view kSpaceClass
    = R"(\x09-\x0d\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNoSpaceClass
    = R"(\x00-\x08\x0e-\x1f\x21-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
constexpr std::string_view kWordClass = R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc})";
constexpr std::string_view kHexClass = "0-9a-fA-F";

/// Turns Oniguruma's spelling into PCRE2's where the two differ.
class RegexTranslator {
public:
    RegexTranslator(std::string_view pattern, const std::string &origin) : m_pattern(pattern), m_origin(origin) { }

    std::string translate()
    {
        while (m_at < m_pattern.size())
            step();
        return std::move(m_out);
    }

private:
    [[noreturn]] void unsupported(std::string_view what) const
    {
        throw Error(ErrorKind::Unsupported,
                    m_origin + ": the regular expression uses " + std::string(what) + ", which is not supported.");
    }

    void step()
    {
        const char c = m_pattern[m_at];
        switch (c) {
        case '\\':
            startAtom();
            escape(false);
            return;
        case '[':
            startAtom();
            characterClass();
            return;
        case '(':
            m_groups.push_back(m_out.size());
            copy();
            return;
        case ')':
            if (!m_groups.empty()) {
                m_atom = m_groups.back();
                m_groups.pop_back();
            }
            copy();
            return;
        case '{':
            interval();
            return;
        case '*':
        case '+':
        case '?':
        case '|':
            copy();
            return;
        default:
            startAtom();
            copy();
            while (m_at < m_pattern.size() && (static_cast<unsigned char>(m_pattern[m_at]) & 0xC0) == 0x80)
                copy(); // rest of a code point
        }
    }

    void startAtom() { m_atom = m_out.size(); }
    void copy() { m_out += m_pattern[m_at++]; }

    /// `{n,m}+` repeats the repetition in Oniguruma; in PCRE2 it would forbid backtracking.
    void interval()
    {
        const std::size_t end = m_pattern.find('}', m_at);
        const std::string_view body
            = end == std::string_view::npos ? std::string_view() : m_pattern.substr(m_at + 1, end - m_at - 1);
        const bool isInterval = !body.empty() && body.find_first_not_of("0123456789,") == std::string_view::npos;
        if (!isInterval) {
            startAtom();
            copy();
            return;
        }
        const bool repeated = end + 1 < m_pattern.size() && m_pattern[end + 1] == '+';
        if (repeated)
            m_out.insert(m_atom, "(?:");
        m_out += '{';
        if (body.front() == ',')
            m_out += '0';
        m_out += body;
        m_out += '}';
        m_at = end + 1;
        if (repeated)
            m_out += ')';
    }

    void escape(bool inClass)
    {
        if (m_at + 1 >= m_pattern.size()) {
            copy();
            return;
        }
        const char c = m_pattern[m_at + 1];
        const auto put = [&](std::string_view members, bool negated) {
            if (inClass)
                m_out += members;
            else
                m_out.append(negated ? "[^" : "[").append(members).append("]");
            m_at += 2;
        };
        switch (c) {
        case 's':
            return put(kSpaceClass, false);
        case 'S':
            return inClass ? put(kNoSpaceClass, false) : put(kSpaceClass, true);
        case 'w':
            return put(kWordClass, false);
        case 'W':
            if (inClass)
                unsupported("\\W inside a class");
            return put(kWordClass, true);
        case 'h':
            return put(kHexClass, false);
        case 'H':
            if (inClass)
                unsupported("\\H inside a class");
            return put(kHexClass, true);
        case 'u':
            m_out += "\\x{";
            m_out += m_pattern.substr(std::min(m_at + 2, m_pattern.size()), 4);
            m_out += '}';
            m_at = std::min(m_at + 6, m_pattern.size());
            return;
        default:
            copy();
            copy();
            if ((c == 'p' || c == 'P' || c == 'x') && m_at < m_pattern.size() && m_pattern[m_at] == '{') {
                while (m_at < m_pattern.size() && m_pattern[m_at] != '}')
                    copy();
                if (m_at < m_pattern.size())
                    copy();
            }
        }
    }

    void characterClass()
    {
        copy();
        if (m_at < m_pattern.size() && m_pattern[m_at] == '^')
            copy();
        bool first = true;
        while (m_at < m_pattern.size()) {
            const char c = m_pattern[m_at];
            if (c == ']' && !first) {
                copy();
                return;
            }
            first = false;
            if (c == '\\') {
                escape(true);
            } else if (c == '[' && m_pattern.substr(m_at, 2) == "[:") {
                const std::size_t end = m_pattern.find(":]", m_at);
                while (m_at < std::min(end, m_pattern.size()))
                    copy();
            } else if (c == '[') {
                unsupported("a class inside a class");
            } else if (m_pattern.substr(m_at, 2) == "&&") {
                unsupported("an intersection of classes");
            } else {
                copy();
            }
        }
    }

    std::string_view m_pattern;
    const std::string &m_origin;
    std::size_t m_at = 0;
    std::string m_out;
    std::size_t m_atom = 0; ///< where the last thing that can be repeated starts in m_out
    std::vector<std::size_t> m_groups;
};

/// What one thread needs to run expressions; made once per thread because pieces of text are short.
class RegexWorkspace {
public:
    RegexWorkspace()
        : m_data(pcre2_match_data_create(1, nullptr)),
          m_context(pcre2_match_context_create(nullptr)),
          m_stack(pcre2_jit_stack_create(32 * 1024, 4 * 1024 * 1024, nullptr))
    {
        if (!m_data || !m_context)
            throw Error(ErrorKind::OutOfMemory, "Not enough memory to run a regular expression.");
        pcre2_jit_stack_assign(m_context, nullptr, m_stack);
        pcre2_set_heap_limit(m_context, 256 * 1024); // KiB
    }
    RegexWorkspace(const RegexWorkspace &) = delete;
    RegexWorkspace &operator=(const RegexWorkspace &) = delete;
    ~RegexWorkspace()
    {
        pcre2_match_data_free(m_data);
        pcre2_match_context_free(m_context);
        pcre2_jit_stack_free(m_stack);
    }

    int match(const pcre2_code *code, std::string_view text, std::size_t start)
    {
        // Proportional to the text, so that long runs of blanks pass, and far from exponential.
        const std::uint64_t limit = 10'000'000 + 16 * static_cast<std::uint64_t>(text.size());
        pcre2_set_match_limit(m_context, static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, 0xFFFFFFFFu)));
        const auto *subject = reinterpret_cast<PCRE2_SPTR>(text.data());
        int rc = pcre2_match(code, subject, text.size(), start, PCRE2_NO_UTF_CHECK, m_data, m_context);
        if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
            rc = pcre2_match(code, subject, text.size(), start, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m_data, m_context);
        return rc;
    }
    TextSpan span() const
    {
        const PCRE2_SIZE *vector = pcre2_get_ovector_pointer(m_data);
        return {vector[0], vector[1]};
    }

private:
    pcre2_match_data *m_data;
    pcre2_match_context *m_context;
    pcre2_jit_stack *m_stack;
};

std::string regexMessage(int code)
{
    std::array<PCRE2_UCHAR, 256> buffer{};
    pcre2_get_error_message(code, buffer.data(), buffer.size());
    return reinterpret_cast<const char *>(buffer.data());
}

} // namespace

std::string pcrePattern(std::string_view pattern, const std::string &origin)
{
    return RegexTranslator(pattern, origin).translate();
}

TextRegex::TextRegex(std::string_view pattern, std::string origin) : m_pattern(pattern), m_origin(std::move(origin))
{
    if (!isValidUtf8(pattern))
        throw Error(ErrorKind::BadFormat, m_origin + ": the regular expression is not valid UTF-8.");
    const std::string translated = pcrePattern(pattern, m_origin);
    const std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context *)> context(
        pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
    if (!context)
        throw Error(ErrorKind::OutOfMemory, "Not enough memory to compile a regular expression.");
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    int code = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code,
                                         &offset, context.get());
    if (!compiled) {
        throw Error(ErrorKind::BadFormat,
                    m_origin + ": the regular expression \"" + m_pattern + "\" cannot be used: " + regexMessage(code)
                        + ".");
    }
    m_code = std::shared_ptr<const void>(
        compiled, [](const void *p) { pcre2_code_free(static_cast<pcre2_code *>(const_cast<void *>(p))); });
    // Fails where memory must not become executable; matching then falls back to the interpreter by itself.
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
}

std::vector<TextSpan> TextRegex::matches(std::string_view text) const
{
    using Clock = std::chrono::steady_clock;
    static thread_local RegexWorkspace workspace;

    const auto *code = static_cast<const pcre2_code *>(m_code.get());
    std::vector<TextSpan> found;
    std::optional<Clock::time_point> deadline;
    std::size_t start = 0;
    std::size_t lastEnd = std::string_view::npos;
    while (start <= text.size()) {
        const int rc = workspace.match(code, text, start);
        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        if (rc < 0) {
            throw Error(ErrorKind::Unsupported,
                        m_origin + ": the regular expression \"" + m_pattern + "\" needs too much work for this text ("
                            + regexMessage(rc) + ").");
        }
        const TextSpan span = workspace.span();
        if (span.end < span.begin || span.begin < start) // \K inside a look-behind could do this
            throw Error(ErrorKind::Unsupported,
                        m_origin + ": the regular expression \"" + m_pattern + "\" matches backwards.");
        const bool empty = span.begin == span.end;
        if (!(empty && span.end == lastEnd))
            found.push_back(span);
        lastEnd = span.end;
        start = span.end;
        if (empty) {
            if (start >= text.size())
                break;
            start += utf8Step(text, start).length;
        }
        if (found.size() % 1024 == 1023) {
            // One match is limited above; the sum of many could still be quadratic in a long text.
            if (!deadline)
                deadline = Clock::now() + std::chrono::seconds(20 + text.size() / 100'000);
            else if (Clock::now() > *deadline)
                throw Error(ErrorKind::Unsupported,
                            m_origin + ": the regular expression \"" + m_pattern + "\" takes too long for this text.");
        }
    }
    return found;
}

} // namespace secateur
