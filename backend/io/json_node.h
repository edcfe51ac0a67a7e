#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace secateur {

/// Parses one JSON text. Throws Error(BadFormat) with \a label (a file name), line and column; nesting deeper than 200
/// levels is refused because values of any depth must be copied and written again.
nlohmann::json parseJsonText(std::string_view text, const std::string &label);

/// JSON text with large objects indented and lists of plain values on one line. Ill-formed UTF-8 becomes U+FFFD.
std::string prettyJson(const nlohmann::json &value);

/// One line of JSON. Ill-formed UTF-8 becomes U+FFFD.
std::string compactJson(const nlohmann::json &value);

/// The number itself, or "NaN", "Infinity", "-Infinity", which JSON numbers cannot express.
nlohmann::json numberToJson(double value);

/// A value inside a JSON document together with the way to it, so that every complaint names file and JSON pointer.
/// Borrows the document.
class JsonNode {
public:
    JsonNode(const nlohmann::json &value, const std::string &file, std::string pointer = {});

    const nlohmann::json &json() const { return *m_value; }
    const std::string &pointer() const { return m_pointer; }

    bool isNull() const;
    bool isObject() const;
    bool isArray() const;
    bool isString() const;

    /// The member \a key; throws when it is missing or this is no object.
    JsonNode at(std::string_view key) const;
    /// The member \a key unless it is missing or null; throws when this is no object.
    std::optional<JsonNode> find(std::string_view key) const;
    std::vector<JsonNode> items() const; ///< of an array
    void forEachMember(const std::function<void(const std::string &key, const JsonNode &value)> &visit) const;

    std::string string() const;
    bool boolean() const;
    double number() const; ///< also "NaN", "Infinity", "-Infinity"
    std::int64_t integer(std::int64_t low = std::numeric_limits<std::int64_t>::min(),
                         std::int64_t high = std::numeric_limits<std::int64_t>::max()) const;
    std::uint64_t unsignedInteger() const;

    /// Optional members: \a value keeps its content when the member is missing or null.
    void read(std::string_view key, std::string &value) const;
    void read(std::string_view key, bool &value) const;
    void read(std::string_view key, double &value) const;
    void read(std::string_view key, int &value) const;
    void read(std::string_view key, std::int64_t &value) const;
    void read(std::string_view key, std::uint64_t &value) const;
    void read(std::string_view key, std::vector<double> &value) const;
    void read(std::string_view key, std::vector<std::string> &value) const;
    void read(std::string_view key, std::map<std::string, int> &value) const;

    /// Throws Error(BadFormat): "<file>: <pointer> <complaint>."
    [[noreturn]] void fail(const std::string &complaint) const;

private:
    [[noreturn]] void failType(const char *wanted) const;

    const nlohmann::json *m_value;
    const std::string *m_file;
    std::string m_pointer;
};

} // namespace secateur
