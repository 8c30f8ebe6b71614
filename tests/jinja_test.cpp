// Templates against jinja2 as Hugging Face's transformers sets it up (tests/oracle), and templates
// that mean harm.
#include "text/jinja/jinja.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "run_belay.h"

namespace belay {
namespace {

using base::Code;
using base::Result;
using nlohmann::ordered_json;
using test::read;
using ::testing::HasSubstr;
namespace jinja = text::jinja;

const std::string kJinjaTemplates = std::string(BELAY_TEST_DATA) + "/templates/";

const ordered_json& golden() {
  static const ordered_json all = base::ordered_json_value(read(kJinjaTemplates + "golden.json"));
  return all;
}

Result<jinja::Rendered> render(const std::string& source, const ordered_json& variables,
                               jinja::RenderOptions options = {}) {
  BELAY_ASSIGN_OR_RETURN(const auto parsed, jinja::Template::parse(source, "template"));
  jinja::Variables list;
  for (const auto& [name, of_it] : variables.items()) {
    BELAY_ASSIGN_OR_RETURN(jinja::Value value, jinja::from_json(of_it, name));
    list.emplace_back(name, std::move(value));
  }
  options.now_seconds = golden()["now"].get<double>();
  return parsed.render(list, options);
}

/// What must come out, or that nothing may.
void expect(const ordered_json& expected, const Result<jinja::Rendered>& made) {
  if (expected.contains("error")) {
    EXPECT_FALSE(made.ok()) << "gave " << made->text.bytes() << ", jinja2: " << expected["error"];
  } else {
    ASSERT_TRUE(made.ok()) << made.status().message();
    EXPECT_EQ(made->text.bytes(), expected["output"].get<std::string>());
  }
}

TEST(Jinja, EveryCaseOfTheOracle) {
  ASSERT_GT(golden()["rows"].size(), 500U);
  for (const auto& row : golden()["rows"]) {
    const std::string source = row["template"].get<std::string>();
    SCOPED_TRACE(source);
    expect(row, render(source, golden()["variables"]));
  }
}

TEST(Jinja, EveryConversationOfTheOracle) {
  ASSERT_GT(golden()["chats"].size(), 200U);
  for (const auto& chat : golden()["chats"]) {
    const std::string name = chat["template"].get<std::string>();
    SCOPED_TRACE(name + ": " + chat["variables"].dump());
    expect(chat, render(read(kJinjaTemplates + name + ".jinja"), chat["variables"]));
  }
}

TEST(Jinja, AMessageNamesTheLineAndWhatIsAllowed) {
  const auto message = [](const std::string& source) {
    const auto made = render(source, golden()["variables"]);
    return made.ok() ? "ok" : made.status().message();
  };
  EXPECT_EQ(message("a\n{{ 1 +\n }}"), "template: line 3: '}}' stands in the place of a value");
  EXPECT_EQ(message("\n\n{% include 'x' %}"),
            "template: line 3: 'include' is no statement of a chat template (allowed if, for, set, "
            "macro, break, continue, generation, raw)");
  EXPECT_EQ(message("{{ missing.x }}"), "template: line 1: 'missing' is undefined");
  EXPECT_EQ(message("{{ name.foo() }}"), "template: line 1: str has no attribute 'foo'");
  EXPECT_EQ(message("{{ name|nofilter }}"),
            "template: line 1: there is no such filter (seen 'nofilter')");
  EXPECT_EQ(message("{{ raise_exception('no\033[1m') }}"),
            "template: line 1: the template refuses the conversation: 'no\\x1b[1m'");
  EXPECT_EQ(message("{% for x in list recursive %}{% endfor %}"),
            "template: line 1: 'recursive' is not supported (allowed plain loops)");
}

TEST(Jinja, CodesTellRefusalFromFaultAndLimit) {
  const auto code = [](const std::string& source) {
    return render(source, ordered_json::object()).status().code();
  };
  EXPECT_EQ(code("{{ raise_exception('x') }}"), Code::kInvalidArgument);
  EXPECT_EQ(code("{{ 1 / 0 }}"), Code::kCorrupt);
  EXPECT_EQ(code("{% extends 'x' %}"), Code::kUnsupported);
  EXPECT_EQ(code("{{ range(10 ** 9) }}"), Code::kResource);
}

std::string times(int n, const std::string& text) {
  std::string all;
  for (int i = 0; i < n; ++i) all += text;
  return all;
}

/// Ends soon (the test suite has a time limit) and in an error that says what is too much.
void expect_limit(const std::string& source, const std::string& what) {
  SCOPED_TRACE(source.substr(0, 100));
  const auto made = render(source, golden()["variables"]);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), Code::kResource) << made.status().message();
  EXPECT_THAT(made.status().message(), HasSubstr(what));
}

TEST(JinjaHostile, LoopsThatDoNotEnd) {
  const std::string r = "{% for a in range(100000) %}";
  expect_limit(r + r + r + "{% endfor %}{% endfor %}{% endfor %}", "takes too long");
  expect_limit("{{ range(9 ** 18) }}", "range is too long");
  expect_limit("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself too deeply");
  expect_limit(
      "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
      "{{ f(60) }}",
      "takes too long");
  expect_limit("{% set x = range(90000)|list %}" + r + "{% set y = x|unique|list %}{% endfor %}",
               "takes too long");
}

TEST(JinjaHostile, TextsAndListsThatGrow) {
  expect_limit("{{ 'x' * 10 ** 15 }}", "becomes too large");
  expect_limit(
      "{% set ns = namespace(s='ab') %}{% for i in range(99) %}"
      "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "becomes too large");
  expect_limit("{{ ('x' * 9999999)|replace('x', 'y' * 9999999) }}", "becomes too large");
  expect_limit("{{ ('x' * 9999999)|indent('y' * 999999, true) ~ 'x' * 9999999 }}", "too large");
  expect_limit(
      "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}"
      "{% set ns.l = ns.l + ns.l %}{% endfor %}",
      "takes too long");
  expect_limit("{% for i in range(99999) %}{{ 'x' * 99999 }}{% endfor %}", "too large");
  expect_limit("{{ [1] * 10 ** 15 }}", "becomes too large");
  expect_limit("{{ ('a,' * 5000000).split(',') }}", "takes too long");
}

TEST(JinjaHostile, ValuesWithinValues) {
  const std::string loop = "{% set ns = namespace(l=[]) %}{% for i in range(90000) %}";
  expect_limit(loop + "{% set ns.l = [ns.l] %}{% endfor %}", "nested too deeply");
  expect_limit(loop + "{% set ns.l = {1: ns.l} %}{% endfor %}", "nested too deeply");
  expect_limit(loop + "{% for x in [ns.l] %}{% set ns.l = loop %}{% endfor %}{% endfor %}",
               "nested too deeply");
  // Twice itself on each of fifty levels: small to hold, endless to walk.
  const std::string doubled =
      "{% set ns = namespace(l=[1]) %}{% for i in range(50) %}"
      "{% set ns.l = [ns.l, ns.l] %}{% endfor %}";
  for (const std::string use :
       {"{{ ns.l }}", "{{ ns.l|tojson }}", "{{ ns.l == [ns.l[0], ns.l[0]][:] }}"}) {
    EXPECT_EQ(render(doubled + use, ordered_json::object()).status().code(), Code::kResource)
        << use;
  }
}

TEST(JinjaHostile, Nesting) {
  expect_limit("{{ " + times(10000, "(") + "1" + times(10000, ")") + " }}", "nested too deeply");
  expect_limit("{{ " + times(10000, "[") + times(10000, "]") + " }}", "nested too deeply");
  expect_limit("{{ " + times(10000, "not ") + "1 }}", "nested too deeply");
  expect_limit("{{ " + times(10000, "- ") + "1 }}", "nested too deeply");
  expect_limit("{{ " + times(10000, "1 if 1 else ") + "1 }}", "nested too deeply");
  expect_limit("{{ " + times(10000, "1 + ") + "1 }}", "too long");
  expect_limit("{{ 1" + times(10000, "|abs") + " }}", "too long");
  expect_limit("{{ x" + times(10000, ".x") + " }}", "too long");
  expect_limit(times(10000, "{% if 1 %}") + times(10000, "{% endif %}"), "nested too deeply");
  expect_limit(times(100000, "{{ 1 }}"), "too large for a template");
  const std::string chain = "{% if 0 %}" + times(5000, "{% elif 0 %}") + "{% else %}x{% endif %}";
  EXPECT_EQ(render(chain, ordered_json::object())->text.bytes(), "x");
}

TEST(JinjaHostile, NumbersAtTheirEnds) {
  const auto fails = [](const std::string& source) {
    return !render(source, ordered_json::object()).ok();
  };
  EXPECT_TRUE(fails("{{ 9223372036854775807 + 1 }}"));
  EXPECT_TRUE(fails("{{ (-9223372036854775807 - 1) // -1 }}"));
  EXPECT_TRUE(fails("{{ -(-9223372036854775807 - 1) }}"));
  EXPECT_TRUE(fails("{{ (-9223372036854775807 - 1)|abs }}"));
  EXPECT_TRUE(fails("{{ 99999999999999999999 }}"));
  EXPECT_TRUE(fails("{{ 10 ** 100 }}"));
  EXPECT_FALSE(fails("{{ (-9223372036854775807 - 1) % -1 }}"));
  EXPECT_FALSE(fails("{{ 'abc'[-9223372036854775807:9223372036854775807:9223372036854775807] }}"));
  EXPECT_FALSE(fails("{{ 'abc'[9223372036854775807::-9223372036854775807] }}"));
  EXPECT_FALSE(fails("{{ 1e308 * 1e308 }}{{ 'nan'|float|round }}{{ 'nan'|float|int }}"));
  EXPECT_FALSE(fails("{{ range(9223372036854775807, -9223372036854775807)|list }}"));
}

}  // namespace
}  // namespace belay
