// The machine protocol: how a unikernel is run, on every target, by every user of it (`morgana run`,
// `morgana plugin check`, the tests, Python), and by nothing beside it.
//
// A runner is a process started by the driver, named by the plugin. It finds the number of an inherited
// SOCK_STREAM socket in the environment variable MORGANA_RUNNER_SOCKET and speaks length-framed JSON on it:
// four bytes of length, big-endian, then that many bytes of one UTF-8 JSON object, at most
// `frame_bytes_max`. Each object has a "type". Unknown members are ignored; an unknown type is answered with
// `error`. Console bytes, which need not be UTF-8, travel as base64.
//
//   runner → driver                                      driver → runner
//   hello   { version: [1,0], target, capabilities }     start  { image, name, arguments[], environment{},
//   started { capabilities? }                                     memory_bytes, networks[], disks[],
//   console { data: base64 }                                      settings{}, snapshot?, crash_core? }
//   exit    { status, reason, signal?, report? }         input  { data: base64, end? }  console input; `end`:
//   paused, resumed, snapshotted { path }                                 no more will come
//   error   { message, help[], fatal }                   stop   { }     orderly shutdown (SIGTERM, xenstore)
//                                                        kill   { }     at once
//   cored   { path }                                     pause, resume { }, snapshot { path }
//                                                        core { path }: the running guest's memory, as an ELF core
//
// networks[i] = { name, descriptor | tap | host_address | user, forwards?, mac, mtu, vnet_header }: an empty `name` serves the guest's
// one interface. `tap` names an interface of the host, `host_address` ("10.0.0.1/24") has the runner make one for as
// long as the guest runs; there `vnet_header` is a wish. `user: true` asks for a network 10.0.0.0/24 of the runner's own, behind address
// translation, with the guest at 10.0.0.2 and a router and name server at 10.0.0.1; `forwards` are pairs of a TCP port of
// 127.0.0.1 and one of the guest's. `descriptor` is the number of an inherited SOCK_SEQPACKET or SOCK_DGRAM socket that carries one Ethernet frame per message, preceded by a
// virtio_net_hdr when `vnet_header` is true. `settings` are the target's, by name, as text. disks[i] = { name, path, read_only, sector_bytes }.
//
// A guest that crashes or runs out of memory is held until its core stands in the file `crash_core`, when start names one: `cored` or an
// error without `fatal` then comes before `exit`, which is the same as without. `capabilities` of started are those of this guest, where they
// are not all that hello said.
//
// Order: the runner says hello first; the driver answers start; then console events, and exactly one exit,
// after which the runner ends. An error with `fatal` is followed by exit { status 125, reason "failed" }; one
// without answers the last request (a capability that is not there, console input that was dropped) and
// changes nothing. Closing the socket is kill. `status` is the guest's documented exit code,
// `reason` one of exit_reason below. A runner never outlives the socket, and its guest never outlives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace morgana::machine_protocol {

inline constexpr std::uint32_t version_major = 1;
inline constexpr std::uint32_t version_minor = 0;

/// Largest frame, bytes: a console event of 64 KiB in base64 with room to spare.
inline constexpr std::size_t frame_bytes_max = 1u << 20;

/// Environment variable that holds the descriptor's number.
inline constexpr char const* socket_variable = "MORGANA_RUNNER_SOCKET";

/// Lines that enclose a crash report on a guest's console; a runner copies what stands between them into
/// `exit.report`.
inline constexpr std::string_view crash_report_begin = "---- morgana crash report ----";
inline constexpr std::string_view crash_report_end = "---- end of crash report ----";

/// Largest crash report that is copied, bytes; the rest is only on the console.
inline constexpr std::size_t crash_report_bytes_max = 64u * 1024u;

/// Documented exit codes that runners and drivers themselves must know (docs/exit-codes.md has all).
namespace exit_status {
inline constexpr int help_printed = 63;
inline constexpr int wrong_argument = 64;
inline constexpr int missing_device = 65;
inline constexpr int start_failed = 66;
inline constexpr int crashed = 70;
inline constexpr int out_of_memory = 71;
inline constexpr int shutdown_deadline = 72;
inline constexpr int driver_failure = 125;
inline constexpr int signal_base = 128;      ///< killed by signal N: 128 + N
}  // namespace exit_status

/// How a guest ended.
enum class exit_reason {
  finished,      ///< start() returned or the guest powered off; `status` is its own
  crashed,       ///< it printed a crash report, which is in `report`; status is the documented one
  killed,        ///< by kill, or by a signal from outside, whose number is in `signal`
  out_of_memory, ///< it reached its memory limit
  failed,        ///< the runner could not start it; `error` said why; status 125
};

[[nodiscard]] constexpr std::string_view to_string(exit_reason reason) {
  switch (reason) {
    case exit_reason::finished: return "finished";
    case exit_reason::crashed: return "crashed";
    case exit_reason::killed: return "killed";
    case exit_reason::out_of_memory: return "out-of-memory";
    case exit_reason::failed: return "failed";
  }
  return "failed";
}

[[nodiscard]] constexpr std::optional<exit_reason> parse_exit_reason(std::string_view text) {
  for (auto reason : {exit_reason::finished, exit_reason::crashed, exit_reason::killed,
                      exit_reason::out_of_memory, exit_reason::failed}) {
    if (to_string(reason) == text) return reason;
  }
  return std::nullopt;
}

/// Splits a byte stream into frames. Feed it what was read; take frames until it has no more. It never holds
/// more than one frame beyond what was fed.
class frame_reader {
 public:
  void feed(std::string_view bytes) { buffer_.append(bytes); }

  /// The next whole frame's text, or nothing yet. After a frame longer than frame_bytes_max broken() is true
  /// for ever and nothing more comes.
  [[nodiscard]] std::optional<std::string> next() {
    if (broken_ || buffer_.size() < 4) return std::nullopt;
    auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(buffer_[i])); };
    auto const size = byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
    if (size > frame_bytes_max) {
      broken_ = true;
      return std::nullopt;
    }
    if (buffer_.size() < 4 + size) return std::nullopt;
    auto frame = buffer_.substr(4, size);
    buffer_.erase(0, 4 + size);
    return frame;
  }

  [[nodiscard]] bool broken() const { return broken_; }

 private:
  std::string buffer_;
  bool broken_ = false;
};

/// One frame around `json`.
[[nodiscard]] inline std::string frame(std::string_view json) {
  auto const size = static_cast<std::uint32_t>(json.size());
  std::string out;
  out.reserve(4 + json.size());
  for (int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(size >> shift & 0xffu));
  out.append(json);
  return out;
}

/// Standard base64 (RFC 4648 section 4), with padding.
[[nodiscard]] inline std::string base64_encode(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  auto byte = [&](std::size_t i) {
    return i < bytes.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) : 0u;
  };
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    auto const group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    out.push_back(digits[group >> 18]);
    out.push_back(digits[group >> 12 & 63u]);
    out.push_back(i + 1 < bytes.size() ? digits[group >> 6 & 63u] : '=');
    out.push_back(i + 2 < bytes.size() ? digits[group & 63u] : '=');
  }
  return out;
}

/// The bytes, or nothing when `text` is not base64 as base64_encode writes it.
[[nodiscard]] inline std::optional<std::string> base64_decode(std::string_view text) {
  auto digit = [](char c) -> std::optional<std::uint32_t> {
    if (c >= 'A' && c <= 'Z') return static_cast<std::uint32_t>(c - 'A');
    if (c >= 'a' && c <= 'z') return static_cast<std::uint32_t>(c - 'a' + 26);
    if (c >= '0' && c <= '9') return static_cast<std::uint32_t>(c - '0' + 52);
    if (c == '+') return 62u;
    if (c == '/') return 63u;
    return std::nullopt;
  };
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    auto const last = i + 4 == text.size();
    std::size_t padding = 0;
    if (last && text[i + 3] == '=') padding = text[i + 2] == '=' ? 2 : 1;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      std::uint32_t value = 0;
      if (k < 4 - padding) {
        auto const found = digit(text[i + k]);
        if (!found) return std::nullopt;
        value = *found;
      }
      group = group << 6 | value;
    }
    // Bits that fall outside the last byte must be zero, so that each value has one form.
    if ((padding == 1 && (group & 0xffu) != 0) || (padding == 2 && (group & 0xffffu) != 0)) return std::nullopt;
    for (std::size_t k = 0; k < 3 - padding; ++k) out.push_back(static_cast<char>(group >> (16 - 8 * k) & 0xffu));
  }
  return out;
}

}  // namespace morgana::machine_protocol
