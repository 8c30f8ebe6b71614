// belay tokenizer: makes a tokenizer from text, and shows what one does to a text.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/threads.h"
#include "cli/tokenizer_train.h"
#include "cli/verbs.h"
#include "data/record_text.h"
#include "data/token_ids.h"
#include "text/bpe_train.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace belay::cli {
namespace {

using base::Result;
using base::Status;
using nlohmann::ordered_json;
using text::Tokenizer;

constexpr std::uint64_t kMaxIdsFile = std::uint64_t{1} << 30;

struct TrainArguments : TokenizerTraining {
  std::string out;
  bool json = false;
};

struct TokenizerArguments {
  std::string tokenizer, file, text, out;
  bool special = false, json = false;
};

/// More of the text than this is never encoded or held at a time, where its splits allow it.
constexpr std::size_t kBlock = std::size_t{8} << 20;

Result<ExitCode> run_train(Verbs& verbs, const TrainArguments& o) {
  BELAY_ASSIGN_OR_RETURN(const TrainedTokenizer trained, train_tokenizer(verbs, o));
  const Tokenizer& tokenizer = trained.tokenizer;
  BELAY_RETURN_IF_ERROR(tokenizer.save(verbs.env, o.out));
  if (o.json) {
    print_json({{"out", o.out},
                {"vocab_size", tokenizer.vocab_size()},
                {"merges", tokenizer.n_merges()},
                {"split", tokenizer.split_name()},
                {"files", trained.n_files},
                {"text_bytes", trained.n_bytes},
                {"pieces", trained.n_pieces},
                {"threads", trained.threads},
                {"count_seconds", trained.count_seconds},
                {"seconds", trained.seconds},
                {"peak_bytes", verbs.env.peak_rss_bytes()},
                {"fingerprint", base::hex64(tokenizer.fingerprint())}});
  } else {
    fmt::print("{}: {} tokens from {} bytes of text ({} different pieces) in {:.2f} s\n", o.out,
               tokenizer.vocab_size(), trained.n_bytes, trained.n_pieces, trained.seconds);
  }
  return ExitCode::kDone;
}

/// Where output goes: stdout, or a file that appears whole.
class Output {
 public:
  static Result<Output> open(base::Env& env, const std::string& path) {
    Output output;
    if (!path.empty()) {
      BELAY_ASSIGN_OR_RETURN(base::AtomicFile file, base::AtomicFile::open(env, path));
      output.file_ = std::make_unique<base::AtomicFile>(std::move(file));
    }
    return output;
  }
  Status write(std::string_view text) {
    if (file_ != nullptr) return file_->write(text);
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size()) return {};
    return base::io_error({.where = "stdout", .what = "cannot be written to"});
  }
  Status close() {
    if (file_ != nullptr) return file_->commit();
    if (std::fflush(stdout) == 0) return {};
    return base::io_error({.where = "stdout", .what = "cannot be written to"});
  }

 private:
  std::unique_ptr<base::AtomicFile> file_;
};

/// The whole file, which must be UTF-8 and not empty.
Result<base::MappedFile> map_text(base::Env& env, const std::string& path) {
  BELAY_ASSIGN_OR_RETURN(base::MappedFile file, env.map_file(path));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  if (text.empty()) return base::corrupt({.where = path, .what = "is empty"});
  if (const std::size_t valid = text::valid_utf8_prefix(text); valid < text.size()) {
    return base::corrupt({.where = fmt::format("{}: byte {}", path, valid),
                          .what = "is not UTF-8",
                          .seen = base::printable(text.substr(valid, 4)),
                          .next = "convert it (iconv -f latin1 -t utf8) or leave it out"});
  }
  return file;
}

/// Encodes a long text in blocks: write(ids). Returns the seconds that encoding alone took.
template <class Write>
Result<double> encode_blocks(base::Env& env, const Tokenizer& tokenizer, std::string_view text,
                             bool special, Write&& write) {
  double seconds = 0;
  std::vector<std::int32_t> ids;
  while (!text.empty()) {
    std::size_t cut = text.size();
    for (std::size_t size = kBlock; size < text.size(); size *= 2) {
      if (const std::size_t found = tokenizer.safe_cut(text.substr(0, size))) {
        cut = found;
        break;
      }
    }
    ids.clear();
    const double start = env.steady_seconds();
    if (special) {
      ids = tokenizer.encode_with_special(text.substr(0, cut));
    } else {
      tokenizer.encode(text.substr(0, cut), ids);
    }
    seconds += env.steady_seconds() - start;
    BELAY_RETURN_IF_ERROR(write(ids));
    text.remove_prefix(cut);
  }
  return seconds;
}

Result<ExitCode> run_encode(Verbs& verbs, const TokenizerArguments& o) {
  if (o.file.empty() == o.text.empty()) {
    return base::invalid_argument(
        {.what = "belay tokenizer encode needs one text", .next = "give FILE or --text TEXT"});
  }
  BELAY_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::load(verbs.env, o.tokenizer));
  base::MappedFile mapped;
  std::string_view text = o.text;
  if (!o.file.empty()) {
    BELAY_ASSIGN_OR_RETURN(mapped, map_text(verbs.env, o.file));
    text = {reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()};
  }
  BELAY_ASSIGN_OR_RETURN(Output output, Output::open(verbs.env, o.out));
  BELAY_RETURN_IF_ERROR(output.write(o.json ? "{\"ids\":[" : "["));
  std::uint64_t n_ids = 0;
  std::string line;
  BELAY_ASSIGN_OR_RETURN(const double seconds,
                         encode_blocks(verbs.env, tokenizer, text, o.special,
                                       [&](const std::vector<std::int32_t>& ids) -> Status {
                                         line.clear();
                                         for (const std::int32_t id : ids) {
                                           if (n_ids++ > 0) line.push_back(',');
                                           line += fmt::format_int(id).c_str();
                                         }
                                         return output.write(line);
                                       }));
  std::string end = "]\n";
  if (o.json) {
    const ordered_json counts = {
        {"n_tokens", n_ids},
        {"n_bytes", text.size()},
        {"bytes_per_token",
         n_ids == 0 ? ordered_json()
                    : ordered_json(static_cast<double>(text.size()) / static_cast<double>(n_ids))},
        {"encode_seconds", seconds}};
    end = "]," + counts.dump().substr(1) + "\n";
  }
  BELAY_RETURN_IF_ERROR(output.write(end));
  BELAY_RETURN_IF_ERROR(output.close());
  return ExitCode::kDone;
}

Result<ExitCode> run_decode(Verbs& verbs, const TokenizerArguments& o) {
  BELAY_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::load(verbs.env, o.tokenizer));
  BELAY_ASSIGN_OR_RETURN(const data::TokenIds ids,
                         data::read_token_ids(verbs.env, o.file,
                                              {.vocab_size = tokenizer.vocab_size(),
                                               .longest = static_cast<std::int64_t>(kMaxIdsFile)}));
  BELAY_ASSIGN_OR_RETURN(Output output, Output::open(verbs.env, o.out));
  for (const auto& document : ids.documents) {
    BELAY_RETURN_IF_ERROR(output.write(tokenizer.decode(document)));
  }
  BELAY_RETURN_IF_ERROR(output.close());
  return ExitCode::kDone;
}

ordered_json show_json(const Tokenizer& tokenizer, const TokenizerArguments& o) {
  ordered_json specials = ordered_json::array();
  for (const text::SpecialToken& s : tokenizer.special_tokens()) {
    specials.push_back({{"id", s.id}, {"content", s.content}, {"special", s.special}});
  }
  const auto end = tokenizer.end_of_text();
  ordered_json report = {{"tokenizer", o.tokenizer},
                         {"vocab_size", tokenizer.vocab_size()},
                         {"merges", tokenizer.n_merges()},
                         {"split", tokenizer.split_name()},
                         {"end_of_text", end ? ordered_json(*end) : ordered_json()},
                         {"special_tokens", std::move(specials)},
                         {"fingerprint", base::hex64(tokenizer.fingerprint())}};
  if (!o.text.empty()) {
    ordered_json tokens = ordered_json::array();
    for (const std::int32_t id : tokenizer.encode_with_special(o.text)) {
      tokens.push_back({{"id", id}, {"text", base::printable(tokenizer.token_bytes(id))}});
    }
    report["tokens"] = std::move(tokens);
  }
  return report;
}

Result<ExitCode> run_show(Verbs& verbs, const TokenizerArguments& o) {
  BELAY_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::load(verbs.env, o.tokenizer));
  const ordered_json report = show_json(tokenizer, o);
  if (o.json) {
    print_json(report);
    return ExitCode::kDone;
  }
  fmt::print("vocabulary   {} ids, {} merges\nsplit        {}\nfingerprint  {}\n",
             tokenizer.vocab_size(), tokenizer.n_merges(), tokenizer.split_name(),
             report["fingerprint"].get<std::string>());
  for (const text::SpecialToken& s : tokenizer.special_tokens()) {
    fmt::print("{:<12} {:>7}  {}{}\n", s.special ? "special" : "added", s.id,
               base::printable(s.content),
               tokenizer.end_of_text() == s.id ? "  (end of text)" : "");
  }
  if (!o.text.empty()) {
    for (const auto& token : report["tokens"]) {
      fmt::print("{:>7}  {}\n", token["id"].get<std::int32_t>(), token["text"].get<std::string>());
    }
    return ExitCode::kDone;
  }
  std::vector<std::int32_t> ids;
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) ids.push_back(id);
  std::stable_sort(ids.begin(), ids.end(), [&](std::int32_t a, std::int32_t b) {
    return tokenizer.token_bytes(a).size() > tokenizer.token_bytes(b).size();
  });
  ids.resize(std::min<std::size_t>(ids.size(), 10));
  fmt::print("longest tokens\n");
  for (const std::int32_t id : ids) {
    fmt::print("{:>7}  {}\n", id, base::printable(tokenizer.token_bytes(id)));
  }
  return ExitCode::kDone;
}

void add_train(Verbs& verbs, Verb parent) {
  auto options = std::make_shared<TrainArguments>();
  TrainArguments& o = *options;
  Verb verb = verbs.add(
      parent,
      {.name = "train",
       .about = "Train a byte pair encoding on text files and folders",
       .examples = {"tokenizer train --vocab-size 4096 --out tok corpus.txt",
                    "tokenizer train --vocab-size 32768 --split gpt2 --out tok books/ code/"}},
      [&verbs, options] { return run_train(verbs, *options); });
  verb.option("inputs", o.inputs,
              "Text files, .jsonl files and folders of them; each also as .gz, .xz or .zst")
      .required()
      .type("FILE");
  verb.option("--field", o.field, "Field of JSON lines that holds the text");
  verb.option("--vocab-size", o.train.vocab_size,
              "Number of ids: 256 bytes, merges and special tokens")
      .required();
  verb.option("--out", o.out, "Folder for tokenizer.json and tokenizer_config.json")
      .required()
      .type("DIR");
  verb.option("--split", o.split,
              "How text is split: gpt2, cl100k (also Llama 3), qwen2 (also Qwen 3; single "
              "digits), o200k, digits (SmolLM), deepseek-coder, none");
  verb.option("--special", o.specials,
              "A special token, which also parts texts; repeat for more, \"\" for none")
      .one_at_a_time();
  verb.flag("--nfc", o.train.nfc, "Normalize text to NFC first, as Qwen does");
  verb.option("--min-count", o.train.least_count, "Do not merge pairs seen less often");
  verb.option("--max-memory", o.max_memory_gb,
              "Memory in GB; beyond it rare pieces are forgotten; 0: half of what is free");
  verb.option("--threads", o.threads, "0: as many as are usable");
  verb.flag("--json", o.json, "Print one JSON document");
}

void add_common(Verb verb, TokenizerArguments& o) {
  verb.option("--tokenizer", o.tokenizer,
              "Folder with a tokenizer.json, such a file, or a .tiktoken rank file")
      .required()
      .type("DIR");
}

void add_encode(Verbs& verbs, Verb parent) {
  auto options = std::make_shared<TokenizerArguments>();
  TokenizerArguments& o = *options;
  Verb verb = verbs.add(parent,
                        {.name = "encode",
                         .about = "Token ids of a text, as a JSON array",
                         .examples = {"tokenizer encode --tokenizer tok book.txt --out ids.json",
                                      "tokenizer encode --tokenizer tok --text \"It was\" --json"}},
                        [&verbs, options] { return run_encode(verbs, *options); });
  add_common(verb, o);
  verb.option("file", o.file, "A text file; read and encoded in blocks").type("FILE");
  verb.option("--text", o.text, "The text itself");
  verb.option("--out", o.out, "Write here instead of to stdout").type("FILE");
  verb.flag("--special", o.special, "Texts of special tokens become their ids");
  verb.flag("--json", o.json, "An object with ids, their number, bytes and the time");
}

void add_decode(Verbs& verbs, Verb parent) {
  auto options = std::make_shared<TokenizerArguments>();
  TokenizerArguments& o = *options;
  Verb verb = verbs.add(parent,
                        {.name = "decode",
                         .about = "The text of token ids",
                         .examples = {"tokenizer decode --tokenizer tok ids.json",
                                      "tokenizer decode --tokenizer tok ids.json --out a.txt"}},
                        [&verbs, options] { return run_decode(verbs, *options); });
  add_common(verb, o);
  verb.option("file", o.file, "JSON: an array of ids, or an array of such arrays")
      .required()
      .type("FILE");
  verb.option("--out", o.out, "Write here instead of to stdout").type("FILE");
}

void add_show(Verbs& verbs, Verb parent) {
  auto options = std::make_shared<TokenizerArguments>();
  TokenizerArguments& o = *options;
  Verb verb = verbs.add(parent,
                        {.name = "show",
                         .about = "What a tokenizer is, or what it does to a text",
                         .examples = {"tokenizer show tok", "tokenizer show tok --text \"It was\"",
                                      "tokenizer show model/tokenizer.json --json"}},
                        [&verbs, options] { return run_show(verbs, *options); });
  verb.option("tokenizer", o.tokenizer,
              "Folder with a tokenizer.json, such a file, or a .tiktoken rank file")
      .required()
      .type("DIR");
  verb.option("--text", o.text, "Show the tokens of this text, special ones included");
  verb.flag("--json", o.json, "Print one JSON document");
}

}  // namespace

void add_tokenizer(Verbs& verbs) {
  Verb verb =
      verbs.add({.name = "tokenizer",
                 .about = "Train a tokenizer, or encode, decode and show with one",
                 .examples = {"tokenizer train --vocab-size 4096 --out tok corpus.txt",
                              "tokenizer encode --tokenizer tok --text \"It was\""}},
                []() -> Result<ExitCode> {
                  return base::invalid_argument({.what = "belay tokenizer needs to know what to do",
                                                 .allowed = "train, encode, decode, show",
                                                 .next = "see belay tokenizer --help"});
                });
  add_train(verbs, verb);
  add_encode(verbs, verb);
  add_decode(verbs, verb);
  add_show(verbs, verb);
}

}  // namespace belay::cli
