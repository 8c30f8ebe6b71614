// The parser's expressions, from the loosest binding to the tightest: if-else, or, and, not,
// comparisons, + -, ~, * / // %, **, signs, then attributes, calls, filters and tests.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/parser.h"

namespace belay::text::jinja {
namespace {
constexpr int kMaxDepth = 500;  // of a chain such as a + b + c, which is as deep as it is long
}

Expression Parser::begin(Op op) const { return Expression{.op = op, .line = now().line}; }

Id Parser::add(Expression e) {
  const auto under = [&](Id id) {
    if (id != kNone) {
      e.depth = std::max(e.depth, program_.expressions[static_cast<std::size_t>(id)].depth + 1);
    }
  };
  for (const Id id : e.operands) under(id);
  for (const auto& [name, id] : e.named) under(id);
  if (e.depth > kMaxDepth) {
    fail(base::Code::kResource, "ends an expression that is too long",
         fmt::format("{} operations in a row", kMaxDepth));
  }
  program_.expressions.push_back(std::move(e));
  return static_cast<Id>(program_.expressions.size()) - 1;
}

Id Parser::binary(Op op, Id left, Id right) {
  Expression e = begin(op);
  e.operands = {left, right};
  return add(std::move(e));
}

bool Parser::at_tuple_end() const {
  const TokenKind kind = now().kind;
  return kind == TokenKind::kPrintEnd || kind == TokenKind::kBlockEnd || kind == TokenKind::kEnd ||
         is_symbol(")") || is_word("recursive");
}

Id Parser::tuple(bool with_conditional, bool in_brackets) {
  Expression e = begin(Op::kTuple);
  bool has_comma = false;
  while (ok() && !at_tuple_end()) {
    e.operands.push_back(expression(with_conditional));
    if (!skip_symbol(",")) break;
    has_comma = true;
  }
  if (!has_comma && e.operands.size() == 1) return e.operands[0];
  if (e.operands.empty() && !in_brackets) fail("stands in the place of an expression");
  return add(std::move(e));
}

Id Parser::expression(bool with_conditional) {
  const Level level(*this);
  return with_conditional ? conditional() : disjunction();
}

Id Parser::conditional() {
  Id value = disjunction();
  while (ok() && is_word("if")) {
    Expression e = begin(Op::kConditional);
    advance();
    const Id condition = disjunction();
    e.operands = {condition, value, skip_word("else") ? expression() : kNone};
    value = add(std::move(e));
  }
  return value;
}

Id Parser::disjunction() {
  Id left = conjunction();
  while (skip_word("or")) left = binary(Op::kOr, left, conjunction());
  return left;
}

Id Parser::conjunction() {
  Id left = negation();
  while (skip_word("and")) left = binary(Op::kAnd, left, negation());
  return left;
}

Id Parser::negation() {
  if (!is_word("not")) return comparison();
  const Level level(*this);
  Expression e = begin(Op::kNot);
  advance();
  e.operands = {negation()};
  return add(std::move(e));
}

Id Parser::comparison() {
  Expression e = begin(Op::kCompare);
  e.operands = {sum()};
  static constexpr std::pair<std::string_view, Comparison> kSymbols[] = {
      {"==", Comparison::kEq}, {"!=", Comparison::kNe}, {"<", Comparison::kLt},
      {"<=", Comparison::kLe}, {">", Comparison::kGt},  {">=", Comparison::kGe}};
  while (ok()) {
    const auto* symbol = std::find_if(std::begin(kSymbols), std::end(kSymbols),
                                      [&](const auto& s) { return is_symbol(s.first); });
    if (symbol != std::end(kSymbols)) {
      e.comparisons.push_back(symbol->second);
    } else if (is_word("in")) {
      e.comparisons.push_back(Comparison::kIn);
    } else if (is_word("not") && next_token().kind == TokenKind::kName &&
               next_token().text == "in") {
      advance();
      e.comparisons.push_back(Comparison::kNotIn);
    } else {
      break;
    }
    advance();
    e.operands.push_back(sum());
  }
  return e.comparisons.empty() ? e.operands[0] : add(std::move(e));
}

Id Parser::sum() {
  Id left = concatenation();
  while (is_symbol("+") || is_symbol("-")) {
    const Op op = is_symbol("+") ? Op::kAdd : Op::kSubtract;
    advance();
    left = binary(op, left, concatenation());
  }
  return left;
}

Id Parser::concatenation() {
  Expression e = begin(Op::kConcat);
  do e.operands.push_back(product());
  while (skip_symbol("~"));
  return e.operands.size() == 1 ? e.operands[0] : add(std::move(e));
}

Id Parser::product() {
  static constexpr std::pair<std::string_view, Op> kSymbols[] = {
      {"*", Op::kMultiply}, {"/", Op::kDivide}, {"//", Op::kFloorDivide}, {"%", Op::kModulo}};
  Id left = power();
  while (true) {
    const auto* symbol = std::find_if(std::begin(kSymbols), std::end(kSymbols),
                                      [&](const auto& s) { return is_symbol(s.first); });
    if (symbol == std::end(kSymbols)) return left;
    advance();
    left = binary(symbol->second, left, power());
  }
}

Id Parser::power() {
  Id left = unary();
  while (skip_symbol("**")) left = binary(Op::kPower, left, unary());
  return left;
}

Id Parser::unary(bool with_filters) {
  Id value = kNone;
  if (is_symbol("-") || is_symbol("+")) {
    const Level level(*this);
    Expression e = begin(is_symbol("-") ? Op::kNegate : Op::kPlus);
    advance();
    e.operands = {unary(false)};
    value = add(std::move(e));
  } else {
    value = primary();
  }
  value = postfix(value);
  return with_filters ? filters(value) : value;
}

Id Parser::primary() {
  Expression e = begin(Op::kConstant);
  const Token& token = now();
  if (token.kind == TokenKind::kName) {
    const std::string& word = token.text;
    if (word == "true" || word == "True" || word == "false" || word == "False") {
      e.constant = Value(word[0] == 't' || word[0] == 'T');
    } else if (word == "none" || word == "None") {
      e.constant = Value(None{});
    } else {
      e.op = Op::kName;
      e.name = word;
    }
  } else if (token.kind == TokenKind::kString) {
    std::string text = token.text;
    for (; next_token().kind == TokenKind::kString; advance()) text += next_token().text;
    e.constant = text_value(text);
  } else if (token.kind == TokenKind::kInt) {
    e.constant = Value(token.whole);
  } else if (token.kind == TokenKind::kFloat) {
    e.constant = Value(token.number);
  } else if (is_symbol("[")) {
    return list();
  } else if (is_symbol("{")) {
    return dict();
  } else if (skip_symbol("(")) {
    const Id value = tuple(true, true);
    expect_symbol(")");
    return value;
  } else {
    fail("stands in the place of a value");
  }
  advance();
  return add(std::move(e));
}

Id Parser::list() {
  Expression e = begin(Op::kList);
  advance();
  while (ok() && !is_symbol("]")) {
    e.operands.push_back(expression());
    if (!is_symbol("]")) expect_symbol(",");
  }
  expect_symbol("]");
  return add(std::move(e));
}

Id Parser::dict() {
  Expression e = begin(Op::kDict);
  advance();
  while (ok() && !is_symbol("}")) {
    e.operands.push_back(expression());
    expect_symbol(":");
    e.operands.push_back(expression());
    if (!is_symbol("}")) expect_symbol(",");
  }
  expect_symbol("}");
  return add(std::move(e));
}

Id Parser::postfix(Id value) {
  while (ok()) {
    if (is_symbol(".")) {
      value = attribute(value);
    } else if (is_symbol("[")) {
      value = subscript(value);
    } else if (is_symbol("(")) {
      value = call(value);
    } else {
      break;
    }
  }
  return value;
}

Id Parser::attribute(Id value) {
  Expression e = begin(Op::kAttribute);
  advance();
  if (now().kind == TokenKind::kInt) {
    Expression place = begin(Op::kConstant);
    place.constant = Value(now().whole);
    advance();
    return binary(Op::kItem, value, add(std::move(place)));
  }
  e.name = expect_name();
  e.operands = {value};
  return add(std::move(e));
}

Id Parser::subscript(Id value) {
  Expression e = begin(Op::kSlice);
  advance();
  const Id first = is_symbol(":") ? kNone : expression();
  if (!is_symbol(":")) {
    expect_symbol("]");
    return binary(Op::kItem, value, first);
  }
  e.operands = {value, first, kNone, kNone};
  for (std::size_t i = 2; i < 4 && skip_symbol(":"); ++i) {
    if (!is_symbol(":") && !is_symbol("]")) e.operands[i] = expression();
  }
  expect_symbol("]");
  return add(std::move(e));
}

void Parser::arguments(Expression& call) {
  expect_symbol("(");
  while (ok() && !is_symbol(")")) {
    if (is_symbol("*") || is_symbol("**")) {
      fail(base::Code::kUnsupported, "unpacks arguments, which is not supported",
           "single arguments");
    } else if (now().kind == TokenKind::kName && next_token().kind == TokenKind::kOperator &&
               next_token().text == "=") {
      const std::string name = expect_name();
      advance();
      call.named.emplace_back(name, expression());
    } else {
      if (!call.named.empty()) fail("follows an argument that has a name", "a name before it");
      call.operands.push_back(expression());
    }
    if (!is_symbol(")")) expect_symbol(",");
  }
  expect_symbol(")");
}

Id Parser::call(Id value) {
  Expression e = begin(Op::kCall);
  e.operands = {value};
  arguments(e);
  return add(std::move(e));
}

Id Parser::filters(Id value) {
  while (ok()) {
    if (skip_symbol("|")) {
      value = filter(value);
    } else if (is_word("is")) {
      value = test(value);
    } else if (is_symbol("(")) {
      value = call(value);
    } else {
      break;
    }
  }
  return value;
}

Id Parser::filter(Id value) {
  Expression e = begin(Op::kFilter);
  e.name = expect_name();
  e.operands = {value};
  if (is_symbol("(")) arguments(e);
  return add(std::move(e));
}

Id Parser::test(Id value) {
  advance();  // is
  Expression negated = begin(Op::kNot);
  const bool is_not = skip_word("not");
  Expression e = begin(Op::kTest);
  e.name = expect_name();
  e.operands = {value};
  const TokenKind kind = now().kind;
  const bool ends = is_word("else") || is_word("or") || is_word("and");
  if (is_symbol("(")) {
    arguments(e);
  } else if (is_word("is")) {
    fail("follows a test", "'and' between two tests");
  } else if (!ends &&
             (kind == TokenKind::kName || kind == TokenKind::kString || kind == TokenKind::kInt ||
              kind == TokenKind::kFloat || is_symbol("[") || is_symbol("{"))) {
    e.operands.push_back(postfix(primary()));
  }
  const Id tested = add(std::move(e));
  if (!is_not) return tested;
  negated.operands = {tested};
  return add(std::move(negated));
}

}  // namespace belay::text::jinja
