// A model that can be talked to: weights, tokenizer and chat template, and the one place where
// `belay chat` calls the engine.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/chat_conversation.h"
#include "cli/compute.h"
#include "cli/text_model.h"
#include "infer/engine.h"
#include "text/chat_template.h"

namespace belay::cli {

struct ChatModelOptions {
  std::string model;
  std::string template_file;  // in place of the model's own
  std::int64_t context = 0;   // 0: the model's most, up to 4096
  int quantize = 0;           // bits; 0: as stored
  int kv_bits = 0;            // of keys and values; 0: as computed
  ComputeOptions compute;
};

/// What an answer is asked with.
struct ChatPrompt {
  std::vector<std::int32_t> ids;
  bool begins_inside = false;  // the template opened <think>
};

struct ChatAnswer {
  enum class End { kSaid, kMaxTokens, kContextFull, kCancelled };
  std::vector<std::int32_t> ids;
  End end = End::kSaid;
  double seconds = 0;              // all
  double seconds_after_first = 0;  // for the tokens after the first
  std::int64_t context_left = 0;   // tokens
  /// Of the tokens after the first, else of all.
  double tokens_per_second() const;
};

class ChatModel {
 public:
  static base::Result<std::unique_ptr<ChatModel>> open(base::Env& env,
                                                       const ChatModelOptions& options);

  /// The conversation as the model reads it, up to where it is to answer. kResource when it fills
  /// the context.
  base::Result<ChatPrompt> prompt(const Conversation::Json& messages,
                                  std::optional<bool> thinking) const;
  /// on_token sees each token's bytes; false ends the answer. max_tokens 0: all that fit.
  base::Result<ChatAnswer> answer(const ChatPrompt& prompt, const infer::SamplerOptions& sampler,
                                  std::int64_t max_tokens,
                                  const std::function<bool(std::string_view)>& on_token);

  /// Its template looks at enable_thinking.
  bool thinks_on_request() const { return chat_template_.mentions("enable_thinking"); }
  std::int64_t context() const { return engine_.room(); }
  std::string compute_text() const { return compute_.text(); }

 private:
  ChatModel(base::Env& env, Compute compute, model::Model model, text::Tokenizer tokenizer,
            text::ChatTemplate chat_template, std::vector<std::int32_t> stop_ids,
            const infer::EngineOptions& engine);

  base::Env& env_;
  Compute compute_;
  model::Model model_;
  infer::Engine engine_;
  text::Tokenizer tokenizer_;
  text::ChatTemplate chat_template_;
  std::vector<std::int32_t> stop_ids_;
};

}  // namespace belay::cli
