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
//   started { }                                                   memory_bytes, networks[], disks[],
//   console { data: base64 }                                      snapshot? }
//   exit    { status, reason, signal?, report? }         input  { data: base64 }      console input
//   paused, resumed, snapshotted { path }                stop   { }     orderly shutdown (SIGTERM, xenstore)
//   error   { message, help[], fatal }                   kill   { }     at once
//                                                        pause, resume { }, snapshot { path }
//
// networks[i] = { name, descriptor | tap, mac, mtu, vnet_header }: `descriptor` is the number of an inherited
// SOCK_SEQPACKET or SOCK_DGRAM socket that carries one Ethernet frame per message, preceded by a
// virtio_net_hdr when `vnet_header` is true. disks[i] = { name, path, read_only, sector_bytes }.
//
// Order: the runner says hello first; the driver answers start; then console events, and exactly one exit,
// after which the runner ends. Closing the socket is kill. `status` is the guest's documented exit code,
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

}  // namespace morgana::machine_protocol
