#include "backend/core/json_text.h"

#include "backend/core/error.h"

#include <nlohmann/json.hpp>

#include <unordered_set>
#include <vector>

namespace secateur {

namespace {

/// Looks at a text without building anything: depth, duplicate keys, syntax.
class JsonTextChecker {
public:
    using number_integer_t = nlohmann::json::number_integer_t;
    using number_unsigned_t = nlohmann::json::number_unsigned_t;
    using number_float_t = nlohmann::json::number_float_t;
    using string_t = nlohmann::json::string_t;
    using binary_t = nlohmann::json::binary_t;

    explicit JsonTextChecker(int maxDepth) : m_maxDepth(maxDepth) { }

    const std::string &problem() const { return m_problem; }

    bool null() { return true; }
    bool boolean(bool) { return true; }
    bool number_integer(number_integer_t) { return true; }
    bool number_unsigned(number_unsigned_t) { return true; }
    bool number_float(number_float_t, const string_t &) { return true; }
    bool string(string_t &) { return true; }
    bool binary(binary_t &) { return true; }
    bool start_object(std::size_t)
    {
        m_keys.emplace_back();
        return deeper();
    }
    bool start_array(std::size_t) { return deeper(); }
    bool end_object()
    {
        m_keys.pop_back();
        --m_depth;
        return true;
    }
    bool end_array()
    {
        --m_depth;
        return true;
    }
    bool key(string_t &name)
    {
        if (m_keys.back().insert(name).second)
            return true;
        m_problem = "has the key \"" + name + "\" twice in one object";
        return false;
    }
    bool parse_error(std::size_t position, const std::string &, const nlohmann::json::exception &)
    {
        m_problem = "is not valid JSON at byte " + std::to_string(position);
        return false;
    }

private:
    bool deeper()
    {
        if (++m_depth <= m_maxDepth)
            return true;
        m_problem = "is nested deeper than " + std::to_string(m_maxDepth) + " levels";
        return false;
    }

    int m_maxDepth;
    int m_depth = 0;
    std::vector<std::unordered_set<std::string>> m_keys;
    std::string m_problem;
};

template <typename Json> Json parseCheckedJson(std::string_view text, const std::string &fileName, int maxDepth)
{
    JsonTextChecker checker(maxDepth);
    if (!nlohmann::json::sax_parse(text, &checker))
        throw Error(ErrorKind::BadFormat, fileName + " " + checker.problem() + ".",
                    "The file is damaged or incomplete; download or copy it again.");
    return Json::parse(text);
}

} // namespace

nlohmann::json parseJson(std::string_view text, const std::string &fileName, int maxDepth)
{
    return parseCheckedJson<nlohmann::json>(text, fileName, maxDepth);
}

nlohmann::ordered_json parseOrderedJson(std::string_view text, const std::string &fileName, int maxDepth)
{
    return parseCheckedJson<nlohmann::ordered_json>(text, fileName, maxDepth);
}

} // namespace secateur
