#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <unordered_set>

#include "base/hash.h"
#include "text/char_table.h"
#include "text/merges.h"
#include "text/split.h"
#include "text/token_table.h"
#include "text/tokenizer_spec.h"
#include "text/unicode.h"
#include "text/word_cache.h"

namespace belay::text {

using base::Result;
using base::Status;

struct Tokenizer::Impl {
  TokenizerSpec spec;  // without tokens and merges, which are in the tables
  TokenTable tokens;   // as the merges see them
  TokenTable outputs;  // as decode writes them
  MergeTable merges;
  CharTable chars;  // where byte_level
  std::int64_t n_merges = 0;
  std::vector<Merge> merge_list;  // to be saved; empty where source_json is
  std::array<std::uint32_t, 256> byte_id{};
  bool lacks_bytes = false;  // some that no text holds have no token, and are left out
  std::optional<std::int32_t> end_of_text;
  /// The special tokens by their first byte, the longest first.
  std::array<std::vector<const SpecialToken*>, 256> special_by_byte;
  bool some_always = false;
  std::uint64_t fingerprint = 0;
  mutable ScratchPool scratch;

  void encode(std::string_view text, std::vector<std::int32_t>& out) const;
  void encode_with(bool all_specials, std::string_view text, std::span<const ByteSpan> content,
                   std::vector<std::int32_t>& out) const;
  void encode_piece(const char* p, const char* e, EncodeScratch& scratch,
                    std::vector<std::int32_t>& out) const;
  void characters(std::string_view piece, std::vector<std::uint32_t>& ids) const;
  std::string normalized(std::string_view text) const;
  const SpecialToken* special_at(std::string_view text, std::size_t at, bool all) const;
};

namespace {

constexpr std::uint32_t kNoToken = ~std::uint32_t{0};
constexpr std::size_t kKeptIds = 1 << 16;  // more room than this is given back after a long piece

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  if (from.empty()) return;
  std::string out;
  std::size_t at = 0;
  for (std::size_t hit; (hit = text.find(from, at)) != std::string::npos; at = hit + from.size()) {
    out.append(text, at, hit - at).append(to);
  }
  if (at > 0) text = out.append(text, at);
}

/// "<0x0A>" is 10; -1 for other tokens.
int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

std::vector<std::string> outputs_of(const TokenizerSpec& spec) {
  std::vector<std::string> outputs = spec.tokens;
  for (std::string& token : outputs) {
    if (const int byte = spec.decode_bytes ? fallback_byte(token) : -1; byte >= 0) {
      token.assign(1, static_cast<char>(byte));
      continue;
    }
    for (const auto& [from, to] : spec.decode_replaces) replace_all(token, from, to);
  }
  for (const SpecialToken& s : spec.specials) outputs[static_cast<std::size_t>(s.id)] = s.content;
  return outputs;
}

std::optional<std::int32_t> end_of_text_of(const TokenizerSpec& spec) {
  for (const std::string_view content :
       {std::string_view("<|endoftext|>"), std::string_view(spec.end_of_text)}) {
    for (const SpecialToken& s : spec.specials) {
      if (s.content == content) return s.id;
    }
  }
  return std::nullopt;
}

std::uint64_t fingerprint_of(const TokenizerSpec& spec) {
  base::Xxh3 hash;
  const auto add = [&hash](std::string_view text) {
    const std::uint64_t size = text.size();
    hash.update(std::as_bytes(std::span(&size, 1)));
    hash.update(std::as_bytes(std::span(text.data(), text.size())));
  };
  add("belay tokenizer 1");
  std::vector<bool> special(spec.tokens.size());  // the vocabulary of a file may hold these or not
  for (const SpecialToken& s : spec.specials) special[static_cast<std::size_t>(s.id)] = true;
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) add(special[id] ? "" : spec.tokens[id]);
  hash.update(std::as_bytes(std::span(spec.merges)));
  for (const SpecialToken& s : spec.specials) {
    add(s.content);
    add(std::to_string(s.id) + (s.lstrip ? "l" : "") + (s.rstrip ? "r" : "") +
        (s.always ? "a" : ""));
  }
  for (const auto& list : {spec.replaces, spec.decode_replaces}) {
    add("replaces");
    for (const auto& [from, to] : list) add(from), add(to);
  }
  for (const auto& ids : {spec.prefix, spec.suffix}) {
    add("template");
    hash.update(std::as_bytes(std::span(ids)));
  }
  add(spec.prepend);
  add(split_name(spec.split));
  add(std::to_string(end_of_text_of(spec).value_or(-1)));
  add(std::to_string(spec.unk.value_or(-1)));
  for (const bool flag :
       {spec.nfc, spec.add_prefix_space, spec.byte_level, spec.ignore_merges, spec.byte_fallback,
        spec.fuse_unk, spec.decode_bytes, spec.strip_leading_space}) {
    add(flag ? "1" : "0");
  }
  return hash.digest();
}

Status check_merges(const TokenizerSpec& spec, const std::string& name) {
  const auto n = static_cast<std::int64_t>(spec.tokens.size());
  for (const Merge& m : spec.merges) {
    for (const std::int32_t id : {m.left, m.right, m.id}) {
      if (id >= 0 && id < n) continue;
      return base::corrupt({.where = name + ": merges",
                            .what = "name an id outside the vocabulary",
                            .seen = std::to_string(id)});
    }
    const auto token = [&](std::int32_t id) -> const std::string& {
      return spec.tokens[static_cast<std::size_t>(id)];
    };
    if (token(m.left) + token(m.right) != token(m.id) || token(m.left).empty() ||
        token(m.right).empty()) {
      return base::corrupt({.where = name + ": merges",
                            .what = "joins tokens to one that is not their concatenation",
                            .seen = base::printable(token(m.left), 40) + " + " +
                                    base::printable(token(m.right), 40) + " = " +
                                    base::printable(token(m.id), 40)});
    }
  }
  return {};
}

}  // namespace

Result<Tokenizer> Tokenizer::make(TokenizerSpec spec, const std::string& name) {
  if (spec.tokens.empty() || static_cast<std::int64_t>(spec.tokens.size()) > kMaxVocabulary) {
    return base::corrupt({.where = name + ": vocabulary",
                          .what = "has a size that is out of range",
                          .seen = std::to_string(spec.tokens.size()),
                          .allowed = "1 to " + std::to_string(kMaxVocabulary)});
  }
  BELAY_RETURN_IF_ERROR(check_merges(spec, name));
  auto impl = std::make_shared<Impl>();
  std::sort(spec.specials.begin(), spec.specials.end(),
            [](const SpecialToken& a, const SpecialToken& b) { return a.id < b.id; });
  for (const SpecialToken& s : spec.specials) {
    if (!s.content.empty() && s.id >= 0 && s.id < static_cast<std::int64_t>(spec.tokens.size())) {
      continue;
    }
    return base::corrupt({.where = name + ": added token " + base::printable(s.content, 40),
                          .what = "is empty or has an id outside the vocabulary",
                          .seen = std::to_string(s.id)});
  }
  impl->outputs = TokenTable(outputs_of(spec));
  impl->fingerprint = fingerprint_of(spec);
  impl->tokens = TokenTable(spec.tokens);
  for (std::size_t b = 0; b < 256; ++b) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    const char fallback[] = {'<', '0', 'x', kDigits[b >> 4], kDigits[b & 15], '>'};
    const char byte[] = {static_cast<char>(b)};
    const std::int32_t id = impl->tokens.find(spec.byte_level ? std::string_view(byte, 1)
                                                              : std::string_view(fallback, 6));
    // StarCoder's has none for what begins the characters from U+40000 on, either.
    const bool in_texts = b != 0xC0 && b != 0xC1 && b < 0xF1;
    impl->lacks_bytes = impl->lacks_bytes || (id < 0 && spec.byte_level);
    if (id < 0 && spec.byte_level && in_texts) {
      return base::corrupt(
          {.where = name + ": vocabulary", .what = "has no token for byte " + std::to_string(b)});
    }
    impl->byte_id[b] = static_cast<std::uint32_t>(id);
  }
  impl->merges = MergeTable(spec.merges);
  if (spec.byte_level) {
    impl->chars = CharTable(spec.tokens, spec.merges, impl->merges, impl->byte_id);
  }
  impl->n_merges = static_cast<std::int64_t>(spec.merges.size());
  if (spec.source_json.empty()) impl->merge_list = spec.merges;
  impl->spec = std::move(spec);
  std::vector<std::string>().swap(impl->spec.tokens);
  std::vector<Merge>().swap(impl->spec.merges);
  for (const SpecialToken& s : impl->spec.specials) {
    impl->special_by_byte[static_cast<std::uint8_t>(s.content[0])].push_back(&s);
    impl->some_always = impl->some_always || s.always;
  }
  for (auto& list : impl->special_by_byte) {
    std::sort(list.begin(), list.end(), [](const SpecialToken* a, const SpecialToken* b) {
      return a->content.size() > b->content.size();
    });
  }
  impl->end_of_text = end_of_text_of(impl->spec);
  return Tokenizer(std::move(impl));
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

TokenizerSpec Tokenizer::spec() const {
  TokenizerSpec spec = impl_->spec;
  if (!spec.source_json.empty()) {  // it was read before, and did not fail then
    TokenizerSpec again = parse_tokenizer_json(spec.source_json, "tokenizer.json").value();
    spec.tokens = std::move(again.tokens);
    spec.merges = std::move(again.merges);
    return spec;
  }
  for (std::int64_t id = 0; id < vocab_size(); ++id) {
    spec.tokens.emplace_back(impl_->tokens.at(static_cast<std::int32_t>(id)));
  }
  spec.merges = impl_->merge_list;
  return spec;
}

std::int64_t Tokenizer::vocab_size() const {
  return static_cast<std::int64_t>(impl_->tokens.size());
}
std::optional<std::int32_t> Tokenizer::end_of_text() const { return impl_->end_of_text; }
std::string_view Tokenizer::bos_token() const { return impl_->spec.begin_of_text; }
std::string_view Tokenizer::eos_token() const { return impl_->spec.end_of_text; }
std::string_view Tokenizer::chat_template() const { return impl_->spec.chat_template; }
std::span<const std::int32_t> Tokenizer::template_prefix() const { return impl_->spec.prefix; }
std::span<const std::int32_t> Tokenizer::template_suffix() const { return impl_->spec.suffix; }
std::span<const SpecialToken> Tokenizer::special_tokens() const { return impl_->spec.specials; }
std::uint64_t Tokenizer::fingerprint() const { return impl_->fingerprint; }
std::string_view Tokenizer::split_name() const { return text::split_name(impl_->spec.split); }
std::int64_t Tokenizer::n_merges() const { return impl_->n_merges; }

std::string_view Tokenizer::token_bytes(std::int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  return impl_->outputs.at(id);
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) text += token_bytes(id);
  if (impl_->spec.strip_leading_space && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

void Tokenizer::encode(std::string_view utf8, std::vector<std::int32_t>& out) const {
  if (impl_->some_always) return impl_->encode_with(false, utf8, {}, out);
  impl_->encode(utf8, out);
}

std::vector<std::int32_t> Tokenizer::encode_with_special(std::string_view utf8,
                                                         std::span<const ByteSpan> content) const {
  std::vector<std::int32_t> out;
  impl_->encode_with(true, utf8, content, out);
  return out;
}

void Tokenizer::Impl::encode_with(bool all_specials, std::string_view utf8,
                                  std::span<const ByteSpan> content,
                                  std::vector<std::int32_t>& out) const {
  const ClassTable& table = ClassTable::get();
  std::size_t begin = 0;
  for (std::size_t at = 0; at < utf8.size();) {
    while (!content.empty() && content.front().end <= at) content = content.subspan(1);
    const SpecialToken* special = special_at(utf8, at, all_specials);
    const bool is_text = special == nullptr ||
                         (!content.empty() && content.front().begin < at + special->content.size());
    if (is_text) {
      ++at;
      continue;
    }
    const auto space_at = [&](std::size_t i) {
      return is_space(table.of_byte(static_cast<std::uint8_t>(utf8[i])));
    };
    std::size_t end = at;
    while (special->lstrip && end > begin && space_at(end - 1)) --end;
    encode(utf8.substr(begin, end - begin), out);
    out.push_back(special->id);
    begin = at + special->content.size();
    while (special->rstrip && begin < utf8.size() && space_at(begin)) ++begin;
    at = begin;
  }
  encode(utf8.substr(begin), out);
}

std::size_t Tokenizer::safe_cut(std::string_view text) const {
  const TokenizerSpec& s = impl_->spec;
  if (s.add_prefix_space || !s.prepend.empty() || !s.replaces.empty()) return 0;
  std::size_t cut = text.size();
  for (bool inside = true; inside && cut > 0;) {
    cut = last_safe_cut(s.split, text.substr(0, cut), s.nfc);
    inside = false;
    for (const SpecialToken& special : s.specials) {
      const std::size_t size = special.content.size();
      for (std::size_t at = cut - std::min(cut, size - 1); at < cut && !inside; ++at) {
        const std::size_t seen = std::min(size, text.size() - at);
        inside = at + size > cut && text.compare(at, seen, special.content, 0, seen) == 0;
        if (inside) cut = at;
      }
    }
  }
  return cut;
}

const SpecialToken* Tokenizer::Impl::special_at(std::string_view text, std::size_t at,
                                                bool all) const {
  for (const SpecialToken* s : special_by_byte[static_cast<std::uint8_t>(text[at])]) {
    if ((all || s->always) && text.substr(at).starts_with(s->content)) return s;
  }
  return nullptr;
}

std::string Tokenizer::Impl::normalized(std::string_view text) const {
  std::string changed = spec.prepend + std::string(text);
  for (const auto& [from, to] : spec.replaces) replace_all(changed, from, to);
  if (spec.nfc && !is_quickly_nfc(changed)) changed = to_nfc(changed);
  if (spec.add_prefix_space && !changed.starts_with(' ')) changed.insert(0, 1, ' ');
  return changed;
}

void Tokenizer::Impl::encode(std::string_view text, std::vector<std::int32_t>& out) const {
  if (text.empty()) return;
  std::string changed;
  if (!spec.prepend.empty() || !spec.replaces.empty() || spec.add_prefix_space ||
      (spec.nfc && !is_quickly_nfc(text))) {
    changed = normalized(text);
    text = changed;
  }
  const ScratchPool::Lease lease = scratch.take();
  EncodeScratch& s = *lease;
  for_each_piece(spec.split, text, [&](const char* p, const char* e, const char* end) {
    const auto size = static_cast<std::size_t>(e - p);
    if (size > WordCache::kMaxBytes) return encode_piece(p, e, s, out);
    const WordCache::Key key = WordCache::key_of(p, size, end);
    if (const WordCache::Entry* entry = s.cache.find(key)) {
      for (std::uint32_t i = 0; i < entry->n_ids; ++i) {
        out.push_back(static_cast<std::int32_t>(entry->ids[i]));
      }
      return;
    }
    encode_piece(p, e, s, out);
    if (s.ids.size() <= WordCache::kMaxIds) s.cache.insert(key, s.ids.data(), s.ids.size());
  });
}

void Tokenizer::Impl::encode_piece(const char* p, const char* e, EncodeScratch& s,
                                   std::vector<std::int32_t>& out) const {
  const std::string_view piece(p, static_cast<std::size_t>(e - p));
  s.ids.clear();
  const std::int32_t whole = spec.ignore_merges ? tokens.find(piece) : -1;
  if (whole >= 0) {
    s.ids.push_back(static_cast<std::uint32_t>(whole));
  } else {
    if (spec.byte_level) {
      s.ids.resize(piece.size());
      s.ids.resize(chars.symbols(p, e, s.ids.data()));
      if (lacks_bytes) std::erase(s.ids, kNoToken);
    } else {
      characters(piece, s.ids);
    }
    s.ids.resize(merges.merge(s.ids.data(), s.ids.size()));
  }
  out.insert(out.end(), s.ids.begin(), s.ids.end());
  if (s.ids.capacity() > kKeptIds) std::vector<std::uint32_t>().swap(s.ids);
}

void Tokenizer::Impl::characters(std::string_view piece, std::vector<std::uint32_t>& ids) const {
  const char* p = piece.data();
  const char* end = p + piece.size();
  bool after_unk = false;
  for (std::uint32_t size; p < end; p += size) {
    size = decode_utf8(p, end).size;
    if (const std::int32_t id = tokens.find({p, size}); id >= 0) {
      ids.push_back(static_cast<std::uint32_t>(id));
      after_unk = false;
      continue;
    }
    const auto byte_token = [&](std::uint32_t i) {
      return byte_id[static_cast<std::uint8_t>(p[i])];
    };
    bool bytes = spec.byte_fallback;
    for (std::uint32_t i = 0; i < size; ++i) bytes = bytes && byte_token(i) != kNoToken;
    if (bytes) {
      for (std::uint32_t i = 0; i < size; ++i) ids.push_back(byte_token(i));
      after_unk = false;
    } else if (spec.unk) {
      if (!spec.fuse_unk || !after_unk) ids.push_back(static_cast<std::uint32_t>(*spec.unk));
      after_unk = true;
    }
  }
}

}  // namespace belay::text
