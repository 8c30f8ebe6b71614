// belay chat: a conversation with a model, in the terminal, through a pipe, or one answer.
#include <fmt/core.h>

#include <cstdio>

#include "cli/chat_command.h"
#include "cli/chat_conversation.h"
#include "cli/chat_input.h"
#include "cli/chat_model.h"
#include "cli/chat_view.h"
#include "cli/interrupt.h"
#include "cli/sampler_options.h"
#include "cli/verbs.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;

constexpr std::uint64_t kMaxConversation = std::uint64_t{64} << 20;

struct ChatArguments {
  ChatModelOptions model;
  std::string system, prompt, think = "auto";
  infer::SamplerOptions sampler{.temperature = 0.8, .seed = 1};
  std::int64_t max_tokens = 0;
  bool json = false;
};

Result<std::optional<bool>> thinking_of(const std::string& choice) {
  if (choice == "auto") return std::optional<bool>();
  if (choice == "on" || choice == "off") return std::optional<bool>(choice == "on");
  return base::invalid_argument({.where = "--think",
                                 .what = "is not known",
                                 .seen = base::printable(choice),
                                 .allowed = "auto, on, off"});
}

Status check_options(const ChatArguments& o) {
  BELAY_RETURN_IF_ERROR(infer::validate(o.sampler, "--"));
  BELAY_RETURN_IF_ERROR(check_range("--max-tokens", o.max_tokens, 0, 1 << 24));
  BELAY_RETURN_IF_ERROR(check_range("--context", o.model.context, 0, 1 << 24));
  if (!o.json || !o.prompt.empty()) return {};
  return base::invalid_argument(
      {.where = "--json", .what = "is for one answer", .next = "give the message with --prompt"});
}

void write_out(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

std::string_view end_name(ChatAnswer::End end) {
  switch (end) {
    case ChatAnswer::End::kSaid: return "end of turn";
    case ChatAnswer::End::kMaxTokens: return "max tokens";
    case ChatAnswer::End::kContextFull: return "context full";
    default: return "cancelled";
  }
}

class Session {
 public:
  Session(Verbs& verbs, const ChatArguments& options, ChatModel& model,
          std::optional<bool> thinking)
      : verbs_(verbs),
        options_(options),
        model_(model),
        sampler_(options.sampler),
        thinking_(thinking),
        terminal_(base::stdout_is_terminal()) {
    conversation_.set_system(options.system);
  }

  /// --prompt: one answer.
  Status once();
  /// Lines until the end of the input.
  Status talk();

 private:
  struct Said {
    ChatAnswer answer;
    std::string text, thinking;
  };

  /// Asks for the answer to the conversation, shows it, and adds it.
  Result<Said> ask(const AnswerView::Write& write);
  Status message(const std::string& text);
  Status command(const ChatLine& line, ChatInput& input);
  Status save(const std::string& file);
  Status load(const std::string& file);
  void note(std::string_view text) const;

  Verbs& verbs_;
  const ChatArguments& options_;
  ChatModel& model_;
  infer::SamplerOptions sampler_;
  std::optional<bool> thinking_;
  bool terminal_, leaves_ = false;
  std::string own_file_;  // saved to or loaded from: may be written over
  Conversation conversation_;
};

/// A line beside the conversation; dim where a person reads it.
void Session::note(std::string_view text) const {
  const bool dim = base::stderr_is_terminal();
  verbs_.log.write(base::LogLevel::kInfo, dim ? fmt::format("\x1b[2m{}\x1b[0m", text) : text);
}

Result<Session::Said> Session::ask(const AnswerView::Write& write) {
  BELAY_ASSIGN_OR_RETURN(const ChatPrompt prompt,
                         model_.prompt(conversation_.messages(), thinking_));
  AnswerView view(write, terminal_, prompt.begins_inside);
  Said said;
  {
    const InterruptScope interrupt;
    const auto show = [&](std::string_view bytes) {
      view.push(bytes);
      return !interrupt.asked();
    };
    BELAY_ASSIGN_OR_RETURN(said.answer, model_.answer(prompt, sampler_, options_.max_tokens, show));
  }
  view.finish();
  said.text = view.text();
  said.thinking = view.thinking();
  conversation_.add_answer(said.text, said.thinking);
  return said;
}

Status Session::once() {
  conversation_.add_user(options_.prompt);
  BELAY_ASSIGN_OR_RETURN(const Said said, ask(options_.json ? AnswerView::Write() : write_out));
  const ChatAnswer& a = said.answer;
  if (options_.json) {
    nlohmann::ordered_json report = {{"prompt", options_.prompt},
                                     {"text", said.text},
                                     {"thinking", said.thinking},
                                     {"ids", a.ids},
                                     {"n_tokens", a.ids.size()},
                                     {"ended_by", end_name(a.end)},
                                     {"seconds", a.seconds},
                                     {"tokens_per_second", a.tokens_per_second()},
                                     {"context_left", a.context_left},
                                     {"model", options_.model.model},
                                     {"messages", conversation_.messages()}};
    add_sampler(report, sampler_);
    print_json(report);
    return {};
  }
  write_out("\n");
  note(fmt::format("{} tokens, {:.1f} tokens a second, {}, {}", a.ids.size(), a.tokens_per_second(),
                   end_name(a.end), model_.compute_text()));
  return {};
}

Status Session::message(const std::string& text) {
  conversation_.add_user(text);
  const auto said = ask(write_out);
  if (!said.ok()) {
    conversation_.undo();
    return said.status();
  }
  const ChatAnswer& a = said->answer;
  write_out(terminal_ ? "\n\n" : "\n");
  const std::string_view ended = a.end == ChatAnswer::End::kSaid ? "" : end_name(a.end);
  note(fmt::format("{}{}{} tokens, {:.1f} tokens a second, {} of {} left", ended,
                   ended.empty() ? "" : ": ", a.ids.size(), a.tokens_per_second(), a.context_left,
                   model_.context()));
  if (a.end == ChatAnswer::End::kContextFull) {
    note("The answer was cut. /undo takes the exchange back, /reset begins again.");
  }
  return {};
}

Status Session::save(const std::string& file) {
  if (verbs_.env.exists(file) && file != own_file_) {
    return base::invalid_argument({.where = file,
                                   .what = "exists, and is not this conversation's",
                                   .next = "save under another name"});
  }
  BELAY_RETURN_IF_ERROR(base::write_file_atomic(verbs_.env, file, conversation_.to_line()));
  own_file_ = file;
  note(fmt::format("{} messages saved", conversation_.messages().size()));
  return {};
}

Status Session::load(const std::string& file) {
  BELAY_ASSIGN_OR_RETURN(const std::string text, verbs_.env.read_file(file, kMaxConversation));
  BELAY_ASSIGN_OR_RETURN(conversation_, Conversation::parse(text, file));
  own_file_ = file;
  note(fmt::format("{} messages loaded", conversation_.messages().size()));
  return {};
}

Status Session::command(const ChatLine& line, ChatInput& input) {
  switch (line.command) {
    case ChatCommand::kMessage:
      return line.text.find_first_not_of(" \t\r\n") == std::string::npos ? Status()
                                                                         : message(line.text);
    case ChatCommand::kSystem: conversation_.set_system(line.text); return {};
    case ChatCommand::kSave: return save(line.text);
    case ChatCommand::kLoad: return load(line.text);
    case ChatCommand::kSeed: {
      BELAY_ASSIGN_OR_RETURN(sampler_.seed, parse_seed(line.text));
      return {};
    }
    case ChatCommand::kTemperature: {
      BELAY_ASSIGN_OR_RETURN(sampler_.temperature, parse_temperature(line.text));
      return {};
    }
    case ChatCommand::kThink: {
      BELAY_ASSIGN_OR_RETURN(thinking_, parse_switch(line.text));
      if (!model_.thinks_on_request()) note("This model's template does not ask: no change.");
      return {};
    }
    case ChatCommand::kUndo: {
      const auto text = conversation_.undo();
      if (!text) note("There is nothing to take back.");
      if (text) input.prefill(*text);
      return {};
    }
    case ChatCommand::kReset: conversation_.reset(); return {};
    case ChatCommand::kHelp: std::fputs(chat_help().c_str(), stderr); return {};
    case ChatCommand::kQuit: leaves_ = true; return {};
  }
  return {};
}

Status Session::talk() {
  const bool editing = terminal_ && base::stdin_is_terminal();
  const auto input = ChatInput::open(editing);
  if (editing) {
    note(fmt::format("{}, context {}. /help lists the commands, Ctrl-D leaves.",
                     model_.compute_text(), model_.context()));
  }
  std::string line;
  Status last;
  for (bool again = false; !leaves_;) {
    const ChatInput::End end = input->read(line);
    if (end == ChatInput::End::kClosed || (end == ChatInput::End::kInterrupted && again)) break;
    again = end == ChatInput::End::kInterrupted;
    if (again) {
      note("\nCtrl-C once more leaves.");
      continue;
    }
    const auto parsed = parse_chat_line(line);
    last = parsed.ok() ? command(*parsed, *input) : parsed.status();
    if (!last.ok() && !editing) return last;
    if (!last.ok()) verbs_.log.error("{}", last.message());
  }
  if (editing) write_out("\n");
  return {};
}

Result<ExitCode> run(Verbs& verbs, const ChatArguments& o) {
  BELAY_RETURN_IF_ERROR(check_options(o));
  BELAY_ASSIGN_OR_RETURN(const std::optional<bool> thinking, thinking_of(o.think));
  BELAY_ASSIGN_OR_RETURN(const std::unique_ptr<ChatModel> model,
                         ChatModel::open(verbs.env, o.model));
  Session session(verbs, o, *model, thinking);
  BELAY_RETURN_IF_ERROR(o.prompt.empty() ? session.talk() : session.once());
  return ExitCode::kDone;
}

}  // namespace

void add_chat(Verbs& verbs) {
  auto options = std::make_shared<ChatArguments>();
  ChatArguments& o = *options;
  Verb verb =
      verbs.add({.name = "chat",
                 .about = "Talk to a model that has a chat template",
                 .examples = {"chat model",
                              "chat model --system \"Be brief.\" --temperature 0.6 --top-p 0.95",
                              "chat model --prompt \"What is a belay?\" --json",
                              "chat model < questions.txt > answers.txt"}},
                [&verbs, options] { return run(verbs, *options); });
  verb.option("model", o.model.model, "Hugging Face folder, a GGUF file, or a run folder")
      .required()
      .type("MODEL|RUN");
  verb.option("--prompt", o.prompt, "Answer this message, and end").type("TEXT");
  verb.option("--system", o.system, "The system message").type("TEXT");
  verb.option("--template", o.model.template_file, "A chat template in place of the model's own")
      .type("FILE");
  verb.option("--think", o.think, "Whether to think first, where the template asks: auto, on, off");
  const auto add = [&verb](const char* name, auto& value, const char* about) {
    verb.option(name, value, about);
  };
  add("--max-tokens", o.max_tokens, "Tokens of an answer; 0: all that the context has room for");
  add_sampler_options(verb, o.sampler);
  add("--context", o.model.context, "Tokens of a conversation; 0: the model's most, up to 4096");
  add_quantize_option(verb, o.model.quantize);
  add_kv_bits_option(verb, o.model.kv_bits);
  verb.flag("--json", o.json, "With --prompt: print one JSON document");
  add_compute_options(verb, o.model.compute);
}

}  // namespace belay::cli
