// QEMU's monitor (QMP, docs/interop/qmp-spec of QEMU), as far as a runner needs it: the guest's memory as an ELF core
// file with the guest's own addresses, which gdb opens beside the image.
#pragma once

#include <elf.h>

#include <fstream>

#include "morgana/plugin/runner.hpp"

namespace morgana::plugin {

class monitor {
 public:
  monitor() = default;
  monitor(monitor const&) = delete;
  monitor& operator=(monitor const&) = delete;
  ~monitor() {
    if (socket_ >= 0) ::close(socket_);
  }

  /// A stream socket whose other end the emulator has.
  void open(int socket) { socket_ = socket; }
  [[nodiscard]] bool is_open() const { return socket_ >= 0; }

  /// The guest stands still until it is written. A descriptor that is readable when written() is to be asked.
  [[nodiscard]] std::expected<int, runner_error> begin_core(std::string const& path) {
    auto const message = json_lines({{{"execute", "qmp_capabilities"}},
                                     {{"execute", "dump-guest-memory"},
                                      {"id", core_id},
                                      {"arguments", {{"paging", true}, {"protocol", "file:" + path}}}}});
    core_path_ = path;
    if (::send(socket_, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
        static_cast<ssize_t>(message.size())) {
      return std::unexpected(runner_error{"the emulator takes no commands"});
    }
    return socket_;
  }

  /// Nothing while it is not known yet. Lines that answer something else are passed over.
  [[nodiscard]] std::optional<std::expected<void, runner_error>> written() {
    char piece[4096];
    auto const size = ::recv(socket_, piece, sizeof piece, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
    if (size <= 0 || said_.size() > said_bytes_max) {
      return std::unexpected(runner_error{"the emulator ended before the core was written"});
    }
    said_.append(piece, static_cast<std::size_t>(size));
    for (std::size_t end = 0; (end = said_.find('\n')) != std::string::npos;) {
      auto const answer = nlohmann::json::parse(said_.substr(0, end), nullptr, false);
      said_.erase(0, end + 1);
      if (!answer.is_object() || detail::text_member(answer, "id") != core_id) continue;
      auto const wrong = answer.find("error");
      if (wrong == answer.end()) return corrected();
      return std::unexpected(runner_error{"the emulator wrote no core: " + detail::text_member(*wrong, "desc")});
    }
    return std::nullopt;
  }

 private:
  static constexpr char const* core_id = "core";
  static constexpr std::size_t said_bytes_max = 1u << 20;

  /// QEMU 7.2 takes every virtual address for one of the upper half: those of the lower half, where guests of ours are, are
  /// written without its sign.
  [[nodiscard]] std::expected<void, runner_error> corrected() const {
    std::fstream core(core_path_, std::ios::in | std::ios::out | std::ios::binary);
    Elf64_Ehdr header{};
    core.read(reinterpret_cast<char*>(&header), sizeof header);
    for (unsigned i = 0; i < header.e_phnum && core; ++i) {
      auto const at = static_cast<std::streamoff>(header.e_phoff + i * sizeof(Elf64_Phdr));
      Elf64_Phdr segment{};
      core.seekg(at);
      core.read(reinterpret_cast<char*>(&segment), sizeof segment);
      segment.p_vaddr = static_cast<std::uint64_t>(static_cast<std::int64_t>(segment.p_vaddr << 16) >> 16);
      core.seekp(at);
      core.write(reinterpret_cast<char const*>(&segment), sizeof segment);
    }
    core.flush();
    if (!core) return std::unexpected(runner_error{"the core " + core_path_ + " cannot be read again"});
    return {};
  }

  static std::string json_lines(std::vector<nlohmann::json> const& all) {
    std::string out;
    for (auto const& one : all) out += detail::json_text(one) + '\n';
    return out;
  }

  int socket_ = -1;
  std::string said_, core_path_;
};

}  // namespace morgana::plugin
