#include "system.hpp"

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace morgana::packetdrill {
namespace {

std::uint32_t number(std::string_view text) {
  std::uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// The word after `name`, or nothing.
std::string_view word_after(std::string_view text, std::string_view name) {
  auto const at = text.find(name);
  if (at == std::string_view::npos) return {};
  auto rest = text.substr(at + name.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return rest.substr(0, rest.find(' '));
}

}  // namespace

system_settings::system_settings(char const* flags) {
  std::string_view rest = flags == nullptr ? "" : flags;
  while (!rest.empty()) {
    auto const one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    auto const name = one.substr(0, one.find('='));
    auto const value = one.substr(std::min(name.size() + 1, one.size()));
    if (name == "local4") local_v4 = value;
    if (name == "local6") local_v6 = value;
    if (name == "mtu") mtu_bytes = number(value);
    if (name == "mss") received_segment_bytes = number(value);
  }
  if (auto const* folder = std::getenv("MORGANA_PACKETDRILL_HOST"))
    record_ = std::string(folder) + "/commands";
}

void system_settings::refresh() {
  if (record_.empty()) return;
  auto* const file = std::fopen(record_.c_str(), "r");
  if (file == nullptr) return;
  std::fseek(file, read_, SEEK_SET);
  char line[512];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    std::string command = line;
    if (command.empty() || command.back() != '\n') break;
    read_ += static_cast<long>(command.size());
    command.pop_back();
    told(command);
  }
  std::fclose(file);
}

void system_settings::told(std::string const& command) {
  std::string_view const text = command;
  if (text.starts_with("tc qdisc") && text.find(" root") != std::string_view::npos) {
    link_takes_nothing = text.find("limit 0") != std::string_view::npos;
    paces = text.find(" root fq") != std::string_view::npos;
  }
  if (text.starts_with("ip ") && text.find(" route ") != std::string_view::npos) {
    if (auto const mtu = word_after(text, "mtu lock "); !mtu.empty()) mtu_bytes = number(mtu);
  }
  if (text.starts_with("ip tcp_metrics flush")) forgets_peers = true;
  if (text.starts_with("ethtool") && text.find("gso off") != std::string_view::npos)
    cuts_super_segments = false;
}

net::siphash_key system_settings::fast_open_key() const {
  unsigned words[4] = {};
  if (record_.empty()) return {};
  if (auto* const file = std::fopen("/proc/sys/net/ipv4/tcp_fastopen_key", "r"); file != nullptr) {
    if (std::fscanf(file, "%x-%x-%x-%x", words, words + 1, words + 2, words + 3) != 4) words[0] = 0;
    std::fclose(file);
  }
  return {std::uint64_t{words[1]} << 32 | words[0], std::uint64_t{words[3]} << 32 | words[2]};
}

std::int64_t system_settings::sysctl(char const* name, std::int64_t otherwise, unsigned index) const {
  if (record_.empty()) return otherwise;
  auto* const file = std::fopen((std::string("/proc/sys/net/ipv4/") + name).c_str(), "r");
  if (file == nullptr) return otherwise;
  char text[256] = {};
  auto const size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  char const* at = text;
  char const* const end = text + size;
  for (unsigned i = 0; at < end; ++i) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n')) ++at;
    char* after = nullptr;
    auto const value = std::strtoll(at, &after, 0);
    if (after == at) break;
    if (i == index) return value;
    at = after;
  }
  return otherwise;
}

}  // namespace morgana::packetdrill
