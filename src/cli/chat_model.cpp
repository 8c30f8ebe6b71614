#include "cli/chat_model.h"

#include <fmt/core.h>

#include <algorithm>

#include "text/thinking.h"

namespace belay::cli {

using base::Result;

namespace {

constexpr std::int64_t kMostContext = 4096;  // cached at a time, unless asked otherwise
constexpr std::uint64_t kMaxTemplate = std::uint64_t{1} << 20;

/// The option's, the GGUF file's own, or that of the folder.
Result<text::ChatTemplate> open_template(base::Env& env, const ChatModelOptions& options,
                                         const std::string& path,
                                         const text::Tokenizer& tokenizer) {
  const bool gguf = model::is_gguf_path(path);
  const std::string folder = env.is_directory(path) ? path : base::parent_dir(path);
  text::ChatTemplate::TokenTexts own = {{"bos_token", std::string(tokenizer.bos_token())},
                                        {"eos_token", std::string(tokenizer.eos_token())}};
  if (!options.template_file.empty()) {
    if (!gguf) {
      BELAY_ASSIGN_OR_RETURN(own, text::ChatTemplate::load_tokens(env, folder));
    }
    BELAY_ASSIGN_OR_RETURN(const std::string source,
                           env.read_file(options.template_file, kMaxTemplate));
    return text::ChatTemplate::make(source, options.template_file, std::move(own));
  }
  if (gguf && !tokenizer.chat_template().empty()) {
    return text::ChatTemplate::make(tokenizer.chat_template(), path + ": chat template",
                                    std::move(own));
  }
  if (!gguf) {
    auto loaded = text::ChatTemplate::load(env, folder);
    if (loaded.ok() || loaded.status().code() != base::Code::kNotFound) return loaded;
  }
  return base::not_found({.where = gguf ? path : folder,
                          .what = "has no chat template: the model completes texts and does not "
                                  "answer",
                          .next = "use belay sample, or give a template with --template FILE"});
}

/// Ids that end an answer: those that end a text, and the template's end of a turn.
std::vector<std::int32_t> answer_ends(const model::ModelConfig& config,
                                      const text::Tokenizer& tokenizer, std::string_view eos) {
  std::vector<std::int32_t> ids = stop_ids(config, tokenizer);
  for (const text::SpecialToken& token : tokenizer.special_tokens()) {
    if (token.content == eos) ids.push_back(token.id);
  }
  return ids;
}

}  // namespace

double ChatAnswer::tokens_per_second() const {
  const auto n = static_cast<double>(ids.size());
  if (n > 1 && seconds_after_first > 0) return (n - 1) / seconds_after_first;
  return n / std::max(seconds, 1e-9);
}

ChatModel::ChatModel(base::Env& env, Compute compute, model::Model model, text::Tokenizer tokenizer,
                     text::ChatTemplate chat_template, std::vector<std::int32_t> stop_ids,
                     const infer::EngineOptions& engine)
    : env_(env),
      compute_(std::move(compute)),
      model_(std::move(model)),
      engine_(compute_.ctx, model_, engine),
      tokenizer_(std::move(tokenizer)),
      chat_template_(std::move(chat_template)),
      stop_ids_(std::move(stop_ids)) {}

Result<std::unique_ptr<ChatModel>> ChatModel::open(base::Env& env,
                                                   const ChatModelOptions& options) {
  BELAY_ASSIGN_OR_RETURN(Compute compute, open_compute(options.compute));
  BELAY_ASSIGN_OR_RETURN(const std::string path, model_path(env, options.model));
  BELAY_RETURN_IF_ERROR(check_quantize(options.quantize));
  BELAY_RETURN_IF_ERROR(check_kv_bits(options.kv_bits));
  BELAY_ASSIGN_OR_RETURN(const auto weights, model::open_model(env, path));
  BELAY_ASSIGN_OR_RETURN(text::Tokenizer tokenizer,
                         open_tokenizer(env, path, weights->config().vocab_size));
  BELAY_ASSIGN_OR_RETURN(text::ChatTemplate chat_template,
                         open_template(env, options, path, tokenizer));
  std::vector<std::int32_t> ends =
      answer_ends(weights->config(), tokenizer, chat_template.eos_token());
  const std::int64_t most = options.context > 0 ? options.context : kMostContext;
  BELAY_ASSIGN_OR_RETURN(model::Model model,
                         load_model(env, compute, *weights, most, options.quantize));
  const infer::EngineOptions one{.sequences = 1, .kv_bits = options.kv_bits};
  BELAY_RETURN_IF_ERROR(check_engine_fits(env, compute, model, one));
  return std::unique_ptr<ChatModel>(new ChatModel(env, std::move(compute), std::move(model),
                                                  std::move(tokenizer), std::move(chat_template),
                                                  std::move(ends), one));
}

Result<ChatPrompt> ChatModel::prompt(const Conversation::Json& messages,
                                     std::optional<bool> thinking) const {
  Conversation::Json variables = Conversation::Json::object();
  if (thinking) variables["enable_thinking"] = *thinking;
  BELAY_ASSIGN_OR_RETURN(
      const text::jinja::Rendered rendered,
      chat_template_.render(
          {.messages = messages, .variables = &variables, .now_seconds = env_.wall_seconds()}));
  ChatPrompt made{.ids = text::encode_chat(tokenizer_, rendered.text),
                  .begins_inside = text::ends_thinking(rendered.text.bytes())};
  if (made.ids.empty()) {
    return base::invalid_argument({.where = "the conversation", .what = "gives no tokens"});
  }
  if (static_cast<std::int64_t>(made.ids.size()) < context()) return made;
  return base::resource_exhausted(
      {.where = "the conversation",
       .what = "fills the context, and leaves no room for an answer",
       .seen = fmt::format("{} tokens", made.ids.size()),
       .allowed = fmt::format("fewer than {}", context()),
       .next = "/undo takes back the last exchange, /reset begins again"});
}

Result<ChatAnswer> ChatModel::answer(const ChatPrompt& prompt, const infer::SamplerOptions& sampler,
                                     std::int64_t max_tokens,
                                     const std::function<bool(std::string_view)>& on_token) {
  const std::int64_t room = context() - static_cast<std::int64_t>(prompt.ids.size());
  const double start = env_.steady_seconds();
  double first = 0;
  infer::Request request{.prompt = prompt.ids,
                         .max_tokens = max_tokens > 0 ? std::min(max_tokens, room) : room,
                         .sampler = sampler,
                         .vocab_size = tokenizer_.vocab_size(),
                         .stop_ids = stop_ids_};
  const auto stops = [&](std::int32_t id) {
    return std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end();
  };
  request.on_token = [&](std::int64_t, const infer::Token& token, std::string_view) {
    if (first == 0) first = env_.steady_seconds();
    return stops(token.id) || on_token(tokenizer_.token_bytes(token.id));
  };
  // What the conversation shares with the last turn is in the engine's pages already.
  BELAY_ASSIGN_OR_RETURN(auto made, infer::complete(engine_, std::move(request)));
  infer::Completion& text = made.front();
  const double end = env_.steady_seconds();
  if (text.ending == infer::Ending::kStopId) text.ids.pop_back();
  ChatAnswer answer{.ids = std::move(text.ids), .seconds = end - start};
  answer.seconds_after_first = first > 0 ? end - first : 0;
  answer.context_left = room - static_cast<std::int64_t>(answer.ids.size());
  switch (text.ending) {
    case infer::Ending::kStopId: answer.end = ChatAnswer::End::kSaid; break;
    case infer::Ending::kCancelled: answer.end = ChatAnswer::End::kCancelled; break;
    case infer::Ending::kContext: answer.end = ChatAnswer::End::kContextFull; break;
    case infer::Ending::kNotFinite:
      return base::corrupt({.where = "model",
                            .what = "gives a log-probability that is not finite",
                            .next = "the weights are damaged, or too large for the compute type"});
    default:
      answer.end =
          answer.context_left > 0 ? ChatAnswer::End::kMaxTokens : ChatAnswer::End::kContextFull;
  }
  return answer;
}

}  // namespace belay::cli
