#include "backend/core/error.h"
#include "backend/io/digest.h"
#include "backend/text/chat_template.h"
#include "tests/support/error_of.h"

#include <QTemporaryDir>
#include <QTest>

#include <fstream>

using namespace secateur;

Q_DECLARE_METATYPE(secateur::ErrorKind)

namespace {

/// What the templates of this file are rendered with.
std::vector<ChatMessage> conversation()
{
    return {
        {"system", " Be kind. "}, {"user", "Hi"}, {"assistant", "<think>\nwhy\n</think>\n\nHello"}, {"user", "ünï"}};
}

std::string rendered(const QByteArray &source)
{
    return ChatTemplate(source.toStdString(), "<s>", "</s>").render(conversation(), true);
}

QByteArray repeated(const char *text, int count)
{
    return QByteArray(text).repeated(count);
}

} // namespace

class TestChatTemplate : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void templatesRenderAsInJinja_data();
    void templatesRenderAsInJinja();
    void blanksAroundTagsGoAsInHuggingFace_data();
    void blanksAroundTagsGoAsInHuggingFace();
    void constructsOfPublishedTemplatesWork_data();
    void constructsOfPublishedTemplatesWork();
    void raisedExceptionsReachTheUser();
    void thinkingIsUndefinedUnlessAsked();
    void brokenTemplatesNameTheLine_data();
    void brokenTemplatesNameTheLine();
    void failingTemplatesNameTheLine_data();
    void failingTemplatesNameTheLine();
    void endlessTemplatesAreStopped_data();
    void endlessTemplatesAreStopped();
    void valuesThatHoldThemselvesAreHarmless();
    void foldersAreSearchedInOrder_data();
    void foldersAreSearchedInOrder();
    void damagedConfigurationsAreNamed_data();
    void damagedConfigurationsAreNamed();
    void digestIsThatOfTheSource();
};

void TestChatTemplate::templatesRenderAsInJinja_data()
{
    QTest::addColumn<QByteArray>("source");
    QTest::addColumn<QByteArray>("expected");
    const auto row = [](const char *source, const char *expected) {
        QTest::newRow(source) << QByteArray(source) << QByteArray(expected);
    };
    // literals and text
    row("{{ none }} {{ true }} {{ 1.0 }} {{ 1e16 }} {{ 0.1 }} {{ [1, 'a', none] }} {{ {'k': (1,)} }}",
        "None True 1.0 1e+16 0.1 [1, 'a', None] {'k': (1,)}");
    row("{{ \"it's\" }} {{ ['it\\'s', '\\n'] }} {{ 'a' 'b' }} {{ '\\x41\\u00e9\\q' }}",
        "it's [\"it's\", '\\n'] ab Aé\\q");
    row("{{ 1_000 + 0x1F + 0b1 }}", "1032");
    // arithmetic
    row("{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }}", "3 -4 2 3.5 1024 0.5");
    row("{{ 1 + 2 * 3 - 4 }} {{ -3 | abs }} {{ 'a' * 3 }} {{ [1] + [2] }} {{ 'a' ~ 1 ~ none }}",
        "3 3 aaa [1, 2] a1None");
    row("{{ '%s-%03d-%.2f' % ('a', 7, 1.005) }} {{ '%s' | format('x') }}", "a-007-1.00 x");
    // comparison and logic
    row("{{ 1 < 2 < 3 }} {{ 1 == 1.0 }} {{ 'a' in 'abc' }} {{ 3 not in [1, 2] }} {{ not 0 }}",
        "True True True True True");
    row("{{ 0 or 'x' }} {{ 1 and 2 }} {{ [] and 1 }} {{ 1 if 0 else 2 }} {{ 1 if 0 }}|", "x 2 [] 2 |");
    // access
    row("{{ messages[0].role }} {{ messages[-1]['role'] }} {{ messages[1:][0].content }} {{ messages[::-1][0].role }}",
        "system user Hi user");
    row("{{ 'abcdef'[1:4] }} {{ 'abc'[::-1] }} {{ 'ünï'[1] }} {{ [1, 2, 3][-2:] }} {{ (1, 2).1 }}",
        "bcd cba n [2, 3] 2");
    row("{{ {'a': 1}.a }} {{ {'items': 1}['items'] }} {{ {'a': 1}.get('b', 2) }} {{ {'a': 1}.b }}|", "1 1 2 |");
    // undefined
    row("{{ nothing }}|{{ nothing | default('d') }} {{ '' | default('d', true) }} {{ nothing is defined }} {{ nothing "
        "| length }}",
        "|d d False 0");
    row("{% for x in nothing %}x{% else %}none{% endfor %} {{ messages[9] is defined }}", "none False");
    // statements
    row("{% set a, b = 1, [2] %}{{ a }}{{ b }}{% set x %}in {{ a }}{% endset %}{{ x }}{% set y | upper %}z{% endset "
        "%}{{ y }}",
        "1[2]in 1Z");
    row("{% if 0 %}a{% elif '' %}b{% else %}c{% endif %}", "c");
    row("{% for x in [3, 1] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first "
        "}}{{ loop.last }}{{ loop.length }} {% endfor %}",
        "1021TrueFalse2 2110FalseTrue2 ");
    row("{% for x in 'abc' %}{{ loop.previtem }}{{ x }}{{ loop.nextitem }} {% endfor %}", "ab abc bc ");
    row("{% for x in range(6) if x is odd %}{{ loop.index }}:{{ x }} {% endfor %}", "1:1 2:3 3:5 ");
    row("{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}{{ v }}{% endfor %}", "a1b2");
    row("{% for x in range(9) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% "
        "endfor %}",
        "02");
    row("{% set x = 0 %}{% for y in [1, 2] %}{% set x = x + y %}{{ x }}{% endfor %}{{ x }}", "120");
    row("{% set ns = namespace(x=0) %}{% for y in [1, 2] %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}", "3");
    row("{% macro m(a, b='x') %}({{ a }}{{ b }}){% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=1, a=2) }}",
        "(1x)(12)(21)");
    row("{% macro f(n) %}{% if n %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "321");
    row("{% macro m() %}<{{ caller('c') }}>{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}", "<c>");
    row("{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, a=2) }}{{ m(*[3], **{'b': 4}) }}",
        "(1,){'a': 2}(3,){'b': 4}");
    row("{% with a = 1 %}{{ a }}{% endwith %}{{ a }}{% filter upper %}q{% endfilter %}", "1Q");
    row("{% raw %}{{ x }}{% endraw %}{# gone #}{% generation %}g{% endgeneration %}", "{{ x }}g");
    // tests
    row("{{ 'a' is string }}{{ 1 is number }}{{ true is integer }}{{ {} is mapping }}{{ 'a' is iterable }}{{ [] is "
        "sequence }}",
        "TrueTrueFalseTrueTrueTrue");
    row("{{ none is none }}{{ 1 is not none }}{{ 4 is even }}{{ 4 is divisibleby 3 }}{{ 1 is equalto 1 }}{{ false is "
        "false }}{{ 2 is in [2] }}",
        "TrueTrueTrueFalseTrueTrueTrue");
    // filters
    row("{{ [3, 1, 2] | sort }}{{ [1, 2] | reverse | list }}{{ ['b', 'A', 'a'] | unique | list }}{{ [1, 2] | sum }}{{ "
        "[1, 2] | max }}",
        "[1, 2, 3][2, 1]['b', 'A']32");
    row("{{ messages | map(attribute='role') | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list "
        "| length }}",
        "system,user,assistant,user 2");
    row("{{ messages | rejectattr('role', 'in', ['user', 'system']) | map(attribute='role') | first }}", "assistant");
    row("{{ [1, 2, 3, 4] | select('even') | list }}{{ [1, 2] | reject('odd') | list }}{{ ['a'] | map('upper') | list "
        "}}",
        "[2, 4][2]['A']");
    row("{{ {'b': 1, 'a': 2} | dictsort }} {{ {'b': 1} | items | list }} {{ '12' | int + 1 }} {{ 'x' | int(5) }} {{ "
        "2.5 | round }}",
        "[('a', 2), ('b', 1)] [('b', 1)] 13 5 2.0");
    row("{{ ' x ' | trim }}{{ 'aXb' | lower | title }}{{ 'ab' | replace('a', 'c') | capitalize }}{{ 'straße' | upper "
        "}}",
        "xAxbCbSTRASSE");
    row("{{ 'a\\nb' | indent(2) }}|{{ [1, 2] | first }}{{ 'abc' | last }}{{ 'x' | string | safe }}", "a\n  b|1cx");
    row("{{ {'a': [1, none, 'é\"\\n'], 'b': {}} | tojson }}", "{\"a\": [1, null, \"é\\\"\\n\"], \"b\": {}}");
    row("{{ {'a': [1], 'b': []} | tojson(indent=2) }}", "{\n  \"a\": [\n    1\n  ],\n  \"b\": []\n}");
    // methods
    row("{{ 'a,b,c'.split(',', 1) }}{{ ' a  b '.split() }}{{ 'x'.join(['a', 'b']) }}", "['a', 'b,c']['a', 'b']axb");
    row("{{ 'xxaxx'.strip('x') }}{{ 'xa'.lstrip('x') }}{{ 'ax'.rstrip('x') }}{{ 'abc'.startswith(('x', 'a')) }}{{ "
        "'abc'.endswith('c') }}",
        "aaaTrueTrue");
    row("{{ 'abab'.replace('a', 'c', 1) }}{{ 'abc'.find('c') }}{{ 'aB'.upper() }}{{ 'ab cd'.title() }}{{ "
        "'a\\nb'.splitlines() }}",
        "cbab2ABAb Cd['a', 'b']");
    row("{{ {'a': 1}.keys() | list }}{{ {'a': 1}.values() | list }}{{ 'x' if "
        "messages[2].content.split('</think>')[-1].strip() == 'Hello' }}",
        "['a'][1]x");
    row("{{ dict(a=1) }}{{ range(1, 7, 2) | list }}{{ namespace({'q': 2}).q }}{{ strftime_now('%Y') | length }}",
        "{'a': 1}[1, 3, 5]24");
    row("{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}{{ tools is none }}{{ documents is none }}",
        "<s></s>TrueTrueTrue");
}

void TestChatTemplate::templatesRenderAsInJinja()
{
    QFETCH(QByteArray, source);
    QFETCH(QByteArray, expected);

    QCOMPARE(QByteArray::fromStdString(rendered(source)), expected);
}

void TestChatTemplate::blanksAroundTagsGoAsInHuggingFace_data()
{
    QTest::addColumn<QByteArray>("source");
    QTest::addColumn<QByteArray>("expected");
    const auto row = [](const char *name, const char *source, const char *expected) {
        QTest::newRow(name) << QByteArray(source) << QByteArray(expected);
    };
    row("the newline after a block goes", "{% if 1 %}\nx{% endif %}\ny", "xy");
    row("only one newline goes", "{% if 1 %}\n\nx{% endif %}", "\nx");
    row("the indent before a block goes", "a\n  {% if 1 %}b{% endif %}", "a\nb");
    row("blanks after text on the line stay", "a  {% if 1 %}b{% endif %}", "a  b");
    row("the indent before an output stays", "a\n  {{ 1 }}\n", "a\n  1");
    row("the newline after an output stays", "{{ 1 }}\n\n", "1\n");
    row("the newline at the end goes", "a\n", "a");
    row("a minus eats all blanks before", "a \n\n {%- if 1 %}b{% endif %}", "ab");
    row("a minus eats all blanks after", "{% if 1 -%} \n\n b{% endif %}", "b");
    row("a minus in an output", "a {{- 1 -}} b", "a1b");
    row("a plus keeps the indent", "  {%+ if 1 %}b{% endif %}", "  b");
    row("a plus keeps the newline", "{% if 1 +%}\nb{% endif %}", "\nb");
    row("a comment is like a block", "a\n  {# c #}\nb", "a\nb");
    row("all line ends are one", "a\r\n{% if 1 %}\r\nb\rc{% endif %}", "a\nb\nc");
    row("braces that are no tags", "{ a } %} }}", "{ a } %} }}");
    row("ends inside strings and braces", "{{ '}}' }}{{ {'a': {'b': 1}}.a.b }}", "}}1");
}

void TestChatTemplate::blanksAroundTagsGoAsInHuggingFace()
{
    QFETCH(QByteArray, source);
    QFETCH(QByteArray, expected);

    QCOMPARE(QByteArray::fromStdString(rendered(source)), expected);
}

void TestChatTemplate::constructsOfPublishedTemplatesWork_data()
{
    QTest::addColumn<QByteArray>("source");
    QTest::addColumn<QByteArray>("expected");
    QTest::newRow("turns with a mark")
        << QByteArray(
               "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] | trim + eos_token }}{% endfor %}")
        << QByteArray(
               "<|system|>Be kind.</s><|user|>Hi</s><|assistant|><think>\nwhy\n</think>\n\nHello</s><|user|>ünï</s>");
    QTest::newRow("system message taken apart") << QByteArray(
        "{%- if messages[0]['role'] == 'system' -%}{%- set system = messages[0]['content'] | trim -%}{%- set rest = "
        "messages[1:] -%}"
        "{%- else -%}{%- set system = '' -%}{%- set rest = messages -%}{%- endif -%}[{{ system }}]{{ rest | length }}")
                                                << QByteArray("[Be kind.]3");
    QTest::newRow("thoughts of earlier turns dropped") << QByteArray(
        "{%- for m in messages -%}{%- set content = m.content -%}{%- if m.role == 'assistant' and '</think>' in "
        "content -%}"
        "{%- set content = content.split('</think>')[-1].lstrip('\\n') -%}{%- endif -%}{{ content }};{%- endfor -%}")
                                                       << QByteArray(" Be kind. ;Hi;Hello;ünï;");
    QTest::newRow("last question found backwards")
        << QByteArray("{%- set ns = namespace(open=true, last=-1) -%}{%- for m in messages[::-1] -%}{%- set i = "
                      "messages | length - 1 - loop.index0 -%}"
                      "{%- if ns.open and m.role == 'user' and not m.content.startswith('<tool>') -%}{%- set ns.open = "
                      "false -%}{%- set ns.last = i -%}"
                      "{%- endif -%}{%- endfor -%}{{ ns.last }}")
        << QByteArray("3");
    QTest::newRow("defaults for what is not given") << QByteArray(
        "{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
        "{%- if not tools is defined %}{%- set tools = none %}{%- endif %}{{ date_string }}{{ tools is none }}")
                                                    << QByteArray("26 Jul 2024True");
    QTest::newRow("fields that messages do not have") << QByteArray(
        "{%- for m in messages -%}{{ 'T' if m.tool_calls is defined and m.tool_calls else '-' }}{%- endfor -%}")
                                                      << QByteArray("----");
    QTest::newRow("schemas written by macros") << QByteArray(
        "{%- macro show(v) -%}{%- if v is mapping -%}{ {%- for k, x in v | dictsort -%}{{ k }}:{{ show(x) }}{{ ',' if "
        "not loop.last }}{%- endfor -%} }"
        "{%- elif v is iterable and v is not string -%}[{%- for x in v -%}{{ show(x) }}{{ ',' if not loop.last }}{%- "
        "endfor -%}]"
        "{%- else -%}{{ v | tojson }}{%- endif -%}{%- endmacro -%}{{ show({'b': [1, 'x'], 'a': {'c': none}}) }}")
                                               << QByteArray("{a:{c:null},b:[1,\"x\"]}");
}

void TestChatTemplate::constructsOfPublishedTemplatesWork()
{
    QFETCH(QByteArray, source);
    QFETCH(QByteArray, expected);

    QCOMPARE(QByteArray::fromStdString(rendered(source)), expected);
}

void TestChatTemplate::raisedExceptionsReachTheUser()
{
    const auto error = errorOf([] { rendered("{{ raise_exception('Roles must alternate: ' + messages[0].role) }}"); });

    QVERIFY(error.has_value());
    QCOMPARE(error->kind, ErrorKind::InvalidArgument);
    QCOMPARE(error->message, std::string("Roles must alternate: system"));
}

void TestChatTemplate::thinkingIsUndefinedUnlessAsked()
{
    const ChatTemplate chat("{{ enable_thinking is defined }} {{ enable_thinking }}", "", "");

    QCOMPARE(chat.render({}, false), std::string("False "));
    QCOMPARE(chat.render({}, false, true), std::string("True True"));
    QCOMPARE(chat.render({}, false, false), std::string("True False"));
}

void TestChatTemplate::brokenTemplatesNameTheLine_data()
{
    QTest::addColumn<QByteArray>("source");
    QTest::addColumn<QByteArray>("fragment");
    const auto row = [](const char *name, const QByteArray &source, const char *fragment) {
        QTest::newRow(name) << source << QByteArray(fragment);
    };
    row("open output", "a\n{{ x", "line 2: unexpected end of template");
    row("open block", "{% if x", "line 1: unexpected end of template");
    row("open comment", "\n\n{# x", "line 3: Missing end of comment");
    row("open raw", "{% raw %} x", "Missing end of raw");
    row("open string", "{{ 'x }}", "inside a string");
    row("open if", "{% if 1 %}\nx", "line 2: Unexpected end of template");
    row("open for", "{% for x in y %}x", "endfor");
    row("open macro", "{% macro m() %}x", "endmacro");
    row("open set", "{% set x %}x", "endset");
    row("crossed tags", "{% if 1 %}{% for x in y %}{% endif %}{% endfor %}", "unknown tag 'endif'");
    row("end without start", "\n{% endfor %}", "line 2: Encountered unknown tag 'endfor'");
    row("unknown tag", "{% include 'x' %}", "unknown tag 'include'");
    row("empty output", "{{ }}", "unexpected end of print statement");
    row("empty tag", "{% %}", "expected a tag name");
    row("missing operand", "{{ 1 + }}", "unexpected");
    row("two values", "{{ 1 2 }}", "unexpected '2'");
    row("wrong bracket", "{{ (1] }}", "expected ')'");
    row("strange character", "{{ a ? b }}", "unexpected character '?'");
    row("jump outside of a loop", "{% break %}", "outside of a loop");
    row("assignment to a constant", "{% set none = 1 %}", "can't assign");
    row("number out of range", "{{ 99999999999999999999 }}", "out of range");
    row("broken escape", "{{ '\\u12' }}", "escape");
    row("chained tests", "{{ x is defined is string }}", "chain");
    row("recursive loop", "{% for x in y recursive %}{% endfor %}", "recursive");
    row("deep brackets", "{{ " + repeated("(", 100'000) + repeated(")", 100'000) + " }}", "nested too deeply");
    row("deep blocks", repeated("{% if 1 %}", 50'000), "nested too deeply");
    row("deep chain of sums", "{{ 1" + repeated("+1", 100'000) + " }}", "nested too deeply");
    row("deep chain of filters", "{{ 1" + repeated("|abs", 100'000) + " }}", "nested too deeply");
    row("deep signs", "{{ " + repeated("-", 100'000) + "1 }}", "nested too deeply");
}

void TestChatTemplate::brokenTemplatesNameTheLine()
{
    QFETCH(QByteArray, source);
    QFETCH(QByteArray, fragment);

    const auto error = errorOf([&] { ChatTemplate(source.toStdString(), "", ""); });
    QVERIFY(error.has_value());
    QCOMPARE(error->kind, ErrorKind::BadFormat);
    QVERIFY2(error->message.find("line ") != std::string::npos, error->message.c_str());
    QVERIFY2(error->message.find(fragment.toStdString()) != std::string::npos, error->message.c_str());
    QVERIFY(error->message.size() < 400);
}

void TestChatTemplate::failingTemplatesNameTheLine_data()
{
    QTest::addColumn<QByteArray>("source");
    QTest::addColumn<QByteArray>("fragment");
    const auto row = [](const char *source, const char *fragment) {
        QTest::newRow(QByteArray(source).replace('\n', ' ')) << QByteArray(source) << QByteArray(fragment);
    };
    row("a\n{{ x.y }}", "line 2: 'x' is undefined");
    row("{{ messages[0].a.b }}", "has no attribute 'a'");
    row("{{ x() }}", "'x' is undefined");
    row("{{ 'a'() }}", "not callable");
    row("{{ x + 1 }}", "'x' is undefined");
    row("{{ 'a' + 1 }}", "can only concatenate str");
    row("{{ 1 + 'a' }}", "unsupported operand");
    row("{{ 1 < 'a' }}", "not supported between");
    row("{{ 1 / 0 }}", "division by zero");
    row("{{ 9223372036854775807 + 1 }}", "out of range");
    row("{% for x in 5 %}{% endfor %}", "not iterable");
    row("{% for a, b in [[1]] %}{% endfor %}", "not enough values");
    row("{% set messages.x = 1 %}", "non-namespace");
    row("{{ 1 | mystery }}", "No filter named 'mystery'");
    row("{{ 1 is mystery }}", "No test named 'mystery'");
    row("{{ none | length }}", "has no len()");
    row("{{ x | tojson }}", "not JSON serializable");
    row("{{ [].append(1) }}", "unsafe");
    row("{{ [1, 'a'] | sort }}", "not supported between");
    row("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "not more than 1");
    row("{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "no keyword argument 'b'");
    row("{{ 'a'.split('') }}", "empty separator");
    row("{{ [1][::0] }}", "step");
    row("{{ {[]: 1} }}", "unhashable");
    row("{{ '%s %s' % 'a' }}", "not enough arguments");
}

void TestChatTemplate::failingTemplatesNameTheLine()
{
    QFETCH(QByteArray, source);
    QFETCH(QByteArray, fragment);

    const auto error = errorOf([&] { rendered(source); });
    QVERIFY(error.has_value());
    QCOMPARE(error->kind, ErrorKind::InvalidArgument);
    QVERIFY2(error->message.find("line ") != std::string::npos, error->message.c_str());
    QVERIFY2(error->message.find(fragment.toStdString()) != std::string::npos, error->message.c_str());
}

void TestChatTemplate::endlessTemplatesAreStopped_data()
{
    QTest::addColumn<QByteArray>("source");
    QTest::addColumn<QByteArray>("fragment");
    const auto row = [](const char *name, const char *source, const char *fragment) {
        QTest::newRow(name) << QByteArray(source) << QByteArray(fragment);
    };
    row("macro without end", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "too deeply");
    row("two macros without end",
        "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}", "too deeply");
    row("loops in loops", "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
        "too many steps");
    row("huge range", "{{ range(1000000000000) }}", "Range too big");
    row("huge text", "{{ 'a' * 1000000000000 }}", "steps");
    row("huge list", "{{ [1] * 1000000000000 }}", "steps");
    row("text that doubles",
        "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}", "steps");
    row("list that doubles",
        "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}", "steps");
    row("list that deepens",
        "{% set n = namespace(s=[]) %}{% for i in range(100000) %}{% set n.s = [n.s] %}{% endfor %}",
        "nested too deeply");
    row("huge width", "{{ '%999999999d' % 1 }}", "too large");
}

void TestChatTemplate::endlessTemplatesAreStopped()
{
    QFETCH(QByteArray, source);
    QFETCH(QByteArray, fragment);

    const auto error = errorOf([&] { rendered(source); });
    QVERIFY(error.has_value());
    QCOMPARE(error->kind, ErrorKind::InvalidArgument);
    QVERIFY2(error->message.find(fragment.toStdString()) != std::string::npos, error->message.c_str());
}

void TestChatTemplate::valuesThatHoldThemselvesAreHarmless()
{
    QCOMPARE(rendered("{% set n = namespace(x=1) %}{% set n.self = n %}{{ n.self.self.x }}{{ n == n.self }}"),
             std::string("1True"));
    QCOMPARE(
        rendered(
            "{% set n = namespace(s=none) %}{% for i in range(50000) %}{% set n.s = namespace(s=n.s) %}{% endfor %}ok"),
        std::string("ok"));
}

void TestChatTemplate::foldersAreSearchedInOrder_data()
{
    QTest::addColumn<QByteArray>("file");
    QTest::addColumn<QByteArray>("config");
    QTest::addColumn<QByteArray>("expected");
    const QByteArray tokens = R"("bos_token": {"content": "<b>"}, "eos_token": "<e>")";
    QTest::newRow("file before configuration")
        << QByteArray("file {{ bos_token }}") << "{\"chat_template\": \"config\", " + tokens + "}"
        << QByteArray("file <b>");
    QTest::newRow("configuration") << QByteArray() << "{\"chat_template\": \"config {{ eos_token }}\", " + tokens + "}"
                                   << QByteArray("config <e>");
    QTest::newRow("the default of several")
        << QByteArray() << QByteArray(R"({"chat_template": [{"name": "tool_use", "template": "t"},
        {"name": "default", "template": "d"}]})")
        << QByteArray("d");
    QTest::newRow("none") << QByteArray() << "{" + tokens + "}" << QByteArray("(none)");
    QTest::newRow("null") << QByteArray() << QByteArray("{\"chat_template\": null}") << QByteArray("(none)");
    QTest::newRow("no files") << QByteArray() << QByteArray() << QByteArray("(none)");
}

void TestChatTemplate::foldersAreSearchedInOrder()
{
    QFETCH(QByteArray, file);
    QFETCH(QByteArray, config);
    QFETCH(QByteArray, expected);
    QTemporaryDir folder;
    const std::filesystem::path path = folder.path().toStdString();
    if (!file.isEmpty())
        std::ofstream(path / "chat_template.jinja") << file.toStdString();
    if (!config.isEmpty())
        std::ofstream(path / "tokenizer_config.json") << config.toStdString();

    const auto chat = loadChatTemplate(path);
    QCOMPARE(chat ? QByteArray::fromStdString(chat->render({}, false)) : QByteArray("(none)"), expected);
}

void TestChatTemplate::damagedConfigurationsAreNamed_data()
{
    QTest::addColumn<QByteArray>("config");
    QTest::newRow("not JSON") << QByteArray("{");
    QTest::newRow("not an object") << QByteArray("[]");
    QTest::newRow("a number") << QByteArray("{\"chat_template\": 1}");
    QTest::newRow("a list without default")
        << QByteArray("{\"chat_template\": [{\"name\": \"rag\", \"template\": \"x\"}]}");
    QTest::newRow("a broken template") << QByteArray("{\"chat_template\": \"{% if %}\"}");
}

void TestChatTemplate::damagedConfigurationsAreNamed()
{
    QFETCH(QByteArray, config);
    QTemporaryDir folder;
    const std::filesystem::path path = std::filesystem::path(folder.path().toStdString()) / "tokenizer_config.json";
    std::ofstream(path) << config.toStdString();

    const auto error = errorOf([&] { loadChatTemplate(path.parent_path()); });
    QVERIFY(error.has_value());
    QCOMPARE(error->kind, ErrorKind::BadFormat);
    QVERIFY2(error->message.find(path.string()) != std::string::npos, error->message.c_str());
}

void TestChatTemplate::digestIsThatOfTheSource()
{
    const ChatTemplate chat("{{ 1 }}\n", "", "");

    QCOMPARE(chat.source(), std::string("{{ 1 }}\n"));
    QCOMPARE(chat.digest(), sha256Hex("{{ 1 }}\n"));
}

QTEST_GUILESS_MAIN(TestChatTemplate)
#include "tst_chat_template.moc"
