// Recursive descent over tokens, as Jinja's own parser takes them. The first fault moves the parser
// to the end, so that every loop ends by itself; run() reports it.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/lexer.h"
#include "text/jinja/syntax.h"

namespace belay::text::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, std::string name);
  base::Result<Program> run();

 private:
  // Tokens (jinja_parser.cpp).
  const Token& now() const { return tokens_[at_]; }
  const Token& next_token() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool is_symbol(std::string_view symbol) const;
  bool is_word(std::string_view word) const;
  void advance();
  bool skip_symbol(std::string_view symbol);
  bool skip_word(std::string_view word);
  void expect_symbol(std::string_view symbol);
  std::string expect_name();
  void fail(std::string_view what, std::string allowed = {});
  void fail(base::Code code, std::string_view what, std::string allowed);
  bool ok() const { return fault_.ok(); }

  // Statements (jinja_parser.cpp).
  /// Up to a tag that begins with one of `ends`, which is left to be read.
  Body body(std::initializer_list<std::string_view> ends);
  void statement(Body& body);
  Id if_statement();
  Id for_statement();
  Id set_statement();
  Id macro_statement();
  Id generation_statement();
  Id loop_control(StatementKind kind);
  void block_end();
  std::vector<Target> targets(bool with_attributes);
  Id add(Statement statement);
  /// One level of nesting less while this lives.
  struct Level {
    Parser& parser;
    explicit Level(Parser& p);
    ~Level() { --parser.level_; }
  };

  // Expressions (jinja_parse_expressions.cpp).
  Id tuple(bool with_conditional, bool in_brackets = false);
  Id expression(bool with_conditional = true);
  Id conditional();
  Id disjunction();
  Id conjunction();
  Id negation();
  Id comparison();
  Id sum();
  Id concatenation();
  Id product();
  Id power();
  Id unary(bool with_filters = true);
  Id primary();
  Id list();
  Id dict();
  Id postfix(Id value);
  Id subscript(Id value);
  Id attribute(Id value);
  Id call(Id value);
  Id filters(Id value);
  Id filter(Id value);
  Id test(Id value);
  void arguments(Expression& call);
  Id binary(Op op, Id left, Id right);
  bool at_tuple_end() const;
  Id add(Expression expression);
  Expression begin(Op op) const;

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  Program program_;
  int level_ = 0;
  int loops_ = 0;       // around this place
  bool inner_ = false;  // inside of a loop, a macro or a block of its own scope
  base::Status fault_;
};

}  // namespace belay::text::jinja
