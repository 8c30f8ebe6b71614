#include "text/jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace belay::text::jinja {

using base::Result;
using base::Status;

namespace {

constexpr std::size_t kMaxSource = std::size_t{256} << 10;  // published ones have up to 30 KB
constexpr int kMaxLevels = 150;

/// A token as a message shows it.
std::string shown(const Token& token) {
  switch (token.kind) {
    case TokenKind::kText: return "text";
    case TokenKind::kBlockBegin: return "'{%'";
    case TokenKind::kBlockEnd: return "'%}'";
    case TokenKind::kPrintBegin: return "'{{'";
    case TokenKind::kPrintEnd: return "'}}'";
    case TokenKind::kInt:
    case TokenKind::kFloat: return "a number";
    case TokenKind::kString: return "the string " + base::printable(token.text, 40);
    case TokenKind::kEnd: return "the end of the template";
    default: return base::printable(token.text, 40);
  }
}

}  // namespace

Parser::Parser(std::vector<Token> tokens, std::string name) : tokens_(std::move(tokens)) {
  program_.name = std::move(name);
}

Parser::Level::Level(Parser& p) : parser(p) {
  if (++parser.level_ > kMaxLevels) {
    parser.fail(base::Code::kResource, "is nested too deeply",
                fmt::format("{} levels", kMaxLevels));
  }
}

bool Parser::is_symbol(std::string_view symbol) const {
  return now().kind == TokenKind::kOperator && now().text == symbol;
}

bool Parser::is_word(std::string_view word) const {
  return now().kind == TokenKind::kName && now().text == word;
}

void Parser::advance() {
  if (at_ + 1 < tokens_.size()) ++at_;
}

bool Parser::skip_symbol(std::string_view symbol) {
  const bool found = is_symbol(symbol);
  if (found) advance();
  return found;
}

bool Parser::skip_word(std::string_view word) {
  const bool found = is_word(word);
  if (found) advance();
  return found;
}

void Parser::expect_symbol(std::string_view symbol) {
  if (!skip_symbol(symbol)) fail("is not what must come here", fmt::format("'{}'", symbol));
}

std::string Parser::expect_name() {
  if (now().kind != TokenKind::kName) return fail("is not what must come here", "a name"), "";
  std::string name = now().text;
  advance();
  return name;
}

void Parser::fail(std::string_view what, std::string allowed) {
  fail(base::Code::kCorrupt, what, std::move(allowed));
}

void Parser::fail(base::Code code, std::string_view what, std::string allowed) {
  if (ok()) {
    fault_ = {code,
              {.where = fmt::format("{}: line {}", program_.name, now().line),
               .what = fmt::format("{} {}", shown(now()), what),
               .allowed = std::move(allowed)}};
  }
  at_ = tokens_.size() - 1;
}

Id Parser::add(Statement statement) {
  program_.statements.push_back(std::move(statement));
  return static_cast<Id>(program_.statements.size()) - 1;
}

void Parser::block_end() {
  if (now().kind != TokenKind::kBlockEnd) return fail("is not what must come here", "'%}'");
  advance();
}

Body Parser::body(std::initializer_list<std::string_view> ends) {
  const Level level(*this);
  Body list;
  while (ok() && now().kind != TokenKind::kEnd) {
    if (now().kind == TokenKind::kText) {
      list.push_back(
          add(Statement{.kind = StatementKind::kText, .line = now().line, .text = now().text}));
      advance();
    } else if (now().kind == TokenKind::kPrintBegin) {
      advance();
      Statement print{.kind = StatementKind::kPrint, .line = now().line};
      print.expressions = {tuple(true)};
      if (now().kind != TokenKind::kPrintEnd) fail("is not what must come here", "'}}'");
      advance();
      list.push_back(add(std::move(print)));
    } else {
      advance();  // {%
      if (std::any_of(ends.begin(), ends.end(), [&](auto word) { return is_word(word); })) {
        return list;
      }
      statement(list);
    }
  }
  if (ends.size() > 0) {
    fail("comes too early", fmt::format("{{% {} %}} before it", *(ends.end() - 1)));
  }
  return list;
}

void Parser::statement(Body& body) {
  if (is_word("if")) {
    body.push_back(if_statement());
  } else if (is_word("for")) {
    body.push_back(for_statement());
  } else if (is_word("set")) {
    body.push_back(set_statement());
  } else if (is_word("macro")) {
    body.push_back(macro_statement());
  } else if (is_word("generation")) {
    body.push_back(generation_statement());
  } else if (is_word("break") || is_word("continue")) {
    body.push_back(
        loop_control(is_word("break") ? StatementKind::kBreak : StatementKind::kContinue));
  } else {
    static constexpr std::string_view kOthers[] = {"include",    "import", "from",   "extends",
                                                   "block",      "call",   "filter", "with",
                                                   "autoescape", "do",     "trans",  "debug"};
    const bool other = std::any_of(std::begin(kOthers), std::end(kOthers),
                                   [&](auto word) { return is_word(word); });
    fail(other ? base::Code::kUnsupported : base::Code::kCorrupt,
         "is no statement of a chat template",
         "if, for, set, macro, break, continue, generation, raw");
  }
}

Id Parser::if_statement() {
  Statement s{.kind = StatementKind::kIf, .line = now().line};
  do {
    advance();
    s.expressions.push_back(tuple(false));
    block_end();
    s.bodies.push_back(body({"elif", "else", "endif"}));
  } while (ok() && is_word("elif"));
  if (skip_word("else")) {
    block_end();
    s.bodies.push_back(body({"endif"}));
  }
  advance();
  block_end();
  return add(std::move(s));
}

Id Parser::for_statement() {
  Statement s{.kind = StatementKind::kFor, .line = now().line};
  advance();
  s.targets = targets(false);
  if (!skip_word("in")) fail("is not what must come here", "'in'");
  s.expressions = {tuple(false), kNone};
  if (skip_word("if")) s.expressions[1] = expression();
  if (is_word("recursive")) fail(base::Code::kUnsupported, "is not supported", "plain loops");
  block_end();
  const bool was_inner = std::exchange(inner_, true);
  ++loops_;
  s.bodies.push_back(body({"else", "endfor"}));
  --loops_;
  if (skip_word("else")) {
    block_end();
    s.bodies.push_back(body({"endfor"}));
  }
  inner_ = was_inner;
  advance();
  block_end();
  return add(std::move(s));
}

std::vector<Target> Parser::targets(bool with_attributes) {
  std::vector<Target> list;
  const bool brackets = skip_symbol("(");
  do {
    if (is_symbol(")") || is_word("in")) break;  // after a comma
    Target target{.name = expect_name()};
    if (with_attributes && skip_symbol(".")) target.attribute = expect_name();
    list.push_back(std::move(target));
  } while (ok() && skip_symbol(","));
  if (brackets) expect_symbol(")");
  static constexpr std::string_view kConstants[] = {"true",  "True", "false",
                                                    "False", "none", "None"};
  for (const Target& t : list) {
    if (std::find(std::begin(kConstants), std::end(kConstants), t.name) != std::end(kConstants)) {
      fail("follows a constant, which cannot be assigned to", "a name");
    }
  }
  return list;
}

Id Parser::set_statement() {
  Statement s{.kind = StatementKind::kSet, .line = now().line};
  advance();
  s.targets = targets(true);
  if (skip_symbol("=")) {
    s.expressions = {tuple(true)};
    block_end();
    return add(std::move(s));
  }
  if (s.targets.size() != 1) fail("is not what must come here", "'='");
  s.kind = StatementKind::kSetBlock;
  s.expressions = {kNone};
  if (is_symbol("|")) {
    s.expressions[0] = add(begin(Op::kBlockText));
    while (ok() && skip_symbol("|")) s.expressions[0] = filter(s.expressions[0]);
  }
  block_end();
  const bool was_inner = std::exchange(inner_, true);
  const int loops = std::exchange(loops_, 0);
  s.bodies.push_back(body({"endset"}));
  inner_ = was_inner;
  loops_ = loops;
  advance();
  block_end();
  return add(std::move(s));
}

Id Parser::macro_statement() {
  Statement s{.kind = StatementKind::kMacro, .line = now().line};
  if (inner_)
    fail(base::Code::kUnsupported, "stands inside of another block", "macros outside of them");
  advance();
  s.text = expect_name();
  expect_symbol("(");
  while (ok() && !is_symbol(")")) {
    s.targets.push_back({.name = expect_name()});
    if (skip_symbol("=")) {
      s.expressions.push_back(expression());
    } else if (!s.expressions.empty()) {
      fail("follows a parameter without a value, after one that has a value", "'='");
    }
    if (!is_symbol(")")) expect_symbol(",");
  }
  expect_symbol(")");
  block_end();
  inner_ = true;
  const int loops = std::exchange(loops_, 0);
  s.bodies.push_back(body({"endmacro"}));
  inner_ = false;
  loops_ = loops;
  advance();
  if (now().kind == TokenKind::kName) advance();  // {% endmacro name %}
  block_end();
  return add(std::move(s));
}

Id Parser::generation_statement() {
  Statement s{.kind = StatementKind::kGeneration, .line = now().line};
  advance();
  block_end();
  const bool was_inner = std::exchange(inner_, true);
  const int loops = std::exchange(loops_, 0);
  s.bodies.push_back(body({"endgeneration"}));
  inner_ = was_inner;
  loops_ = loops;
  advance();
  block_end();
  return add(std::move(s));
}

Id Parser::loop_control(StatementKind kind) {
  if (loops_ == 0) fail("stands outside of a loop", "inside of {% for %}");
  Statement s{.kind = kind, .line = now().line};
  advance();
  block_end();
  return add(std::move(s));
}

Result<Program> Parser::run() {
  program_.body = body({});
  if (!ok()) return fault_;
  return std::move(program_);
}

Result<Program> parse(std::string_view source, std::string name) {
  if (source.size() > kMaxSource) {
    return base::resource_exhausted({.where = name,
                                     .what = "is too large for a template",
                                     .seen = fmt::format("{} bytes", source.size()),
                                     .allowed = fmt::format("at most {} bytes", kMaxSource)});
  }
  BELAY_ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenize(source, name));
  return Parser(std::move(tokens), std::move(name)).run();
}

}  // namespace belay::text::jinja
