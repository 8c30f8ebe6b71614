// belay chat: lines, history and thoughts without a model, and the verb with one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "cli/chat_command.h"
#include "cli/chat_conversation.h"
#include "cli/chat_view.h"
#include "run_belay.h"
#include "test_data.h"
#include "text/thinking.h"

namespace belay {
namespace {

using cli::AnswerView;
using cli::ChatCommand;
using cli::Conversation;
using cli::parse_chat_line;
using nlohmann::json;
using nlohmann::ordered_json;
using test::belay;
using test::kStories;
using test::Outcome;
using test::read;
using test::TempDir;
using test::write;
using ::testing::HasSubstr;
using ::testing::Not;
using text::ThinkingStream;

/// What is thought and what is said of a text that comes in parts of n bytes: "(thought)said".
std::string parted(const std::string& text, std::size_t n, bool begins_inside = false) {
  ThinkingStream stream(begins_inside);
  std::string shown;
  bool thinking = false;
  const auto show = [&](const std::vector<ThinkingStream::Piece>& pieces) {
    for (const auto& piece : pieces) {
      if (piece.thinking != thinking) shown += piece.thinking ? "(" : ")";
      thinking = piece.thinking;
      shown += piece.text;
    }
  };
  for (std::size_t at = 0; at < text.size(); at += n) show(stream.push(text.substr(at, n)));
  show(stream.finish());
  return shown;
}

TEST(ThinkingStream, PartsTheAnswerHoweverItComes) {
  for (std::size_t n : {1U, 2U, 3U, 7U, 1000U}) {
    EXPECT_EQ(parted("<think>\nhm\n</think>\n\nFour.", n), "(hm\n)Four.");
    EXPECT_EQ(parted("\n<think>a < b </thin </think>c</think>", n), "(a < b </thin )c</think>");
    EXPECT_EQ(parted("hm\n</think>\n\nFour.", n, true), "(hm\n)Four.");
    EXPECT_EQ(parted("No <think>thoughts</think>.", n), "No <think>thoughts</think>.");
    EXPECT_EQ(parted("  <thin", n), "<thin");
    EXPECT_EQ(parted("<think>cut </th", n), "(cut </th");
    EXPECT_EQ(parted("<think>\n\n</think>\n\nx", n), "x");
  }
}

TEST(ThinkingStream, KnowsAPromptThatOpenedThoughts) {
  EXPECT_TRUE(text::ends_thinking("<|im_start|>assistant\n<think>\n"));
  EXPECT_FALSE(text::ends_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
  EXPECT_FALSE(text::ends_thinking(""));
}

TEST(AnswerView, DimThoughtsOnATerminalAndNoneInAPipe) {
  const auto shown = [](bool terminal) {
    std::string out;
    AnswerView view([&](std::string_view text) { out += text; }, terminal, false);
    for (const char* token :
         {"<think>", "\n", "h\xC3", "\xB6", "\n", "</think>", "\n\n", "Yes\x1B"}) {
      view.push(token);
    }
    view.finish();
    EXPECT_EQ(view.text(), "Yes\xEF\xBF\xBD");
    EXPECT_EQ(view.thinking(), "h\xC3\xB6");
    return out;
  };
  EXPECT_EQ(shown(true), "\x1b[2mh\xC3\xB6\n\x1b[0m\n\nYes\xEF\xBF\xBD");
  EXPECT_EQ(shown(false), "Yes\xEF\xBF\xBD");
}

TEST(ChatLine, MessagesAndCommands) {
  const auto parsed = [](const std::string& line) { return parse_chat_line(line).value(); };
  EXPECT_EQ(parsed("hello /seed 5").command, ChatCommand::kMessage);
  EXPECT_EQ(parsed("//etc/hosts").text, "/etc/hosts");
  EXPECT_EQ(parsed("/seed  5 ").command, ChatCommand::kSeed);
  EXPECT_EQ(parsed("/seed  5 ").text, "5");
  EXPECT_EQ(parsed("/system Be brief.").text, "Be brief.");
  EXPECT_EQ(parsed("/system").text, "");
  EXPECT_EQ(parsed("/quit").command, ChatCommand::kQuit);
  const auto error = [](const std::string& line) {
    return parse_chat_line(line).status().message();
  };
  EXPECT_EQ(error("/tempreature 1"),
            "'/tempreature': is no command; did you mean /temperature? /help lists all");
  EXPECT_THAT(error("/xyzzy"), HasSubstr("a message may begin with //"));
  EXPECT_THAT(error("/save"), HasSubstr("/save: has a value that cannot be meant"));
  EXPECT_THAT(error("/reset all"), HasSubstr("allowed no value"));
  EXPECT_THAT(cli::chat_help(), HasSubstr("/think on|off"));
}

TEST(ChatLine, ValuesOfCommands) {
  EXPECT_EQ(cli::parse_seed("18446744073709551615").value(), UINT64_MAX);
  EXPECT_FALSE(cli::parse_seed("-1").ok());
  EXPECT_FALSE(cli::parse_seed("5x").ok());
  EXPECT_EQ(cli::parse_temperature("0.25").value(), 0.25);
  EXPECT_FALSE(cli::parse_temperature("nan").ok());
  EXPECT_FALSE(cli::parse_temperature("101").ok());
  EXPECT_TRUE(cli::parse_switch("on").value());
  EXPECT_FALSE(cli::parse_switch("yes").ok());
}

TEST(Conversation, WhatCanBeDoneToIt) {
  Conversation talk;
  talk.add_user("one");
  talk.add_answer("1", "hm");
  talk.set_system("brief");
  talk.add_user("two\xFF");
  talk.add_answer("2", "");
  EXPECT_EQ(talk.messages(), base::ordered_json_value(R"([
      {"role": "system", "content": "brief"}, {"role": "user", "content": "one"},
      {"role": "assistant", "content": "1", "reasoning_content": "hm"},
      {"role": "user", "content": "two\ufffd"}, {"role": "assistant", "content": "2"}])"));
  EXPECT_EQ(talk.size(), 4U);
  EXPECT_EQ(talk.undo(), "two\xEF\xBF\xBD");
  EXPECT_EQ(talk.undo(), "one");
  EXPECT_EQ(talk.undo(), std::nullopt);
  EXPECT_EQ(talk.messages().size(), 1U);
  talk.add_user("x");
  talk.reset();
  EXPECT_EQ(talk.to_line(), "{\"messages\":[{\"role\":\"system\",\"content\":\"brief\"}]}\n");
  talk.set_system("");
  EXPECT_TRUE(talk.messages().empty());
}

TEST(Conversation, FromLines) {
  Conversation talk;
  talk.set_system("s");
  talk.add_user("a\nb");
  talk.add_answer("c", "d");
  EXPECT_EQ(Conversation::parse(talk.to_line(), "f")->messages(), talk.messages());
  const std::string lines = "{\"role\":\"user\",\"content\":\"x\"}\n\n{\"role\":\"assistant\"}\r\n";
  EXPECT_EQ(Conversation::parse(lines, "f")->messages().dump(),
            R"([{"role":"user","content":"x"},{"role":"assistant","content":""}])");
  const auto error = [](const std::string& text) {
    return Conversation::parse(text, "f").status().message();
  };
  EXPECT_EQ(error(""), "f: holds no messages");
  EXPECT_THAT(error("{\"role\":\"user\"}\n{"), HasSubstr("f: line 2"));
  EXPECT_THAT(error("{\"role\": 5}"), HasSubstr("f: line 1: role"));
  EXPECT_THAT(error("{\"messages\": {}}"), HasSubstr("messages"));
  EXPECT_THAT(error("{\"messages\": [5]}"), HasSubstr("f: line 1"));
}

/// A folder with a template that prints all contents after "<s>", as `belay sample` begins a text.
std::string plain_template(const TempDir& dir) {
  write(dir.file("t.jinja"), "{{ '<s>' }}{% for m in messages %}{{ m.content }}{% endfor %}");
  return " --template " + dir.file("t.jinja");
}

TEST(CliChat, OneAnswerIsTheModelsContinuationOfTheRenderedText) {
  const TempDir dir;
  const std::string how = " --dtype f32 --temperature 0 --max-tokens 12 --json";
  const Outcome chat =
      belay("chat " + kStories + how + plain_template(dir) + " --prompt 'Once upon a time'");
  ASSERT_EQ(chat.code, 0) << chat.err;
  const Outcome sample = belay("sample " + kStories + how + " --prompt 'Once upon a time'");
  const json a = base::json_value(chat.out), b = base::json_value(sample.out);
  EXPECT_EQ(a["ids"], b["ids"]);
  EXPECT_EQ(a["ended_by"], "max tokens");
  EXPECT_EQ(a["messages"][0]["content"], "Once upon a time");
  EXPECT_EQ(a["messages"][1]["content"], a["text"]);
}

TEST(CliChat, APipeGivesAnswersAloneAndCommandsWork) {
  const TempDir dir;
  const std::string chat = test::belay_program() + " chat " + kStories + plain_template(dir) +
                           " --dtype f32 --temperature 0 --max-tokens 4 ";
  write(dir.file("in"), "Once\n/save " + dir.file("talk.jsonl") + "\n/undo\nOnce\n/quit\nnever\n");
  ASSERT_EQ(
      test::shell(chat + "<" + dir.file("in") + " >" + dir.file("out") + " 2>" + dir.file("err")),
      0);
  const std::string out = read(dir.file("out"));
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2);
  EXPECT_EQ(out.substr(0, out.size() / 2), out.substr(out.size() / 2));  // undone, asked again
  EXPECT_THAT(out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(read(dir.file("err")), HasSubstr("4 tokens"));
  EXPECT_EQ(Conversation::parse(read(dir.file("talk.jsonl")), "f")->messages().size(), 2U);
  // A file that is not the conversation's stays; the fault ends the pipe.
  write(dir.file("in"), "/save " + dir.file("t.jinja") + "\nOnce\n");
  EXPECT_EQ(
      test::shell(chat + "<" + dir.file("in") + " >" + dir.file("out") + " 2>" + dir.file("err")),
      2);
  EXPECT_EQ(read(dir.file("out")), "");
  EXPECT_THAT(read(dir.file("err")), HasSubstr("exists, and is not this conversation's"));
}

TEST(CliChat, AFullContextIsSaid) {
  const TempDir dir;
  const std::string chat = "chat " + kStories + plain_template(dir) + " --dtype f32 --context 16 ";
  const Outcome cut = belay(chat + "--json --prompt 'Once upon a time'");
  ASSERT_EQ(cut.code, 0) << cut.err;
  EXPECT_EQ(base::json_value(cut.out)["ended_by"], "context full");
  EXPECT_EQ(base::json_value(cut.out)["context_left"], 0);
  const Outcome full = belay(chat + "--prompt '" + std::string(200, 'x') + "'");
  EXPECT_EQ(full.code, 1);
  EXPECT_THAT(full.err, HasSubstr("fills the context, and leaves no room for an answer"));
}

TEST(CliChat, Refusals) {
  const TempDir dir;
  const Outcome none = belay("chat " + kStories + " --prompt x");
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("has no chat template"));
  EXPECT_THAT(none.err, HasSubstr("belay sample"));
  EXPECT_THAT(none.err, HasSubstr("--template FILE"));
  EXPECT_EQ(belay("chat " + kStories + " --json").code, 2);
  EXPECT_EQ(belay("chat " + kStories + " --think maybe --prompt x").code, 2);
  write(dir.file("t.jinja"), "{{ raise_exception('no') }}");
  const Outcome refused =
      belay("chat " + kStories + " --template " + dir.file("t.jinja") + " --prompt x");
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err,
              HasSubstr("t.jinja: line 1: the template refuses the conversation: 'no'"));
}

}  // namespace
}  // namespace belay
